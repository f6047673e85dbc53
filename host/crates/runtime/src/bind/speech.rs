//! `lectern:platform/speech`.

use std::sync::Arc;

use capability::speech::{
    Audio, EngineKind, Error, Format, Gender, Input, Mark, MarkKind, Request, Speech, Voice,
};
use capability::usage::{Account, MeteredSpeech};
use futures::StreamExt;
use wasmtime::component::{Accessor, FutureReader, HasData, StreamReader};

use super::account;
use super::stream::{Produce, ProduceBytes};
use crate::bindings::lectern::platform::speech as wit;
use crate::limits::Held;
use crate::manifest::SpeechGrant;
use crate::state::View;
use crate::trace::{asked, named};

/// `None` is never linked; a call that came through all the same finds no engine.
pub(crate) type Granted = Option<Arc<dyn Speech>>;

type Spoken = (
    wit::Audio,
    StreamReader<u8>,
    FutureReader<Result<(), wit::Error>>,
);

/// Guest-controlled: what any engine could be asked for, in hertz.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=192_000;

/// The engine, and what the request takes on the guest's own account.
fn granted<T: Send>(
    accessor: &Accessor<T, Bound>,
    request: &wit::Request,
) -> Result<(Arc<dyn Speech>, Held), wit::Error> {
    let words = match &request.input {
        wit::Input::Text(text) | wit::Input::Ssml(text) => text.len(),
    };
    if request
        .sample_rate
        .is_some_and(|rate| !RATES.contains(&rate))
    {
        return Err(wit::Error::Invalid("there is no such sample rate".into()));
    }
    accessor.with(|mut access| {
        let account = account(&mut access);
        let view = access.get();
        let held = view.memory.hold(words).ok_or(wit::Error::QuotaExceeded)?;
        if !covers(view.manifest.grants.speech.as_ref(), &request.voice) {
            view.denials.count();
            tracing::warn!(service = %view.manifest.name, "denied: the voice is not in grants.speech.voices");
            return Err(wit::Error::Invalid("the manifest does not grant the voice".into()));
        }
        let speech = view.capability.ok_or(wit::Error::NotConfigured)?;
        Ok((metered(speech, account), held))
    })
}

/// At the caller's account, where there is one.
fn metered(inner: Arc<dyn Speech>, account: Option<Arc<Account>>) -> Arc<dyn Speech> {
    match account {
        Some(account) => Arc::new(MeteredSpeech { inner, account }),
        None => inner,
    }
}

fn covers(grant: Option<&SpeechGrant>, voice: &str) -> bool {
    grant.is_some_and(|grant| grant.covers(voice))
}

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Granted>;
}

impl wit::Host for View<'_, Granted> {}

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn voices(
        accessor: &Accessor<T, Self>,
        language_code: Option<String>,
    ) -> Result<Vec<wit::Voice>, wit::Error> {
        let (speech, grant) = accessor.with(|mut access| {
            let view = access.get();
            (view.capability, view.manifest.grants.speech.clone())
        });
        let speech = speech.ok_or(wit::Error::NotConfigured)?;
        let mut asked = asked(accessor, "speech", || named("speech voices"));
        let voices = speech.voices(language_code.as_deref());
        let voices = asked.answer::<_, _, wit::Error>(voices).await?;
        let granted = voices
            .into_iter()
            .filter(|voice| covers(grant.as_ref(), &voice.id));
        Ok(granted.map(wit::Voice::from).collect())
    }

    async fn synthesize(
        accessor: &Accessor<T, Self>,
        request: wit::Request,
    ) -> Result<Spoken, wit::Error> {
        let (speech, _held) = granted(accessor, &request)?;
        let mut asked = asked(accessor, "speech", || named("speech synthesize"));
        let request = request.into();
        let audio = speech.synthesize(&request);
        let audio = asked.answer::<_, _, wit::Error>(audio).await?;
        asked.span.set(
            "lectern.speech.characters",
            i64::from(audio.billed_characters),
        );
        let about = about(&audio);
        // The span ends with the bytes.
        let data = audio.data.map(move |chunk| {
            asked.span.answered(&chunk);
            chunk.map_err(wit::Error::from)
        });
        let (data, ended) = Produce::new(data.boxed());
        let done =
            async move { wasmtime::error::Ok(ended.await.unwrap_or(Err(wit::Error::Unavailable))) };
        accessor.with(|mut access| {
            let data = StreamReader::new(&mut access, ProduceBytes(data));
            let done = FutureReader::new(&mut access, done);
            match (data, done) {
                (Ok(data), Ok(done)) => Ok((about, data, done)),
                _ => Err(wit::Error::Unavailable),
            }
        })
    }

    async fn marks(
        accessor: &Accessor<T, Self>,
        request: wit::Request,
        kinds: Vec<wit::MarkKind>,
    ) -> Result<Vec<wit::Mark>, wit::Error> {
        let (speech, _request) = granted(accessor, &request)?;
        // Guest-controlled: there are two kinds, however often they are named.
        let asked = |kind: &MarkKind| kinds.iter().any(|asked| mark_kind(*asked) == *kind);
        let kinds = [MarkKind::Sentence, MarkKind::Word];
        let kinds: Vec<MarkKind> = kinds.into_iter().filter(asked).collect();
        let mut asking = crate::trace::asked(accessor, "speech", || named("speech marks"));
        let request = request.into();
        let marks = speech.marks(&request, &kinds);
        let marks = asking.answer::<_, _, wit::Error>(marks).await?;
        let bytes = marks
            .iter()
            .map(|m| size_of::<Mark>() + m.value.len())
            .sum();
        let _marks = accessor
            .with(|mut access| access.get().memory.hold(bytes))
            .ok_or(wit::Error::QuotaExceeded)?;
        Ok(marks.into_iter().map(wit::Mark::from).collect())
    }
}

