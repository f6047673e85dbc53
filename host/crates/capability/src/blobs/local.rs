//! Blobs in a directory, for one host.
//!
//! A blob's file is its bytes followed by their SHA-256, so that the two are renamed into place as
//! one and a whole read can tell bytes that the disk has changed.

use std::io::{ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::{Blobs, ByteStream, Error, Key, Stat};

/// What one read takes from the disk.
const CHUNK: usize = 64 << 10;
/// Bytes of the digest that ends a file.
const DIGEST: u64 = 32;
/// Not a key (it would need a first segment of its own): where unfinished bytes wait.
const STAGING: &str = ".staging";

/// A key is a path below the root. Bytes are written beside, synced, then renamed into place.
pub struct LocalBlobs {
    root: PathBuf,
}

/// Removes the unfinished file unless it was moved into place.
struct Staged(Option<PathBuf>);

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // Nothing better can be done where it fails: the next start sweeps the folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl LocalBlobs {
    /// Opens the directory, making it where it is missing, and sweeps what a dead host left half
    /// written.
    pub async fn open(root: &Path) -> Result<Self, Error> {
        let staging = root.join(STAGING);
        fs::create_dir_all(root).await.map_err(failed)?;
        close(root).await?;
        match fs::remove_dir_all(&staging).await {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        make_folder(&staging).await?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    fn path(&self, key: &Key) -> PathBuf {
        // A blob's file name ends in `~blob`, which no key can, so that `a` and `a/b` can both be keys.
        self.root.join(format!("{}~blob", key.as_str()))
    }

    async fn place(&self, from: &Path, to: &Path) -> Result<(), Error> {
        if let Some(folder) = to.parent() {
            make_folder(folder).await?;
            fs::rename(from, to).await.map_err(failed)?;
            sync_folder(folder).await?;
        }
        Ok(())
    }
}

/// To the host's user alone: what is in it is closed with it, even what an older host left open.
async fn close(root: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(root, mode).await.map_err(failed)?;
    }
    #[cfg(not(unix))]
    let _ = root;
    Ok(())
}

async fn make_folder(folder: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    let made = builder.recursive(true).create(folder).await;
    made.map_err(failed)
}

async fn make_file(path: &Path) -> Result<File, Error> {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    options.mode(0o600);
    let made = options.write(true).create_new(true).open(path).await;
    made.map_err(failed)
}

async fn sync_folder(folder: &Path) -> Result<(), Error> {
    let folder = File::open(folder).await.map_err(failed)?;
    folder.sync_all().await.map_err(failed)
}

fn failed(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::QuotaExceeded,
        _ => Error::Unavailable(error.to_string()),
    }
}

async fn write(file: &mut File, mut data: ByteStream, limit: u64) -> Result<u64, Error> {
    let mut size = 0u64;
    let mut digest = Sha256::new();
    while let Some(chunk) = data.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > limit {
            return Err(Error::TooLarge { limit });
        }
        digest.update(&chunk);
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.write_all(&digest.finalize()).await.map_err(failed)?;
    file.flush().await.map_err(failed)?;
    file.sync_all().await.map_err(failed)?;
    Ok(size)
}

/// How many of the file's bytes are the blob's.
async fn size_of(file: &File) -> Result<u64, Error> {
    let length = file.metadata().await.map_err(failed)?.len();
    length.checked_sub(DIGEST).ok_or(Error::Corrupt)
}

/// A read on its way through a file.
struct Reading {
    file: File,
    left: u64,
    /// Of the bytes so far, when all of them are read.
    digest: Option<Sha256>,
}

