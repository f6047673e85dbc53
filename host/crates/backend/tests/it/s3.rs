//! The S3 adapter against a real S3 server (versitygw, from `just services`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use backend::aws::{Aws, Config};
use backend::s3::{Buckets, CheckError, S3Blobs, Sizes};
use bytes::Bytes;
use capability::ComponentName;
use capability::blobs::contract::{self, bytes};
use capability::blobs::scoped::Scoped;
use capability::blobs::{Blobs, ByteStream, Error, Key, Stat};
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use crate::amazon::{NOBODY, account, bucket, config, key};
use crate::services;

const MIB: usize = 1 << 20;

/// Where the server is, and its one bucket.
struct Server {
    url: String,
    id: String,
    secret: String,
    bucket: String,
}

/// A test needs it.
fn server() -> Option<Server> {
    Some(Server {
        url: services::wanted("AWS_ENDPOINT_URL_S3")?,
        id: services::variable("AWS_ACCESS_KEY_ID")?,
        secret: services::variable("AWS_SECRET_ACCESS_KEY")?,
        bucket: services::variable("S3_BUCKET_NAME")?,
    })
}

impl Server {
    async fn aws(&self) -> Aws {
        account(&self.url, &self.id, &self.secret).await
    }

    async fn blobs(&self) -> Arc<S3Blobs> {
        bucket(&self.aws().await, &self.bucket)
    }

    /// Straight to the server, to see what the adapter left there.
    fn client(&self) -> Client {
        let sdk =
            SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .endpoint_url(&self.url)
                .credentials_provider(
                    aws_credential_types::provider::SharedCredentialsProvider::new(
                        Credentials::new(&self.id, &self.secret, None, None, "test"),
                    ),
                )
                .build();
        Client::from_conf(Builder::from(&sdk).force_path_style(true).build())
    }

    /// Uploads below that folder that were neither completed nor aborted.
    async fn uploads(&self, folder: &str) -> usize {
        let asked = self.client().list_multipart_uploads();
        let listed = asked.bucket(&self.bucket).send().await.unwrap();
        let uploads = listed.uploads().iter().filter_map(|upload| upload.key());
        uploads.filter(|key| key.starts_with(folder)).count()
    }

    async fn check_no_uploads(&self, folder: &str) {
        let none = async {
            while self.uploads(folder).await > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let none = tokio::time::timeout(Duration::from_secs(10), none).await;
        assert!(none.is_ok(), "an upload is left behind");
    }
}

/// So many chunks of 64 KiB, none like another.
fn chunks(count: usize) -> ByteStream {
    let chunk = |at: usize| {
        let mut chunk = vec![at as u8; 64 << 10];
        chunk[..8].copy_from_slice(&at.to_le_bytes());
        Ok(Bytes::from(chunk))
    };
    stream::iter((0..count).map(chunk)).boxed()
}

async fn digest(mut data: ByteStream) -> (usize, Vec<u8>) {
    let (mut size, mut digest) = (0, Sha256::new());
    while let Some(chunk) = data.try_next().await.unwrap() {
        size += chunk.len();
        digest.update(&chunk);
    }
    (size, digest.finalize().to_vec())
}

async fn read(blobs: &S3Blobs, key: &Key, offset: u64, length: Option<u64>) -> Vec<u8> {
    let (_, data) = blobs.get(key, offset, length).await.unwrap();
    data.try_collect::<Vec<_>>().await.unwrap().concat()
}

/// Memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn the_s3_blobs_keep_the_contract() {
    let Some(server) = server() else { return };
    let scope = ComponentName::parse("s3_contract").unwrap();
    contract::all(&Scoped::new(server.blobs().await, scope)).await;
    server.check_no_uploads("s3_contract").await;
}

#[tokio::test]
async fn an_object_has_its_key_s_name() {
    let Some(server) = server() else { return };
    let blobs = server.blobs().await;
    for (from, to) in [
        ("s3_names/a.txt", "s3_names/~a.txt"),
        ("s3_names/a/50%25", "s3_names/a/~50%25"),
    ] {
        blobs.put(&key(from), bytes(&["text"]), 9).await.unwrap();
        let client = server.client();
        let object = client.get_object().bucket(&server.bucket).key(to);
        let object = object.send().await.unwrap().body.collect().await.unwrap();
        assert_eq!(&object.to_vec(), b"text");
        let uri = format!("s3://{}/{to}", server.bucket);
        assert_eq!(blobs.uri(&key(from)), Ok(uri));
        // A copy's source is escaped.
        let moved = key("s3_names/moved");
        blobs.rename(&key(from), &moved).await.unwrap();
        assert_eq!(read(&blobs, &moved, 0, None).await, b"text");
    }
}

