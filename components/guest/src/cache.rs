//! The component's cache: what is not there, or cannot be had, is made anew.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::capabilities::lectern::platform::cache as wit;
use crate::log;

/// The cache cannot be had: whoever is told so asks it for nothing more, as each call may wait for it.
pub struct Away;

/// What is kept under that key, where it can be read.
pub async fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Away> {
    let found = get_bytes(key).await?;
    Ok(found.and_then(|found| serde_json::from_slice(&found).ok()))
}

/// The same as it was put in.
pub async fn get_bytes(key: &str) -> Result<Option<Vec<u8>>, Away> {
    wit::get(key.to_owned()).await.map_err(|error| {
        told(&error);
        Away
    })
}

/// Keeps it, where that can be done.
pub async fn set<T: Serialize>(key: &str, value: &T, ttl: Duration) {
    if let Ok(value) = serde_json::to_vec(value) {
        set_bytes(key, value, ttl).await;
    }
}

/// The same as it is.
pub async fn set_bytes(key: &str, value: Vec<u8>, ttl: Duration) {
    let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    if let Err(error) = wit::set(key.to_owned(), value, ttl).await {
        told(&error);
    }
}

/// Forgets it, where that can be done.
pub async fn forget(key: &str) {
    if let Err(error) = wit::delete(key.to_owned()).await {
        told(&error);
    }
}

/// A cache that is away is told by the host's health, once; only what is wrong with the call itself is
/// told here.
fn told(error: &wit::Error) {
    match error {
        wit::Error::Timeout | wit::Error::Unavailable | wit::Error::QuotaExceeded => {}
        wit::Error::Invalid(why) => log::warn(&format!("the cache refuses a key: {why}")),
    }
}
