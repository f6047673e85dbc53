//! A private Amazon for a test.

use std::sync::Arc;
use std::time::Duration;

use aws_fake::{ACCESS_KEY_ID, Fake, Object, REGION, SECRET_ACCESS_KEY};
use backend::aws::{Aws, Config, Keys, Timeouts};
use backend::s3::{Buckets, S3Blobs};
use capability::blobs::Key;

/// An address where nobody is.
pub(crate) const NOBODY: &str = "http://127.0.0.1:9";

pub(crate) struct Amazon {
    pub(crate) fake: Fake,
    pub(crate) aws: Aws,
    pub(crate) blobs: Arc<S3Blobs>,
}

impl Amazon {
    pub(crate) async fn start() -> Self {
        let fake = Fake::start().await.unwrap();
        let aws = account(fake.url(), ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
        let blobs = bucket(&aws, "bucket");
        Self { fake, aws, blobs }
    }

    pub(crate) fn put(&self, name: &str, object: Object) -> Key {
        let key = key(name);
        self.fake.put(&self.blobs.uri(&key).unwrap(), object);
        key
    }
}

pub(crate) fn key(key: &str) -> Key {
    Key::parse(key).unwrap()
}

pub(crate) fn bucket(aws: &Aws, name: &str) -> Arc<S3Blobs> {
    let buckets = Buckets {
        default: Some(name.into()),
        ..Buckets::default()
    };
    Arc::new(S3Blobs::new(aws, buckets))
}

pub(crate) fn config(url: &str, id: &str, secret: &str) -> Config {
    let keys = Keys {
        access_key_id: id.into(),
        secret_access_key: secret.to_owned().into(),
        session_token: None,
    };
    Config {
        endpoint_url: Some(url.into()),
        keys: Some(keys),
        ..Config::new(REGION)
    }
}

pub(crate) async fn account(url: &str, id: &str, secret: &str) -> Aws {
    Aws::load(&config(url, id, secret)).await
}

/// One whose answers are waited for no longer than that.
pub(crate) async fn impatient(url: &str, attempt: Duration) -> Aws {
    let timeouts = Timeouts {
        attempt,
        call: attempt * 2,
        ..Timeouts::default()
    };
    let config = config(url, ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    Aws::load(&Config { timeouts, ..config }).await
}
