//! The contract's routes, and those beyond it.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use guest::idempotency::Key;
use guest::page::Page;
use guest::uuid::Uuid;
use guest::{Caller, Path, Problem, Query, health};
use serde::Deserialize;
use serde_json::{Value, json};

use super::history::{self, Part, Session};
use super::sessions;
use super::store;
use super::turn::Turn;
use crate::export;
use crate::request::Request;

pub(super) fn router() -> Router {
    Router::new()
        .route("/chat", post(chat))
        .route("/chat/history/{id}", get(history))
        .route("/chat/sessions", get(list))
        .route("/chat/sessions/{id}", patch(rename).delete(delete))
        .route("/chat/sessions/{id}/export", get(export))
        .route("/health", get(|| health::check("chat")))
}

#[derive(Deserialize)]
struct ByUser {
    user_id: Option<String>,
}

async fn chat(
    caller: Caller,
    key: Key,
    headers: HeaderMap,
    guest::Json(request): guest::Json<Request>,
) -> Result<Response, Problem> {
    request.check()?;
    let user = caller.acts_as(request.user_id.as_deref())?;
    let message_id = store::question_id(&key, &user).await?;
    let turn = Turn {
        session: session_of(&request, &message_id),
        message_id: message_id.to_string(),
        streamed: accepts_events(&headers),
        request,
        user,
    };
    turn.take(key).await
}

/// A new session is the same where the request that makes it is repeated.
fn session_of(request: &Request, message: &Uuid) -> String {
    let new = || Uuid::new_v5(message, b"session").to_string();
    request.session_id.clone().unwrap_or_else(new)
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let names =
        |range: &str| range.split(';').next().unwrap_or_default().trim() == "text/event-stream";
    accept.is_some_and(|accept| accept.split(',').any(names))
}

async fn history(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    Query(part): Query<Part>,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let body = history::read(&id, &owner, &part).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

#[derive(Deserialize)]
struct Search {
    q: Option<String>,
}

async fn list(
    caller: Caller,
    page: Page,
    Query(by): Query<ByUser>,
    Query(search): Query<Search>,
) -> Result<Response, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    sessions::list(&user, &page, search.q.as_deref()).await
}

#[derive(Deserialize)]
struct Rename {
    title: String,
    user_id: Option<String>,
}

async fn rename(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    guest::Json(rename): guest::Json<Rename>,
) -> Result<Json<Value>, Problem> {
    let claimed = rename.user_id.as_deref().or(by.user_id.as_deref());
    let owner = caller.sees(claimed)?;
    let title = sessions::rename(&id, &owner, &rename.title).await?;
    Ok(Json(json!({ "session_id": id, "title": title })))
}

async fn delete(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    sessions::delete(&id, &owner).await?;
    Ok(Json(
        json!({ "message": "Session deleted successfully", "session_id": id }),
    ))
}

#[derive(Deserialize)]
struct Export {
    format: Option<String>,
}

async fn export(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    Query(Export { format }): Query<Export>,
) -> Result<Response, Problem> {
    let markdown = match format.as_deref() {
        None | Some("json") => false,
        Some("markdown") => true,
        Some(_) => return Err(Problem::validation("`format` is `markdown` or `json`")),
    };
    let owner = caller.sees(by.user_id.as_deref())?;
    let session = Session::find(&id, &owner).await?;
    let messages = history::all(&session).await?;
    let (kind, name, body) = if markdown {
        let text = export::markdown(&session.title, &messages);
        (
            "text/markdown; charset=utf-8",
            "attachment; filename=\"chat.md\"",
            text,
        )
    } else {
        let whole = json!({ "session_id": id, "title": session.title, "messages": messages });
        (
            "application/json",
            "attachment; filename=\"chat.json\"",
            whole.to_string(),
        )
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, body).into_response())
}
