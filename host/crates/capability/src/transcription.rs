//! Text from speech, by jobs that are started and then polled.

pub mod contract;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::blobs::Key;

/// The longest name of a job.
pub const MAX_JOB: usize = 100;

/// How the audio is coded, by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaFormat {
    /// AMR.
    Amr,
    /// FLAC.
    Flac,
    /// AAC in MP4.
    M4a,
    /// MPEG layer III.
    Mp3,
    /// MP4.
    Mp4,
    /// Ogg.
    Ogg,
    /// RIFF WAVE.
    Wav,
    /// WebM.
    Webm,
}

impl MediaFormat {
    /// As Transcribe's `MediaFormat` and file names have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amr => "amr",
            Self::Flac => "flac",
            Self::M4a => "m4a",
            Self::Mp3 => "mp3",
            Self::Mp4 => "mp4",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
            Self::Webm => "webm",
        }
    }
}

/// What to transcribe, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// In the store of blobs that all components share.
    pub audio: Key,
    /// How it is coded.
    pub format: MediaFormat,
    /// BCP 47; found by the engine where none is given.
    pub language_code: Option<String>,
    /// Tell so many speakers apart: 2 to 30.
    pub speakers: Option<u32>,
    /// Words to expect.
    pub vocabulary: Vec<String>,
    /// Milliseconds, where the caller has measured it: no word is said later.
    pub duration_ms: Option<u64>,
}

/// A spoken word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// As written.
    pub text: String,
    /// Milliseconds from the beginning.
    pub start_ms: u32,
    /// Milliseconds from the beginning.
    pub end_ms: u32,
    /// 0 to 1.
    pub confidence: Option<f32>,
    /// As in `spk_0`.
    pub speaker: Option<String>,
    /// What follows without a space.
    pub punctuation: String,
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Empty where nothing is said; never invented.
    pub text: String,
    /// The mean over words, 0 to 1.
    pub confidence: Option<f32>,
    /// As given or as found.
    pub language_code: Option<String>,
    /// Empty where the engine has no times.
    pub words: Vec<Word>,
    /// Which engine.
    pub engine: String,
}

/// Whose fault it is that there is no transcript; mirrors `cause` in `wit/transcription.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The recording cannot be decoded.
    Corrupt,
    /// Recordings of that format cannot be decoded here.
    Format,
    /// The engine does not take this recording, or what was asked for it.
    Refused,
    /// The engine refuses the credentials.
    AccessDenied,
    /// What the engine answered is no transcript.
    Answer,
    /// The engine did not end within its time.
    Timeout,
    /// The engine failed.
    Engine,
}

/// Why a job has ended without a transcript.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Serialize, Deserialize)]
#[error("{reason}")]
pub struct Failure {
    /// Whose fault it is.
    pub cause: Cause,
    /// In the engine's words or about it; without credentials, addresses and what was said.
    pub reason: String,
}

impl Failure {
    /// For that reason.
    pub fn new(cause: Cause, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { cause, reason }
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::new(Cause::Engine, reason)
    }
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Poll again.
    Running,
    /// Ended well.
    Done(Transcript),
    /// Ended otherwise.
    Failed(Failure),
}

/// Why a job cannot be started or polled; mirrors `error` in `wit/transcription.wit`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No engine.
    #[error("no transcription engine is configured")]
    NotConfigured,
    /// The credentials are refused.
    #[error("the transcription service refuses the credentials: {0}")]
    AccessDenied(String),
    /// No such job, or no more.
    #[error("there is no such job")]
    NotFound,
    /// No such audio.
    #[error("there is no such audio")]
    NoAudio,
    /// A deadline passed.
    #[error("the transcription service took too long")]
    Timeout,
    /// It cannot be reached, or fails.
    #[error("the transcription service cannot be used: {0}")]
    Unavailable(String),
    /// Throttled, or no place is free.
    #[error("the transcription service asks for fewer requests")]
    QuotaExceeded,
    /// It is at work on the job, and does not let go of it.
    #[error("the transcription service is at work on the job")]
    NotYet,
    /// What cannot be transcribed.
    #[error("{0}")]
    Invalid(String),
}

/// The job's full name: the component's and its own. Refused where a service could not take it.
pub fn job(component: &crate::ComponentName, name: &str) -> Result<String, Error> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.len() > MAX_JOB || !name.bytes().all(fine) {
        return Err(Error::Invalid(format!(
            "a job's name has 1 to {MAX_JOB} characters of [A-Za-z0-9._-]"
        )));
    }
    Ok(format!("{component}.{name}"))
}

/// An engine. A job's name is its [`job`] name, so no component's can be another's.
#[async_trait]
pub trait Transcription: Send + Sync {
    /// MUST be fine when the job exists.
    async fn start(&self, job: &str, request: &Request) -> Result<(), Error>;
    /// How it stands.
    async fn poll(&self, job: &str) -> Result<State, Error>;
    /// MUST be fine when there is none. After [`Error::NotYet`] the job is not found any more, and is to be
    /// forgotten again later: until then the service keeps something of it.
    async fn forget(&self, job: &str) -> Result<(), Error>;
}

/// Where none is configured: nothing is transcribed, and nothing invented.
pub struct NoTranscription;

#[async_trait]
impl Transcription for NoTranscription {
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
