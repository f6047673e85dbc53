//! The contract's routes, and those beside them.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use guest::openapi::Error;
use guest::page::Page;
use guest::{Caller, Path, Problem, Query, Router, health, routes};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::openapi::{Deleted, Transcription, Transcriptions};
use super::{removal, store, submit, watch};
use crate::subtitles::{self, Format};
use crate::transcript::Word;

pub(super) fn router() -> Router {
    Router::new()
        .routes(routes!(submit::one))
        .routes(routes!(submit::batch))
        .routes(routes!(transcription, delete))
        .routes(routes!(subtitles))
        .routes(routes!(watch::events))
        .routes(routes!(transcriptions))
        .route("/health", get(|| health::check("stt")))
}

#[derive(Deserialize, IntoParams)]
pub(super) struct ByUser {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    pub(super) user_id: Option<String>,
}

/// A transcription: how it stands, and what was said.
#[utoipa::path(
    get,
    path = "/transcription/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "The transcription", body = Transcription),
        (status = 404, description = "`TRANSCRIPTION_NOT_FOUND`", body = Error),
        (status = 410, description = "`TRANSCRIPTION_GONE`", body = Error),
    ),
)]
async fn transcription(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let shown = store::job(&id, &owner).await?;
    let mut body = serde_json::to_string(&shown.body).map_err(|_| Problem::internal())?;
    // The members stand already, and so do the words: they are one more.
    body.pop();
    body.push_str(",\"words\":");
    body.push_str(&shown.words);
    body.push('}');
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// A user's transcriptions, newest first.
#[utoipa::path(
    get,
    path = "/transcriptions",
    params(ByUser, Page),
    responses((status = 200, description = "The transcriptions", body = Transcriptions)),
)]
async fn transcriptions(
    caller: Caller,
    page: Page,
    Query(by): Query<ByUser>,
) -> Result<Response, Problem> {
    let owner = caller.acts_as(by.user_id.as_deref())?.into();
    Ok(page.answer("transcriptions", store::jobs(&owner, &page).await?))
}

/// Deletes a transcription with its recording.
#[utoipa::path(
    delete,
    path = "/transcription/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 404, description = "`TRANSCRIPTION_NOT_FOUND`", body = Error),
        (status = 410, description = "`TRANSCRIPTION_GONE`", body = Error),
    ),
)]
async fn delete(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    removal::delete(&id, &owner).await?;
    let message = "Transcription deleted successfully";
    Ok(Json(json!({ "message": message, "job_id": id })))
}

#[derive(Deserialize, IntoParams)]
struct Subtitles {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    user_id: Option<String>,
    /// `srt` when absent.
    #[param(nullable = false, pattern = "^(srt|vtt)$")]
    format: Option<String>,
}

/// What was said as subtitles.
#[utoipa::path(
    get,
    path = "/transcription/{id}/subtitles",
    params(Subtitles),
    responses(
        (status = 200, description = "The file", content((String = "application/x-subrip"), (String = "text/vtt"))),
        (status = 404, description = "`TRANSCRIPTION_NOT_FOUND`", body = Error),
        (status = 409, description = "`TRANSCRIPTION_PROCESSING`", body = Error),
        (status = 410, description = "`TRANSCRIPTION_GONE`", body = Error),
        (status = 422, description = "`TRANSCRIPTION_FAILED`, `NO_WORD_TIMES`", body = Error),
    ),
)]
async fn subtitles(
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<Subtitles>,
) -> Result<Response, Problem> {
    let format = Format::parse(query.format.as_deref().unwrap_or("srt"));
    let format = format.ok_or_else(|| Problem::validation("`format` is `srt` or `vtt`"))?;
    let owner = caller.sees(query.user_id.as_deref())?;
    let shown = store::job(&id, &owner).await?.completed()?;
    let words: Vec<Word> = serde_json::from_str(&shown.words).map_err(|_| Problem::internal())?;
    let said = shown.body["transcript"].as_str();
    if words.is_empty() && said.is_some_and(|text| !text.is_empty()) {
        let why = "the engine does not tell when words are said";
        return Err(Problem::unprocessable("NO_WORD_TIMES", why));
    }
    let file = subtitles::write(&words, format);
    Ok(([(header::CONTENT_TYPE, format.media_type())], file).into_response())
}
