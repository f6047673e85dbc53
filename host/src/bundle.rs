//! Built components on disk: `<name>.wasm` beside `<name>.toml` and the migrations it names.

use std::fs;
use std::path::{Path, PathBuf};

use backend::revisions::{Content, MigrationFile};
use runtime::Manifest;
use runtime::manifest::ManifestError;

/// A component as it was built.
pub struct Bundle {
    /// What it may have.
    pub manifest: Manifest,
    /// All that makes its revision.
    pub content: Content,
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

/// A manifest and the migrations that it names.
pub struct ManifestFile {
    /// As it was read.
    pub manifest: Manifest,
    /// As it was written.
    pub text: String,
    /// In the order of their names.
    pub migrations: Vec<MigrationFile>,
}

/// Reads a manifest, and the migrations beside it.
pub fn manifest(path: &Path) -> Result<ManifestFile, BundleError> {
    let text = fs::read_to_string(path).map_err(io(path))?;
    let manifest = Manifest::parse(&text).map_err(|source| BundleError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    let grant = manifest.grants.postgres.as_ref();
    let folder = grant.and_then(|grant| grant.migrations.as_ref());
    let migrations = match folder {
        Some(folder) => migrations(&path.parent().unwrap_or(Path::new(".")).join(folder))?,
        None => vec![],
    };
    Ok(ManifestFile {
        manifest,
        text,
        migrations,
    })
}

/// The component of one manifest.
pub fn load(path: &Path) -> Result<Bundle, BundleError> {
    let found = manifest(path)?;
    let wasm_path = path.with_extension("wasm");
    let wasm = fs::read(&wasm_path).map_err(io(&wasm_path))?;
    Ok(Bundle {
        manifest: found.manifest,
        content: Content::new(found.text, found.migrations, wasm),
    })
}

/// A folder's files of SQL, in the order of their names.
pub fn migrations(folder: &Path) -> Result<Vec<MigrationFile>, BundleError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let name = path.file_name().unwrap_or_default();
        files.push(MigrationFile {
            name: name.to_string_lossy().into_owned(),
            sql: fs::read_to_string(&path).map_err(io(&path))?,
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
