//! Answers packed for clients that take them so: text of a kilobyte or more.
//!
//! BREACH wants a secret and an attacker's words in one answer: none here has both. Tokens and secrets are
//! in no answer but the one that makes a webhook, which repeats nothing but its URL.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Extensions, HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use axum::response::Response;
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression;
use tower_http::compression::predicate::{Predicate, SizeAbove};

/// Bytes below which packing costs more than it saves.
const WORTH: u16 = 1_024;

/// Packs an answer as `accepted`, the request's `accept-encoding`, lets it. An answer of part of a thing,
/// or one that is packed already, stays as it is.
pub(super) async fn pack(accepted: Option<HeaderValue>, response: Response) -> Response {
    let is_text = is_text(response.headers());
    let Some(accepted) = accepted.filter(|_| is_text) else {
        return response;
    };
    let mut asked = Request::new(());
    asked
        .headers_mut()
        .insert(header::ACCEPT_ENCODING, accepted);
    let mut response = Some(response);
    // It is called once.
    let answer = service_fn(move |_: Request<()>| {
        let response = response.take().unwrap_or_default();
        async { Ok::<_, Infallible>(response) }
    });
    let packing = Compression::new(answer).compress_when(SizeAbove::new(WORTH).and(is_whole));
    let Ok(packed) = packing.oneshot(asked).await;
    let mut packed = packed.map(Body::new);
    weaken(packed.headers_mut());
    packed
}

fn is_whole(status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions) -> bool {
    status != StatusCode::PARTIAL_CONTENT
}

/// Of what is sent, audio and pictures are packed already, and events would wait to be packed together.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind != "text/event-stream"
        && (kind.starts_with("text/")
            || kind.ends_with("+json")
            || kind.ends_with("+xml")
            || [
                "application/json",
                "application/javascript",
                "application/x-ndjson",
                "application/x-subrip",
                "application/xml",
            ]
            .contains(&kind))
}

/// The same thing in other bytes is the same only weakly: RFC 9110, section 8.8.1.
fn weaken(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_ENCODING) {
        return;
    }
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if let Some(tag) = tag.filter(|tag| tag.starts_with('"'))
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{tag}"))
    {
        headers.insert(header::ETAG, weak);
    }
}

/// A client that has got an answer packed may change what it was an answer of: `If-Match` compares
/// strongly, and the weak tag that it sends was made here, of a strong one.
pub(super) fn strengthen(headers: &mut HeaderMap) {
    let tags = headers
        .get(header::IF_MATCH)
        .and_then(|tags| tags.to_str().ok());
    if let Some(tags) = tags.filter(|tags| tags.contains("W/\""))
        && let Ok(strong) = HeaderValue::from_str(&tags.replace("W/\"", "\""))
    {
        headers.insert(header::IF_MATCH, strong);
    }
}
