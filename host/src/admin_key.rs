//! The key that signs operators' tokens: the configured secret, else one that the host makes for
//! itself and keeps in its data directory, readable by its own user only.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

const FILE: &str = "admin-key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("the key for operators' tokens, {path}, cannot be used: {source}")]
pub struct KeyError {
    path: String,
    source: std::io::Error,
}

/// The key, made where there is none.
pub fn obtain(secret: Option<&SecretString>, data_dir: &Path) -> Result<Vec<u8>, KeyError> {
    if let Some(secret) = secret {
        return Ok(secret.expose_secret().as_bytes().to_vec());
    }
    let path = data_dir.join(FILE);
    make(&path)
        .or_else(|_| read(&path))
        .map_err(|source| KeyError {
            path: path.display().to_string(),
            source,
        })
}

/// The key of a host that has started once; makes none.
pub fn find(secret: Option<&SecretString>, data_dir: &Path) -> Result<Vec<u8>, KeyError> {
    if let Some(secret) = secret {
        return Ok(secret.expose_secret().as_bytes().to_vec());
    }
    let path = data_dir.join(FILE);
    read(&path).map_err(|source| KeyError {
        path: path.display().to_string(),
        source,
    })
}

fn make(path: &Path) -> std::io::Result<Vec<u8>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let key = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(key.as_bytes())?;
    file.sync_all()?;
    Ok(key.into_bytes())
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut key = Vec::new();
    File::open(path)?.take(1_024).read_to_end(&mut key)?;
    if key.len() < 32 {
        return Err(std::io::Error::new(
            ErrorKind::InvalidData,
            "it is too short",
        ));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        assert!(find(None, folder.path()).is_err());
        let key = obtain(None, folder.path()).unwrap();
        assert!(key.len() >= 32);
        assert_eq!(obtain(None, folder.path()).unwrap(), key);
        assert_eq!(find(None, folder.path()).unwrap(), key);
        let mode = std::fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let secret = SecretString::from("s".repeat(40));
        assert_eq!(
            obtain(Some(&secret), folder.path()).unwrap(),
            "s".repeat(40).into_bytes()
        );
    }
}
