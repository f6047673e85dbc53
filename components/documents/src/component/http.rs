//! The contract's routes, and what goes beyond it.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use guest::idempotency::{self, Key};
use guest::{Caller, Page, Path, Problem, Query, health};
use serde::Deserialize;
use serde_json::json;

use super::secret::Given;
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

/// The text and the notes made anew; a document that is being processed is left to it.
async fn process(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    key: Key,
    Given(password): Given,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let user = caller.acts_as(by.user_id.as_deref())?;
    // Not the password itself: a fingerprint is kept for a day, and could be guessed from.
    let has_password = [u8::from(password.is_some())];
    let fingerprint = idempotency::fingerprint(&[id.as_bytes(), &has_password]);
    idempotency::once(key, &user, "/process/{id}", &fingerprint, async |claim| {
        let body = json!({ "message": "Processing started", "document_id": id });
        run::again(&id, &owner, password.as_deref(), async |tx| {
            claim.answer_in(tx, StatusCode::ACCEPTED, None, &body).await
        })
        .await
    })
    .await
}
