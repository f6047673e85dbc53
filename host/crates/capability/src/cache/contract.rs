//! What every [`Cache`] must do.

use std::time::Duration;

use bytes::Bytes;

use super::Cache;

const HOUR: Duration = Duration::from_secs(3600);

/// Set, get, delete.
pub async fn a_value_is_found_until_it_is_deleted(cache: &dyn Cache) {
    assert_eq!(cache.get("contract:a").await, Ok(None));
    cache
        .set("contract:a", Bytes::from_static(b"\0one"), HOUR)
        .await
        .expect("set");
    assert_eq!(
        cache.get("contract:a").await,
        Ok(Some(Bytes::from_static(b"\0one")))
    );
    cache.delete("contract:a").await.expect("delete");
    cache.delete("contract:a").await.expect("delete again");
    assert_eq!(cache.get("contract:a").await, Ok(None));
}

/// The later value and time to live count.
pub async fn a_value_is_replaced_with_its_time(cache: &dyn Cache) {
    cache
        .set(
            "contract:b",
            Bytes::from_static(b"one"),
            Duration::from_secs(1),
        )
        .await
        .expect("set");
    cache
        .set("contract:b", Bytes::from_static(b"two"), HOUR)
        .await
        .expect("set");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(
        cache.get("contract:b").await,
        Ok(Some(Bytes::from_static(b"two")))
    );
}

/// Time to live.
pub async fn a_value_is_gone_after_its_time(cache: &dyn Cache) {
    cache
        .set(
            "contract:c",
            Bytes::from_static(b"x"),
            Duration::from_secs(1),
        )
        .await
        .expect("set");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(cache.get("contract:c").await, Ok(None));
}
