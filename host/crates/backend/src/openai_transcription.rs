//! Transcription by any server that speaks OpenAI's: OpenAI, speaches, LocalAI, whisper.cpp's server.
//! <https://platform.openai.com/docs/api-reference/audio/createTranscription>

mod languages;
pub(crate) mod wire;

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capability::blobs::{self, Blobs};
use capability::breaker::{Breaker, Policy};
use capability::transcription::{
    Cause, Error, Failure, MediaFormat, Request, State, Transcript, Transcription,
};
use futures::{StreamExt, TryStreamExt};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use crate::decoder::{Decoder, silence};
use crate::engine_command::{MAX_AUDIO, admit, blob_fault, language};
use crate::engine_jobs::{EngineJobs, Fault};
use crate::jobs::Room;
use crate::mark::marked;
use crate::scratch::Scratch;

const CONNECT: Duration = Duration::from_secs(5);
/// A recording of 2 GiB is not sent to a server that did not answer the last three.
const BREAKER: Policy = Policy {
    failures: 3,
    cool_down: Duration::from_secs(15),
    share: None,
};
/// Of an answer with the times of four hours of words.
const MAX_ANSWER: usize = 16 << 20;
/// Of the words to expect, in bytes: Whisper reads 224 tokens of a prompt.
const MAX_PROMPT: usize = 800;
/// Bytes of address space, to decode a recording.
const MEMORY: u64 = 4 << 30;

/// Which server, and which model there.
#[derive(Clone)]
pub struct Config {
    /// Up to and with `/v1`. May hold a credential.
    pub base_url: String,
    /// `None` for a server that wants none.
    pub key: Option<SecretString>,
    /// As the server names it, as in `whisper-1`.
    pub model: String,
    /// Recordings at once, and waiting.
    pub room: Room,
    /// One recording may take so long, its upload included.
    pub timeout: Duration,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// A server that speaks OpenAI's transcriptions; the jobs are the host's own.
pub struct OpenAiTranscription {
    jobs: EngineJobs,
    server: Arc<Server>,
}

struct Server {
    client: reqwest::Client,
    config: Config,
    blobs: Arc<dyn Blobs>,
    breaker: Arc<Breaker>,
    decoder: Decoder,
}

impl OpenAiTranscription {
    /// Between callers and the server.
    pub fn breaker(&self) -> Arc<Breaker> {
        self.server.breaker.clone()
    }

    /// Reads recordings from `blobs`. Fails where the system has no TLS roots.
    pub fn new(config: Config, blobs: Arc<dyn Blobs>) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(config.timeout)
            // The key goes to the configured server and to nobody it points at.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(Self {
            jobs: EngineJobs::new(config.room, None),
            server: Arc::new(Server {
                client,
                decoder: Decoder::find(MEMORY, config.timeout),
                config,
                blobs,
                breaker: Arc::new(Breaker::new(BREAKER)),
            }),
        })
    }

    /// With jobs that the hosts of that database share: one of them runs each.
    pub fn shared(self, pool: PgPool) -> Self {
        let jobs = EngineJobs::new(self.server.config.room, Some(pool));
        Self { jobs, ..self }
    }
}

#[async_trait]
impl Transcription for OpenAiTranscription {
    async fn start(&self, job: &str, request: &Request) -> Result<(), Error> {
        if self.jobs.has(job) {
            return Ok(());
        }
        admit(&*self.server.blobs, request).await?;
        let (server, request) = (self.server.clone(), request.clone());
        let work = async move { server.transcribe(&request).await };
        self.jobs.start(job, work).await
    }

    async fn poll(&self, job: &str) -> Result<State, Error> {
        self.jobs.poll(job).await
    }

    async fn forget(&self, job: &str) -> Result<(), Error> {
        self.jobs.forget(job).await
    }
}

/// Why there is no answer, by whose fault.
enum Unanswered {
    /// The server's: it counts against it.
    Server(Fault),
    /// The recording's, or of the store that it is in.
    Audio(Fault),
}

impl Server {
    /// Unless the server did not answer lately, or there is nothing to hear.
    async fn transcribe(&self, request: &Request) -> Result<Transcript, Fault> {
        if self.is_silent(request).await? {
            return Ok(self.nothing_heard(request));
        }
        let resting = || Fault::Passing("the server did not answer lately".into());
        let permit = self.breaker.admit().ok_or_else(resting)?;
        match self.answered(request).await {
            Ok((status, body)) => {
                permit.succeeded();
                if !status.is_success() {
                    return Err(refused(status, &body));
                }
                Ok(wire::transcript(&body, request, &self.config.model)?)
            }
            Err(Unanswered::Server(fault)) => {
                permit.failed();
                Err(fault)
            }
            Err(Unanswered::Audio(fault)) => Err(fault),
        }
    }

