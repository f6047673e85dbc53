//! Asks a revision how it is, before anybody else asks it anything.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use runtime::{BodyError, CallError, Revision};

/// A revision that takes longer to say that it is well is not.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of what it answers, so much is told on.
const EXCERPT: usize = 300;
const MAX_BODY: usize = 64 << 10;

/// What a revision said that is not well.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Another status than 200 to 299.
    #[error("its `{path}` answers {status}: {body}")]
    Status {
        /// As in the manifest.
        path: String,
        /// What it answered.
        status: StatusCode,
        /// The beginning of its body.
        body: String,
    },
    /// No answer.
    #[error("its `{path}` gives no answer: {source}")]
    Broken {
        /// As in the manifest.
        path: String,
        /// How the call ended.
        source: CallError,
    },
}

/// Fails where the revision answers requests, and its health is not well.
pub async fn health(revision: &Revision) -> Result<(), Unhealthy> {
    let http = &revision.manifest().http;
    if http.routes.is_empty() {
        return Ok(());
    }
    let path = &http.health;
    let broken = |source| Unhealthy::Broken {
        path: path.clone(),
        source,
    };
    let body = Body::empty().map_err(|_| BodyError::ConnectionTerminated);
    let mut request = Request::new(body.boxed_unsync());
    *request.uri_mut() = format!("http://lectern{path}").parse().unwrap_or_default();
    request
        .headers_mut()
        .insert("x-request-id", HeaderValue::from_static("probe"));
    let _turn = revision.extra_turn();
    let answer = tokio::time::timeout(PATIENCE, revision.handle(request)).await;
    let answer = answer.unwrap_or(Err(CallError::Deadline)).map_err(broken)?;
    let (head, body) = answer.into_parts();
    if head.status.is_success() {
        return Ok(());
    }
    let read = Limited::new(body, MAX_BODY).collect();
    let body = match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        _ => String::new(),
    };
    Err(Unhealthy::Status {
        path: path.clone(),
        status: head.status,
        body: body.chars().take(EXCERPT).collect(),
    })
}
