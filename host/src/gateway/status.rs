//! What the host says of itself.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, json};

use super::problem::timestamp;
use crate::assemble::Platform;

/// `GET /health`: the contract's body, measured now.
pub(super) async fn health(platform: &Platform) -> Response {
    let connected = platform.database_answers().await;
    let (status, word) = if connected {
        (StatusCode::OK, "healthy")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy")
    };
    let body = json!({
        "status": word,
        "service": "lectern",
        "timestamp": timestamp(),
        "dependencies": { "database": if connected { "connected" } else { "disconnected" } },
    });
    (status, axum::Json(body)).into_response()
}

/// `GET /capabilities`: which backend stands behind each, so that a client never offers what isn't there.
pub(super) fn capabilities(platform: &Platform) -> Response {
    let choices = platform.choices().iter().map(|choice| {
        let value = json!({ "backend": choice.backend, "reason": choice.reason });
        (choice.capability.to_owned(), value)
    });
    axum::Json(json!({ "capabilities": choices.collect::<Map<_, _>>() })).into_response()
}
