//! The contract's routes, and those beyond it.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use guest::idempotency::Key;
use guest::openapi::Error;
use guest::page::Page;
use guest::uuid::Uuid;
use guest::{Caller, Path, Problem, Query, Router, health, routes};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::history::{self, Coding, Part, Session};
use super::openapi::{Answered, Deleted, Exported, History, Renamed, Sessions};
use super::sessions;
use super::store;
use super::turn::{self, Turn};
use crate::export;
use crate::request::Request;

pub(super) fn router() -> Router {
    Router::new()
        .routes(routes!(chat))
        .routes(routes!(history))
        .routes(routes!(list))
        .routes(routes!(rename, delete))
        .routes(routes!(export))
        .route("/health", get(|| health::check("chat")))
}

#[derive(Deserialize, IntoParams)]
struct ByUser {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    user_id: Option<String>,
}

/// Answers a question.
///
/// From the documents that it names, with quotes of them; without documents, by the language model
/// alone. With `Accept: text/event-stream` the answer is told while it is written: the events `session`,
/// `token` (`{"text"}`), `citations`, `done`, and `error` where it breaks off.
#[utoipa::path(
    post,
    path = "/chat",
    params(Key),
    responses(
        (status = 200, description = "The answer", content(
            (Answered = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 404, description = "`SESSION_NOT_FOUND`, `DOCUMENT_NOT_FOUND`", body = Error),
        (status = 409, description = "`DOCUMENT_PROCESSING`, `IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 422, description = "`DOCUMENT_UNREADABLE`, `IDEMPOTENCY_KEY_REUSED`", body = Error),
    ),
)]
async fn chat(
    caller: Caller,
    key: Key,
    headers: HeaderMap,
    guest::Json(request): guest::Json<Request>,
) -> Result<Response, Problem> {
    request.check()?;
    let user = caller.acts_as(request.user_id.as_deref())?;
    let asked = turn::fingerprint(&request);
    let message_id = store::question_id(&key, &user, &asked).await?;
    let turn = Turn {
        session: session_of(&request, &message_id),
        message_id: message_id.to_string(),
        streamed: accepts_events(&headers),
        request,
        user,
        asked,
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

/// What was said in a session.
///
/// The latest messages in their order; `next_cursor` leads to earlier ones.
#[utoipa::path(
    get,
    path = "/chat/history/{id}",
    params(ByUser, Part),
    responses(
        (status = 200, description = "The messages", body = History),
        (status = 404, description = "`SESSION_NOT_FOUND`", body = Error),
    ),
)]
async fn history(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    Query(part): Query<Part>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let coding = coding(&headers);
    let body = history::read(&id, &owner, &part, coding).await?;
    let told = [
        (header::CONTENT_TYPE, "application/json"),
        (header::VARY, "accept-encoding"),
    ];
    let mut response = (told, body).into_response();
    if coding == Coding::Gzip {
        let gzip = HeaderValue::from_static("gzip");
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, gzip);
    }
    Ok(response)
}

/// What the client takes: RFC 9110, section 12.5.3.
fn coding(headers: &HeaderMap) -> Coding {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let accepted = accepted.filter_map(|accepted| accepted.to_str().ok());
    let mut codings = accepted.flat_map(|accepted| accepted.split(','));
    let takes_gzip = codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().is_ok_and(|q| q > 0.0)
    });
    if takes_gzip {
        Coding::Gzip
    } else {
        Coding::Plain
    }
}

#[derive(Deserialize, IntoParams)]
struct Search {
    /// Searches titles and one's own messages.
    #[param(nullable = false)]
    q: Option<String>,
}

/// A user's sessions, latest first.
#[utoipa::path(
    get,
    path = "/chat/sessions",
    params(ByUser, Search, Page),
    responses((status = 200, description = "The sessions", body = Sessions)),
)]
async fn list(
    caller: Caller,
    page: Page,
    Query(by): Query<ByUser>,
    Query(search): Query<Search>,
) -> Result<Response, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    sessions::list(&user, &page, search.q.as_deref()).await
}

#[derive(Deserialize, ToSchema)]
struct Rename {
    /// 1 to 120 characters, none of them control characters.
    #[schema(min_length = 1, max_length = 120)]
    title: String,
    /// Whose; the token's subject when absent.
    user_id: Option<String>,
}

/// Gives a session another title.
#[utoipa::path(
    patch,
    path = "/chat/sessions/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "The title as it is kept", body = Renamed),
        (status = 404, description = "`SESSION_NOT_FOUND`", body = Error),
    ),
)]
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

/// Deletes a session with all that was said in it.
#[utoipa::path(
    delete,
    path = "/chat/sessions/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 404, description = "`SESSION_NOT_FOUND`", body = Error),
    ),
)]
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

#[derive(Deserialize, IntoParams)]
struct Export {
    /// `json` when absent.
    #[param(nullable = false, pattern = "^(json|markdown)$")]
    format: Option<String>,
}

/// A session to take away, as JSON or Markdown.
#[utoipa::path(
    get,
    path = "/chat/sessions/{id}/export",
    params(ByUser, Export),
    responses(
        (status = 200, description = "All of it", content(
            (Exported = "application/json"),
            (String = "text/markdown"),
        )),
        (status = 404, description = "`SESSION_NOT_FOUND`", body = Error),
    ),
)]
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
