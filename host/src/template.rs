//! The author's template: a new component from files that the host carries with it.
//!
//! It greets over HTTP, and is built, tested and deployed as it is written.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use capability::ComponentName;

/// Which WASI it targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Flavour {
    /// A member of this workspace that has the platform's capabilities; built by cargo.
    #[default]
    #[value(name = "0.3")]
    Wasi3,
    /// A package that stands alone and speaks HTTP; built by cargo-component.
    #[value(name = "0.2")]
    Wasi2,
}

/// Why there is no new component. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Whatever it is, it stays as it is.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The name is a package's of the platform itself.
    #[error("a component cannot be called `{0}`: a part of the platform has that name")]
    Taken(ComponentName),
    /// The file system.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

type File = (&'static str, &'static str);

const GREETING: File = ("src/greeting.rs", include_str!("../templates/greeting.rs"));

const WASI3: [File; 5] = [
    ("Cargo.toml", include_str!("../templates/wasi3/Cargo.toml")),
    (
        "component.toml",
        include_str!("../templates/wasi3/component.toml"),
    ),
    ("src/lib.rs", include_str!("../templates/wasi3/src/lib.rs")),
    (
        "src/component.rs",
        include_str!("../templates/wasi3/src/component.rs"),
    ),
    GREETING,
];

const WASI2: [File; 8] = [
    ("Cargo.toml", include_str!("../templates/wasi2/Cargo.toml")),
    (
        "component.toml",
        include_str!("../templates/wasi2/component.toml"),
    ),
    ("README.md", include_str!("../templates/wasi2/README.md")),
    (".gitignore", include_str!("../templates/wasi2/gitignore")),
    ("src/lib.rs", include_str!("../templates/wasi2/src/lib.rs")),
    (
        "src/reply.rs",
        include_str!("../templates/wasi2/src/reply.rs"),
    ),
    (
        "src/component.rs",
        include_str!("../templates/wasi2/src/component.rs"),
    ),
    GREETING,
];

/// The workspace's other packages. A second one of that name would break every build.
const TAKEN: [&str; 6] = [
    "backend",
    "capability",
    "corpus",
    "guest",
    "host",
    "runtime",
];

/// Writes a new component to `folder/name`, and answers which files it has.
pub fn create(
    folder: &Path,
    name: &ComponentName,
    flavour: Flavour,
) -> Result<Vec<PathBuf>, TemplateError> {
    if TAKEN.contains(&name.as_str()) {
        return Err(TemplateError::Taken(name.clone()));
    }
    let target = folder.join(name.as_str());
    fs::create_dir(&target).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => TemplateError::Exists(target.clone()),
        _ => io(&target)(source),
    })?;
    let files: &[File] = match flavour {
        Flavour::Wasi3 => &WASI3,
        Flavour::Wasi2 => &WASI2,
    };
    let written = files.iter().map(|file| write(&target, name, file));
    written.collect::<Result<_, _>>().inspect_err(|_| {
        // Half a component is none. The folder is this call's own.
        let _ = fs::remove_dir_all(&target);
    })
}

fn write(target: &Path, name: &ComponentName, file: &File) -> Result<PathBuf, TemplateError> {
    let path = target.join(file.0);
    let parent = path.parent().unwrap_or(target);
    fs::create_dir_all(parent).map_err(io(parent))?;
    fs::write(&path, filled(file.1, name)).map_err(io(&path))?;
    Ok(path)
}

fn filled(text: &str, name: &ComponentName) -> String {
    // A package's name in WIT has no `_`, and a word after `-` may not begin with a digit.
    let package = name.as_str().replace('_', "");
    text.replace("{{name}}", name.as_str())
        .replace("{{package}}", &package)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TemplateError + '_ {
    |source| TemplateError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use runtime::Manifest;

    use super::*;

    fn name(name: &str) -> ComponentName {
        ComponentName::parse(name).unwrap()
    }

    /// With every line that is commented out, but no sentence.
    fn uncommented(text: &str) -> String {
        let line = |line: &str| match line.strip_prefix("# ") {
            Some(key) if key.starts_with('[') || key.contains(" = ") => key.to_owned(),
            _ => line.to_owned(),
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_placeholder_is_filled() {
        for flavour in [Flavour::Wasi3, Flavour::Wasi2] {
            let folder = tempfile::tempdir().unwrap();
            let files = create(folder.path(), &name("my_2nd"), flavour).unwrap();
            for file in files {
                let text = fs::read_to_string(&file).unwrap();
                assert!(!text.contains("{{") && !text.contains("}}"), "{file:?}");
            }
        }
    }

    #[test]
    fn its_manifest_is_one_that_the_host_takes() {
        for flavour in [Flavour::Wasi3, Flavour::Wasi2] {
            let folder = tempfile::tempdir().unwrap();
            create(folder.path(), &name("my_2nd"), flavour).unwrap();
            let text = fs::read_to_string(folder.path().join("my_2nd/component.toml")).unwrap();
            let manifest = Manifest::parse(&text).unwrap();
            assert_eq!(manifest.name.as_str(), "my_2nd");
            assert_eq!(manifest.http.routes, ["/my_2nd"]);
            let granted = Manifest::parse(&uncommented(&text)).unwrap();
            assert_eq!(granted.grants.llm.is_some(), flavour == Flavour::Wasi3);
            assert!(granted.grants.http.is_some());
        }
    }

    #[test]
    fn what_is_there_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("notes");
        fs::create_dir(&there).unwrap();
        fs::write(there.join("Cargo.toml"), "mine").unwrap();
        let refused = create(folder.path(), &name("notes"), Flavour::Wasi3);
        assert!(matches!(refused, Err(TemplateError::Exists(path)) if path == there));
        let files: Vec<_> = fs::read_dir(&there).unwrap().collect();
        assert_eq!(files.len(), 1);
        assert_eq!(
            fs::read_to_string(there.join("Cargo.toml")).unwrap(),
            "mine"
        );
    }

    #[test]
    fn a_name_of_the_platform_s_own_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for taken in TAKEN {
            let refused = create(folder.path(), &name(taken), Flavour::Wasi2);
            assert!(matches!(refused, Err(TemplateError::Taken(_))), "{taken}");
        }
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn without_its_folder_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let away = folder.path().join("away");
        let refused = create(&away, &name("notes"), Flavour::Wasi3);
        assert!(matches!(refused, Err(TemplateError::Io { .. })));
        assert!(!away.exists());
    }

    #[test]
    fn hello_is_what_the_template_writes() {
        let folder = tempfile::tempdir().unwrap();
        let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/hello");
        for file in create(folder.path(), &name("hello"), Flavour::Wasi2).unwrap() {
            let relative = file.strip_prefix(folder.path().join("hello")).unwrap();
            let (written, kept) = (fs::read(&file), fs::read(hello.join(relative)));
            assert_eq!(written.unwrap(), kept.unwrap(), "{relative:?}");
        }
    }
}
