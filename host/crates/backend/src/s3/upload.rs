//! All of a blob or nothing of it, in bounded memory: small ones by one request, others in parts that
//! become an object at once or never.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream as Body;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use capability::blobs::{ByteStream, Error};
use capability::trace::Cause;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio_util::task::TaskTracker;

use super::{Place, failed};

/// S3's limit.
const MAX_PARTS: u64 = 10_000;
/// So that no limit of a blob, however large, is a reason to take memory.
const LARGEST_PART: usize = 64 << 20;
/// Of each part, and so of the object. Said at the beginning, with each part and at the end, or the
/// parts do not fit each other.
const CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc32;
/// Parts on their way at once.
const IN_FLIGHT: usize = 2;

/// Stores all of `data` or nothing and answers its size in bytes.
pub(super) async fn put(
    client: &Client,
    place: Place,
    data: ByteStream,
    limit: u64,
    part: usize,
) -> Result<u64, Error> {
    let wanted = usize::try_from(limit.div_ceil(MAX_PARTS)).unwrap_or(LARGEST_PART);
    let mut source = Source {
        data,
        buffer: BytesMut::new(),
        size: 0,
        limit,
        part: wanted.min(LARGEST_PART).max(part),
        ended: false,
    };
    let first = source.next().await?.unwrap_or_default();
    if source.ended && source.buffer.is_empty() {
        return put_whole(client, &place, first).await;
    }
    let upload = Upload::create(client.clone(), place, Some(CHECKSUM)).await?;
    match upload.send(first, source).await {
        Ok((parts, size)) => upload.finish(parts).await.map(|()| size),
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

async fn put_whole(client: &Client, place: &Place, bytes: Bytes) -> Result<u64, Error> {
    let size = bytes.len() as u64;
    let sent = client
        .put_object()
        .bucket(&place.bucket)
        .key(&place.name)
        .body(Body::from(bytes))
        .send()
        .await;
    sent.map_err(|e| failed(&e))?;
    Ok(size)
}

/// Cuts what comes into parts.
struct Source {
    data: ByteStream,
    buffer: BytesMut,
    /// Bytes so far.
    size: u64,
    limit: u64,
    /// Bytes of a part.
    part: usize,
    ended: bool,
}

impl Source {
    /// A whole part, or at the end what is left, if anything is.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.buffer.len() < self.part && !self.ended {
            match self.data.next().await {
                None => self.ended = true,
                Some(chunk) => self.take(&chunk?)?,
            }
        }
        let length = self.buffer.len().min(self.part);
        Ok((length > 0).then(|| self.buffer.split_to(length).freeze()))
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.size += chunk.len() as u64;
        if self.size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        if self.buffer.is_empty() {
            self.buffer.reserve(self.part.min(chunk.len() * 16));
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    fn parts(self) -> impl Stream<Item = Result<Bytes, Error>> {
        stream::try_unfold(self, |mut source| async move {
            Ok(source.next().await?.map(|part| (part, source)))
        })
    }
}

/// An upload that S3 keeps parts of until it is completed or aborted.
pub(super) struct Upload {
    pub(super) calls: Arc<Calls>,
    /// Parts on their way.
    parts: TaskTracker,
    ended: bool,
}

/// What is asked of S3 for one upload.
pub(super) struct Calls {
    pub(super) client: Client,
    pub(super) place: Place,
    pub(super) id: String,
}

impl Upload {
    /// In a task of its own: a caller who leaves while it is created would leave it behind.
    pub(super) async fn create(
        client: Client,
        place: Place,
        checksum: Option<ChecksumAlgorithm>,
    ) -> Result<Self, Error> {
        let created = Cause::now().scope(async move {
            let asked = client.create_multipart_upload();
            let asked = asked.bucket(&place.bucket).key(&place.name);
            let asked = asked.set_checksum_algorithm(checksum);
            let created = asked.send().await.map_err(|e| failed(&e))?;
            let id = created.upload_id();
            let id = id.ok_or_else(|| Error::Unavailable("S3 names no upload".into()))?;
            Ok(Self {
                calls: Arc::new(Calls {
                    id: id.to_owned(),
                    client,
                    place,
                }),
                parts: TaskTracker::new(),
                ended: false,
            })
        });
        tokio::spawn(created).await.map_err(|e| lost(&e))?
    }

    /// All parts, two at once, and their bytes.
    async fn send(&self, first: Bytes, rest: Source) -> Result<(Vec<CompletedPart>, u64), Error> {
        let parts = stream::once(async { Ok(first) }).chain(rest.parts());
        let numbered = stream::iter(1..).zip(parts);
        let mut sent: Vec<(CompletedPart, u64)> = numbered
            .map(|(number, part)| part.map(|part| self.send_part(number, part)))
            .try_buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await?;
        sent.sort_by_key(|(part, _)| part.part_number());
        let (parts, sizes): (Vec<_>, Vec<u64>) = sent.into_iter().unzip();
        Ok((parts, sizes.iter().sum()))
    }

    async fn send_part(&self, number: i32, bytes: Bytes) -> Result<(CompletedPart, u64), Error> {
        let size = bytes.len() as u64;
        let calls = self.calls.clone();
        let part = self.part(async move { calls.send(number, bytes).await });
        Ok((part.await?, size))
    }

    /// In a task of its own: S3 may keep a part that arrives after the upload was aborted, so a part
    /// on its way is waited for even when nobody wants it any more.
    pub(super) async fn part<F>(&self, part: F) -> Result<CompletedPart, Error>
    where
        F: Future<Output = Result<CompletedPart, Error>> + Send + 'static,
    {
        let part = Cause::now().scope(part);
        self.parts.spawn(part).await.map_err(|e| lost(&e))?
    }

    /// Makes them the object, or nothing of them.
    pub(super) async fn finish(mut self, parts: Vec<CompletedPart>) -> Result<(), Error> {
        match self.calls.complete(parts).await {
            Ok(()) => {
                self.ended = true;
                Ok(())
            }
            Err(error) => {
                self.abort().await;
                Err(error)
            }
        }
    }

    /// When the parts on their way have arrived.
    pub(super) async fn abort(mut self) {
        abort(self.calls.clone(), self.parts.clone()).await;
        self.ended = true;
    }
}

/// Whoever leaves in the middle leaves no parts behind.
impl Drop for Upload {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(abort(self.calls.clone(), self.parts.clone()));
        }
    }
}

