//! Blobs in S3, Amazon's or any that speaks its protocol.
//!
//! # How a blob is named
//!
//! A blob's object is its key with `~` before the last segment: `reader/documents/7` is
//! `reader/documents/~7`. No key has a `~`, so no object's name is the beginning of another's folder:
//! a store that keeps objects as files (versitygw, NFS gateways) cannot hold both `a` and `a/b`, and
//! can hold `~a` and `a/~b`. `aws s3 cp s3://bucket/reader/documents/~7.pdf .` works as it stands.
//!
//! # What a bucket needs
//!
//! The policy's `s3:ListBucket` beside the actions on objects, without which S3 says 403 of what is
//! not there, and a lifecycle rule that ends incomplete uploads after a day: this ends its own, but
//! not those of a host that was killed.

mod copy;
mod upload;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream as Body, ByteStreamError};
use aws_smithy_checksums::body::validate;
use capability::blobs::{Blobs, ByteStream, Error, Key, Stat, attachment};
use futures::{StreamExt, stream};

use crate::aws::{Aws, Failure, cause, chain};

/// Presigned addresses last as long as SigV4 lets them.
const LONGEST_PRESIGNED: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Of a health check, which has one attempt.
const CHECK: Duration = Duration::from_secs(5);

/// Which component's blobs are in which bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Of those that are not named below.
    pub default: Option<String>,
    /// By the component's name, which is a key's first segment.
    pub by_component: BTreeMap<String, String>,
}

impl Buckets {
    fn of(&self, key: &Key) -> Result<&str, Error> {
        let component = key.as_str().split('/').next().unwrap_or_default();
        let named = self.by_component.get(component).or(self.default.as_ref());
        let missing = || Error::Unavailable(format!("there is no bucket for `{component}`"));
        named.map(String::as_str).ok_or_else(missing)
    }

    /// Each once.
    fn all(&self) -> impl Iterator<Item = &String> {
        let all: std::collections::BTreeSet<_> =
            self.by_component.values().chain(&self.default).collect();
        all.into_iter()
    }
}

/// How much is sent or copied at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of an upload's part, of which three at most are in memory; more where the limit of a
    /// blob would take more than S3's 10,000 of them. S3 takes 5 MiB at least.
    pub part: usize,
    /// Bytes that one request may copy: S3's 5 GiB. More is copied in parts.
    pub copy: u64,
    /// Bytes of a copy's part: 5 MiB to 5 GiB.
    pub copy_part: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            part: 8 << 20,
            copy: 5 << 30,
            copy_part: 1 << 30,
        }
    }
}

/// Why a bucket cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckError {
    /// None is configured.
    #[error("no bucket is configured")]
    NoBucket,
    /// The SDK found nothing to sign with.
    #[error("there are no credentials for S3: {0}")]
    NoCredentials(String),
    /// They are wrong, or may not read the bucket.
    #[error("S3 refuses the credentials for the bucket `{bucket}`: {code}")]
    Refused {
        /// Its name.
        bucket: String,
        /// S3's.
        code: String,
    },
    /// The store works, without it.
    #[error("there is no bucket `{bucket}`")]
    NoSuchBucket {
        /// Its name.
        bucket: String,
    },
    /// Nobody answers.
    #[error("S3 cannot be reached: {0}")]
    Unreachable(String),
    /// Another answer.
    #[error("S3 fails with the bucket `{bucket}`: {why}")]
    Failed {
        /// Its name.
        bucket: String,
        /// As S3 says it.
        why: String,
    },
}

impl CheckError {
    fn new(bucket: &str, failure: Failure) -> Self {
        let bucket = bucket.to_owned();
        match failure {
            Failure::NoCredentials(why) => Self::NoCredentials(why),
            Failure::Refused(code) => Self::Refused { bucket, code },
            Failure::Service { code, .. } if code == "NoSuchBucket" => {
                Self::NoSuchBucket { bucket }
            }
            Failure::Unreachable(why) => Self::Unreachable(why),
            Failure::Timeout => Self::Unreachable("no answer in time".into()),
            Failure::Throttled => Self::Failed {
                bucket,
                why: "it asks for fewer requests".into(),
            },
            Failure::Service { status, code, .. } => Self::Failed {
                bucket,
                why: format!("HTTP {status} {code}"),
            },
        }
    }
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    bucket: String,
    name: String,
}