fn about(audio: &Audio) -> wit::Audio {
    wit::Audio {
        engine: engine(audio.engine),
        format: match audio.format {
            Format::Mp3 => wit::Format::Mp3,
            Format::OggVorbis => wit::Format::OggVorbis,
            Format::Pcm => wit::Format::Pcm,
        },
        sample_rate: audio.sample_rate,
        billed_characters: audio.billed_characters,
    }
}

fn engine(engine: EngineKind) -> wit::Engine {
    match engine {
        EngineKind::Generative => wit::Engine::Generative,
        EngineKind::LongForm => wit::Engine::LongForm,
        EngineKind::Neural => wit::Engine::Neural,
        EngineKind::Standard => wit::Engine::Standard,
        EngineKind::Local => wit::Engine::Local,
    }
}

fn mark_kind(kind: wit::MarkKind) -> MarkKind {
    match kind {
        wit::MarkKind::Sentence => MarkKind::Sentence,
        wit::MarkKind::Word => MarkKind::Word,
    }
}

impl From<wit::Request> for Request {
    fn from(request: wit::Request) -> Self {
        Self {
            input: match request.input {
                wit::Input::Text(text) => Input::Text(text),
                wit::Input::Ssml(text) => Input::Ssml(text),
            },
            voice: request.voice,
            engine: request.engine.map(|engine| match engine {
                wit::Engine::Generative => EngineKind::Generative,
                wit::Engine::LongForm => EngineKind::LongForm,
                wit::Engine::Neural => EngineKind::Neural,
                wit::Engine::Standard => EngineKind::Standard,
                wit::Engine::Local => EngineKind::Local,
            }),
            format: match request.format {
                wit::Format::Mp3 => Format::Mp3,
                wit::Format::OggVorbis => Format::OggVorbis,
                wit::Format::Pcm => Format::Pcm,
            },
            sample_rate: request.sample_rate,
        }
    }
}

impl From<Voice> for wit::Voice {
    fn from(voice: Voice) -> Self {
        Self {
            id: voice.id,
            name: voice.name,
            language_code: voice.language_code,
            gender: match voice.gender {
                Gender::Female => wit::Gender::Female,
                Gender::Male => wit::Gender::Male,
                Gender::Neutral => wit::Gender::Neutral,
            },
            engines: voice.engines.into_iter().map(engine).collect(),
        }
    }
}

impl From<Mark> for wit::Mark {
    fn from(mark: Mark) -> Self {
        Self {
            kind: match mark.kind {
                MarkKind::Sentence => wit::MarkKind::Sentence,
                MarkKind::Word => wit::MarkKind::Word,
            },
            at_ms: mark.at_ms,
            start: mark.start,
            end: mark.end,
            value: mark.value,
        }
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotConfigured => Self::NotConfigured,
            Error::AccessDenied(why) => {
                tracing::error!(%why, "the speech service refuses the credentials");
                Self::AccessDenied
            }
            Error::Timeout => Self::Timeout,
            Error::Unavailable(why) => {
                tracing::warn!(%why, "speech is unavailable");
                Self::Unavailable
            }
            Error::QuotaExceeded => Self::QuotaExceeded,
            Error::TooLong { limit } => Self::TooLong(limit),
            Error::Invalid(why) => Self::Invalid(why),
            Error::UnsupportedSampleRate { rates } => Self::UnsupportedSampleRate(rates),
            Error::NothingToSay => Self::NothingToSay,
        }
    }
}
