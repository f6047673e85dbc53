//! What may be forgotten at any time.

pub mod contract;
pub mod counted;
pub mod local;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::ComponentName;

/// The longest key in bytes.
pub const MAX_KEY: usize = 512;
/// The largest value in bytes.
pub const MAX_VALUE: usize = 1 << 20;

/// Why the cache could not help; mirrors `error` in `wit/cache.wit`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Go on without.
    #[error("the cache took too long")]
    Timeout,
    /// Go on without.
    #[error("the cache cannot be reached: {0}")]
    Unavailable(String),
    /// The value is larger than [`MAX_VALUE`].
    #[error("the value exceeds {MAX_VALUE} bytes")]
    QuotaExceeded,
    /// No such key can be.
    #[error("{0}")]
    Invalid(String),
}

/// A cache. Keys are [`scoped`] already.
#[async_trait]
pub trait Cache: Send + Sync {
    /// `None` when it is not there, or no more.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error>;
    /// MUST be gone after `ttl`.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Error>;
    /// Also fine when there is nothing.
    async fn delete(&self, key: &str) -> Result<(), Error>;
}

/// The key in the component's own scope. A name has no `:`, so no component's key can be another's.
pub fn scoped(component: &ComponentName, key: &str) -> Result<String, Error> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Error::Invalid(format!("a key has 1 to {MAX_KEY} bytes")));
    }
    Ok(format!("{component}:{key}"))
}
