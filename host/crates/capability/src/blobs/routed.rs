//! Some components' blobs in one store, the others' in another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Blobs, ByteStream, Error, Key, Stat};

/// Chooses by a key's first segment, which is the component's name.
pub struct Routed {
    /// By component.
    pub named: BTreeMap<String, Arc<dyn Blobs>>,
    /// Of all others.
    pub otherwise: Arc<dyn Blobs>,
}

impl Routed {
    fn store(&self, key: &Key) -> &Arc<dyn Blobs> {
        let scope = key.as_str().split('/').next().unwrap_or_default();
        self.named.get(scope).unwrap_or(&self.otherwise)
    }
}

#[async_trait]
impl Blobs for Routed {
    async fn put(&self, key: &Key, data: ByteStream, limit: u64) -> Result<Stat, Error> {
        self.store(key).put(key, data, limit).await
    }

    async fn get(
        &self,
        key: &Key,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, ByteStream), Error> {
        self.store(key).get(key, offset, length).await
    }

    async fn head(&self, key: &Key) -> Result<Stat, Error> {
        self.store(key).head(key).await
    }

    async fn rename(&self, key: &Key, to: &Key) -> Result<(), Error> {
        let (from, target) = (self.store(key), self.store(to));
        if !Arc::ptr_eq(from, target) {
            return Err(Error::Invalid("the keys lie in two stores".into()));
        }
        from.rename(key, to).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.store(key).delete(key).await
    }

    async fn presign(
        &self,
        key: &Key,
        expires: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>, Error> {
        self.store(key).presign(key, expires, file_name).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::contract;
    use crate::blobs::local::LocalBlobs;

    #[tokio::test]
    async fn each_scope_has_its_own_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = async |name| {
            let store = LocalBlobs::open(&folder.path().join(name)).await.unwrap();
            Arc::new(store) as Arc<dyn Blobs>
        };
        let (c, rest) = (store("c").await, store("rest").await);
        let routed = Routed {
            named: BTreeMap::from([("c".to_owned(), c.clone())]),
            otherwise: rest.clone(),
        };
        contract::all(&routed).await;
        let key = |key| Key::parse(key).unwrap();
        let one = key("c/x");
        let put = routed.put(&one, contract::bytes(&["1"]), 9);
        put.await.unwrap();
        assert!(c.head(&key("c/x")).await.is_ok());
        assert!(rest.head(&key("c/x")).await.is_err());
        let moved = routed.rename(&key("c/x"), &key("d/x")).await;
        assert!(matches!(moved, Err(Error::Invalid(_))));
    }
}
