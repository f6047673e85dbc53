//! What the host says of itself, and adds to what a component says of itself.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header, response};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use runtime::{Manifest, Revision};
use serde_json::{Map, Value, json};

use super::openapi::{Capabilities, Health};
use super::problem::timestamp;
use crate::assemble::Platform;
use crate::health::Measured;

/// How the platform is.
///
/// Measured a moment ago at most; 503 where nothing can be done.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "health_ready",
    tag = "host",
    security(()),
    responses(
        (status = 200, description = "It works, if not all of it", body = Health),
        (status = 503, description = "Nothing can be done", body = Health),
    ),
)]
pub(super) async fn ready(platform: &Platform) -> Response {
    let measured = platform.health().measured().await;
    let status = match measured.is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({
        "status": measured.word(),
        "service": "lectern",
        "timestamp": timestamp(),
        "dependencies": measured.states,
    });
    (status, axum::Json(body)).into_response()
}

/// How the platform is.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "health",
    tag = "host",
    security(()),
    responses(
        (status = 200, description = "It works, if not all of it", body = Health),
        (status = 503, description = "Nothing can be done", body = Health),
    ),
)]
pub(super) async fn health(platform: &Platform) -> Response {
    ready(platform).await
}

/// That there is somebody to answer, whatever stands behind.
#[utoipa::path(
    get,
    path = "/health/live",
    operation_id = "health_live",
    tag = "host",
    security(()),
    responses((status = 200, description = "It is there", body = Health)),
)]
pub(super) fn live() -> Response {
    let body = json!({ "status": "healthy", "service": "lectern", "timestamp": timestamp() });
    axum::Json(body).into_response()
}

/// A component's own health, with the servers that the host keeps for it, and whether the host asks it no
/// more because it fails. One that is no JSON object
/// stays as it is.
pub(super) async fn component(
    platform: &Platform,
    revision: &Revision,
    mut head: response::Parts,
    read: Bytes,
) -> Response {
    let Ok(Value::Object(mut said)) = serde_json::from_slice(&read) else {
        return Response::from_parts(head, Body::from(read));
    };
    let measured = platform.health().measured().await;
    add(&mut said, &its(platform, revision.manifest(), &measured));
    if revision.breaker().is_open() {
        said.insert("status".into(), "degraded".into());
        said.insert("circuit".into(), "open".into());
    }
    head.headers.remove(header::CONTENT_LENGTH);
    let json = HeaderValue::from_static("application/json");
    head.headers.insert(header::CONTENT_TYPE, json);
    Response::from_parts(head, Body::from(Value::Object(said).to_string()))
}

/// What the host keeps for it, and how that is. What it keeps in a folder is local, whatever is said of a
/// store that others use.
fn its(
    platform: &Platform,
    manifest: &Manifest,
    measured: &Measured,
) -> Vec<(&'static str, &'static str)> {
    let grants = &manifest.grants;
    let state = |name| measured.states.get(name).copied();
    let stored = match platform.is_in_s3(manifest.name.as_str()) {
        true => state("aws"),
        false => Some("local"),
    };
    let kept = [
        ("kafka", grants.events.is_some(), state("kafka")),
        ("redis", grants.cache.is_some(), state("redis")),
        ("aws", grants.blobs.is_some(), stored),
    ];
    let kept = kept.into_iter().filter(|(_, is_kept, _)| *is_kept);
    kept.filter_map(|(name, _, state)| Some((name, state?)))
        .collect()
}

fn add(said: &mut Map<String, Value>, states: &[(&'static str, &'static str)]) {
    let is_whole = states
        .iter()
        .all(|(_, state)| ["connected", "local"].contains(state));
    if !is_whole && said.get("status").is_some_and(|status| status == "healthy") {
        said.insert("status".into(), "degraded".into());
    }
    let dependencies = said
        .entry("dependencies")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(dependencies) = dependencies {
        for (name, state) in states {
            dependencies.entry(*name).or_insert_with(|| (*state).into());
        }
    }
}

/// Which backend stands behind each capability, so that a client never offers what isn't there. Where tokens are
/// wanted, not at which address: `lectern doctor` tells an operator.
#[utoipa::path(
    get,
    path = "/capabilities",
    operation_id = "capabilities",
    tag = "host",
    security(()),
    responses((status = 200, description = "By name", body = Capabilities)),
)]
pub(super) fn capabilities(platform: &Platform, is_open: bool) -> Response {
    let choices = platform.choices().iter().map(|choice| {
        let backend = match is_open {
            true => choice.shown(),
            false => choice.backend.clone(),
        };
        let value = json!({ "backend": backend, "reason": choice.reason });
        (choice.capability.to_owned(), value)
    });
    axum::Json(json!({ "capabilities": choices.collect::<Map<_, _>>() })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_away_degrades_a_component_that_is_well() {
        let said = |value| match value {
            Value::Object(said) => said,
            _ => Map::new(),
        };
        let mut well =
            said(json!({ "status": "healthy", "dependencies": { "database": "connected" } }));
        add(&mut well, &[("kafka", "disconnected"), ("aws", "local")]);
        assert_eq!(well["status"], "degraded");
        assert_eq!(
            well["dependencies"],
            json!({ "database": "connected", "kafka": "disconnected", "aws": "local" })
        );
        let mut other = said(json!({ "status": "healthy" }));
        add(&mut other, &[("redis", "connected")]);
        assert_eq!(other["status"], "healthy");
    }
}
