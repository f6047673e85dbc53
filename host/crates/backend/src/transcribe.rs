//! Text from speech by Amazon Transcribe, which reads the audio from S3 itself.
//! <https://docs.aws.amazon.com/transcribe/latest/APIReference/API_StartTranscriptionJob.html>
//!
//! A job's name there is its name here, so a host that was started anew finds its jobs again. Words
//! to expect become a vocabulary of the job's own, which takes Transcribe minutes to make ready: the
//! job waits for it in this host's memory, and where the host ends meanwhile, [`Error::NotFound`]
//! asks for another start, which finds the vocabulary. A running job cannot be ended: to forget one
//! answers [`Error::NotYet`] until it has ended. Transcribe itself deletes jobs after 90 days.

mod result;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_transcribe::Client;
use aws_sdk_transcribe::config::Builder;
use aws_sdk_transcribe::config::http::HttpResponse;
use aws_sdk_transcribe::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_transcribe::types::{
    LanguageCode, Media, MediaFormat, Settings, TranscriptionJob, TranscriptionJobStatus,
    VocabularyState,
};
use capability::blobs::{self, Blobs, Key};
use capability::transcription::{Cause, Error, Failure, Request, State, Transcript, Transcription};
use moka::future::Cache;

use crate::aws::{Aws, Failure as Refusal};
use crate::s3::S3Blobs;

/// Four hours of speech take about 16 MiB.
const MAX_RESULT: usize = 64 << 20;
/// To download one.
const DOWNLOAD: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);
/// How long a job is waited for in memory: longer than the longest audio takes.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);
/// Jobs that are, at most.
const MOST_REMEMBERED: u64 = 10_000;

/// Amazon Transcribe.
pub struct Transcribe {
    calls: Arc<Calls>,
    http: reqwest::Client,
    blobs: Arc<S3Blobs>,
    /// Jobs whose vocabulary is not ready.
    waiting: Cache<String, Arc<Request>>,
    /// BCP 47: what a recording may be in where its language is to be found; any where there are none.
    languages: Vec<String>,
}

impl Transcribe {
    /// Of audio that lies in `blobs`. Fails where the system has no TLS roots.
    pub fn new(aws: &Aws, blobs: Arc<S3Blobs>) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(DOWNLOAD)
            .build()
            .map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(Self {
            calls: Arc::new(Calls {
                client: Client::from_conf(
                    Builder::from(&aws.sdk)
                        .interceptor(aws.calls.clone())
                        .build(),
                ),
                forgotten: remembered(),
            }),
            http,
            blobs,
            waiting: remembered(),
            languages: vec![],
        })
    }

    /// Finds a recording's language among these, rather than among all that Transcribe knows.
    pub fn with_languages(self, languages: Vec<String>) -> Self {
        Self { languages, ..self }
    }

    /// Whether it was started: not where its vocabulary is not ready.
    async fn start_when_ready(&self, job: &str, request: &Request) -> Result<bool, Error> {
        match self.calls.vocabulary(job).await? {
            Vocabulary::Pending => Ok(false),
            Vocabulary::Failed(why) => Err(Error::Invalid(why)),
            Vocabulary::Ready => self.begin(job, request, true).await.map(|()| true),
        }
    }

    async fn begin(&self, job: &str, request: &Request, vocabulary: bool) -> Result<(), Error> {
        let uri = self.blobs.uri(&request.audio).map_err(no_store)?;
        let asked = self.calls.client.start_transcription_job();
        let (language, options) = self.language(request);
        let started = asked
            .transcription_job_name(job)
            .media(Media::builder().media_file_uri(&uri).build())
            .media_format(MediaFormat::from(request.format.as_str()))
            .set_identify_language(language.is_none().then_some(true))
            .set_language_code(language)
            .set_language_options(options)
            .set_settings(settings(job, request, vocabulary))
            .send()
            .await;
        match started.map_err(|e| Refusal::of(&e)) {
            Ok(_) => Ok(()),
            Err(failure) if is(&failure, "ConflictException") => {
                self.calls.check_same(job, &uri).await
            }
            Err(failure) if is_no_access(&failure) => Err(self.no_access(&request.audio).await),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The language, or what it is found among.
    fn language(&self, request: &Request) -> (Option<LanguageCode>, Option<Vec<LanguageCode>>) {
        let code = |code: &String| LanguageCode::from(code.as_str());
        match (&request.language_code, &self.languages[..]) {
            (Some(given), _) => (Some(code(given)), None),
            (None, [only]) => (Some(code(only)), None),
            (None, []) => (None, None),
            (None, several) => (None, Some(several.iter().map(code).collect())),
        }
    }

    /// Transcribe does not tell what is not there from what it may not read.
    async fn no_access(&self, audio: &Key) -> Error {
        match self.blobs.head(audio).await {
            Err(blobs::Error::NotFound) => Error::NoAudio,
            Err(error) => no_store(error),
            Ok(_) => Error::AccessDenied("Transcribe may not read the audio".into()),
        }
    }

    async fn state(&self, job: TranscriptionJob) -> Result<State, Error> {
        match job.transcription_job_status() {
            Some(TranscriptionJobStatus::Completed) => self.transcript(job).await.map(State::Done),
            Some(TranscriptionJobStatus::Failed) => Ok(State::Failed(failure(
                job.failure_reason.unwrap_or_default(),
            ))),
            _ => Ok(State::Running),
        }
    }

    async fn transcript(&self, job: TranscriptionJob) -> Result<Transcript, Error> {
        let uri = job
            .transcript()
            .and_then(|found| found.transcript_file_uri());
        let unreadable = || Error::Unavailable("the transcript cannot be read".into());
        let file = self.download(uri.ok_or_else(unreadable)?).await?;
        let language = job.language_code().map(|code| code.as_str().to_owned());
        result::parse(&file, language).ok_or_else(unreadable)
    }

    /// From a presigned address: a secret, which no error may show.
    async fn download(&self, uri: &str) -> Result<Vec<u8>, Error> {
        let response = self.http.get(uri).send().await.map_err(download_failed)?;
        let mut response = response.error_for_status().map_err(download_failed)?;
        let mut file = vec![];
        while let Some(chunk) = response.chunk().await.map_err(download_failed)? {
            file.extend_from_slice(&chunk);
            if file.len() > MAX_RESULT {
                return Err(Error::Unavailable("the transcript is too large".into()));
            }
        }
        Ok(file)
    }
}

fn remembered<T: Clone + Send + Sync + 'static>() -> Cache<String, T> {
    Cache::builder()
        .max_capacity(MOST_REMEMBERED)
        .time_to_live(REMEMBERED)
        .build()
}