impl Place {
    /// See the module's own words.
    fn new(bucket: &str, key: &Key) -> Self {
        let name = match key.as_str().rsplit_once('/') {
            Some((folder, last)) => format!("{folder}/~{last}"),
            None => format!("~{key}"),
        };
        Self {
            bucket: bucket.to_owned(),
            name,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.name)
    }
}

/// Blobs in S3.
pub struct S3Blobs {
    client: Client,
    buckets: Buckets,
    sizes: Sizes,
}

impl S3Blobs {
    /// In those buckets. Where an endpoint is configured, a bucket is a part of the path and not of
    /// the host's name.
    pub fn new(aws: &Aws, buckets: Buckets) -> Self {
        let config = Builder::from(&aws.sdk)
            .force_path_style(aws.sdk.endpoint_url().is_some())
            .interceptor(aws.calls.clone())
            .build();
        Self {
            client: Client::from_conf(config),
            buckets,
            sizes: Sizes::default(),
        }
    }

    /// With the bucket as a part of the path: for servers whose name does not answer below it, where
    /// the SDK finds their endpoint by itself.
    pub fn with_path_style(self) -> Self {
        let config = self.client.config().to_builder().force_path_style(true);
        Self {
            client: Client::from_conf(config.build()),
            ..self
        }
    }

    /// With other sizes, for a store whose limits are not Amazon's.
    pub fn with_sizes(self, sizes: Sizes) -> Self {
        Self { sizes, ..self }
    }

    fn place(&self, key: &Key) -> Result<Place, Error> {
        Ok(Place::new(self.buckets.of(key)?, key))
    }

    /// `s3://bucket/name`, for services that read the object themselves. [`Error::Unavailable`]
    /// where no bucket is configured for it.
    pub fn uri(&self, key: &Key) -> Result<String, Error> {
        Ok(self.place(key)?.to_string())
    }

    /// Bucket and name apart, as Textract wants them.
    pub(crate) fn bucket_and_name(&self, key: &Key) -> Result<(String, String), Error> {
        let Place { bucket, name } = self.place(key)?;
        Ok((bucket, name))
    }

    /// An address from which anybody reads the blob for so long, 1 s to 7 days; not longer than the
    /// credentials themselves last. `disposition` is the `Content-Disposition` of the answer. Whether
    /// there is a blob is not asked. The address is a secret while it lasts: mint one a read, and log
    /// none.
    pub async fn presign_as(
        &self,
        key: &Key,
        expires: Duration,
        disposition: Option<&str>,
    ) -> Result<String, Error> {
        self.address(key, expires, disposition, None).await
    }

    async fn address(
        &self,
        key: &Key,
        expires: Duration,
        disposition: Option<&str>,
        media_type: Option<&str>,
    ) -> Result<String, Error> {
        let place = self.place(key)?;
        let expires = expires.clamp(Duration::from_secs(1), LONGEST_PRESIGNED);
        let config =
            PresigningConfig::expires_in(expires).map_err(|e| Error::Invalid(e.to_string()))?;
        let presigned = self
            .client
            .get_object()
            .bucket(place.bucket)
            .key(place.name)
            .set_response_content_disposition(disposition.map(ToOwned::to_owned))
            .set_response_content_type(media_type.map(ToOwned::to_owned))
            .presigned(config)
            .await
            .map_err(|e| failed(&e))?;
        Ok(presigned.uri().to_owned())
    }

    /// Whether every bucket is there and the credentials are right: for health, so it asks each once
    /// or twice and waits 5 s for an answer.
    pub async fn check(&self) -> Result<(), CheckError> {
        let mut buckets = self.buckets.all().peekable();
        if buckets.peek().is_none() {
            return Err(CheckError::NoBucket);
        }
        for bucket in buckets {
            self.check_bucket(bucket).await?;
        }
        Ok(())
    }

    /// An answer to `HeadBucket` has no body that could say why, so where it is no good one, a list
    /// of one object is asked for.
    async fn check_bucket(&self, bucket: &str) -> Result<(), CheckError> {
        let asked = self.client.head_bucket().bucket(bucket).customize();
        if asked.config_override(once()).send().await.is_ok() {
            return Ok(());
        }
        let asked = self.client.list_objects_v2().bucket(bucket).max_keys(1);
        let answer = asked.customize().config_override(once()).send().await;
        answer
            .map(drop)
            .map_err(|e| CheckError::new(bucket, Failure::of(&e)))
    }