/// Where it fails, the bucket's lifecycle rule does the rest.
async fn abort(calls: Arc<Calls>, parts: TaskTracker) {
    parts.close();
    parts.wait().await;
    let Calls { client, place, id } = &*calls;
    let asked = client.abort_multipart_upload();
    let asked = asked.bucket(&place.bucket).key(&place.name).upload_id(id);
    if let Err(error) = asked.send().await.map_err(|e| failed(&e)) {
        tracing::warn!(bucket = place.bucket, %error, "an upload could not be aborted");
    }
}

fn lost(error: &tokio::task::JoinError) -> Error {
    Error::Unavailable(error.to_string())
}

impl Calls {
    async fn send(&self, number: i32, bytes: Bytes) -> Result<CompletedPart, Error> {
        let asked = self.client.upload_part().upload_id(&self.id);
        let sent = asked
            .bucket(&self.place.bucket)
            .key(&self.place.name)
            .part_number(number)
            .checksum_algorithm(CHECKSUM)
            .body(Body::from(bytes))
            .send()
            .await
            .map_err(|e| failed(&e))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    async fn complete(&self, parts: Vec<CompletedPart>) -> Result<(), Error> {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let asked = self.client.complete_multipart_upload();
        let completed = asked
            .bucket(&self.place.bucket)
            .key(&self.place.name)
            .upload_id(&self.id)
            .multipart_upload(parts)
            .send()
            .await;
        completed.map(drop).map_err(|e| failed(&e))
    }
}