fn settings(job: &str, request: &Request, vocabulary: bool) -> Option<Settings> {
    let speakers = request.speakers.and_then(|count| i32::try_from(count).ok());
    let needed = vocabulary || speakers.is_some();
    needed.then(|| {
        Settings::builder()
            .set_show_speaker_labels(speakers.map(|_| true))
            .set_max_speaker_labels(speakers)
            .set_vocabulary_name(vocabulary.then(|| job.to_owned()))
            .build()
    })
}

fn check(request: &Request) -> Result<(), Error> {
    if request
        .speakers
        .is_some_and(|count| !(2..=30).contains(&count))
    {
        return Err(Error::Invalid("2 to 30 speakers can be told apart".into()));
    }
    if !request.vocabulary.is_empty() && request.language_code.is_none() {
        let why = "words to expect need a language that they are of";
        return Err(Error::Invalid(why.into()));
    }
    Ok(())
}

#[async_trait]
impl Transcription for Transcribe {
    /// Of a name that another audio's job has, [`Error::Invalid`]: its transcript is not this one's.
    async fn start(&self, job: &str, request: &Request) -> Result<(), Error> {
        check(request)?;
        self.calls.forgotten.invalidate(job).await;
        if request.vocabulary.is_empty() {
            return self.begin(job, request, false).await;
        }
        self.calls.create_vocabulary(job, request).await?;
        if !self.start_when_ready(job, request).await? {
            let request = Arc::new(request.clone());
            self.waiting.insert(job.to_owned(), request).await;
        }
        Ok(())
    }

    async fn poll(&self, job: &str) -> Result<State, Error> {
        if self.calls.forgotten.contains_key(job) {
            return Err(Error::NotFound);
        }
        if let Some(request) = self.waiting.get(job).await {
            match self.start_when_ready(job, &request).await {
                Ok(false) => {}
                Ok(true) => self.waiting.invalidate(job).await,
                Err(Error::Invalid(why)) => {
                    return Ok(State::Failed(Failure::new(Cause::Refused, why)));
                }
                Err(error) => return Err(error),
            }
            return Ok(State::Running);
        }
        self.state(self.calls.job(job).await?).await
    }

    async fn forget(&self, job: &str) -> Result<(), Error> {
        self.waiting.invalidate(job).await;
        if !self.calls.delete(job).await? {
            self.calls.forgotten.insert(job.to_owned(), ()).await;
            return Err(Error::NotYet);
        }
        self.calls.forgotten.invalidate(job).await;
        Ok(())
    }
}

/// Of a failed job's `FailureReason`: what its documentation lists of media that cannot be read.
/// <https://docs.aws.amazon.com/transcribe/latest/APIReference/API_TranscriptionJob.html>
fn failure(why: String) -> Failure {
    let says = |words: &str| why.contains(words);
    let cause = if says("Unsupported media format") || says("Invalid sample rate") {
        Cause::Format
    } else if says("does not match the detected") {
        Cause::Corrupt
    } else if says("Invalid file size") || says("Invalid number of channels") {
        Cause::Refused
    } else {
        Cause::Engine
    };
    Failure::new(cause, why)
}

/// How far a vocabulary is.
enum Vocabulary {
    Pending,
    Ready,
    Failed(String),
}

/// The service, and what of it is not to be seen any more.
struct Calls {
    client: Client,
    /// Jobs that run and will be deleted.
    forgotten: Cache<String, ()>,
}

