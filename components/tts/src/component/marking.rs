//! When words and sentences are said: asked of the engine once for the bytes, when somebody asks first. Others
//! wait meanwhile; what an engine has told is kept call by call, also where it does not tell the rest.

use std::ops::Range;

use axum::http::StatusCode;
use guest::bindings::capabilities::lectern::platform::speech::Error;
use guest::postgres::Row;
use guest::{Problem, params, postgres};
use serde_json::json;

use super::engine::{self, Speaker};
use super::failure::Failure;
use super::library;
use super::rendition::{self, FIRST_LOOK, Rendition};
use super::speaking::{self, Stopped};
use crate::chunk::{self, Chunk, Limit};
use crate::format::Format;
use crate::marks::{Kind, Mark, placed};
use crate::request::{self, Order};
use crate::voice::{Engine, Gender, Voice};

/// Longer than one call takes with all its attempts, in seconds.
const LEASE_SECONDS: u32 = 60;

/// What is known of the bytes.
struct Begun {
    /// When each call begins.
    starts: Vec<u32>,
    /// What each speaks; `None` of bytes from before that was written down.
    spans: Option<Vec<Range<usize>>>,
    /// Of the first calls, those that were told already.
    told: Vec<Vec<Mark>>,
}

/// Those kinds, in their order.
pub(super) async fn marks(
    text: &str,
    is_ssml: bool,
    rendition: &Rendition,
    kinds: &[Kind],
) -> Result<Vec<Mark>, Problem> {
    let mut pause = FIRST_LOOK;
    let mut marks = loop {
        if let Some(known) = known(rendition).await? {
            break known;
        }
        if let Some(begun) = claim(rendition).await? {
            let told = told(text, is_ssml, rendition, begun).await;
            if told.is_err() {
                // Where this fails, the lease ends it.
                let _ = give_up(rendition).await;
            }
            break told.map_err(Failure::problem)?;
        }
        rendition::wait(&mut pause).await;
    };
    marks.retain(|mark| kinds.contains(&mark.kind));
    Ok(marks)
}

/// All of them, where they are; an error where the bytes have gone.
async fn known(rendition: &Rendition) -> Result<Option<Vec<Mark>>, Problem> {
    let row = postgres::fetch_optional(
        "select marks from renditions where content_key = $1 and blob_key = $2",
        params![&rendition.content_key, &rendition.blob_key],
    );
    let mut row = row.await?.ok_or_else(library::missing)?;
    let known = row.opt_text(0);
    let known = known.map(|known| serde_json::from_str(&known));
    known.transpose().map_err(|_| Problem::internal())
}

/// The right to ask for them, where nobody else does.
async fn claim(rendition: &Rendition) -> Result<Option<Begun>, Problem> {
    let claimed = postgres::fetch_optional(
        "update renditions set marks_lease_until = now() + $3 * interval '1 second' \
         where content_key = $1 and blob_key = $2 and marks is null \
         and (marks_lease_until is null or marks_lease_until < now()) \
         returning chunk_starts, chunk_spans, marks_told",
        params![&rendition.content_key, &rendition.blob_key, LEASE_SECONDS],
    );
    let begun = |mut row: Row| Begun {
        starts: serde_json::from_str(&row.text(0)).unwrap_or_default(),
        spans: row
            .opt_text(1)
            .and_then(|spans| serde_json::from_str(&spans).ok()),
        told: serde_json::from_str(&row.text(2)).unwrap_or_default(),
    };
    Ok(claimed.await?.map(begun))
}

async fn give_up(rendition: &Rendition) -> Result<(), Problem> {
    postgres::execute(
        "update renditions set marks_lease_until = null where content_key = $1 and blob_key = $2",
        params![&rendition.content_key, &rendition.blob_key],
    )
    .await
    .map(|_| ())
}

/// What the first calls have told.
async fn keep_some(rendition: &Rendition, told: &[Vec<Mark>]) -> Result<(), Problem> {
    postgres::execute(
        "update renditions set marks_told = $3, marks_lease_until = now() + $4 * interval '1 second' \
         where content_key = $1 and blob_key = $2",
        params![
            &rendition.content_key,
            &rendition.blob_key,
            json!(told),
            LEASE_SECONDS
        ],
    )
    .await
    .map(|_| ())
}

async fn keep(rendition: &Rendition, marks: &[Mark]) -> Result<(), Problem> {
    postgres::execute(
        "update renditions set marks = $3, marks_told = '[]', marks_lease_until = null \
         where content_key = $1 and blob_key = $2",
        params![&rendition.content_key, &rendition.blob_key, json!(marks)],
    )
    .await
    .map(|_| ())
}

/// By the engine, call by call, as the audio was.
async fn told(
    text: &str,
    is_ssml: bool,
    rendition: &Rendition,
    begun: Begun,
) -> Result<Vec<Mark>, Failure> {
    let order = order(text, is_ssml)?;
    let speaker = speaker(rendition);
    let chunks = spoken(&order, &speaker, begun.spans)?;
    let mut told = begun.told;
    let calls = chunks.iter().zip(&begun.starts).skip(told.len());
    for (chunk, start) in calls {
        let ask = || engine::marks(engine::request(&order, &speaker, &chunk.input));
        let of_chunk = speaking::patiently(ask).await;
        let of_chunk = of_chunk.map_err(untold)?;
        let placed = |mark| placed(mark, chunk, *start, text);
        told.push(of_chunk.into_iter().filter_map(placed).collect());
        keep_some(rendition, &told).await?;
    }
    let marks = told.concat();
    keep(rendition, &marks).await?;
    Ok(marks)
}

/// What each call spoke.
fn spoken(
    order: &Order,
    speaker: &Speaker,
    spans: Option<Vec<Range<usize>>>,
) -> Result<Vec<Chunk>, Failure> {
    match spans {
        Some(spans) => Ok(chunk::cut_at(&order.text, &order.units, &spans)),
        None => {
            let limit = Limit {
                milliseconds: u64::MAX,
                ..speaker.engine.limit()
            };
            speaking::chunks(order, limit)
        }
    }
}

fn untold(stopped: Stopped) -> Failure {
    match stopped {
        Stopped::Engine(Error::Invalid(why)) => Failure::Refused(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "MARKS_UNAVAILABLE",
            why,
        )),
        stopped => stopped.into(),
    }
}

/// Marks know neither format nor rate.
fn order(text: &str, is_ssml: bool) -> Result<Order, Failure> {
    Ok(Order {
        units: request::units(text, is_ssml)?,
        text: text.to_owned(),
        is_ssml,
        voice: None,
        language: None,
        engine: None,
        format: Format::Wav,
        rate: None,
        marks: vec![],
    })
}

fn speaker(rendition: &Rendition) -> Speaker {
    let engine = Engine::parse(&rendition.engine).unwrap_or(Engine::Local);
    Speaker {
        voice: Voice {
            id: rendition.voice_id.clone(),
            name: rendition.voice_id.clone(),
            language_code: rendition.language_code.clone(),
            gender: Gender::Neutral,
            engines: vec![engine],
        },
        engine,
    }
}
