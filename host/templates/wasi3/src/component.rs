//! The binding: the routes.

use axum::Json;
use axum::routing::get;
use guest::{Problem, Query, Router, routes, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::greeting::{self, Greeting};

guest::serve!(router);

fn router() -> Router {
    Router::new()
        .routes(routes!(greet))
        .route("/health", get(health))
}

#[derive(Deserialize, IntoParams)]
struct Params {
    /// Who is greeted.
    name: Option<String>,
}

/// What [`Greeting`] is as JSON: the platform's `/openapi.json` has it, with the route.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, and written by `Greeting`")]
struct Greeted {
    /// A sentence for a person.
    message: String,
}

/// Greets.
#[utoipa::path(
    get,
    path = "/{{name}}",
    responses((status = 200, description = "A greeting", body = Greeted)),
)]
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
