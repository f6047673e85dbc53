//! Speech from text.

pub mod contract;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Whether a voice is spoken as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    /// Polly's `Female`.
    Female,
    /// Polly's `Male`.
    Male,
    /// Neither is said.
    Neutral,
}

/// What turns text into sound, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineKind {
    /// Polly's.
    Generative,
    /// Polly's.
    LongForm,
    /// Polly's.
    Neural,
    /// Polly's.
    Standard,
    /// The host's own.
    Local,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// As a request names it.
    pub id: String,
    /// For people.
    pub name: String,
    /// BCP 47, as in `en-US`.
    pub language_code: String,
    /// As the engine says.
    pub gender: Gender,
    /// Best first; never empty.
    pub engines: Vec<EngineKind>,
}

/// How the audio is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MPEG layer III.
    Mp3,
    /// Vorbis in Ogg.
    OggVorbis,
    /// 16 bits, signed, little-endian, one channel, without a header.
    Pcm,
}

/// What is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// As it is.
    Text(String),
    /// <https://docs.aws.amazon.com/polly/latest/dg/supportedtags.html>
    Ssml(String),
}

impl Input {
    /// With tags, where there are any.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Ssml(text) => text,
        }
    }
}

/// What to speak, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What.
    pub input: Input,
    /// A voice's id.
    pub voice: String,
    /// The voice's best where none is given.
    pub engine: Option<EngineKind>,
    /// How it is coded.
    pub format: Format,
    /// Hertz; the engine's own where none is given.
    pub sample_rate: Option<u32>,
}

/// The audio as it comes. An error ends it.
pub type AudioStream = BoxStream<'static, Result<Bytes, Error>>;

/// What is spoken now.
pub struct Audio {
    /// That speaks.
    pub engine: EngineKind,
    /// As asked for.
    pub format: Format,
    /// Hertz.
    pub sample_rate: u32,
    /// As the bill counts them; 0 where there is none.
    pub billed_characters: u32,
    /// The bytes.
    pub data: AudioStream,
}

/// What a mark marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// A sentence's beginning.
    Sentence,
    /// A word's beginning.
    Word,
}

/// When something is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What.
    pub kind: MarkKind,
    /// Milliseconds from the beginning of the audio.
    pub at_ms: u32,
    /// Byte offset in the input, tags included.
    pub start: u32,
    /// Byte offset of its end.
    pub end: u32,
    /// The words themselves.
    pub value: String,
}

/// Why nothing is spoken; mirrors `error` in `wit/speech.wit`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No engine that could do it.
    #[error("no speech engine is configured")]
    NotConfigured,
    /// The credentials are refused.
    #[error("the speech service refuses the credentials: {0}")]
    AccessDenied(String),
    /// A deadline passed.
    #[error("the speech service took too long")]
    Timeout,
    /// It cannot be reached, or fails.
    #[error("the speech service cannot be used: {0}")]
    Unavailable(String),
    /// Throttled.
    #[error("the speech service asks for fewer requests")]
    QuotaExceeded,
    /// More characters than one call takes.
    #[error("more than {limit} characters")]
    TooLong {
        /// Characters.
        limit: u32,
    },
    /// What cannot be spoken.
    #[error("{0}")]
    Invalid(String),
    /// A rate that the voice does not have in that format.
    #[error("the voice has no such sample rate: it has {rates:?} Hz")]
    UnsupportedSampleRate {
        /// Those that it has, in hertz.
        rates: Vec<u32>,
    },
    /// Signs or another script alone, as far as the voice knows.
    #[error("the voice finds nothing to say in it")]
    NothingToSay,
}

/// An engine, or several.
#[async_trait]
pub trait Speech: Send + Sync {
    /// All of them, or those of a language.
    async fn voices(&self, language_code: Option<&str>) -> Result<Vec<Voice>, Error>;
    /// Speaks. MUST NOT speak with another voice or engine than the one asked for, nor answer silence where
    /// it knows that it has nothing to say.
    async fn synthesize(&self, request: &Request) -> Result<Audio, Error>;
    /// Says when sentences and words are spoken; [`Error::Invalid`] where the engine cannot tell.
    async fn marks(&self, request: &Request, kinds: &[MarkKind]) -> Result<Vec<Mark>, Error>;
}