#[tokio::test]
async fn a_large_blob_goes_both_ways_in_bounded_memory() {
    let Some(server) = server() else { return };
    let blobs = server.blobs().await;
    let (key, count) = (key("s3_large/a"), 1_600);
    let peak = Arc::new(AtomicUsize::new(0));
    let seen = peak.clone();
    let sampled = tokio::spawn(async move {
        let before = resident();
        loop {
            seen.fetch_max(resident().saturating_sub(before), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let limit = 200 * MIB as u64;
    let stat = blobs.put(&key, chunks(count), limit).await;
    assert_eq!(
        stat,
        Ok(Stat {
            size: 100 * MIB as u64
        })
    );
    let (stat, data) = blobs.get(&key, 0, None).await.unwrap();
    assert_eq!(stat.size, 100 * MIB as u64);
    assert_eq!(digest(data).await, digest(chunks(count)).await);
    sampled.abort();
    let peak = peak.load(Ordering::Relaxed) / MIB;
    eprintln!("100 MiB took {peak} MiB of memory");
    // Other tests are in it too.
    assert!(peak < 80, "{peak} MiB");
    // Across the end of a part.
    let part = read(&blobs, &key, 8 * MIB as u64 - 2, Some(4)).await;
    assert_eq!(part, [127, 127, 128, 0]);
    blobs.delete(&key).await.unwrap();
}

#[tokio::test]
async fn a_large_blob_that_cannot_be_stored_leaves_nothing() {
    let Some(server) = server() else { return };
    let blobs = server.blobs().await;
    let folder = "s3_refused/";
    let large = key("s3_refused/large");
    let limit = 20 * MIB as u64;
    let stat = blobs.put(&large, chunks(400), limit).await;
    assert_eq!(stat, Err(Error::TooLarge { limit }));
    assert_eq!(server.uploads(folder).await, 0);
    let left = || Error::Invalid("the client left".into());
    let broken = chunks(300).chain(stream::iter([Err(left())])).boxed();
    assert_eq!(blobs.put(&large, broken, limit).await, Err(left()));
    assert_eq!(server.uploads(folder).await, 0);
    assert_eq!(blobs.head(&large).await, Err(Error::NotFound));
}

#[tokio::test]
async fn a_put_that_is_abandoned_at_any_time_leaves_nothing() {
    let Some(server) = server() else { return };
    let blobs = server.blobs().await;
    let folder = "s3_abandoned/";
    let abandoned = key("s3_abandoned/a");
    for ms in [1, 5, 20, 60, 200] {
        let endless = chunks(320).chain(stream::pending()).boxed();
        let put = blobs.put(&abandoned, endless, 1 << 40);
        let put = tokio::time::timeout(Duration::from_millis(ms), put).await;
        assert!(put.is_err(), "an endless put ended");
    }
    server.check_no_uploads(folder).await;
    // One that was about to be created when it was abandoned.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.check_no_uploads(folder).await;
    assert_eq!(blobs.head(&abandoned).await, Err(Error::NotFound));
}

#[tokio::test]
async fn a_slow_source_does_not_hold_up_what_is_on_its_way() {
    let Some(server) = server() else { return };
    let blobs = server.blobs().await;
    let slow = chunks(129).chain(stream::once(async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Bytes::from_static(b"end"))
    }));
    let key = key("s3_slow/a");
    let stat = blobs.put(&key, slow.boxed(), 1 << 30).await.unwrap();
    assert_eq!(stat.size, 129 * (64 << 10) + 3);
    blobs.delete(&key).await.unwrap();
}

#[tokio::test]
async fn a_large_blob_is_renamed_in_parts() {
    let Some(server) = server() else { return };
    let small = Sizes {
        copy: 6 * MIB as u64,
        copy_part: 5 * MIB as u64,
        ..Sizes::default()
    };
    let buckets = Buckets {
        default: None,
        by_component: [("s3_parts".to_owned(), server.bucket.clone())].into(),
    };
    let blobs = S3Blobs::new(&server.aws().await, buckets).with_sizes(small);
    let (from, to) = (key("s3_parts/from"), key("s3_parts/to"));
    blobs.put(&from, chunks(200), 1 << 30).await.unwrap();
    blobs.rename(&from, &to).await.unwrap();
    assert_eq!(blobs.head(&from).await, Err(Error::NotFound));
    let (_, data) = blobs.get(&to, 0, None).await.unwrap();
    assert_eq!(digest(data).await, digest(chunks(200)).await);
    server.check_no_uploads("s3_parts/").await;
    blobs.delete(&to).await.unwrap();
}

#[tokio::test]
async fn a_rename_onto_itself_keeps_the_blob() {
    let Some(server) = server() else { return };
    let blobs = server.blobs().await;
    let same = key("s3_same/a");
    blobs.put(&same, bytes(&["text"]), 9).await.unwrap();
    blobs.rename(&same, &same).await.unwrap();
    assert_eq!(read(&blobs, &same, 0, None).await, b"text");
}

#[tokio::test]
async fn ranges_that_no_blob_has_yield_nothing() {
    let Some(server) = server() else { return };
    let blobs = server.blobs().await;
    let (full, empty) = (key("s3_ranges/full"), key("s3_ranges/empty"));
    blobs.put(&full, bytes(&["text"]), 9).await.unwrap();
    blobs.put(&empty, bytes(&[]), 9).await.unwrap();
    let beyond = [(4, None), (4, Some(1)), (u64::MAX, Some(u64::MAX))];
    for (offset, length) in beyond {
        let (stat, _) = blobs.get(&full, offset, length).await.unwrap();
        assert_eq!(stat.size, 4);
        assert_eq!(read(&blobs, &full, offset, length).await, b"");
    }
    assert_eq!(read(&blobs, &full, 1, Some(u64::MAX)).await, b"ext");
    for (offset, length) in [(0, None), (0, Some(1)), (1, None)] {
        assert_eq!(read(&blobs, &empty, offset, length).await, b"");
    }
}

#[tokio::test]
async fn a_presigned_address_works_for_its_blob_and_time_alone() {
    let Some(server) = server() else { return };
    let blobs = server.blobs().await;
    let key = key("s3_signed/a.txt");
    blobs.put(&key, bytes(&["text"]), 9).await.unwrap();
    let disposition = "attachment; filename*=UTF-8''na%C3%AFve.txt";
    let url = blobs.presign_as(&key, Duration::from_secs(60), Some(disposition));
    let url = url.await.unwrap();
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.headers()["content-disposition"], disposition);
    assert_eq!(answer.bytes().await.unwrap(), "text");
    for (from, to) in [
        ("~a.txt", "~b.txt"),
        ("Expires=60", "Expires=61"),
        ("attachment", "inline"),
    ] {
        let tampered = url.replace(from, to);
        assert_ne!(tampered, url);
        assert_eq!(
            reqwest::get(&tampered).await.unwrap().status(),
            403,
            "{from}"
        );
    }
    for (expires, told) in [(0, "Expires=1&"), (1 << 40, "Expires=604800&")] {
        let url = blobs
            .presign_as(&key, Duration::from_secs(expires), None)
            .await;
        assert!(url.unwrap().contains(told), "{told}");
    }
    let short = blobs.presign_as(&key, Duration::ZERO, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(reqwest::get(&short).await.unwrap().status(), 403);
}

#[tokio::test]
async fn what_is_wrong_with_a_store_is_told_apart() {
    let Some(server) = server() else { return };
    assert_eq!(server.blobs().await.check().await, Ok(()));
    for (id, secret) in [(&*server.id, "else"), ("else", &*server.secret)] {
        let refused = bucket(&account(&server.url, id, secret).await, &server.bucket);
        let told = refused.check().await;
        assert!(matches!(told, Err(CheckError::Refused { .. })), "{told:?}");
        let put = refused.put(&key("s3_wrong/a"), bytes(&["x"]), 9).await;
        assert_eq!(put, Err(Error::AccessDenied));
        let large = refused.put(&key("s3_wrong/a"), chunks(200), 1 << 30).await;
        assert_eq!(large, Err(Error::AccessDenied));
        let got = refused.get(&key("s3_wrong/a"), 0, None).await;
        assert_eq!(got.map(drop), Err(Error::AccessDenied));
        let head = refused.head(&key("s3_wrong/a")).await;
        assert_eq!(head, Err(Error::AccessDenied));
    }
    let missing = bucket(&server.aws().await, "no-such-bucket-here");
    let told = missing.check().await;
    assert!(
        matches!(told, Err(CheckError::NoSuchBucket { .. })),
        "{told:?}"
    );
    let put = missing.put(&key("s3_wrong/a"), bytes(&["x"]), 9).await;
    assert!(matches!(put, Err(Error::Unavailable(_))), "{put:?}");
}

#[tokio::test]
async fn a_store_that_is_away_is_unavailable() {
    let config: Config = config(NOBODY, "id", "secret");
    let blobs = bucket(&Aws::load(&config).await, "bucket");
    let told = blobs.check().await;
    assert!(matches!(told, Err(CheckError::Unreachable(_))), "{told:?}");
    let put = blobs.put(&key("s3_away/a"), bytes(&["x"]), 9).await;
    assert!(matches!(put, Err(Error::Unavailable(_))), "{put:?}");
}
