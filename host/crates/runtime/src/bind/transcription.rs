//! `lectern:platform/transcription`.

use std::sync::Arc;

use capability::blobs::Key;
use capability::transcription::{
    Cause, Error, Failure, MediaFormat, Request, State, Transcript, Transcription, Word, job,
};
use wasmtime::component::{Accessor, HasData};

use crate::bindings::lectern::platform::transcription as wit;
use crate::state::View;
use crate::trace::{asked, named};

/// `None` is never linked; a call that came through all the same finds no engine.
pub(crate) type Granted = Option<Arc<dyn Transcription>>;

/// Guest-controlled.
const SPEAKERS: std::ops::RangeInclusive<u32> = 2..=30;
/// Guest-controlled: Transcribe's limit of a vocabulary, in bytes.
const VOCABULARY: usize = 50 << 10;
/// Guest-controlled: of a language's code, RFC 5646's advice.
const LANGUAGE: usize = 35;

/// The engine, and the job's full name.
fn granted<T: Send>(
    accessor: &Accessor<T, Bound>,
    name: &str,
) -> Result<(Arc<dyn Transcription>, String), wit::Error> {
    accessor.with(|mut access| {
        let view = access.get();
        let job = job(&view.manifest.name, name)?;
        Ok((view.capability.ok_or(wit::Error::NotConfigured)?, job))
    })
}

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Granted>;
}

impl wit::Host for View<'_, Granted> {}

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn start(
        accessor: &Accessor<T, Self>,
        name: String,
        request: wit::Request,
    ) -> Result<(), wit::Error> {
        let (engine, job) = granted(accessor, &name)?;
        let audio = Key::parse(&request.audio).map_err(|e| wit::Error::Invalid(e.to_string()))?;
        let audio = accessor.with(|mut access| audio.within(&access.get().manifest.name));
        let request = to_host(audio, request)?;
        let mut asked = asked(accessor, "transcription", || named("transcription start"));
        asked.answer(engine.start(&job, &request)).await
    }

    async fn poll(accessor: &Accessor<T, Self>, name: String) -> Result<wit::State, wit::Error> {
        let (engine, job) = granted(accessor, &name)?;
        let mut asked = asked(accessor, "transcription", || named("transcription poll"));
        let state = asked.answer::<_, _, wit::Error>(engine.poll(&job)).await?;
        let _held = accessor
            .with(|mut access| access.get().memory.hold(weight(&state)))
            .ok_or(wit::Error::QuotaExceeded)?;
        Ok(state.into())
    }

    async fn forget(accessor: &Accessor<T, Self>, name: String) -> Result<(), wit::Error> {
        let (engine, job) = granted(accessor, &name)?;
        let mut asked = asked(accessor, "transcription", || named("transcription forget"));
        asked.answer(engine.forget(&job)).await
    }
}

fn to_host(audio: Key, request: wit::Request) -> Result<Request, wit::Error> {
    let invalid = |why: &str| Err(wit::Error::Invalid(why.to_owned()));
    if request
        .vocabulary
        .iter()
        .map(|w| w.len() + 1)
        .sum::<usize>()
        > VOCABULARY
    {
        return invalid("the vocabulary exceeds 50 KiB");
    }
    if request
        .language_code
        .as_ref()
        .is_some_and(|code| code.len() > LANGUAGE)
    {
        return invalid("a language is such as `en-US`");
    }
    Ok(Request {
        audio,
        format: match request.format {
            wit::MediaFormat::Amr => MediaFormat::Amr,
            wit::MediaFormat::Flac => MediaFormat::Flac,
            wit::MediaFormat::M4a => MediaFormat::M4a,
            wit::MediaFormat::Mp3 => MediaFormat::Mp3,
            wit::MediaFormat::Mp4 => MediaFormat::Mp4,
            wit::MediaFormat::Ogg => MediaFormat::Ogg,
            wit::MediaFormat::Wav => MediaFormat::Wav,
            wit::MediaFormat::Webm => MediaFormat::Webm,
        },
        language_code: request.language_code,
        speakers: request
            .speakers
            .map(|count| count.clamp(*SPEAKERS.start(), *SPEAKERS.end())),
        vocabulary: request.vocabulary,
        duration_ms: request.duration_ms,
    })
}

/// Bytes.
fn weight(state: &State) -> usize {
    let word = |w: &Word| {
        let speaker = w.speaker.as_ref().map_or(0, String::len);
        size_of::<Word>() + w.text.len() + speaker + w.punctuation.len()
    };
    match state {
        State::Running => 0,
        State::Done(transcript) => {
            transcript.text.len() + transcript.words.iter().map(word).sum::<usize>()
        }
        State::Failed(failure) => failure.reason.len(),
    }
}

impl From<State> for wit::State {
    fn from(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Done(transcript) => Self::Done(transcript.into()),
            State::Failed(failure) => Self::Failed(failure.into()),
        }
    }
}

impl From<Failure> for wit::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            cause: match failure.cause {
                Cause::Corrupt => wit::Cause::Corrupt,
                Cause::Format => wit::Cause::Format,
                Cause::Refused => wit::Cause::Refused,
                Cause::AccessDenied => wit::Cause::AccessDenied,
                Cause::Answer => wit::Cause::Answer,
                Cause::Timeout => wit::Cause::Timeout,
                Cause::Engine => wit::Cause::Engine,
            },
            reason: failure.reason,
        }
    }
}

impl From<Transcript> for wit::Transcript {
    fn from(transcript: Transcript) -> Self {
        let word = |word: Word| wit::Word {
            text: word.text,
            start_ms: word.start_ms,
            end_ms: word.end_ms,
            confidence: word.confidence,
            speaker: word.speaker,
            punctuation: word.punctuation,
        };
        Self {
            text: transcript.text,
            confidence: transcript.confidence,
            language_code: transcript.language_code,
            words: transcript.words.into_iter().map(word).collect(),
            engine: transcript.engine,
        }
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotConfigured => Self::NotConfigured,
            Error::AccessDenied(why) => {
                tracing::error!(%why, "the transcription service refuses the credentials");
                Self::AccessDenied
            }
            Error::NotFound => Self::NotFound,
            Error::NoAudio => Self::NoAudio,
            Error::Timeout => Self::Timeout,
            Error::Unavailable(why) => {
                tracing::warn!(%why, "transcription is unavailable");
                Self::Unavailable
            }
            Error::QuotaExceeded => Self::QuotaExceeded,
            Error::NotYet => Self::NotYet,
            Error::Invalid(why) => Self::Invalid(why),
        }
    }
}
