//! Which web pages may ask, by their origin: <https://fetch.spec.whatwg.org/#http-cors-protocol>.
//!
//! Nothing here is a matter of credentials: a token is in a header that a page sets itself, and there are
//! no cookies.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// What a page may send beside what any may.
const HEADERS: &str = "accept, api-version, authorization, content-type, idempotency-key, if-match, \
                       if-none-match, if-range, last-event-id, range, traceparent, tracestate, x-request-id";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What a page may read beside what any may.
const EXPOSED: &str = "accept-ranges, api-version, content-disposition, content-range, etag, link, location, \
                       ratelimit, ratelimit-policy, retry-after, x-request-id";
/// Seconds that a browser need not ask again.
const MAX_AGE: &str = "600";

/// The pages that may.
pub(super) struct Cors {
    origins: Vec<HeaderValue>,
    /// In development mode, any page of this machine's.
    with_loopback: bool,
}

impl Cors {
    pub(super) fn new(origins: &[String], with_loopback: bool) -> Self {
        let origins = origins.iter();
        Self {
            origins: origins
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
            with_loopback,
        }
    }

    /// The page that asks, where it may read the answer.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let is_named = self.origins.contains(origin);
        (is_named || self.with_loopback && is_loopback(origin)).then(|| origin.clone())
    }

    /// Whether a page asks that may not. A client that is no page names no origin, and a page of the
    /// host's own names the host.
    pub(super) fn is_foreign(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return false;
        };
        let named = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let host = uri.authority().map(|a| a.as_str()).or(named);
        let origin_host = origin
            .to_str()
            .ok()
            .and_then(|o| Some(o.split_once("://")?.1));
        let is_own = origin_host.is_some() && origin_host == host;
        !is_own && self.allowed(headers).is_none()
    }

    /// Whether a browser asks what it may ask.
    pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// For a page that may.
    pub(super) fn preflight() -> Response {
        let told = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        (StatusCode::NO_CONTENT, told, Body::empty()).into_response()
    }

    /// Says who may read an answer.
    pub(super) fn tell(&self, allowed: Option<HeaderValue>, headers: &mut HeaderMap) {
        if self.with_loopback || !self.origins.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = allowed {
            let exposed = HeaderValue::from_static(EXPOSED);
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

fn is_loopback(origin: &HeaderValue) -> bool {
    let origin = origin.to_str().ok().and_then(|o| o.split_once("://"));
    origin.is_some_and(|(scheme, host)| ["http", "https"].contains(&scheme) && is_here(host))
}

/// Whether that name, with a port or without, can only be this machine's.
pub(super) fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.to_ascii_lowercase();
    ["localhost", "127.0.0.1", "[::1]"].contains(&name.as_str()) || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())])
    }

    #[test]
    fn a_name_of_this_machine_is_told_from_one_that_looks_like_it() {
        for here in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
            "app.localhost:3000",
        ] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "",
            "localhost.evil",
            "evil:8080",
            "127.0.0.1.evil",
            "localhost:80@evil",
            "notlocalhost",
            "169.254.169.254",
            "::1",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn only_the_named_pages_may_read() {
        let cors = Cors::new(&["https://app.example".into()], false);
        assert!(cors.allowed(&from("https://app.example")).is_some());
        for other in [
            "https://app.example.evil",
            "http://app.example",
            "https://app.example:8443",
            "http://localhost:3000",
            "null",
        ] {
            assert!(cors.allowed(&from(other)).is_none(), "{other}");
        }
        let developing = Cors::new(&[], true);
        assert!(developing.allowed(&from("http://localhost:3000")).is_some());
        assert!(developing.allowed(&from("http://evil.example")).is_none());
        assert!(developing.allowed(&from("null")).is_none());
    }

    #[test]
    fn a_page_of_the_host_s_own_is_not_foreign() {
        let cors = Cors::new(&[], false);
        let uri = Uri::from_static("/ws");
        let mut headers = from("https://lectern.example");
        assert!(cors.is_foreign(&headers, &uri));
        headers.insert(header::HOST, "lectern.example".parse().unwrap());
        assert!(!cors.is_foreign(&headers, &uri));
        assert!(!cors.is_foreign(&HeaderMap::new(), &uri));
        headers.insert(header::ORIGIN, "null".parse().unwrap());
        assert!(cors.is_foreign(&headers, &uri));
    }
}
