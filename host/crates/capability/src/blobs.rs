//! Bytes by key.

pub mod contract;
pub mod local;
pub mod routed;
pub mod scoped;

use std::fmt;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::ComponentName;

/// Bytes as they come.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

/// Segments of `[A-Za-z0-9._%-]` joined by `/`, none of them `.` or `..`, 512 bytes at most: the
/// same in a directory, in S3 and in a URL, and it cannot leave its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// Checks the form.
    pub fn parse(key: &str) -> Result<Self, Error> {
        let segment_is_fine = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._%-".contains(&b))
        };
        if key.len() <= 512 && key.split('/').all(segment_is_fine) {
            Ok(Self(key.to_owned()))
        } else {
            Err(Error::Invalid(
                "a key is 1 to 512 bytes of [A-Za-z0-9._%-] in segments joined by `/`".into(),
            ))
        }
    }

    /// The same in the component's scope: what the component knows it by, as the shared store does.
    pub fn within(&self, scope: &ComponentName) -> Self {
        Self(format!("{scope}/{}", self.0))
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
}

/// Why bytes could not be stored or read; mirrors `error` in `wit/blobs.wit`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The manifest does not grant them, or the store refuses the host's credentials.
    #[error("access to these blobs is refused")]
    AccessDenied,
    /// No such key.
    #[error("no such blob")]
    NotFound,
    /// A deadline passed.
    #[error("the blob store took too long")]
    Timeout,
    /// The store failed.
    #[error("the blob store failed: {0}")]
    Unavailable(String),
    /// More bytes than the limit.
    #[error("the blob exceeds {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The store is full.
    #[error("the blob store is full")]
    QuotaExceeded,
    /// The stored bytes are not those that were put.
    #[error("the blob does not match its digest")]
    Corrupt,
    /// No such key can be, or the source broke.
    #[error("{0}")]
    Invalid(String),
}

/// A store of bytes.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// MUST store all of `data` or nothing, also when it is dropped in the middle, when `data`
    /// yields an error, or when there is more than `limit`.
    async fn put(&self, key: &Key, data: ByteStream, limit: u64) -> Result<Stat, Error>;
    /// The whole blob's [`Stat`] and the bytes from `offset`, at most `length`. An offset beyond the
    /// end yields none.
    async fn get(
        &self,
        key: &Key,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, ByteStream), Error>;
    /// Without the bytes.
    async fn head(&self, key: &Key) -> Result<Stat, Error>;
    /// Replaces what `to` held.
    async fn rename(&self, key: &Key, to: &Key) -> Result<(), Error>;
    /// Also fine when there is nothing.
    async fn delete(&self, key: &Key) -> Result<(), Error>;
    /// An address from which anybody reads the blob for so long, as a download of that name; `None`
    /// where the store has no addresses. Whether there is a blob is not asked.
    async fn presign(
        &self,
        _key: &Key,
        _expires: Duration,
        _file_name: Option<&str>,
    ) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// A download's name as a header's value: [RFC 6266](https://www.rfc-editor.org/rfc/rfc6266), the name
/// itself as in [RFC 5987](https://www.rfc-editor.org/rfc/rfc5987), so that none can end the header.
pub fn attachment(file_name: &str) -> String {
    let encoded = file_name
        .bytes()
        .take(512)
        .fold(String::new(), |all, byte| {
            match byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                true => all + &char::from(byte).to_string(),
                false => format!("{all}%{byte:02X}"),
            }
        });
    format!("attachment; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_s_name_cannot_end_its_header() {
        let value = attachment("Übung \"1\"\r\nx: y.pdf");
        assert_eq!(
            value,
            "attachment; filename*=UTF-8''%C3%9Cbung%20%221%22%0D%0Ax%3A%20y.pdf"
        );
    }

    #[test]
    fn a_key_cannot_leave_its_scope() {
        for bad in [
            "", "/", "a//b", "../a", "a/..", ".", "a/./b", "/a", "a/", "a\\b", "a b", "a\0", "ä",
            "a:b",
        ] {
            assert!(Key::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Key::parse(&"a".repeat(513)).is_err());
        assert!(Key::parse("documents/user-1/a%20b.pdf").is_ok());
    }
}
