//! When words and sentences are said: asked of the engine once for the bytes, when somebody asks first.

use axum::http::StatusCode;
use guest::bindings::capabilities::lectern::platform::speech::Error;
use guest::{Problem, params, postgres};
use serde_json::json;

use super::engine::{self, Speaker};
use super::failure::Failure;
use super::rendition::Rendition;
use super::speaking;
use crate::format::Format;
use crate::marks::{Kind, Mark, placed};
use crate::request::{self, Order};
use crate::voice::{Engine, Gender, Voice};

/// Those kinds, in their order.
pub(super) async fn marks(
    text: &str,
    is_ssml: bool,
    rendition: &Rendition,
    kinds: &[Kind],
) -> Result<Vec<Mark>, Problem> {
    let row = postgres::fetch_optional(
        "select marks, chunk_starts from renditions where content_key = $1 and blob_key = $2",
        params![&rendition.content_key, &rendition.blob_key],
    );
    let mut row = row.await?.ok_or_else(Problem::internal)?;
    let known = row.opt_text(0);
    let mut marks: Vec<Mark> = match known.and_then(|known| serde_json::from_str(&known).ok()) {
        Some(known) => known,
        None => {
            let starts: Vec<u32> = serde_json::from_str(&row.text(1)).unwrap_or_default();
            let told = told(text, is_ssml, rendition, &starts).await;
            let told = told.map_err(Failure::problem)?;
            keep(rendition, &told).await?;
            told
        }
    };
    marks.retain(|mark| kinds.contains(&mark.kind));
    Ok(marks)
}

async fn keep(rendition: &Rendition, marks: &[Mark]) -> Result<(), Problem> {
    postgres::execute(
        "update renditions set marks = $3 where content_key = $1 and blob_key = $2",
        params![&rendition.content_key, &rendition.blob_key, json!(marks)],
    )
    .await
    .map(|_| ())
}

/// By the engine, chunk by chunk, as the audio was.
async fn told(
    text: &str,
    is_ssml: bool,
    rendition: &Rendition,
    starts: &[u32],
) -> Result<Vec<Mark>, Failure> {
    let order = order(text, is_ssml)?;
    let speaker = speaker(rendition);
    let mut marks = Vec::new();
    let chunks = speaking::chunks(&order, speaker.engine)?;
    for (chunk, start) in chunks.iter().zip(starts) {
        let request = engine::request(&order, &speaker, &chunk.input);
        let told = engine::marks(request).await;
        let told = told.map_err(|error| match error {
            Error::Invalid(why) => Failure::Refused(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "MARKS_UNAVAILABLE",
                why,
            )),
            error => Failure::of(error, is_ssml),
        })?;
        let of_chunk = told.into_iter();
        marks.extend(of_chunk.filter_map(|mark| placed(mark, chunk, *start, text)));
    }
    Ok(marks)
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
