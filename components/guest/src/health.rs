//! `GET /health` of a service: the contract's body, measured.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::{postgres, timestamp};

/// Asks the database.
pub async fn check(service: &'static str) -> Response {
    let connected = postgres::fetch("select 1", vec![]).await.is_ok();
    let (status, health, database) = if connected {
        (StatusCode::OK, "healthy", "connected")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy", "disconnected")
    };
    let body = json!({
        "status": health,
        "service": service,
        "timestamp": timestamp::now(),
        "dependencies": { "database": database },
    });
    (status, axum::Json(body)).into_response()
}
