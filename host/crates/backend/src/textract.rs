//! Text from images and documents by Amazon Textract.
//! <https://docs.aws.amazon.com/textract/latest/dg/API_Reference.html>
//!
//! Textract names a job itself, and this host remembers the name in memory. A job that it does not
//! know is [`Error::NotFound`], which asks for another start; the token of a start is made of the
//! job's name and its document, so Textract answers with the job that it has, and nothing is read
//! or paid twice. Textract reads whole documents, pays no heed to the pages or languages asked for,
//! has no way to end a job or to delete its result, and keeps that for seven days.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_textract::Client;
use aws_sdk_textract::config::Builder;
use aws_sdk_textract::config::http::HttpResponse;
use aws_sdk_textract::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_textract::operation::get_document_text_detection::GetDocumentTextDetectionOutput as Answer;
use aws_sdk_textract::primitives::Blob;
use aws_sdk_textract::types::{Block, BlockType, Document, DocumentLocation, JobStatus, S3Object};
use bytes::Bytes;
use capability::blobs::{self, Blobs, Key};
use capability::ocr::{Error, Line, MAX_IMAGE, MAX_PAGES, Ocr, Page, Pages, Request, State};
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::aws::{Aws, Failure};
use crate::s3::S3Blobs;

/// Textract's own time.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3_600);
const MOST_REMEMBERED: u64 = 10_000;
/// Blocks of an answer: as many as there may be. A page takes some hundreds.
const BLOCKS: i32 = 1_000;
/// Answers that one poll reads. A long result is read over several, so that none takes minutes.
const ANSWERS: usize = 32;

/// Amazon Textract.
pub struct Textract {
    client: Client,
    blobs: Arc<S3Blobs>,
    jobs: Cache<String, Arc<Job>>,
}

/// A job that this host has started.
struct Job {
    /// Textract's name for it.
    id: String,
    asked: BTreeSet<u32>,
    reading: Mutex<Reading>,
}

/// How much of a result is read.
#[derive(Default)]
struct Reading {
    next: Option<String>,
    pages: BTreeMap<u32, Vec<Line>>,
}

impl Textract {
    /// Of documents that lie in `blobs`.
    pub fn new(aws: &Aws, blobs: Arc<S3Blobs>) -> Self {
        Self {
            client: Client::from_conf(
                Builder::from(&aws.sdk)
                    .interceptor(aws.calls.clone())
                    .build(),
            ),
            blobs,
            jobs: Cache::builder()
                .max_capacity(MOST_REMEMBERED)
                .time_to_live(REMEMBERED)
                .build(),
        }
    }

    async fn answer(&self, job: &Job, next: Option<String>) -> Result<Answer, Error> {
        let asked = self.client.get_document_text_detection().job_id(&job.id);
        let answer = asked.max_results(BLOCKS).set_next_token(next).send().await;
        answer.map_err(|e| failed(&e))
    }

    /// Textract does not tell what is not there from what it may not read.
    async fn no_access(&self, document: &Key) -> Error {
        match self.blobs.head(document).await {
            Err(error) => no_store(error),
            Ok(_) => Error::AccessDenied("Textract may not read the document".into()),
        }
    }

    /// Some more of the result, until all of it is read.
    async fn read(&self, job: &Job, reading: &mut Reading) -> Result<State, Error> {
        for _ in 0..ANSWERS {
            let answer = self.answer(job, reading.next.clone()).await?;
            match answer.job_status() {
                Some(JobStatus::Succeeded | JobStatus::PartialSuccess) => {}
                Some(JobStatus::Failed) => {
                    return Ok(State::Failed(answer.status_message.unwrap_or_default()));
                }
                _ => return Ok(State::Running),
            }
            reading.take(&answer, &job.asked);
            reading.next = answer.next_token;
            if reading.next.is_none() {
                return Ok(std::mem::take(reading).end(&job.asked));
            }
        }
        Ok(State::Running)
    }
}

impl Reading {
    /// The pages asked for. A page's lines may come in later answers than the page.
    fn take(&mut self, answer: &Answer, asked: &BTreeSet<u32>) {
        for block in answer.blocks() {
            let Some(number) = page_of(block).filter(|number| asked.contains(number)) else {
                continue;
            };
            match block.block_type() {
                Some(BlockType::Page) => {
                    self.pages.entry(number).or_default();
                }
                Some(BlockType::Line) => {
                    self.pages.entry(number).or_default().extend(line(block));
                }
                _ => {}
            }
        }
    }