impl Reading {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.left == 0 {
            self.verify().await?;
            return Ok(None);
        }
        let want = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
        let mut buffer = vec![0; want];
        let read = self.file.read(&mut buffer).await.map_err(failed)?;
        if read == 0 {
            return Err(Error::Corrupt);
        }
        buffer.truncate(read);
        self.left -= read as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(&buffer);
        }
        Ok(Some(Bytes::from(buffer)))
    }

    async fn verify(&mut self) -> Result<(), Error> {
        let Some(digest) = self.digest.take() else {
            return Ok(());
        };
        let mut stored = [0; DIGEST as usize];
        self.file.read_exact(&mut stored).await.map_err(failed)?;
        if digest.finalize()[..] == stored {
            Ok(())
        } else {
            Err(Error::Corrupt)
        }
    }
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, key: &Key, data: ByteStream, limit: u64) -> Result<Stat, Error> {
        let path = self
            .root
            .join(STAGING)
            .join(uuid::Uuid::new_v4().to_string());
        let mut file = make_file(&path).await?;
        let mut staged = Staged(Some(path.clone()));
        let size = write(&mut file, data, limit).await?;
        self.place(&path, &self.path(key)).await?;
        staged.0 = None;
        Ok(Stat { size })
    }

    async fn get(
        &self,
        key: &Key,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, ByteStream), Error> {
        let mut file = File::open(self.path(key)).await.map_err(failed)?;
        let size = size_of(&file).await?;
        file.seek(SeekFrom::Start(offset)).await.map_err(failed)?;
        let left = length.unwrap_or(u64::MAX).min(size.saturating_sub(offset));
        let reading = Reading {
            file,
            left,
            digest: (left == size).then(Sha256::new),
        };
        let data = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.chunk().await?.map(|chunk| (chunk, reading)))
        });
        Ok((Stat { size }, data.boxed()))
    }

    async fn head(&self, key: &Key) -> Result<Stat, Error> {
        let file = File::open(self.path(key)).await.map_err(failed)?;
        Ok(Stat {
            size: size_of(&file).await?,
        })
    }

    async fn rename(&self, key: &Key, to: &Key) -> Result<(), Error> {
        fs::metadata(self.path(key)).await.map_err(failed)?;
        self.place(&self.path(key), &self.path(to)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        match fs::remove_file(self.path(key)).await {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failed(e)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ComponentName;
    use crate::blobs::{contract, scoped::Scoped};

    async fn store() -> (tempfile::TempDir, Arc<dyn Blobs>) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::open(folder.path()).await.unwrap();
        (folder, Arc::new(blobs))
    }

    #[tokio::test]
    async fn the_local_blobs_keep_the_contract() {
        let (folder, blobs) = store().await;
        contract::all(&*blobs).await;
        let left = std::fs::read_dir(folder.path().join(STAGING))
            .unwrap()
            .count();
        assert_eq!(left, 0, "something is left half written");
    }

    #[cfg(unix)]
    fn check_closed(path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let found = std::fs::metadata(path).unwrap();
        let mode = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(
            found.permissions().mode() & 0o777,
            mode,
            "{}",
            path.display()
        );
        if found.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                check_closed(&entry.unwrap().path());
            }
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn no_other_user_reads_a_blob() {
        let folder = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let blobs = LocalBlobs::open(folder.path()).await.unwrap();
        for key in ["a", "b/c/d"] {
            let key = Key::parse(key).unwrap();
            blobs
                .put(&key, contract::bytes(&["text"]), 10)
                .await
                .unwrap();
        }
        let from = Key::parse("a").unwrap();
        blobs
            .rename(&from, &Key::parse("e/f").unwrap())
            .await
            .unwrap();
        check_closed(folder.path());
    }

    #[tokio::test]
    async fn a_scope_keeps_the_contract_too() {
        let (_folder, blobs) = store().await;
        contract::all(&Scoped::new(blobs, ComponentName::parse("chat").unwrap())).await;
    }

    #[tokio::test]
    async fn bytes_that_the_disk_changed_are_told_from_those_that_were_put() {
        let (folder, blobs) = store().await;
        let key = Key::parse("a").unwrap();
        blobs
            .put(&key, contract::bytes(&["text"]), 10)
            .await
            .unwrap();
        let path = folder.path().join("a~blob");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (_, data) = blobs.get(&key, 0, None).await.unwrap();
        assert_eq!(
            data.collect::<Vec<_>>().await.last(),
            Some(&Err(Error::Corrupt))
        );
        std::fs::write(&path, b"cut").unwrap();
        assert_eq!(blobs.head(&key).await, Err(Error::Corrupt));
    }

    #[tokio::test]
    async fn one_component_cannot_see_another_s_blobs() {
        let (_folder, blobs) = store().await;
        let chat = Scoped::new(blobs.clone(), ComponentName::parse("chat").unwrap());
        let quiz = Scoped::new(blobs, ComponentName::parse("quiz").unwrap());
        let key = Key::parse("a").unwrap();
        chat.put(&key, contract::bytes(&["x"]), 10).await.unwrap();
        assert_eq!(quiz.head(&key).await, Err(Error::NotFound));
        assert_eq!(chat.head(&key).await, Ok(Stat { size: 1 }));
    }
}
