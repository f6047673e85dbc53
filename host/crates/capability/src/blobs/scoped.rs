//! Confines a component to its own prefix, which it never sees.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Blobs, ByteStream, Error, Key, Stat};
use crate::ComponentName;

/// Every key is prefixed with the component's name.
pub struct Scoped {
    inner: Arc<dyn Blobs>,
    scope: ComponentName,
}

impl Scoped {
    /// The scope of that component in `inner`.
    pub fn new(inner: Arc<dyn Blobs>, scope: ComponentName) -> Self {
        Self { inner, scope }
    }

    fn key(&self, key: &Key) -> Key {
        key.within(&self.scope)
    }
}

#[async_trait]
impl Blobs for Scoped {
    async fn put(&self, key: &Key, data: ByteStream, limit: u64) -> Result<Stat, Error> {
        self.inner.put(&self.key(key), data, limit).await
    }

    async fn get(
        &self,
        key: &Key,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, ByteStream), Error> {
        self.inner.get(&self.key(key), offset, length).await
    }

    async fn head(&self, key: &Key) -> Result<Stat, Error> {
        self.inner.head(&self.key(key)).await
    }

    async fn rename(&self, key: &Key, to: &Key) -> Result<(), Error> {
        self.inner.rename(&self.key(key), &self.key(to)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.inner.delete(&self.key(key)).await
    }

    async fn presign(
        &self,
        key: &Key,
        expires: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>, Error> {
        self.inner.presign(&self.key(key), expires, file_name).await
    }
}
