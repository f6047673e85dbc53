//! The contract's routes, and what goes beyond it.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use guest::idempotency::{self, Key};
use guest::openapi::Error;
use guest::{Caller, Page, Path, Problem, Query, Router, health, routes};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::etag::Known;
use super::openapi::{Document, Documents, Started};
use super::secret::Asked;
use super::{edit, pages, remove, run, search, secret, store, text, upload, watch};

pub(super) fn router() -> Router {
    Router::new()
        .routes(routes!(upload::upload))
        .routes(routes!(upload::batch))
        .routes(routes!(document, remove::remove))
        .routes(routes!(watch::watch))
        .routes(routes!(edit::notes, edit::edit))
        .routes(routes!(pages::pages))
        .routes(routes!(documents))
        .routes(routes!(search::search))
        .routes(routes!(process))
        .route("/health", get(|| health::check("documents")))
}

/// Whom a request speaks for.
#[derive(Deserialize, IntoParams)]
pub(super) struct ByUser {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    pub(super) user_id: Option<String>,
}

/// A document: its text, its notes, how far it is.
#[utoipa::path(
    get,
    path = "/document/{id}",
    params(ByUser, Known),
    responses(
        (status = 200, description = "The document", body = Document, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "The client has this version"),
        (status = 404, description = "`DOCUMENT_NOT_FOUND`", body = Error),
    ),
)]
async fn document(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    text::response(store::document(&id, &owner).await?, &headers)
}

/// A user's documents, newest first.
#[utoipa::path(
    get,
    path = "/documents",
    params(ByUser, Page),
    responses((status = 200, description = "The documents", body = Documents)),
)]
async fn documents(
    caller: Caller,
    Query(by): Query<ByUser>,
    page: Page,
) -> Result<Response, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    Ok(page.answer("documents", store::documents(&user, &page).await?))
}

/// Reads a document again.
///
/// The text and the notes are made anew, but for notes that somebody has edited; a document that is
/// being processed is left to it.
#[utoipa::path(
    post,
    path = "/process/{id}",
    params(ByUser, Key),
    request_body(content = Option<Asked>),
    responses(
        (status = 202, description = "Processing started", body = Started),
        (status = 404, description = "`DOCUMENT_NOT_FOUND`", body = Error),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 422, description = "`IDEMPOTENCY_KEY_REUSED`", body = Error),
    ),
)]
async fn process(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    key: Key,
    asked: Asked,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let user = caller.acts_as(by.user_id.as_deref())?;
    let password = secret::told_apart(&key, asked.password.as_deref()).await?;
    let mut flags = vec![
        u8::from(asked.password.is_some()),
        u8::from(asked.replace_notes),
    ];
    // Without these it is what it was before there were any.
    flags.extend(asked.generate_notes.map(u8::from));
    let mut parts: Vec<&[u8]> = vec![id.as_bytes(), &flags];
    parts.extend(password.as_deref());
    let fingerprint = idempotency::fingerprint(&parts);
    idempotency::once(key, &user, "/process/{id}", &fingerprint, async |claim| {
        let body = json!({ "message": "Processing started", "document_id": id });
        run::again(&id, &owner, &asked, async |tx| {
            claim.answer_in(tx, StatusCode::ACCEPTED, None, &body).await
        })
        .await
    })
    .await
}
