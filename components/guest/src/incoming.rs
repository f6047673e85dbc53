//! Bytes that the host hands over as they come.

use bytes::Bytes;
use futures::{Stream, stream};
use wit_bindgen::{FutureReader, StreamReader, StreamResult};

use crate::bindings::capabilities::lectern::platform::blobs as wit;

/// What one read takes over from the host.
const CHUNK: usize = 64 << 10;

/// Between two reads.
enum Next<E: 'static> {
    Read(StreamReader<u8>, FutureReader<Result<(), E>>),
    Nothing,
}

/// The stream's bytes, and where it did not end because they did, an error at last.
pub fn bytes<E: 'static>(
    data: StreamReader<u8>,
    ended: FutureReader<Result<(), E>>,
) -> impl Stream<Item = Result<Bytes, E>> {
    stream::unfold(Next::Read(data, ended), step)
}

async fn step<E: 'static>(next: Next<E>) -> Option<(Result<Bytes, E>, Next<E>)> {
    let Next::Read(mut data, ended) = next else {
        return None;
    };
    loop {
        let (status, chunk) = data.read(Vec::with_capacity(CHUNK)).await;
        let is_over = !matches!(status, StreamResult::Complete(_));
        if !chunk.is_empty() {
            return Some((Ok(chunk.into()), Next::Read(data, ended)));
        }
        if is_over {
            let error = ended.await.err()?;
            return Some((Err(error), Next::Nothing));
        }
    }
}

/// A blob from `offset` on, at most `length` bytes: its whole size, and the bytes.
pub async fn blob(
    key: &str,
    offset: u64,
    length: Option<u64>,
) -> Result<(u64, impl Stream<Item = Result<Bytes, wit::Error>> + use<>), wit::Error> {
    let (stat, data, ended) = wit::get(key.to_owned(), offset, length).await?;
    Ok((stat.size, bytes(data, ended)))
}