    async fn stat(&self, place: &Place) -> Result<Stat, Error> {
        let asked = self.client.head_object();
        let head = asked.bucket(&place.bucket).key(&place.name).send().await;
        let size = match head.map_err(|e| failed(&e)) {
            Ok(head) => head.content_length(),
            Err(Error::NotFound) => return self.missing(place).await,
            Err(error) => return Err(error),
        };
        Ok(Stat {
            size: positive(size)?,
        })
    }

    /// An answer to HEAD has no body, so a blob that is not there looks like a bucket that is not, and
    /// with versitygw like a wrong key. An answer to GET tells them apart, before a component takes
    /// its blob for lost.
    async fn missing(&self, place: &Place) -> Result<Stat, Error> {
        match self.read(place, 0, Some(1)).await? {
            Some((stat, _)) => Ok(stat),
            None => Err(Error::NotFound),
        }
    }

    /// [`None`] where nothing is at `offset`.
    async fn read(
        &self,
        place: &Place,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Option<(Stat, Body)>, Error> {
        let Some(range) = range(offset, length) else {
            return Ok(None);
        };
        let asked = self.client.get_object();
        let asked = asked.bucket(&place.bucket).key(&place.name);
        match asked.set_range(range.clone()).send().await {
            Ok(answer) => {
                let stat = whole_size(&answer, range.is_some())?;
                Ok(Some((stat, answer.body)))
            }
            Err(e) if is_invalid_range(&e) => Ok(None),
            Err(e) => Err(failed(&e)),
        }
    }
}

/// For a health check: soon, and no second time.
fn once() -> Builder {
    let soon = TimeoutConfig::builder()
        .operation_timeout(CHECK)
        .operation_attempt_timeout(CHECK);
    Builder::new()
        .timeout_config(soon.build())
        .retry_config(RetryConfig::disabled())
}

/// A header's value, where one is needed, or [`None`] where no byte is asked for.
fn range(offset: u64, length: Option<u64>) -> Option<Option<String>> {
    // Stores count in signed numbers.
    let furthest = i64::MAX.unsigned_abs();
    if length == Some(0) || offset > furthest {
        return None;
    }
    Some(match length {
        None if offset == 0 => None,
        None => Some(format!("bytes={offset}-")),
        Some(length) => {
            let last = offset.saturating_add(length - 1).min(furthest);
            Some(format!("bytes={offset}-{last}"))
        }
    })
}

fn is_invalid_range<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let by_status = error
        .raw_response()
        .is_some_and(|raw| raw.status().as_u16() == 416);
    by_status
        || error
            .as_service_error()
            .is_some_and(|e| e.code() == Some("InvalidRange"))
}

fn positive(size: Option<i64>) -> Result<u64, Error> {
    let size = size.and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| Error::Unavailable("S3 does not tell a blob's size".into()))
}

/// Of the whole blob, of which the answer may be a part.
fn whole_size(answer: &GetObjectOutput, is_part: bool) -> Result<Stat, Error> {
    let size = if is_part {
        let range = answer
            .content_range()
            .and_then(|range| range.rsplit_once('/'));
        range.and_then(|(_, whole)| whole.parse().ok())
    } else {
        answer.content_length()
    };
    Ok(Stat {
        size: positive(size)?,
    })
}

fn streamed(body: Body) -> ByteStream {
    let chunks = stream::try_unfold(body, |mut body| async move {
        match body.next().await {
            None => Ok(None),
            Some(Ok(chunk)) => Ok(Some((chunk, body))),
            Some(Err(e)) => Err(broken(e)),
        }
    });
    chunks.boxed()
}

fn broken(error: ByteStreamError) -> Error {
    let error = std::io::Error::from(error);
    if cause::<validate::Error>(&error).is_some() {
        return Error::Corrupt;
    }
    Error::Unavailable(chain(&error))
}

fn failed<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    Failure::of(error).into()
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Timeout,
            Failure::Unreachable(why) => Self::Unavailable(why),
            Failure::NoCredentials(why) => {
                tracing::error!(why, "there are no credentials for S3");
                Self::AccessDenied
            }
            Failure::Refused(code) => {
                tracing::error!(code, "S3 refuses the credentials");
                Self::AccessDenied
            }
            Failure::Throttled => Self::Unavailable("S3 asks for fewer requests".into()),
            Failure::Service {
                status,
                code,
                message,
            } => told(status, &code, message),
        }
    }
}