    fn end(self, asked: &BTreeSet<u32>) -> State {
        if self.pages.is_empty() {
            return State::Failed("none of the pages could be read".into());
        }
        let missing = |number: &&u32| !self.pages.contains_key(number);
        let failed = asked.iter().filter(missing).copied().collect();
        let pages = self.pages.into_iter();
        let pages = pages.map(|(number, lines)| Page { number, lines });
        State::Done(Pages {
            pages: pages.collect(),
            failed,
        })
    }
}

/// An image's block may leave it out.
fn page_of(block: &Block) -> Option<u32> {
    u32::try_from(block.page().unwrap_or(1)).ok()
}

fn line(block: &Block) -> Option<Line> {
    Some(Line {
        text: block.text()?.to_owned(),
        confidence: (block.confidence().unwrap_or(0.0) / 100.0).clamp(0.0, 1.0),
    })
}

/// 64 characters, as many as Textract takes.
fn token(job: &str, bucket: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("{job}\n{bucket}\n{name}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[async_trait]
impl Ocr for Textract {
    async fn recognize(&self, image: Bytes, _: &[String]) -> Result<Vec<Line>, Error> {
        if image.len() > MAX_IMAGE {
            return Err(too_large());
        }
        let document = Document::builder().bytes(Blob::new(image)).build();
        let asked = self.client.detect_document_text().document(document);
        let found = asked.send().await.map_err(|e| failed(&e))?;
        let blocks = found.blocks().iter();
        let lines = blocks.filter(|block| block.block_type() == Some(&BlockType::Line));
        Ok(lines.filter_map(line).collect())
    }

    async fn start(&self, job: &str, request: &Request) -> Result<(), Error> {
        let asked: BTreeSet<_> = request.pages.iter().copied().collect();
        if asked.is_empty() || asked.len() > MAX_PAGES || asked.contains(&0) {
            return Err(Error::Invalid(format!("1 to {MAX_PAGES} pages, from 1")));
        }
        let at = self.blobs.bucket_and_name(&request.document);
        let (bucket, name) = at.map_err(no_store)?;
        let token = token(job, &bucket, &name);
        let object = S3Object::builder().bucket(bucket).name(name).build();
        let location = DocumentLocation::builder().s3_object(object).build();
        let started = self
            .client
            .start_document_text_detection()
            .document_location(location)
            .client_request_token(token)
            .send()
            .await;
        let started = match started.map_err(|e| Failure::of(&e)) {
            Err(failure) if is(&failure, "InvalidS3ObjectException") => {
                return Err(self.no_access(&request.document).await);
            }
            started => started?,
        };
        let unnamed = || Error::Unavailable("Textract names no job".into());
        let known = Job {
            id: started.job_id.ok_or_else(unnamed)?,
            asked,
            reading: Mutex::default(),
        };
        self.jobs.insert(job.to_owned(), Arc::new(known)).await;
        Ok(())
    }

    async fn poll(&self, job: &str) -> Result<State, Error> {
        let known = self.jobs.get(job).await.ok_or(Error::NotFound)?;
        let mut reading = known.reading.lock().await;
        self.read(&known, &mut reading).await
    }

    async fn forget(&self, job: &str) -> Result<(), Error> {
        self.jobs.invalidate(job).await;
        Ok(())
    }
}

fn is(failure: &Failure, wanted: &str) -> bool {
    matches!(failure, Failure::Service { code, .. } if code == wanted)
}

fn too_large() -> Error {
    Error::TooLarge {
        limit: MAX_IMAGE as u64,
    }
}

fn no_store(error: blobs::Error) -> Error {
    match error {
        blobs::Error::NotFound => Error::NoDocument,
        blobs::Error::Timeout => Error::Timeout,
        blobs::Error::AccessDenied => Error::AccessDenied("S3 refuses them".into()),
        other => Error::Unavailable(other.to_string()),
    }
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
            Failure::NoCredentials(why) | Failure::Refused(why) => Self::AccessDenied(why),
            Failure::Throttled => Self::QuotaExceeded,
            Failure::Service {
                status,
                code,
                message,
            } => match code.as_str() {
                "DocumentTooLargeException" => too_large(),
                "InvalidJobIdException" => Self::NotFound,
                _ if status >= 500 => Self::Unavailable(code),
                _ => Self::Invalid(message),
            },
        }
    }
}
