//! A folder for one job's files: the host's user alone reads it, and it goes with the job.

use std::path::PathBuf;

use capability::blobs::{Blobs, Error, Key};
use futures::StreamExt;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// Removed when dropped.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("lectern-job-");
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        builder.tempdir().map(Self)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
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
        let path = self.0.path().join(name);
        let mut file = tokio::fs::File::create(&path).await.map_err(failed)?;
        while let Some(chunk) = data.next().await {
            file.write_all(&chunk?).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        Ok(path)
    }
}
