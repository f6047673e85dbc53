//! Bytes in and out, streamed.

use std::pin::pin;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::{Stream, StreamExt};
use wit_bindgen::{FutureReader, StreamReader, StreamResult};

use crate::bindings::capabilities::lectern::platform::blobs as wit;
pub use crate::bindings::capabilities::lectern::platform::blobs::Error;
use crate::bindings::capabilities::wit_stream;
use crate::{Problem, log, quota};

/// What one read takes over from the host.
const CHUNK: usize = 64 << 10;

/// Stores the stream under `key`, all of it or nothing; answers its size in bytes.
pub async fn put(
    key: &str,
    mut chunks: impl Stream<Item = Result<Bytes, Problem>> + Unpin,
    limit: u64,
) -> Result<u64, Problem> {
    let (mut writer, reader) = wit_stream::new();
    let mut stored = Box::pin(wit::put(key.to_owned(), reader, limit));
    let pumped = {
        let pump = pin!(async {
            while let Some(chunk) = chunks.next().await {
                if !writer.write_all(chunk?.into()).await.is_empty() {
                    break;
                }
            }
            Ok(())
        });
        match select(stored.as_mut(), pump).await {
            Either::Left((early, _)) => return size(early).await,
            Either::Right((pumped, _)) => pumped,
        }
    };
    if let Err(problem) = pumped {
        // In this order: a stream that ends before the call is cancelled would count as whole.
        drop(stored);
        drop(writer);
        return Err(problem);
    }
    drop(writer);
    size(stored.await).await
}

/// A caller's own storage may be full where the platform's is not.
async fn size(stored: Result<wit::Stat, Error>) -> Result<u64, Problem> {
    match stored {
        Ok(stat) => Ok(stat.size),
        Err(Error::QuotaExceeded) => Err(quota::exceeded()
            .await
            .unwrap_or_else(|| Error::QuotaExceeded.into())),
        Err(error) => Err(error.into()),
    }
}

/// Stores bytes that are in memory already.
pub async fn put_bytes(key: &str, bytes: Vec<u8>) -> Result<(), Problem> {
    let size = bytes.len() as u64;
    put(key, futures::stream::iter([Ok(Bytes::from(bytes))]), size)
        .await
        .map(|_| ())
}

/// All of a blob of at most `limit` bytes.
pub async fn read(key: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let (stat, data, ended) = wit::get(key.to_owned(), 0, None).await?;
    collect(stat, data, ended, limit).await
}

/// The same from another component's scope.
pub async fn read_shared(owner: &str, key: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let (stat, data, ended) = wit::get_shared(owner.to_owned(), key.to_owned(), 0, None).await?;
    collect(stat, data, ended, limit).await
}

/// A blob of at most `limit` bytes, piece by piece; what was taken counts only if this is `Ok`.
pub async fn each(key: &str, limit: u64, take: impl FnMut(&[u8])) -> Result<(), Error> {
    let (stat, data, ended) = wit::get(key.to_owned(), 0, None).await?;
    pass(stat, data, ended, limit, take).await
}

async fn collect(
    stat: wit::Stat,
    data: StreamReader<u8>,
    ended: FutureReader<Result<(), Error>>,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    let size = stat.size.min(limit);
    let mut all = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    pass(stat, data, ended, limit, |piece| {
        all.extend_from_slice(piece);
    })
    .await?;
    Ok(all)
}

async fn pass(
    stat: wit::Stat,
    mut data: StreamReader<u8>,
    ended: FutureReader<Result<(), Error>>,
    limit: u64,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Error> {
    if stat.size > limit {
        return Err(Error::TooLarge(limit));
    }
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        let (status, mut piece) = data.read(buffer).await;
        take(&piece);
        if !matches!(status, StreamResult::Complete(_)) {
            break;
        }
        piece.clear();
        buffer = piece;
    }
    ended.await
}

/// Replaces what `to` held.
pub async fn rename(key: &str, to: &str) -> Result<(), Problem> {
    Ok(wit::rename(key.to_owned(), to.to_owned()).await?)
}

/// Also fine when there is nothing.
pub async fn delete(key: &str) -> Result<(), Problem> {
    Ok(wit::delete(key.to_owned()).await?)
}

/// Of one segment of a key, in bytes: a key of three segments stays within its 512.
const MAX_SEGMENT: usize = 120;

/// One segment of a key from any text: what a key cannot hold is percent-encoded, and what is too long
/// is cut, so that two texts may make one segment.
pub fn segment(text: &str) -> String {
    let mut segment = String::new();
    for byte in text.bytes() {
        let encoded = if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        };
        if segment.len() + encoded.len() > MAX_SEGMENT {
            break;
        }
        segment.push_str(&encoded);
    }
    segment
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::TooLarge(limit) => Self::too_large(format!("at most {limit} bytes")),
            Error::Timeout | Error::Unavailable => {
                Self::unavailable("STORAGE_UNAVAILABLE", "the storage cannot be reached")
            }
            Error::QuotaExceeded => Self::storage_full(),
            error => {
                log::error(&format!("storage call failed: {error}"));
                Self::internal()
            }
        }
    }
}