    /// Whether there is nothing to hear, as far as that can be found out here. WAV of plain samples was
    /// listened to when it came in; of what cannot be decoded the server has the last word.
    async fn is_silent(&self, request: &Request) -> Result<bool, Fault> {
        if !self.decoder.is_there() || self.was_heard(request).await? {
            return Ok(false);
        }
        // Such as a full disk.
        let scratch = Scratch::new().map_err(|e| Fault::Passing(e.kind().to_string()))?;
        let copied = scratch.copy(&*self.blobs, &request.audio, "input", MAX_AUDIO);
        let input = copied.await.map_err(|e| blob_fault(&e))?;
        match self.decoder.plain(&scratch, input, request.format).await {
            Ok(plain) => Ok(silence::is_silent(plain).await),
            Err(why) => {
                tracing::debug!(%why, "a recording cannot be listened to before it is sent");
                Ok(false)
            }
        }
    }

    async fn was_heard(&self, request: &Request) -> Result<bool, Fault> {
        if request.format != MediaFormat::Wav {
            return Ok(false);
        }
        let head = self.blobs.get(&request.audio, 0, Some(silence::HEAD)).await;
        let (_, head) = head.map_err(|e| blob_fault(&e))?;
        let parts: Vec<bytes::Bytes> = head.try_collect().await.map_err(|e| blob_fault(&e))?;
        Ok(silence::is_samples(&parts.concat()))
    }

    fn nothing_heard(&self, request: &Request) -> Transcript {
        Transcript {
            text: String::new(),
            confidence: None,
            language_code: request.language_code.clone(),
            words: vec![],
            engine: self.config.model.clone(),
        }
    }

    /// With the words' times where the server has them, else without.
    async fn answered(&self, request: &Request) -> Result<(StatusCode, Vec<u8>), Unanswered> {
        let (status, body) = match self.ask(request, "verbose_json").await? {
            (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, _) => {
                self.ask(request, "json").await?
            }
            answered => answered,
        };
        if status.is_server_error() {
            return Err(Unanswered::Server(refused(status, &body)));
        }
        Ok((status, body))
    }

    async fn ask(
        &self,
        request: &Request,
        form: &str,
    ) -> Result<(StatusCode, Vec<u8>), Unanswered> {
        let base = self.config.base_url.trim_end_matches('/');
        let form = self.form(request, form).await.map_err(Unanswered::Audio)?;
        let sending = self.client.post(format!("{base}/audio/transcriptions"));
        let mut sending = marked(sending).multipart(form);
        if let Some(key) = &self.config.key {
            sending = sending.bearer_auth(key.expose_secret());
        }
        let response = sending.send().await.map_err(|e| failed(&e))?;
        let status = response.status();
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|e| failed(&e))?);
            if body.len() > MAX_ANSWER {
                let why = format!("it exceeds {MAX_ANSWER} bytes");
                return Err(Unanswered::Server(wire::untrue(&why).into()));
            }
        }
        Ok((status, body))
    }

    async fn form(&self, request: &Request, form: &str) -> Result<Form, Fault> {
        let audio = self.blobs.get(&request.audio, 0, None).await;
        let (stat, audio) = audio.map_err(|e| blob_fault(&e))?;
        let name = format!("audio.{}", request.format.as_str());
        let file = Part::stream_with_length(Body::wrap_stream(audio), stat.size).file_name(name);
        let mut all = Form::new()
            .text("model", self.config.model.clone())
            .text("response_format", form.to_owned());
        if form == "verbose_json" {
            // Segments too: they tell how likely nothing is said.
            all = all
                .text("timestamp_granularities[]", "word")
                .text("timestamp_granularities[]", "segment");
        }
        let refused = |e: Error| Failure::new(Cause::Refused, e.to_string());
        if let Some(language) = language(request).map_err(refused)? {
            all = all.text("language", language);
        }
        if !request.vocabulary.is_empty() {
            all = all.text("prompt", prompt(&request.vocabulary));
        }
        // Last: servers that read as it comes know by then what to do with it.
        Ok(all.part("file", file))
    }
}

/// The words to expect, as Whisper is told.
pub(crate) fn prompt(vocabulary: &[String]) -> String {
    let mut prompt = vocabulary.join(", ");
    prompt.truncate(prompt.floor_char_boundary(MAX_PROMPT));
    prompt
}

/// Whether a later request may be answered otherwise.
fn passes(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

fn refused(status: StatusCode, body: &[u8]) -> Fault {
    let code = status.as_u16();
    if passes(status) {
        // Without the server's words, which may quote what was said: this is logged.
        Fault::Passing(format!("the server answers with status {code}"))
    } else {
        Fault::Lasting(wire::refused(code, body))
    }
}

/// The server is away, hangs or breaks off, all of which passes, unless it is the recording that
/// cannot be read or the address that is none.
fn failed(error: &reqwest::Error) -> Unanswered {
    let mut sources = std::iter::successors(error.source(), |error| (*error).source());
    match sources.find_map(|source| source.downcast_ref::<blobs::Error>()) {
        Some(unread) => Unanswered::Audio(blob_fault(unread)),
        None if error.is_builder() => {
            Unanswered::Server(Fault::Lasting(wire::failed(error).into()))
        }
        None => Unanswered::Server(Fault::Passing(wire::failed(error))),
    }
}
