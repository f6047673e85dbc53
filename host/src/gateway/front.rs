//! What is looked at before anybody is asked who they are, and what every answer is dressed in.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::Response;

use super::cors::{Cors, is_here};
use super::listen::Connection;
use super::problem::{Problem, Unasked};
use super::{compress, safe};
use crate::config::edge::Edge;

/// For an answer that says nothing else of itself. An API's answers load nothing and stand in no frame.
const DEFAULTS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (CORP, "same-origin"),
];
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// A year, as browsers' lists want it.
const HSTS: &str = "max-age=31536000";

/// Who may ask at all.
pub(super) struct Front {
    cors: Cors,
    is_development: bool,
}

/// What an answer must know of its request.
pub(super) struct Asked {
    page: Option<HeaderValue>,
    accepts: Option<HeaderValue>,
    is_secure: bool,
}

impl Front {
    pub(super) fn new(edge: &Edge, is_development: bool) -> Self {
        Self {
            cors: Cors::new(&edge.origins, is_development),
            is_development,
        }
    }

    /// Notes what the answer will need.
    pub(super) fn note(&self, request: &mut Request) -> Asked {
        compress::strengthen(request.headers_mut());
        let headers = request.headers();
        let connection = request.extensions().get::<Connection>();
        Asked {
            page: self.cors.allowed(headers),
            accepts: headers.get(header::ACCEPT_ENCODING).cloned(),
            is_secure: connection.is_some_and(|connection| connection.is_secure),
        }
    }

    /// The answer to a browser that asks what a page may do.
    pub(super) fn preflight(&self, request: &Request) -> Option<Result<Response, Problem>> {
        let headers = request.headers();
        let is_one = Cors::is_preflight(request.method(), headers);
        is_one.then(|| match self.cors.allowed(headers) {
            Some(_) => Ok(Cors::preflight()),
            None => Err(Problem::Front(Unasked::ForeignOrigin)),
        })
    }

    /// Refuses what nobody may ask.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        // RFC 9112, section 3.2: of two names, a proxy before us may have gone by the other.
        let names = headers.get_all(header::HOST).iter().count();
        if names > 1 || request.version() > Version::HTTP_10 && host(request).is_none() {
            return Err(Problem::Front(Unasked::NoHost));
        }
        if self.is_development {
            // A name that leads here for a moment makes a page of its server's one of ours.
            if !host(request).is_some_and(is_here) {
                return Err(Problem::Front(Unasked::ForeignHost));
            }
            // Where no token is wanted, any page in the user's browser could act for them.
            if !safe(request.method()) && self.is_foreign(request) {
                return Err(Problem::Front(Unasked::ForeignOrigin));
            }
        }
        // A small body that unpacks to a large one is not unpacked.
        match headers.get(header::CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" => Err(Problem::Front(Unasked::EncodedBody)),
            _ => Ok(()),
        }
    }

    /// Whether a page asks whose origin is not named.
    pub(super) fn is_foreign(&self, request: &Request) -> bool {
        self.cors.is_foreign(request.headers(), request.uri())
    }

    /// The answer as it leaves.
    pub(super) async fn dress(&self, asked: Asked, response: Response) -> Response {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        let mut response = compress::pack(asked.accepts, response).await;
        let headers = response.headers_mut();
        if asked.page.is_some() {
            set_default(headers, CORP, "cross-origin");
        }
        for (name, value) in DEFAULTS {
            set_default(headers, name, value);
        }
        // On a developer's machine it would be of all that ever listens there.
        if asked.is_secure && !self.is_development {
            set_default(headers, header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        self.cors.tell(asked.page, headers);
        response
    }
}

fn set_default(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers
        .entry(name)
        .or_insert(HeaderValue::from_static(value));
}

/// As HTTP/2 has it, else as HTTP/1.
fn host(request: &Request) -> Option<&str> {
    let named = || request.headers().get(header::HOST)?.to_str().ok();
    let authority = request.uri().authority();
    authority.map(|authority| authority.as_str()).or_else(named)
}
