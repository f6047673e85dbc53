//! A folder for one job's files: the host's user alone reads it, and it goes with the job. What a host that
//! was killed has left is told by its lock, which the kernel has taken from it.

use std::fs::{DirEntry, File, TryLockError};
use std::path::{Path, PathBuf};

use capability::blobs::{Blobs, Error, Key};
use futures::StreamExt;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

const PREFIX: &str = "lectern-job-";

/// Removed when dropped.
pub(crate) struct Scratch {
    folder: TempDir,
    /// Its own; held as long as the folder is in use.
    _lock: File,
}

impl Scratch {
    pub(crate) fn new() -> std::io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    fn within(parent: &Path) -> std::io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        loop {
            let folder = builder.tempdir_in(parent)?;
            let lock = File::open(folder.path())?;
            // Whoever sweeps may have had it first, and then it is gone.
            if lock.try_lock().is_ok() && folder.path().exists() {
                return Ok(Self {
                    folder,
                    _lock: lock,
                });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Copies the blob into it, where it is not larger.
    pub(crate) async fn copy(
        &self,
        blobs: &dyn Blobs,
        key: &Key,
        name: &str,
        limit: u64,
    ) -> Result<PathBuf, Error> {
        let failed = |e: std::io::Error| Error::Unavailable(e.to_string());
        let (stat, mut data) = blobs.get(key, 0, None).await?;
        if stat.size > limit {
            return Err(Error::TooLarge { limit });
        }
        let path = self.path().join(name);
        let mut file = tokio::fs::File::create(&path).await.map_err(failed)?;
        while let Some(chunk) = data.next().await {
            file.write_all(&chunk?).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        Ok(path)
    }
}

/// Removes what hosts have left that were killed; answers how many folders. For the start of a host.
pub fn sweep() -> usize {
    swept(&std::env::temp_dir())
}

fn swept(parent: &Path) -> usize {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter(is_left)
        .filter(|entry| remove(&entry.path()))
        .count()
}

/// A folder of the kind, and not a link to one.
fn is_left(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
    is_folder && name.to_string_lossy().starts_with(PREFIX)
}

/// Unless somebody uses it.
fn remove(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder) else {
        // Another user's, or gone.
        return false;
    };
    match lock.try_lock() {
        Ok(()) => std::fs::remove_dir_all(folder).is_ok(),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_host_left_is_removed_and_what_is_in_use_stays() {
        let parent = tempfile::tempdir().unwrap();
        let used = Scratch::within(parent.path()).unwrap();
        std::fs::write(used.path().join("input.wav"), "sound").unwrap();
        // What is left of a process that was killed: a folder without a lock.
        let left = parent.path().join("lectern-job-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("input.wav"), "sound").unwrap();
        let other = parent.path().join("else");
        std::fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, parent.path().join("lectern-job-link")).unwrap();
        assert_eq!(swept(parent.path()), 1);
        assert!(!left.exists() && other.exists());
        assert!(used.path().join("input.wav").exists());
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}
