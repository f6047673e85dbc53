//! `/openapi.json`: the whole of the REST surface as one OpenAPI 3.1 document. Each component
//! describes what it answers, and is asked once a revision; the host adds what is its own, and what
//! the gateway does to every route.

mod common;
mod learner;
mod merge;
mod own;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt, Limited};
use runtime::{BodyError, Revision};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use self::merge::Part;
pub(super) use self::own::{Capabilities, Health};
use crate::assemble::Platform;
use crate::router::RouteTable;

/// Where a component answers its part; `guest::openapi::PATH` of those that are ours.
const PATH: &str = "http://lectern/openapi.json";
/// A component that takes longer has none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of a component's document.
const MAX_DOCUMENT: usize = 2 << 20;
/// One that had none is asked again so much later: it may have been busy.
const AGAIN: Duration = Duration::from_secs(30);

/// The document, made anew when other revisions serve.
#[derive(Default)]
pub(super) struct Contract {
    /// Held while components are asked.
    made: Mutex<Made>,
    /// Of these revisions.
    latest: ArcSwapOption<(Vec<String>, Whole)>,
}

#[derive(Default)]
struct Made {
    /// By revision.
    parts: HashMap<String, Asked>,
}

struct Asked {
    at: Instant,
    document: Option<Arc<Value>>,
}

#[derive(Clone)]
struct Whole {
    body: Bytes,
    tag: HeaderValue,
}

impl Contract {
    /// The document; none where the client has it already. `is_open`: nobody needs a token.
    pub(super) async fn answer(
        &self,
        platform: &Platform,
        is_open: bool,
        headers: &HeaderMap,
    ) -> Response {
        let table = platform.live().table().clone();
        let whole = self.whole(&table, is_open).await;
        if is_known(headers, &whole.tag) {
            return (StatusCode::NOT_MODIFIED, [(header::ETAG, whole.tag)]).into_response();
        }
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::ETAG, whole.tag),
        ];
        (headers, whole.body).into_response()
    }

    /// Who finds the revisions changed waits for what the new ones say; one that said nothing is asked again by
    /// one reader, while the others have what there is.
    async fn whole(&self, table: &RouteTable, is_open: bool) -> Whole {
        let of: Vec<String> = table.services().iter().map(|s| named(&s.stable)).collect();
        let mut made = match self.latest(&of) {
            None => self.made.lock().await,
            Some(whole) => match self.made.try_lock() {
                Ok(made) if made.wants_again() => made,
                _ => return whole,
            },
        };
        // Somebody else may have asked meanwhile.
        if !made.wants_again()
            && let Some(whole) = self.latest(&of)
        {
            return whole;
        }
        made.ask(table).await;
        let whole = written(&made.merged(table, is_open));
        self.latest.store(Some(Arc::new((of, whole.clone()))));
        whole
    }

    fn latest(&self, of: &[String]) -> Option<Whole> {
        let latest = self.latest.load();
        let (revisions, whole) = latest.as_deref()?;
        (revisions == of).then(|| whole.clone())
    }
}

/// Whether the client has that version; packed it has the same tag, but weak: RFC 9110, section 13.1.2.
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let known = known.filter_map(|tags| tags.to_str().ok());
    // Ours have no comma.
    let mut known = known.flat_map(|tags| tags.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

fn named(revision: &Revision) -> String {
    format!("{} {}", revision.manifest().name, revision.name())
}

impl Made {
    fn wants_again(&self) -> bool {
        let mut parts = self.parts.values();
        parts.any(|asked| asked.document.is_none() && asked.at.elapsed() > AGAIN)
    }

    /// Asks whoever is new; forgets whoever is gone.
    async fn ask(&mut self, table: &RouteTable) {
        let asked = table.services().iter().map(|service| async {
            let revision = &service.stable;
            let name = named(revision);
            let known = self
                .parts
                .get(&name)
                .and_then(|asked| asked.document.clone());
            let document = match known {
                Some(document) => Some(document),
                None => document(revision).await.map(Arc::new),
            };
            let at = Instant::now();
            (name, Asked { at, document })
        });
        self.parts = join_all(asked).await.into_iter().collect();
    }

    fn merged(&self, table: &RouteTable, is_open: bool) -> Value {
        let parts = table.services().iter().map(|service| {
            let asked = self.parts.get(&named(&service.stable));
            let document = asked.and_then(|asked| asked.document.as_deref());
            Part {
                component: service.name.as_str(),
                routes: &service.stable.manifest().http.routes,
                document,
            }
        });
        let answers = |component: &str, path: &str| {
            let found = table.find(path);
            found.is_some_and(|found| found.service.name.as_str() == component)
        };
        merge::whole(own::document(), parts, answers, is_open)
    }
}

fn written(document: &Value) -> Whole {
    let body = document.to_string();
    let digest = Sha256::digest(body.as_bytes());
    let digest: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = HeaderValue::from_str(&format!("\"{digest}\""));
    Whole {
        body: body.into(),
        tag: tag.unwrap_or(HeaderValue::from_static("\"\"")),
    }
}

/// What the revision says of itself; `None` where it says nothing that can be read.
async fn document(revision: &Revision) -> Option<Value> {
    if revision.manifest().http.routes.is_empty() {
        return None;
    }
    let asked = async {
        let body = Body::empty().map_err(|_| BodyError::ConnectionTerminated);
        let mut request = axum::http::Request::new(body.boxed_unsync());
        *request.uri_mut() = PATH.parse().ok()?;
        let _turn = revision.extra_turn();
        let answer = revision.handle(request).await.ok()?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return None;
        }
        let read = Limited::new(body, MAX_DOCUMENT).collect().await.ok()?;
        let document: Value = serde_json::from_slice(&read.to_bytes()).ok()?;
        let version = document["openapi"].as_str()?;
        version.starts_with("3.").then_some(document)
    };
    tokio::time::timeout(PATIENCE, asked).await.ok()?
}