fn told(status: u16, code: &str, message: String) -> Error {
    match (status, code) {
        (_, "NoSuchBucket") => Error::Unavailable("there is no such bucket".into()),
        (_, "NoSuchKey") | (404, "NotFound" | "") => Error::NotFound,
        (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => Error::QuotaExceeded,
        // Of another region, of another time, or damaged on its way: not the caller's doing.
        (500.., _) | (300..400 | 404, _) => Error::Unavailable(format!("HTTP {status} {code}")),
        (_, "AuthorizationHeaderMalformed" | "BadDigest" | "RequestTimeout" | "NoSuchUpload") => {
            Error::Unavailable(code.to_owned())
        }
        _ => Error::Invalid(message),
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, key: &Key, data: ByteStream, limit: u64) -> Result<Stat, Error> {
        let place = self.place(key)?;
        let size = upload::put(&self.client, place, data, limit, self.sizes.part).await?;
        Ok(Stat { size })
    }

    async fn get(
        &self,
        key: &Key,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, ByteStream), Error> {
        let place = self.place(key)?;
        match self.read(&place, offset, length).await? {
            Some((stat, body)) => Ok((stat, streamed(body))),
            None => Ok((self.stat(&place).await?, stream::empty().boxed())),
        }
    }

    async fn head(&self, key: &Key) -> Result<Stat, Error> {
        self.stat(&self.place(key)?).await
    }

    /// A copy, then a deletion: a reader may see both for a while, and a failure between the two
    /// leaves both. Trying again ends it.
    async fn rename(&self, key: &Key, to: &Key) -> Result<(), Error> {
        let (from, to) = (self.place(key)?, self.place(to)?);
        let size = self.stat(&from).await?.size;
        // To copy an object onto itself is refused, and to delete it afterwards would lose it.
        if from == to {
            return Ok(());
        }
        copy::copy(&self.client, &from, &to, size, self.sizes).await?;
        self.delete(key).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        let place = self.place(key)?;
        let asked = self.client.delete_object();
        let deleted = asked.bucket(place.bucket).key(place.name).send().await;
        match deleted.map_err(|e| failed(&e)) {
            Err(e) if e != Error::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    async fn presign(
        &self,
        key: &Key,
        expires: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>, Error> {
        let disposition = file_name.map(attachment);
        let media_type = file_name.and_then(media_type);
        let presigned = self.address(key, expires, disposition.as_deref(), media_type);
        presigned.await.map(Some)
    }
}

/// Of what a browser plays; anything else is bytes to it, and never a page.
fn media_type(file_name: &str) -> Option<&'static str> {
    match file_name.rsplit_once('.')?.1 {
        "mp3" => Some("audio/mpeg"),
        "ogg" => Some("audio/ogg"),
        "wav" => Some("audio/wav"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> String {
        Place::new("b", &Key::parse(key).unwrap()).name
    }

    #[test]
    fn no_object_s_name_is_another_s_folder() {
        assert_eq!(name("a"), "~a");
        assert_eq!(name("a/b"), "a/~b");
        assert_eq!(name("a/b/c.pdf"), "a/b/~c.pdf");
    }

    #[test]
    fn a_component_s_own_bucket_comes_before_the_default() {
        let mut buckets = Buckets::default();
        let key = Key::parse("reader/a").unwrap();
        assert!(matches!(buckets.of(&key), Err(Error::Unavailable(_))));
        buckets.default = Some("all".into());
        assert_eq!(buckets.of(&key), Ok("all"));
        buckets.by_component.insert("reader".into(), "own".into());
        assert_eq!(buckets.of(&key), Ok("own"));
        assert_eq!(buckets.of(&Key::parse("readers/a").unwrap()), Ok("all"));
    }

    #[test]
    fn a_range_cannot_overflow() {
        let last = i64::MAX;
        assert_eq!(range(0, None), Some(None));
        assert_eq!(range(0, Some(0)), None);
        assert_eq!(range(u64::MAX, None), None);
        assert_eq!(range(3, Some(2)), Some(Some("bytes=3-4".into())));
        let whole = Some(Some(format!("bytes=1-{last}")));
        assert_eq!(range(1, Some(u64::MAX)), whole);
    }
}
