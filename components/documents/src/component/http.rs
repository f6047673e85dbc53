//! The contract's routes.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use guest::{Caller, Path, Problem, Query, health};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{store, text, upload};

pub(super) fn router() -> Router {
    Router::new()
        .route("/upload", post(upload::upload))
        .route("/document/{id}", get(document))
        .route("/documents", get(documents))
        .route("/process/{id}", post(process))
        .route("/health", get(|| health::check("documents")))
}

#[derive(Deserialize)]
struct ByUser {
    user_id: Option<String>,
}

async fn document(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    text::response(store::document(&id, &owner).await?)
}

async fn documents(caller: Caller, Query(by): Query<ByUser>) -> Result<Json<Value>, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    Ok(Json(json!({ "documents": store::documents(&user).await? })))
}

async fn process(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<impl IntoResponse, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    store::process_again(&id, &owner).await?;
    let body = json!({ "message": "Processing started", "document_id": id });
    Ok((StatusCode::ACCEPTED, Json(body)))
}
