//! The engine behind the capability, in the domain's words.

use guest::bindings::capabilities::lectern::platform::transcription as wit;
pub(super) use wit::Error;

use super::job::Job;
use crate::failure::Cause;
use crate::probe::Container;
use crate::transcript::{Transcript, Word, confidence};

/// How a job at the engine stands.
pub(super) enum State {
    Running,
    Done(Transcript),
    /// With the engine's words.
    Failed(Cause, String),
}

pub(super) async fn start(job: &Job, container: Container) -> Result<(), Error> {
    let request = wit::Request {
        audio: job.s3_key.clone(),
        format: format(container),
        language_code: job.wanted.language().map(ToOwned::to_owned),
        speakers: job.wanted.speakers,
        vocabulary: job.wanted.vocabulary.clone(),
        duration_ms: job.duration.map(|seconds| (seconds * 1_000.0) as u64),
    };
    wit::start(job.id.clone(), request).await
}

pub(super) async fn poll(id: &str) -> Result<State, Error> {
    Ok(match wit::poll(id.to_owned()).await? {
        wit::State::Running => State::Running,
        wit::State::Done(transcript) => State::Done(heard(transcript)),
        wit::State::Failed(failure) => State::Failed(cause(failure.cause), failure.reason),
    })
}

/// Also fine when there is none.
pub(super) async fn forget(id: &str) -> Result<(), Error> {
    wit::forget(id.to_owned()).await
}

fn cause(told: wit::Cause) -> Cause {
    match told {
        wit::Cause::Corrupt => Cause::Corrupt,
        wit::Cause::Format => Cause::Format,
        wit::Cause::Refused => Cause::Refused,
        wit::Cause::AccessDenied => Cause::AccessDenied,
        wit::Cause::Answer => Cause::Answer,
        wit::Cause::Timeout => Cause::Timeout,
        wit::Cause::Engine => Cause::Engine,
    }
}

fn format(container: Container) -> wit::MediaFormat {
    match container {
        Container::Amr => wit::MediaFormat::Amr,
        Container::Flac => wit::MediaFormat::Flac,
        Container::M4a => wit::MediaFormat::M4a,
        Container::Mp3 => wit::MediaFormat::Mp3,
        Container::Mp4 => wit::MediaFormat::Mp4,
        Container::Ogg => wit::MediaFormat::Ogg,
        Container::Wav => wit::MediaFormat::Wav,
        Container::Webm => wit::MediaFormat::Webm,
    }
}

fn heard(transcript: wit::Transcript) -> Transcript {
    let word = |word: wit::Word| Word {
        text: word.text,
        start_ms: word.start_ms,
        end_ms: word.end_ms,
        confidence: word.confidence.map(confidence),
        speaker: word.speaker,
        punctuation: word.punctuation,
    };
    Transcript {
        text: transcript.text,
        confidence: transcript.confidence.map(confidence),
        language_code: transcript.language_code,
        words: transcript.words.into_iter().map(word).collect(),
        engine: transcript.engine,
    }
}
