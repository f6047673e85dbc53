//! The contract's routes, and what they lack: the bytes, the marks, lists.

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::get;
use guest::idempotency::{Key, fingerprint};
use guest::openapi::Error;
use guest::page::Page;
use guest::{Caller, Path, Problem, Query, Router, extract, health, routes};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::content::{self, Ranged};
use super::library::Audio;
use super::openapi::{Audios, Binary, Deleted, Marks, Shown, Spoken, Voices};
use super::{batch, engine, library, live, marking, synthesize};
use crate::request::{self, Synthesize};
use crate::voice::Voice;

pub(super) fn router() -> Router {
    Router::new()
        .routes(routes!(speak))
        .routes(routes!(batch::create))
        .routes(routes!(batch::show))
        .routes(routes!(list))
        .routes(routes!(show, delete))
        .routes(routes!(bytes))
        .routes(routes!(marks))
        .routes(routes!(voices))
        .route("/health", get(|| health::check("tts")))
}

#[derive(Deserialize, IntoParams)]
pub(super) struct ByUser {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    pub(super) user_id: Option<String>,
}

/// Whether the client would rather listen than read.
fn is_heard(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let first = accept.and_then(|accept| accept.to_str().ok()?.split(',').next());
    first.is_some_and(|first| first.trim().to_ascii_lowercase().starts_with("audio/"))
}

/// Speaks a text.
///
/// With an `Accept` that begins with `audio/` the answer is the audio itself, while it is spoken.
#[utoipa::path(
    post,
    path = "/synthesize",
    params(Key),
    request_body(content = Synthesize),
    responses(
        (status = 200, description = "Where the audio is", content((Spoken = "application/json"), (Binary = "audio/mpeg"), (Binary = "audio/ogg"), (Binary = "audio/wav")), headers(("Location" = String, description = "The audio"))),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 413, description = "`TEXT_TOO_LONG`", body = Error),
        (status = 422, description = "`NOTHING_TO_SAY`, `IDEMPOTENCY_KEY_REUSED`", body = Error),
        (status = 502, description = "`UPSTREAM_ERROR`", body = Error),
    ),
)]
async fn speak(
    caller: Caller,
    key: Key,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let request: Synthesize = extract::parse(&body)?;
    let user = caller.acts_as(request.user_id.as_deref())?;
    let order = request.check()?;
    if is_heard(&headers) {
        // Another answer than the same body's in JSON.
        let fingerprint = fingerprint(&[&body, b"audio"]);
        return live::heard(key, user, order, &fingerprint).await;
    }
    let fingerprint = fingerprint(&[&body]);
    synthesize::told(key, user, order, &fingerprint).await
}

/// The contract's body, with where the bytes are.
pub(super) async fn shown(audio: &Audio) -> Result<Value, Problem> {
    let mut body = audio.body();
    body["s3_url"] = match &audio.rendition {
        Some(rendition) => {
            let address = content::address(&audio.id, audio.format, &rendition.blob_key);
            json!(address.await?)
        }
        None => Value::Null,
    };
    Ok(body)
}

/// An audio, and where its bytes are.
#[utoipa::path(
    get,
    path = "/audio/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "The audio", body = Shown),
        (status = 404, description = "`AUDIO_NOT_FOUND`", body = Error),
        (status = 410, description = "`AUDIO_GONE`", body = Error),
    ),
)]
async fn show(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let audio = library::find(&id, &owner).await?;
    shown(&audio).await.map(Json)
}

/// A user's audio, newest first.
#[utoipa::path(
    get,
    path = "/audio",
    params(ByUser, Page),
    responses((status = 200, description = "The audio", body = Audios)),
)]
async fn list(caller: Caller, Query(by): Query<ByUser>, page: Page) -> Result<Response, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    let found = library::list(&user, &page).await?;
    let item = |(cursor, audio): (_, Audio)| (cursor, audio.body());
    Ok(page.answer("audio", found.into_iter().map(item).collect()))
}

/// Deletes an audio.
#[utoipa::path(
    delete,
    path = "/audio/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 404, description = "`AUDIO_NOT_FOUND`", body = Error),
        (status = 410, description = "`AUDIO_GONE`", body = Error),
    ),
)]
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

/// The bytes of an audio, whole or a part.
#[utoipa::path(
    get,
    path = "/audio/{id}/content",
    params(ByUser, Ranged),
    responses(
        (status = 200, description = "All of it", content((Binary = "audio/mpeg"), (Binary = "audio/ogg"), (Binary = "audio/wav")), headers(("ETag" = String, description = "Of the bytes"))),
        (status = 206, description = "A part", content((Binary = "audio/mpeg"), (Binary = "audio/ogg"), (Binary = "audio/wav")), headers(("Content-Range" = String, description = "Which"))),
        (status = 304, description = "The client has them"),
        (status = 404, description = "`AUDIO_NOT_FOUND`", body = Error),
        (status = 409, description = "`AUDIO_NOT_READY`, `AUDIO_FAILED`", body = Error),
        (status = 410, description = "`AUDIO_GONE`", body = Error),
        (status = 416, description = "`RANGE_NOT_SATISFIABLE`", body = Error),
    ),
)]
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

#[derive(Deserialize, IntoParams)]
struct Wanted {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    user_id: Option<String>,
    /// `sentence`, `word`, or both with a comma; both when absent.
    #[param(nullable = false, pattern = "^(sentence|word)(,(sentence|word))*$")]
    types: Option<String>,
}

/// When each sentence and word of an audio begins.
#[utoipa::path(
    get,
    path = "/audio/{id}/marks",
    params(Wanted),
    responses(
        (status = 200, description = "The marks", body = Marks),
        (status = 404, description = "`AUDIO_NOT_FOUND`", body = Error),
        (status = 409, description = "`AUDIO_NOT_READY`, `AUDIO_FAILED`", body = Error),
        (status = 410, description = "`AUDIO_GONE`", body = Error),
        (status = 502, description = "`UPSTREAM_ERROR`", body = Error),
    ),
)]
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

#[derive(Deserialize, IntoParams)]
struct ByLanguage {
    /// As in `en`, or `en-US`.
    #[param(nullable = false)]
    language_code: Option<String>,
}

/// The voices that there are.
#[utoipa::path(
    get,
    path = "/voices",
    params(ByLanguage),
    responses(
        (status = 200, description = "The voices", body = Voices),
        (status = 502, description = "`UPSTREAM_ERROR`", body = Error),
    ),
)]
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
