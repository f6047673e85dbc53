//! Built components on disk: `<name>.wasm` beside `<name>.toml` and the migrations it names.

use std::fs;
use std::path::{Path, PathBuf};

use runtime::Manifest;
use runtime::manifest::ManifestError;

/// A component as it was built.
pub struct Bundle {
    /// What it may have.
    pub manifest: Manifest,
    /// What it is.
    pub wasm: Vec<u8>,
    /// Its migrations' folder, where the manifest names one.
    pub migrations: Option<PathBuf>,
}

/// Why the components cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No folder, or an empty one.
    #[error("there are no components in {}: run `just components`, or set LECTERN_COMPONENTS", .0.display())]
    None(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A manifest that cannot be used.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> BundleError + '_ {
    |source| BundleError::Io {
        path: path.to_owned(),
        source,
    }
}

/// All of a folder's components, by name.
pub fn load_all(folder: &Path) -> Result<Vec<Bundle>, BundleError> {
    let entries = fs::read_dir(folder).map_err(|_| BundleError::None(folder.to_owned()))?;
    let mut manifests: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    manifests.sort();
    if manifests.is_empty() {
        return Err(BundleError::None(folder.to_owned()));
    }
    manifests.iter().map(|path| load(path)).collect()
}

/// The component of one manifest.
pub fn load(path: &Path) -> Result<Bundle, BundleError> {
    let text = fs::read_to_string(path).map_err(io(path))?;
    let manifest = Manifest::parse(&text).map_err(|source| BundleError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    let wasm_path = path.with_extension("wasm");
    let wasm = fs::read(&wasm_path).map_err(io(&wasm_path))?;
    let relative = manifest
        .grants
        .postgres
        .as_ref()
        .and_then(|grant| grant.migrations.clone());
    let migrations =
        relative.map(|relative| path.parent().unwrap_or(Path::new(".")).join(relative));
    Ok(Bundle {
        manifest,
        wasm,
        migrations,
    })
}
