//! Wasm to native code, once: kept by digest and engine, in a folder that only the host writes.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::Engine;
use crate::component::Haste;

/// The wasm's SHA-256 in hexadecimal.
pub(crate) fn digest(wasm: &[u8]) -> String {
    Sha256::digest(wasm)
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Compiles, or loads what was compiled before. Blocks for as long as compiling takes.
pub(crate) fn component(
    engine: &Engine,
    wasm: &[u8],
    digest: &str,
    haste: Haste,
) -> wasmtime::Result<Component> {
    match haste {
        Haste::Start => now(engine, wasm, digest),
        // The compiler's own parallel loops stay within the pool that they are called from.
        Haste::Background => engine.compiling.install(|| now(engine, wasm, digest)),
    }
}

fn now(engine: &Engine, wasm: &[u8], digest: &str) -> wasmtime::Result<Component> {
    let Some(folder) = &engine.cache else {
        return Component::new(&engine.inner, wasm);
    };
    let path = artefact(engine, folder, digest);
    if let Some(component) = load(engine, &path) {
        return Ok(component);
    }
    let code = engine.inner.precompile_component(wasm)?;
    if let Err(error) = store(folder, &path, &code) {
        tracing::warn!(%error, path = %path.display(), "the compiled component cannot be kept");
        return Component::new(&engine.inner, wasm);
    }
    load(engine, &path).map_or_else(|| Component::new(&engine.inner, wasm), Ok)
}

/// The engine's own hash changes with its version and settings, and with them the name.
fn artefact(engine: &Engine, folder: &Path, digest: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    engine
        .inner
        .precompile_compatibility_hash()
        .hash(&mut hasher);
    folder.join(format!("{digest}-{:016x}.cwasm", hasher.finish()))
}

/// `None` where there is nothing, or nothing usable: then it is compiled anew.
fn load(engine: &Engine, path: &Path) -> Option<Component> {
    if !is_ours(path)? {
        tracing::warn!(path = %path.display(), "a compiled component that others may have written is not run");
        return None;
    }
    #[expect(
        unsafe_code,
        reason = "only the host writes the folder, whole files at a time"
    )]
    // SAFETY: the file was made by `precompile_component` below, in a folder of mode 0700 that only
    // the host's user can write, and was renamed into place when complete.
    let loaded = unsafe { Component::deserialize_file(&engine.inner, path) };
    loaded
        .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "a compiled component is unusable"))
        .ok()
}

/// Whether nobody but the host's user can have written the file; `None` where there is none. What is
/// loaded from it runs as native code.
fn is_ours(path: &Path) -> Option<bool> {
    let file = fs::symlink_metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let user = rustix::process::geteuid().as_raw();
        Some(file.is_file() && file.uid() == user && file.mode() & 0o022 == 0)
    }
    #[cfg(not(unix))]
    Some(file.is_file())
}

fn store(folder: &Path, path: &Path, code: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    // Two hosts may compile the same component at once: each writes a file of its own.
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::File::create(&beside)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(code)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
