//! The contract's routes, and those beside them.

use axum::Json;
use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use guest::page::Page;
use guest::{Caller, Path, Problem, Query, health};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{removal, store, submit, watch};
use crate::subtitles::{self, Format};
use crate::transcript::Word;

pub(super) fn router() -> Router {
    Router::new()
        .route("/transcribe", post(submit::one))
        .route("/transcribe/batch", post(submit::batch))
        .route("/transcription/{id}", get(transcription).delete(delete))
        .route("/transcription/{id}/subtitles", get(subtitles))
        .route("/transcription/{id}/events", get(watch::events))
        .route("/transcriptions", get(transcriptions))
        .route("/health", get(|| health::check("stt")))
}

#[derive(Deserialize)]
pub(super) struct ByUser {
    pub(super) user_id: Option<String>,
}

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

async fn transcriptions(
    caller: Caller,
    page: Page,
    Query(by): Query<ByUser>,
) -> Result<Response, Problem> {
    let owner = caller.acts_as(by.user_id.as_deref())?.into();
    Ok(page.answer("transcriptions", store::jobs(&owner, &page).await?))
}

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

#[derive(Deserialize)]
struct Subtitles {
    user_id: Option<String>,
    format: Option<String>,
}

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
