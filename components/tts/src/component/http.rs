//! The contract's routes, and what they lack: the bytes, the marks, lists.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use guest::idempotency::{Key, fingerprint};
use guest::page::Page;
use guest::{Caller, Path, Problem, Query, extract, health};
use serde::Deserialize;
use serde_json::{Value, json};

use super::content::{self, Origin};
use super::failure::Failure;
use super::library::Audio;
use super::{batch, engine, library, marking, synthesize};
use crate::request::{self, Synthesize};
use crate::voice::Voice;

pub(super) fn router() -> Router {
    Router::new()
        .route("/synthesize", post(speak))
        .route("/synthesize/batch", post(batch::create))
        .route("/synthesize/batch/{id}", get(batch::show))
        .route("/audio", get(list))
        .route("/audio/{id}", get(show).delete(delete))
        .route("/audio/{id}/content", get(bytes))
        .route("/audio/{id}/marks", get(marks))
        .route("/voices", get(voices))
        .route("/health", get(|| health::check("tts")))
}

#[derive(Deserialize)]
pub(super) struct ByUser {
    pub(super) user_id: Option<String>,
}

/// Whether the client would rather listen than read.
fn is_heard(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let first = accept.and_then(|accept| accept.to_str().ok()?.split(',').next());
    first.is_some_and(|first| first.trim().to_ascii_lowercase().starts_with("audio/"))
}

async fn speak(
    caller: Caller,
    key: Key,
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let request: Synthesize = extract::parse(&body)?;
    let user = caller.acts_as(request.user_id.as_deref())?;
    let order = request.check()?;
    match is_heard(&headers) {
        true => synthesize::heard(user, order)
            .await
            .map_err(Failure::problem),
        false => {
            let fingerprint = fingerprint(&[&body]);
            synthesize::told(key, user, order, origin, &fingerprint).await
        }
    }
}

/// The contract's body, with where the bytes are.
pub(super) async fn shown(audio: &Audio, origin: &Origin) -> Result<Value, Problem> {
    let mut body = audio.body();
    body["s3_url"] = match &audio.rendition {
        Some(rendition) => {
            let address = content::address(&audio.id, audio.format, &rendition.blob_key, origin);
            json!(address.await?)
        }
        None => Value::Null,
    };
    Ok(body)
}

async fn show(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    origin: Origin,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let audio = library::find(&id, &owner).await?;
    shown(&audio, &origin).await.map(Json)
}

async fn list(caller: Caller, Query(by): Query<ByUser>, page: Page) -> Result<Response, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    let found = library::list(&user, &page).await?;
    let item = |(cursor, audio): (_, Audio)| (cursor, audio.body());
    Ok(page.answer("audio", found.into_iter().map(item).collect()))
}

async fn delete(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    library::delete(&id, &owner).await?;
    Ok(Json(
        json!({ "message": "Audio deleted successfully", "audio_id": id }),
    ))
}

async fn bytes(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let (audio, rendition) = library::completed(&id, &owner).await?;
    content::respond(&audio.id, audio.format, &rendition, &headers).await
}

#[derive(Deserialize)]
struct Wanted {
    user_id: Option<String>,
    /// `sentence`, `word`, or both with a comma; both when absent.
    types: Option<String>,
}

async fn marks(
    caller: Caller,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(wanted.user_id.as_deref())?;
    let types = wanted.types.as_deref().unwrap_or("sentence,word");
    let types: Vec<_> = types.split(',').map(str::trim).collect();
    let kinds = request::kinds(&types)?;
    let (audio, rendition) = library::completed(&id, &owner).await?;
    let text = audio.text.unwrap_or_default();
    let marks = marking::marks(&text, audio.is_ssml, &rendition, &kinds).await?;
    Ok(Json(json!({ "audio_id": id, "speech_marks": marks })))
}

#[derive(Deserialize)]
struct ByLanguage {
    language_code: Option<String>,
}

async fn voices(Query(by): Query<ByLanguage>) -> Result<Json<Value>, Problem> {
    let voices = engine::voices().await?;
    let language = by.language_code.as_deref();
    let fitting = voices
        .iter()
        .filter(|voice| language.is_none_or(|l| voice.fits(l)));
    let voices: Vec<_> = fitting.map(body).collect();
    Ok(Json(json!({ "voices": voices })))
}

fn body(voice: &Voice) -> Value {
    let engines: Vec<_> = voice.engines.iter().map(|engine| engine.as_str()).collect();
    json!({
        "id": voice.id,
        "name": voice.name,
        "language_code": voice.language_code,
        "gender": voice.gender.as_str(),
        "engines": engines,
    })
}
