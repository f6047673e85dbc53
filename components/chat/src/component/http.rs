//! The contract's routes.

use axum::routing::{get, post};
use axum::{Json, Router};
use guest::uuid::Uuid;
use guest::{Caller, Path, Problem, Query, health, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, store};
use crate::request::Request;

pub(super) fn router() -> Router {
    Router::new()
        .route("/chat", post(chat))
        .route("/chat/history/{id}", get(history))
        .route("/chat/sessions", get(sessions))
        .route("/health", get(|| health::check("chat")))
}

#[derive(Deserialize)]
struct ByUser {
    user_id: Option<String>,
}

async fn chat(
    caller: Caller,
    guest::Json(request): guest::Json<Request>,
) -> Result<Json<Value>, Problem> {
    request.check()?;
    let user = caller.acts_as(request.user_id.as_deref())?;
    let session = request
        .session_id
        .clone()
        .unwrap_or_else(|| Uuid::new_v4().to_string());
    // Before the session is touched: a question about somebody else's document leaves no trace.
    let source = answer::source(&request, &user).await?;
    let said = store::ask(&session, &user, &request.message).await?;
    let answer = answer::answer(&request.message, &said, &source).await?;
    store::answered(&session, &user, &answer).await?;
    Ok(Json(json!({
        "session_id": session,
        "response": answer.text,
        "timestamp": timestamp::now(),
        "engine": answer.engine,
        "citations": answer.citations,
    })))
}

async fn history(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let messages = store::history(&id, &owner).await?;
    Ok(Json(json!({ "session_id": id, "messages": messages })))
}

async fn sessions(caller: Caller, Query(by): Query<ByUser>) -> Result<Json<Value>, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    Ok(Json(json!({ "sessions": store::sessions(&user).await? })))
}
