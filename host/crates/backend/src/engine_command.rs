//! Transcription by a program of the machine's: whisper.cpp, pocketsphinx, whatever prints what it
//! hears.

mod printed;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capability::blobs::{self, Blobs};
use capability::transcription::{Cause, Error, Failure, Request, State, Transcript, Transcription};
use sqlx::PgPool;

use crate::decoder::{Decoder, silence};
use crate::engine_jobs::{EngineJobs, Fault};
use crate::jobs::Room;
use crate::openai_transcription::prompt;
use crate::program::{self, Limits, Program};
use crate::scratch::Scratch;

/// Bytes of a recording: Transcribe's limit.
pub const MAX_AUDIO: u64 = 2 << 30;
/// Bytes of text: four hours of speech are a tenth of it.
const MAX_TEXT: usize = 4 << 20;
/// Of a file that the program writes.
const MAX_WRITTEN: u64 = 1 << 30;

/// Which program, and how much of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The program and its arguments, quoted as for a shell, which it is not given to. `{input}` is
    /// the recording's path; `{language}` the language's code without a region, as in `en`, or `auto`;
    /// `{vocabulary}` the words to expect, by commas:
    /// `whisper-cli -m ggml-base.bin -np -nt -l {language} --prompt {vocabulary} -f {input}`.
    /// What it prints is the text, a JSON object as OpenAI's `verbose_json` is, or pocketsphinx' lines of JSON:
    /// with words, there are subtitles.
    pub command: String,
    /// Recordings at once, and waiting.
    pub room: Room,
    /// One recording may take so long.
    pub timeout: Duration,
    /// Bytes of address space.
    pub memory: u64,
}

impl Config {
    /// One recording at a time, for ten minutes and in 4 GiB at most; a hundred wait.
    pub fn new(command: String) -> Self {
        Self {
            command,
            room: Room {
                places: 1,
                queue: 100,
            },
            timeout: Duration::from_secs(600),
            memory: 4 << 30,
        }
    }
}

/// Why a command is none.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    /// A quote that is not closed, or nothing at all.
    #[error("LECTERN_STT_COMMAND is no command")]
    Syntax,
    /// It would be told nothing.
    #[error("LECTERN_STT_COMMAND has no `{{input}}`, where the recording's path goes")]
    NoInput,
    /// Not in PATH.
    #[error("LECTERN_STT_COMMAND names `{0}`, which is not installed")]
    NotInstalled(String),
}

/// A program that prints what it hears.
pub struct EngineCommand {
    jobs: EngineJobs,
    engine: Arc<Engine>,
}

struct Engine {
    config: Config,
    blobs: Arc<dyn Blobs>,
    name: String,
    path: PathBuf,
    arguments: Vec<String>,
    decoder: Decoder,
}

