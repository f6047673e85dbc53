//! `/docs`: the document as a page for people. All of it is in the binary, and nothing is fetched from
//! elsewhere: it works without the Internet.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("docs/page.html");
const STYLE: &str = include_str!("docs/page.css");
const SCRIPT: &str = include_str!("docs/page.js");

/// The page, and what a browser may do for it: run its own script, and ask this host.
struct Made {
    page: String,
    policy: HeaderValue,
}

static MADE: LazyLock<Made> = LazyLock::new(|| Made {
    page: PAGE
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT),
    policy: HeaderValue::from_str(&policy())
        .unwrap_or(HeaderValue::from_static("default-src 'none'")),
});

/// <https://www.w3.org/TR/CSP3/>
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; connect-src 'self'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

/// The routes, for people.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "docs",
    tag = "host",
    security(()),
    responses((status = 200, description = "A page", body = String, content_type = "text/html")),
)]
pub(super) fn page() -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, MADE.policy.clone()),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, MADE.page.as_str()).into_response()
}
