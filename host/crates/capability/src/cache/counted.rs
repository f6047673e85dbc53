//! A cache whose answers are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Cache, Error};

/// What came of the calls so far.
#[derive(Debug, Default)]
pub struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
    writes: AtomicU64,
}

impl Counts {
    /// By outcome: `hit` and `miss` of reads, `write`, and `failure` of both.
    pub fn all(&self) -> [(&'static str, u64); 4] {
        [
            ("hit", &self.hits),
            ("miss", &self.misses),
            ("write", &self.writes),
            ("failure", &self.failures),
        ]
        .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }
}

/// Counts what `cache` answers.
pub struct Counted {
    /// Asked for everything.
    pub cache: Arc<dyn Cache>,
    /// Of one component.
    pub counts: Arc<Counts>,
}

impl Counted {
    fn written<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        add(match answer {
            Ok(_) => &self.counts.writes,
            Err(_) => &self.counts.failures,
        });
        answer
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

#[async_trait]
impl Cache for Counted {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let answer = self.cache.get(key).await;
        add(match &answer {
            Ok(Some(_)) => &self.counts.hits,
            Ok(None) => &self.counts.misses,
            Err(_) => &self.counts.failures,
        });
        answer
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Error> {
        self.written(self.cache.set(key, value, ttl).await)
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.written(self.cache.delete(key).await)
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::super::local::LocalCache;
    use super::*;

    fn counted(counts: &Arc<Counts>) -> Counted {
        Counted {
            cache: Arc::new(LocalCache::new(1 << 20)),
            counts: counts.clone(),
        }
    }

    #[tokio::test]
    async fn a_counted_cache_is_a_cache() {
        let cache = counted(&Arc::default());
        contract::a_value_is_found_until_it_is_deleted(&cache).await;
        contract::a_value_is_replaced_with_its_time(&cache).await;
        contract::a_value_is_gone_after_its_time(&cache).await;
    }

    #[tokio::test]
    async fn hits_and_misses_are_told_apart() {
        let counts = Arc::default();
        let cache = counted(&counts);
        assert_eq!(cache.get("a").await, Ok(None));
        let ttl = Duration::from_secs(60);
        cache.set("a", Bytes::from_static(b"1"), ttl).await.unwrap();
        assert!(cache.get("a").await.unwrap().is_some());
        let expected = [("hit", 1), ("miss", 1), ("write", 1), ("failure", 0)];
        assert_eq!(counts.all(), expected);
    }
}
