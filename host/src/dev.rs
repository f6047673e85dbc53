//! `lectern dev`: watches the components' sources, and on every save builds what has changed and swaps
//! it in through the admin API, while the platform goes on serving.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::bundle;
use crate::client::{Client, Upload};
use crate::operate::short;

/// Editors save in several steps.
const SETTLE: Duration = Duration::from_millis(150);
/// Faster to build than what ships; see the workspace's profiles.
const PROFILE: &str = "component-dev";

/// Why nothing is watched.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// Not where the sources are.
    #[error("there is no folder {}: run it in the workspace", .0.display())]
    NoSources(PathBuf),
    /// The system.
    #[error("the sources cannot be watched: {0}")]
    Watch(#[from] notify::Error),
}

/// Watches the workspace at `root` for ever.
pub async fn watch(root: &Path, client: &Client) -> Result<(), DevError> {
    // The system tells of changes by whole paths.
    let Ok(root) = &root.canonicalize() else {
        return Err(DevError::NoSources(root.to_owned()));
    };
    let sources = root.join("components");
    if !sources.is_dir() {
        return Err(DevError::NoSources(sources));
    }
    let (sender, mut changes) = mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let event = event.ok().filter(|event| !event.kind.is_access());
        for path in event.into_iter().flat_map(|event| event.paths) {
            // Nobody listens any more only when the program ends.
            let _ = sender.send(path);
        }
    })?;
    watcher.watch(&sources, RecursiveMode::Recursive)?;
    watcher.watch(&root.join("wit"), RecursiveMode::Recursive)?;
    tracing::info!("watching {}: save, and it is swapped in", sources.display());
    while let Some(first) = changes.recv().await {
        let mut paths = vec![first];
        tokio::time::sleep(SETTLE).await;
        while let Ok(path) = changes.try_recv() {
            paths.push(path);
        }
        for name in touched(&sources, &paths) {
            swap(root, &name, client).await;
        }
    }
    Ok(())
}

/// The components that a change of those files changes: what is no component itself is a part of all.
fn touched(sources: &Path, paths: &[PathBuf]) -> BTreeSet<String> {
    let all = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(sources).into_iter().flatten().flatten();
        let named = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        named.filter(|name| is_component(sources, name)).collect()
    };
    let mut names = BTreeSet::new();
    for path in paths {
        let kind = path.extension().and_then(|extension| extension.to_str());
        if !matches!(kind, Some("rs" | "toml" | "wit" | "sql")) {
            continue;
        }
        let below = path.strip_prefix(sources).ok();
        let folder =
            below.and_then(|below| Some(below.iter().next()?.to_string_lossy().into_owned()));
        match folder {
            Some(name) if is_component(sources, &name) => {
                names.insert(name);
            }
            _ => return all(),
        }
    }
    names
}

/// One of the workspace's own that the platform runs: the probe is for tests, and what stands alone
/// (it has a lock file of its own) is built otherwise.
fn is_component(sources: &Path, name: &str) -> bool {
    let folder = sources.join(name);
    name != "probe"
        && folder.join("component.toml").is_file()
        && !folder.join("Cargo.lock").is_file()
}

async fn swap(root: &Path, name: &str, client: &Client) {
    let began = Instant::now();
    let built = Command::new("cargo")
        .args([
            "build",
            "--profile",
            PROFILE,
            "--target",
            "wasm32-wasip2",
            "-q",
            "-p",
            name,
        ])
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .await;
    match built {
        Ok(status) if status.success() => {}
        Ok(_) => return tracing::error!(service = name, "does not build; what runs goes on"),
        Err(error) => return tracing::error!(service = name, %error, "cargo cannot be run"),
    }
    let building = began.elapsed();
    let wasm = root.join(format!("target/wasm32-wasip2/{PROFILE}/{name}.wasm"));
    let manifest = bundle::manifest(&root.join(format!("components/{name}/component.toml")));
    let (wasm, manifest) = match (std::fs::read(&wasm), manifest) {
        (Ok(wasm), Ok(manifest)) => (wasm, manifest),
        (Err(error), _) => {
            return tracing::error!(service = name, %error, "cannot read {}", wasm.display());
        }
        (_, Err(error)) => return tracing::error!(service = name, "{error}"),
    };
    let files = manifest.migrations.into_iter();
    let upload = Upload {
        wasm,
        manifest: Some(manifest.text),
        migrations: files.map(|file| (file.name, file.sql)).collect(),
        ..Upload::default()
    };
    match client.deploy(name, upload).await {
        Ok(deployed) => {
            let former = deployed.former.as_deref().map_or("none", short);
            let (now, ms) = (short(&deployed.revision), deployed.ms.round());
            tracing::info!(
                service = name,
                "{former} -> {now} in {ms} ms, built in {} ms",
                building.as_millis()
            );
        }
        Err(error) => tracing::error!(service = name, "not swapped: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_file_touches_its_component_and_a_shared_one_all() {
        let folder = tempfile::tempdir().unwrap();
        let sources = folder.path().join("components");
        for name in ["chat", "quiz", "guest", "probe", "alone"] {
            std::fs::create_dir_all(sources.join(name).join("src")).unwrap();
            if name != "guest" {
                std::fs::write(sources.join(name).join("component.toml"), "").unwrap();
            }
        }
        std::fs::write(sources.join("alone/Cargo.lock"), "").unwrap();
        let names = |file: &str| -> Vec<String> {
            touched(&sources, &[folder.path().join(file)])
                .into_iter()
                .collect()
        };
        assert_eq!(names("components/chat/src/a.rs"), ["chat"]);
        assert_eq!(names("components/guest/src/a.rs"), ["chat", "quiz"]);
        assert_eq!(names("wit/blobs.wit"), ["chat", "quiz"]);
        assert_eq!(names("components/chat/src/a.rs~"), [""; 0]);
    }
}
