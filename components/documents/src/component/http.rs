//! The contract's routes, and what goes beyond it.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use guest::idempotency::{self, Key};
use guest::{Caller, Page, Path, Problem, Query, health};
use serde::Deserialize;
use serde_json::json;

use super::secret::Asked;
use super::{edit, pages, remove, run, search, store, text, upload, watch};

pub(super) fn router() -> Router {
    Router::new()
        .route("/upload", post(upload::upload))
        .route("/upload/batch", post(upload::batch))
        .route("/document/{id}", get(document).delete(remove::remove))
        .route("/document/{id}/events", get(watch::watch))
        .route("/document/{id}/notes", get(edit::notes).put(edit::edit))
        .route("/document/{id}/pages", get(pages::pages))
        .route("/documents", get(documents))
        .route("/documents/search", get(search::search))
        .route("/process/{id}", post(process))
        .route("/health", get(|| health::check("documents")))
}

/// Whom a request speaks for.
#[derive(Deserialize)]
pub(super) struct ByUser {
    pub(super) user_id: Option<String>,
}

async fn document(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    text::response(store::document(&id, &owner).await?, &headers)
}

async fn documents(
    caller: Caller,
    Query(by): Query<ByUser>,
    page: Page,
) -> Result<Response, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    Ok(page.answer("documents", store::documents(&user, &page).await?))
}

/// The text and the notes made anew, but for notes that somebody has edited; a document that is being processed is left to it.
async fn process(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    key: Key,
    asked: Asked,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let user = caller.acts_as(by.user_id.as_deref())?;
    // Not the password itself: a fingerprint is kept for a day, and could be guessed from.
    let flags = [
        u8::from(asked.password.is_some()),
        u8::from(asked.replace_notes),
    ];
    let fingerprint = idempotency::fingerprint(&[id.as_bytes(), &flags]);
    idempotency::once(key, &user, "/process/{id}", &fingerprint, async |claim| {
        let body = json!({ "message": "Processing started", "document_id": id });
        run::again(&id, &owner, &asked, async |tx| {
            claim.answer_in(tx, StatusCode::ACCEPTED, None, &body).await
        })
        .await
    })
    .await
}