impl Calls {
    async fn job(&self, job: &str) -> Result<TranscriptionJob, Error> {
        let asked = self.client.get_transcription_job();
        let found = asked.transcription_job_name(job).send().await;
        let found = found.map_err(|e| failed(&e))?;
        found.transcription_job.ok_or(Error::NotFound)
    }

    /// Whether the job of that name is of that audio: names are shared by all of an account.
    async fn check_same(&self, job: &str, uri: &str) -> Result<(), Error> {
        let found = self.job(job).await?;
        let media = found.media().and_then(|media| media.media_file_uri());
        if media == Some(uri) {
            return Ok(());
        }
        let why = "another audio's job has that name";
        Err(Error::Invalid(why.into()))
    }

    /// Fine when it is there.
    async fn create_vocabulary(&self, job: &str, request: &Request) -> Result<(), Error> {
        let language = request.language_code.as_deref().unwrap_or_default();
        // Transcribe wants the words of a phrase joined by hyphens.
        let phrases = request.vocabulary.iter().map(|phrase| {
            let words: Vec<_> = phrase.split_whitespace().collect();
            words.join("-")
        });
        let created = self
            .client
            .create_vocabulary()
            .vocabulary_name(job)
            .language_code(LanguageCode::from(language))
            .set_phrases(Some(phrases.collect()))
            .send()
            .await;
        match created.map_err(|e| Refusal::of(&e)) {
            Err(failure) if !is(&failure, "ConflictException") => Err(failure.into()),
            _ => Ok(()),
        }
    }

    async fn vocabulary(&self, job: &str) -> Result<Vocabulary, Error> {
        let asked = self.client.get_vocabulary().vocabulary_name(job);
        let found = asked.send().await.map_err(|e| failed(&e))?;
        Ok(match found.vocabulary_state {
            Some(VocabularyState::Ready) => Vocabulary::Ready,
            Some(VocabularyState::Failed) => {
                Vocabulary::Failed(found.failure_reason.unwrap_or_default())
            }
            _ => Vocabulary::Pending,
        })
    }

    /// The job and its vocabulary, where there are any. Not where Transcribe is at work on either.
    async fn delete(&self, job: &str) -> Result<bool, Error> {
        let asked = self.client.delete_transcription_job();
        let deleted = asked.transcription_job_name(job).send().await;
        match deleted.map_err(|e| Refusal::of(&e)) {
            Err(failure) if is_running(&failure) => return Ok(false),
            Err(failure) if !is_missing(&failure) => return Err(failure.into()),
            _ => {}
        }
        let asked = self.client.delete_vocabulary().vocabulary_name(job);
        match asked.send().await.map_err(|e| Refusal::of(&e)) {
            Err(failure) if is_running(&failure) => Ok(false),
            Err(failure) if !is_missing(&failure) => Err(failure.into()),
            _ => Ok(true),
        }
    }
}

fn is(failure: &Refusal, wanted: &str) -> bool {
    matches!(failure, Refusal::Service { code, .. } if code == wanted)
}

fn says(failure: &Refusal, wanted: &str) -> bool {
    matches!(failure, Refusal::Service { message, .. } if message.contains(wanted))
}

/// Documented as `NotFoundException`; of jobs, Transcribe says `BadRequestException` and this.
fn is_missing(failure: &Refusal) -> bool {
    is(failure, "NotFoundException") || says(failure, "couldn't be found")
}

/// Undocumented, of what Transcribe is at work on: "The requested job couldn't be deleted …".
fn is_running(failure: &Refusal) -> bool {
    is(failure, "BadRequestException") && says(failure, "couldn't be deleted")
}

/// "The S3 URI that you provided can't be accessed. …"
fn is_no_access(failure: &Refusal) -> bool {
    is(failure, "BadRequestException") && says(failure, "can't be accessed")
}

fn no_store(error: blobs::Error) -> Error {
    match error {
        blobs::Error::NotFound => Error::NoAudio,
        blobs::Error::Timeout => Error::Timeout,
        blobs::Error::AccessDenied => Error::AccessDenied("S3 refuses them".into()),
        other => Error::Unavailable(other.to_string()),
    }
}

fn download_failed(error: reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout;
    }
    Error::Unavailable(error.without_url().to_string())
}

fn failed<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    Refusal::of(error).into()
}

impl From<Refusal> for Error {
    fn from(failure: Refusal) -> Self {
        if is_missing(&failure) {
            return Self::NotFound;
        }
        match failure {
            Refusal::Timeout => Self::Timeout,
            Refusal::Unreachable(why) => Self::Unavailable(why),
            Refusal::NoCredentials(why) | Refusal::Refused(why) => Self::AccessDenied(why),
            Refusal::Throttled => Self::QuotaExceeded,
            Refusal::Service {
                status: 500..,
                code,
                ..
            } => Self::Unavailable(code),
            Refusal::Service { message, .. } => Self::Invalid(message),
        }
    }
}
