//! What every [`Blobs`] must do.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{Blobs, ByteStream, Error, Key, Stat};

/// The chunks as a stream.
pub fn bytes(chunks: &[&'static str]) -> ByteStream {
    let chunks: Vec<_> = chunks
        .iter()
        .map(|c| Ok(Bytes::from_static(c.as_bytes())))
        .collect();
    stream::iter(chunks).boxed()
}

fn key(key: &str) -> Key {
    Key::parse(key).expect("a key")
}

async fn read(
    blobs: &dyn Blobs,
    name: &str,
    offset: u64,
    length: Option<u64>,
) -> Result<Vec<u8>, Error> {
    let (_, data) = blobs.get(&key(name), offset, length).await?;
    let chunks: Vec<Bytes> = data.try_collect().await?;
    Ok(chunks.concat())
}

/// Every case.
pub async fn all(blobs: &dyn Blobs) {
    bytes_come_back_whole_and_in_part(blobs).await;
    too_many_bytes_store_nothing(blobs).await;
    a_broken_source_keeps_what_was_there(blobs).await;
    an_abandoned_put_stores_nothing(blobs).await;
    a_rename_replaces(blobs).await;
    a_deleted_blob_is_gone(blobs).await;
    a_key_may_extend_another(blobs).await;
}

/// Put, get, ranges.
pub async fn bytes_come_back_whole_and_in_part(blobs: &dyn Blobs) {
    let stat = blobs
        .put(&key("c/whole"), bytes(&["hello ", "", "world"]), 11)
        .await;
    assert_eq!(stat, Ok(Stat { size: 11 }));
    assert_eq!(blobs.head(&key("c/whole")).await, Ok(Stat { size: 11 }));
    let parts = [
        (0, None, "hello world"),
        (6, None, "world"),
        (6, Some(3), "wor"),
        (99, None, ""),
        (0, Some(0), ""),
    ];
    for (offset, length, want) in parts {
        let got = read(blobs, "c/whole", offset, length).await;
        assert_eq!(got, Ok(want.as_bytes().to_vec()), "{offset} {length:?}");
    }
    blobs
        .put(&key("c/whole"), bytes(&[]), 11)
        .await
        .expect("an empty blob");
    assert_eq!(read(blobs, "c/whole", 0, None).await, Ok(vec![]));
}

/// The limit.
pub async fn too_many_bytes_store_nothing(blobs: &dyn Blobs) {
    let stat = blobs.put(&key("c/large"), bytes(&["12345", "6"]), 5).await;
    assert_eq!(stat, Err(Error::TooLarge { limit: 5 }));
    assert_eq!(blobs.head(&key("c/large")).await, Err(Error::NotFound));
}

/// All or nothing when the source fails.
pub async fn a_broken_source_keeps_what_was_there(blobs: &dyn Blobs) {
    blobs
        .put(&key("c/broken"), bytes(&["old"]), 9)
        .await
        .expect("put");
    let broken = stream::iter([
        Ok(Bytes::from_static(b"new")),
        Err(Error::Invalid("the client left".into())),
    ]);
    let stat = blobs.put(&key("c/broken"), broken.boxed(), 9).await;
    assert_eq!(stat, Err(Error::Invalid("the client left".into())));
    assert_eq!(read(blobs, "c/broken", 0, None).await, Ok(b"old".to_vec()));
}

/// All or nothing when the caller leaves.
pub async fn an_abandoned_put_stores_nothing(blobs: &dyn Blobs) {
    let endless = bytes(&["part"]).chain(stream::pending()).boxed();
    let abandoned = key("c/abandoned");
    let put = blobs.put(&abandoned, endless, 9);
    let outcome = tokio::time::timeout(std::time::Duration::from_millis(100), put).await;
    assert!(outcome.is_err(), "an endless put ended");
    assert_eq!(blobs.head(&abandoned).await, Err(Error::NotFound));
}

/// Rename.
pub async fn a_rename_replaces(blobs: &dyn Blobs) {
    blobs
        .put(&key("c/from"), bytes(&["new"]), 9)
        .await
        .expect("put");
    blobs
        .put(&key("c/to"), bytes(&["old"]), 9)
        .await
        .expect("put");
    blobs
        .rename(&key("c/from"), &key("c/to"))
        .await
        .expect("rename");
    assert_eq!(read(blobs, "c/to", 0, None).await, Ok(b"new".to_vec()));
    assert_eq!(blobs.head(&key("c/from")).await, Err(Error::NotFound));
    assert_eq!(
        blobs.rename(&key("c/from"), &key("c/to")).await,
        Err(Error::NotFound)
    );
}

/// Delete.
pub async fn a_deleted_blob_is_gone(blobs: &dyn Blobs) {
    blobs
        .put(&key("c/gone"), bytes(&["x"]), 9)
        .await
        .expect("put");
    blobs.delete(&key("c/gone")).await.expect("delete");
    blobs.delete(&key("c/gone")).await.expect("delete again");
    assert_eq!(read(blobs, "c/gone", 0, None).await, Err(Error::NotFound));
}

/// `a` and `a/b` are two keys.
pub async fn a_key_may_extend_another(blobs: &dyn Blobs) {
    blobs.put(&key("c/a"), bytes(&["1"]), 9).await.expect("put");
    blobs
        .put(&key("c/a/b"), bytes(&["2"]), 9)
        .await
        .expect("put");
    assert_eq!(read(blobs, "c/a", 0, None).await, Ok(b"1".to_vec()));
    assert_eq!(read(blobs, "c/a/b", 0, None).await, Ok(b"2".to_vec()));
}
