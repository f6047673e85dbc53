//! How components are: asked by whoever likes, without a token and past all limits, so that nobody's load
//! hides it; and each once a second, so that it is no load.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, response};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use moka::future::Cache;
use runtime::Revision;

use super::problem::Problem;
use super::{auth, complete, status};
use crate::assemble::Platform;
use crate::dispatch::{DispatchError, Kind, dispatch};

/// How long an answer stands.
const STANDS: Duration = Duration::from_secs(1);
/// Revisions that are remembered.
const MOST: u64 = 256;
/// Of a component's health, what is read of it.
const MAX_BODY: usize = 64 << 10;

/// What components said of themselves.
pub(super) struct Probes(Cache<String, (response::Parts, Bytes)>);

impl Default for Probes {
    fn default() -> Self {
        let said = Cache::builder().max_capacity(MOST);
        Self(said.time_to_live(STANDS).build())
    }
}

impl Probes {
    /// Whatever path the component has for it. All who ask meanwhile wait for the same answer.
    pub(super) async fn ask(
        &self,
        platform: &Platform,
        revision: &Arc<Revision>,
        request: Request,
    ) -> Result<Response, Problem> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Problem::MethodNotAllowed);
        }
        let name = revision.name().to_owned();
        let said = self.0.try_get_with(name, answer(revision, request)).await;
        let (head, body) = said.map_err(Problem::Unwell)?;
        Ok(status::component(platform, revision, head, body).await)
    }
}

async fn answer(
    revision: &Arc<Revision>,
    mut request: Request,
) -> Result<(response::Parts, Bytes), Problem> {
    let path = &revision.manifest().http.health;
    *request.uri_mut() = path.parse().unwrap_or_default();
    // Its answer is everybody's.
    *request.method_mut() = Method::GET;
    auth::set_identity(request.headers_mut(), None);
    complete(&mut request);
    let health = dispatch(revision, request, Kind::Probe).await;
    let (head, body) = health.map_err(told)?.into_parts();
    let read = Limited::new(body, MAX_BODY).collect().await;
    let read = read.map_err(|_| Problem::BrokenHealth)?;
    Ok((head, read.to_bytes()))
}

/// The log says it once, however many are told.
fn told(error: DispatchError) -> Problem {
    tracing::warn!("no word of its health: {error:?}");
    Problem::Dispatch(error)
}
