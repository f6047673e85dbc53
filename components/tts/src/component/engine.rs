//! The host's speech in the domain's terms.

use std::sync::atomic::{AtomicBool, Ordering};

use guest::bindings::capabilities::lectern::platform::speech as wit;
use guest::{Problem, log, params, postgres};

use super::failure::Failure;
use crate::format::Format;
use crate::marks;
use crate::request::Order;
use crate::voice::{Engine, Gender, Voice};

/// Who speaks an order.
#[derive(Clone)]
pub(super) struct Speaker {
    pub(super) voice: Voice,
    pub(super) engine: Engine,
}

/// Whether this instance has stored what the engine said.
static KEPT: AtomicBool = AtomicBool::new(false);

/// All that are configured; those that were when the engine was last there, while it is away.
pub(super) async fn voices() -> Result<Vec<Voice>, Problem> {
    match wit::voices(None).await {
        Ok(voices) => {
            let voices: Vec<_> = voices.into_iter().map(voice).collect();
            if !KEPT.swap(true, Ordering::Relaxed) {
                keep(&voices).await;
            }
            Ok(voices)
        }
        Err(error) => match Failure::of(error) {
            Failure::Refused(problem) => Err(problem),
            Failure::Away(problem) => kept().await?.ok_or(problem),
        },
    }
}

/// What is spoken does not wait for it: the next instance stores them.
async fn keep(voices: &[Voice]) {
    let stored = postgres::execute(
        "insert into known_voices (voices) values ($1) \
         on conflict (one) do update set voices = excluded.voices, told_at = now() \
         where known_voices.voices <> excluded.voices",
        params![serde_json::to_string(voices).unwrap_or_default()],
    );
    if let Err(problem) = stored.await {
        log::warn(&format!("the voices are not kept: {}", problem.message()));
    }
}

async fn kept() -> Result<Option<Vec<Voice>>, Problem> {
    let row = postgres::fetch_optional("select voices from known_voices", vec![]).await?;
    Ok(row.and_then(|mut row| serde_json::from_str(&row.text(0)).ok()))
}

fn voice(voice: wit::Voice) -> Voice {
    Voice {
        id: voice.id,
        name: voice.name,
        language_code: voice.language_code,
        gender: match voice.gender {
            wit::Gender::Female => Gender::Female,
            wit::Gender::Male => Gender::Male,
            wit::Gender::Neutral => Gender::Neutral,
        },
        engines: voice.engines.into_iter().map(engine).collect(),
    }
}

fn engine(engine: wit::Engine) -> Engine {
    match engine {
        wit::Engine::Generative => Engine::Generative,
        wit::Engine::LongForm => Engine::LongForm,
        wit::Engine::Neural => Engine::Neural,
        wit::Engine::Standard => Engine::Standard,
        wit::Engine::Local => Engine::Local,
    }
}

/// One call of the engine.
pub(super) fn request(order: &Order, speaker: &Speaker, input: &str) -> wit::Request {
    wit::Request {
        input: match order.is_ssml {
            true => wit::Input::Ssml(input.to_owned()),
            false => wit::Input::Text(input.to_owned()),
        },
        voice: speaker.voice.id.clone(),
        engine: Some(match speaker.engine {
            Engine::Generative => wit::Engine::Generative,
            Engine::LongForm => wit::Engine::LongForm,
            Engine::Neural => wit::Engine::Neural,
            Engine::Standard => wit::Engine::Standard,
            Engine::Local => wit::Engine::Local,
        }),
        format: match order.format {
            Format::Mp3 => wit::Format::Mp3,
            Format::Ogg => wit::Format::OggVorbis,
            Format::Wav => wit::Format::Pcm,
        },
        sample_rate: order.rate,
    }
}

/// Words and sentences of one call's input.
pub(super) async fn marks(request: wit::Request) -> Result<Vec<marks::Mark>, wit::Error> {
    let kinds = vec![wit::MarkKind::Sentence, wit::MarkKind::Word];
    let marks = wit::marks(request, kinds).await?;
    Ok(marks.into_iter().map(mark).collect())
}

fn mark(mark: wit::Mark) -> marks::Mark {
    marks::Mark {
        time: mark.at_ms,
        kind: match mark.kind {
            wit::MarkKind::Sentence => marks::Kind::Sentence,
            wit::MarkKind::Word => marks::Kind::Word,
        },
        start: mark.start as usize,
        end: mark.end as usize,
        value: mark.value,
    }
}
