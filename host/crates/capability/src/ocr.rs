//! Text from images.

pub mod contract;

use async_trait::async_trait;
use bytes::Bytes;

use crate::blobs::Key;

/// The longest name of a job.
pub const MAX_JOB: usize = 64;
/// The largest image in bytes: Textract's limit.
pub const MAX_IMAGE: usize = 10 << 20;
/// The most pages of a job: Textract's limit.
pub const MAX_PAGES: usize = 3_000;

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// As written.
    pub text: String,
    /// 0 to 1.
    pub confidence: f32,
}

/// A page's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// From the top, as the engine orders them.
    pub lines: Vec<Line>,
}

/// What a job found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pages {
    /// In their order.
    pub pages: Vec<Page>,
    /// Asked for, and not read.
    pub failed: Vec<u32>,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Poll again.
    Running,
    /// Ended, with one page at least.
    Done(Pages),
    /// Ended with none, for this reason.
    Failed(String),
}

/// Which pages of which document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// A PDF in the store of blobs that all components share.
    pub document: Key,
    /// From 1; at most [`MAX_PAGES`].
    pub pages: Vec<u32>,
    /// ISO 639-1, as in `en`; an engine may know better.
    pub languages: Vec<String>,
}

/// Why nothing is read; mirrors `error` in `wit/ocr.wit`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No engine.
    #[error("no OCR engine is configured")]
    NotConfigured,
    /// The credentials are refused.
    #[error("the OCR service refuses the credentials: {0}")]
    AccessDenied(String),
    /// No such job, or no more.
    #[error("there is no such job")]
    NotFound,
    /// No such document.
    #[error("there is no such document")]
    NoDocument,
    /// A deadline passed.
    #[error("the OCR service took too long")]
    Timeout,
    /// It cannot be reached, or fails.
    #[error("the OCR service cannot be used: {0}")]
    Unavailable(String),
    /// Throttled, or no place is free.
    #[error("the OCR service asks for fewer requests")]
    QuotaExceeded,
    /// More bytes than the engine takes.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: u64,
    },
    /// What cannot be read.
    #[error("{0}")]
    Invalid(String),
}

/// The job's full name: the component's and its own. Refused where a service could not take it
/// (Textract's `ClientRequestToken` has 1 to 64 characters of `[a-zA-Z0-9-_]`, so the service gets
/// a hash of it).
pub fn job(component: &crate::ComponentName, name: &str) -> Result<String, Error> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if name.is_empty() || name.len() > MAX_JOB || !name.bytes().all(fine) {
        return Err(Error::Invalid(format!(
            "a job's name has 1 to {MAX_JOB} characters of [A-Za-z0-9_-]"
        )));
    }
    Ok(format!("{component}.{name}"))
}

/// An engine. A job's name is its [`job`] name, so no component's can be another's.
#[async_trait]
pub trait Ocr: Send + Sync {
    /// One image of at most [`MAX_IMAGE`] bytes: JPEG, PNG or TIFF. An image without text has no
    /// lines.
    async fn recognize(&self, image: Bytes, languages: &[String]) -> Result<Vec<Line>, Error>;
    /// MUST be fine when the job exists.
    async fn start(&self, job: &str, request: &Request) -> Result<(), Error>;
    /// How it stands.
    async fn poll(&self, job: &str) -> Result<State, Error>;
    /// Pages that a running job is through with; an engine that tells nothing before its end says 0.
    async fn progress(&self, _job: &str) -> Result<u32, Error> {
        Ok(0)
    }
    /// MUST be fine when there is none.
    async fn forget(&self, job: &str) -> Result<(), Error>;
}

/// Where none is configured.
pub struct NoOcr;

#[async_trait]
impl Ocr for NoOcr {
    async fn recognize(&self, _: Bytes, _: &[String]) -> Result<Vec<Line>, Error> {
        Err(Error::NotConfigured)
    }

    async fn start(&self, _: &str, _: &Request) -> Result<(), Error> {
        Err(Error::NotConfigured)
    }

    async fn poll(&self, _: &str) -> Result<State, Error> {
        Err(Error::NotConfigured)
    }

    async fn forget(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
}
