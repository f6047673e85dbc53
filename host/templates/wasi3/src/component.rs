//! The binding: the routes.

use axum::routing::get;
use axum::{Json, Router};
use guest::{Problem, Query, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::greeting::{self, Greeting};

guest::serve!(router);

fn router() -> Router {
    Router::new()
        .route("/{{name}}", get(greet))
        .route("/health", get(health))
}

#[derive(Deserialize)]
struct Params {
    name: Option<String>,
}

async fn greet(Query(params): Query<Params>) -> Result<Json<Greeting>, Problem> {
    greeting::greet(params.name.as_deref())
        .map(Json)
        .map_err(|bad| Problem::validation(bad.to_string()))
}

/// Asked before it gets traffic: any status but 200 to 299 keeps this revision out of service.
async fn health() -> Json<Value> {
    Json(json!({
        "status": "healthy",
        "service": "{{name}}",
        "timestamp": timestamp::now(),
    }))
}