impl EngineCommand {
    /// Reads recordings from `blobs`. Other recordings than WAV of 16 kHz want `ffmpeg` in PATH.
    pub fn new(config: Config, blobs: Arc<dyn Blobs>) -> Result<Self, CommandError> {
        let words = shlex::split(&config.command).ok_or(CommandError::Syntax)?;
        let (program, arguments) = words.split_first().ok_or(CommandError::Syntax)?;
        if !arguments.iter().any(|word| word.contains("{input}")) {
            return Err(CommandError::NoInput);
        }
        let path = program::find(program);
        let path = path.ok_or_else(|| CommandError::NotInstalled(program.clone()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let engine = Engine {
            name: name.into_owned(),
            arguments: arguments.to_vec(),
            decoder: Decoder::find(config.memory, config.timeout),
            path,
            blobs,
            config,
        };
        Ok(Self {
            jobs: EngineJobs::new(engine.config.room, None),
            engine: Arc::new(engine),
        })
    }

    /// With jobs that the hosts of that database share: one of them runs each.
    pub fn shared(self, pool: PgPool) -> Self {
        let jobs = EngineJobs::new(self.engine.config.room, Some(pool));
        Self { jobs, ..self }
    }

    /// Runs the program on a second of a tone, whatever it hears in that. An error says why it did not work.
    pub async fn try_out(&self) -> Result<(), String> {
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        let input = scratch.path().join("input.wav");
        let written = tokio::fs::write(&input, silence::tone()).await;
        written.map_err(|e| e.to_string())?;
        let heard = self.engine.hear(&input, "en", "", &scratch).await;
        heard.map(|_| ()).map_err(|fault| fault.to_string())
    }

    /// Whether recordings of any format can be read.
    pub fn converts(&self) -> bool {
        self.engine.decoder.is_there()
    }
}

#[async_trait]
impl Transcription for EngineCommand {
    async fn start(&self, job: &str, request: &Request) -> Result<(), Error> {
        if self.jobs.has(job) {
            return Ok(());
        }
        admit(&*self.engine.blobs, request).await?;
        let (engine, request) = (self.engine.clone(), request.clone());
        let work = async move { engine.transcribe(&request).await };
        self.jobs.start(job, work).await
    }

    async fn poll(&self, job: &str) -> Result<State, Error> {
        self.jobs.poll(job).await
    }

    async fn forget(&self, job: &str) -> Result<(), Error> {
        self.jobs.forget(job).await
    }
}

/// What no engine of the host's own would take is refused at the start.
pub(crate) async fn admit(blobs: &dyn Blobs, request: &Request) -> Result<(), Error> {
    language(request)?;
    let stat = blobs.head(&request.audio).await.map_err(audio_failed)?;
    if stat.size > MAX_AUDIO {
        return Err(Error::Invalid(format!("more than {MAX_AUDIO} bytes")));
    }
    Ok(())
}

pub(crate) fn audio_failed(error: blobs::Error) -> Error {
    match error {
        blobs::Error::NotFound | blobs::Error::AccessDenied => Error::NoAudio,
        blobs::Error::Timeout => Error::Timeout,
        blobs::Error::TooLarge { .. } | blobs::Error::Corrupt | blobs::Error::Invalid(_) => {
            Error::Invalid(error.to_string())
        }
        blobs::Error::Unavailable(_) | blobs::Error::QuotaExceeded => {
            Error::Unavailable(error.to_string())
        }
    }
}

/// By what the store is like the next time. A passing fault is logged, so without the store's words.
pub(crate) fn blob_fault(error: &blobs::Error) -> Fault {
    match error {
        blobs::Error::Unavailable(_) => Fault::Passing("the blob store failed".into()),
        blobs::Error::Timeout | blobs::Error::QuotaExceeded => Fault::Passing(error.to_string()),
        blobs::Error::Corrupt => Fault::Lasting(Failure::new(Cause::Corrupt, error.to_string())),
        blobs::Error::NotFound
        | blobs::Error::AccessDenied
        | blobs::Error::TooLarge { .. }
        | blobs::Error::Invalid(_) => {
            Fault::Lasting(Failure::new(Cause::Refused, error.to_string()))
        }
    }
}

/// What the program did it would do again; that the machine could not start it passes.
fn program_fault(failure: &program::Failure) -> Fault {
    let cause = match failure {
        program::Failure::Start(..) => return Fault::Passing(failure.to_string()),
        program::Failure::Timeout(..) => Cause::Timeout,
        program::Failure::TooMuch(..) => Cause::Answer,
        program::Failure::Ended(..) => Cause::Engine,
    };
    Fault::Lasting(Failure::new(cause, failure.to_string()))
}

/// ISO 639, as in `en`. Checked, as it becomes an argument.
pub(crate) fn language(request: &Request) -> Result<Option<String>, Error> {
    let Some(code) = &request.language_code else {
        return Ok(None);
    };
    let language = code.split('-').next().unwrap_or_default();
    if matches!(language.len(), 2..=8) && language.bytes().all(|b| b.is_ascii_alphabetic()) {
        Ok(Some(language.to_ascii_lowercase()))
    } else {
        Err(Error::Invalid("a language is such as `en-US`".into()))
    }
}

impl Engine {
    fn nothing_heard(&self, request: &Request) -> Transcript {
        Transcript {
            text: String::new(),
            confidence: None,
            language_code: request.language_code.clone(),
            words: vec![],
            engine: self.name.clone(),
        }
    }

    async fn transcribe(&self, request: &Request) -> Result<Transcript, Fault> {
        // Such as a full disk.
        let scratch = Scratch::new().map_err(|e| Fault::Passing(e.kind().to_string()))?;
        let name = format!("input.{}", request.format.as_str());
        let copied = scratch.copy(&*self.blobs, &request.audio, &name, MAX_AUDIO);
        let input = copied.await.map_err(|e| blob_fault(&e))?;
        let input = self.decoder.plain(&scratch, input, request.format).await?;
        // Whisper hears "Thank you for watching" in silence.
        if silence::is_silent(input.clone()).await {
            return Ok(self.nothing_heard(request));
        }
        let refused = |e: Error| Failure::new(Cause::Refused, e.to_string());
        let language = language(request).map_err(refused)?;
        let language = language.as_deref().unwrap_or("auto");
        let vocabulary = prompt(&request.vocabulary);
        let printed = self.hear(&input, language, &vocabulary, &scratch).await?;
        Ok(printed::transcript(&printed, request, &self.name)?)
    }

    /// What the program prints about that.
    async fn hear(
        &self,
        input: &Path,
        language: &str,
        vocabulary: &str,
        scratch: &Scratch,
    ) -> Result<Vec<u8>, Fault> {
        // The request's own words last, so that nothing in them is replaced.
        let argument = |word: &String| {
            let word = word.replace("{language}", language);
            let word = word.replace("{input}", &input.to_string_lossy());
            OsString::from(word.replace("{vocabulary}", vocabulary))
        };
        let arguments = self.arguments.iter().map(argument).collect();
        let program = Program {
            path: &self.path,
            arguments,
            input: None,
            folder: scratch.path(),
            limits: Limits {
                memory: self.config.memory,
                time: self.config.timeout,
                output: MAX_TEXT,
                file: MAX_WRITTEN,
            },
        };
        program.run().await.map_err(|e| program_fault(&e))
    }
}

#[cfg(test)]
mod tests {
    use capability::blobs::local::LocalBlobs;
    use capability::transcription::MediaFormat;

    use super::*;

    #[tokio::test]
    async fn a_command_that_cannot_work_is_refused_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(LocalBlobs::open(folder.path()).await.unwrap());
        let new =
            |command: &str| EngineCommand::new(Config::new(command.into()), blobs.clone()).err();
        assert_eq!(new(""), Some(CommandError::Syntax));
        assert_eq!(new("cat \"{input}"), Some(CommandError::Syntax));
        assert_eq!(new("cat"), Some(CommandError::NoInput));
        let missing = CommandError::NotInstalled("no-such-engine".into());
        assert_eq!(new("no-such-engine {input}"), Some(missing));
        assert_eq!(new("cat '{input}'"), None);
    }

    #[test]
    fn a_language_that_could_be_an_option_is_refused() {
        let of = |code: Option<&str>| {
            language(&Request {
                audio: blobs::Key::parse("a").unwrap(),
                format: MediaFormat::Wav,
                language_code: code.map(ToOwned::to_owned),
                speakers: None,
                vocabulary: vec![],
                duration_ms: None,
            })
        };
        assert_eq!(of(None), Ok(None));
        assert_eq!(of(Some("en-US")), Ok(Some("en".into())));
        for bad in ["--help", "", "e", "en;ls", "../en"] {
            assert!(of(Some(bad)).is_err(), "{bad}");
        }
    }
}
