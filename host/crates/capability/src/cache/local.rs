//! A cache in the host's own memory, for one host.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use moka::{Expiry, future};

use super::{Cache, Error};

/// Evicts what is least used once all values together exceed their share of memory.
pub struct LocalCache(future::Cache<String, (Bytes, Duration)>);

struct PerEntry;

impl Expiry<String, (Bytes, Duration)> for PerEntry {
    fn expire_after_create(
        &self,
        _: &String,
        (_, ttl): &(Bytes, Duration),
        _: Instant,
    ) -> Option<Duration> {
        Some(*ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        (_, ttl): &(Bytes, Duration),
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(*ttl)
    }
}

impl LocalCache {
    /// Holds at most so many bytes of keys and values.
    pub fn new(bytes: u64) -> Self {
        let weigh = |key: &String, (value, _): &(Bytes, Duration)| {
            u32::try_from(key.len() + value.len() + 64).unwrap_or(u32::MAX)
        };
        Self(
            future::Cache::builder()
                .max_capacity(bytes)
                .weigher(weigh)
                .expire_after(PerEntry)
                .build(),
        )
    }
}

#[async_trait]
impl Cache for LocalCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.0.get(key).await.map(|(value, _)| value))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Error> {
        self.0.insert(key.to_owned(), (value, ttl)).await;
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.0.invalidate(key).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::contract;

    #[tokio::test]
    async fn the_local_cache_keeps_the_contract() {
        let cache = LocalCache::new(1 << 20);
        contract::a_value_is_found_until_it_is_deleted(&cache).await;
        contract::a_value_is_replaced_with_its_time(&cache).await;
        contract::a_value_is_gone_after_its_time(&cache).await;
    }
}
