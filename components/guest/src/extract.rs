//! axum's extractors, with the contract's errors.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::Problem;

/// A JSON object, whatever its `Content-Type` says. Unknown members are ignored.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        parse(&body.map_err(|e| unread(e.status(), e.body_text()))?).map(Self)
    }
}

fn unread(status: StatusCode, why: String) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large("the body is too large"),
        _ => Problem::validation(why),
    }
}

/// What [`Json`] reads, for whoever needs the bytes too.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let parsed = serde_json::from_slice(body).map_err(|e| match e.classify() {
        Category::Data => Problem::validation(e.to_string()),
        _ => Problem::refused("MALFORMED_JSON", format!("the body is no JSON: {e}")),
    })?;
    // An array would do for serde, its items in the order of the fields.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::validation("the body is no JSON object"));
    }
    if escapes_nul(body) {
        return Err(Problem::validation(
            "the body contains U+0000, which cannot be stored",
        ));
    }
    Ok(parsed)
}

/// Whether valid JSON says U+0000, which it can as an escape only. Not by its tree: an unknown member
/// may be deeper than a tree should be.
fn escapes_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        let escape = &rest[at + 1..];
        if escape.starts_with(b"u0000") {
            return true;
        }
        // What follows the backslash is no backslash of its own.
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

/// A query string. Unknown parameters are ignored.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<_, QueryRejection> =
            axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|e| Problem::validation(e.body_text()))
    }
}

/// The path's parameters.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<_, PathRejection> =
            axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path))
            .map_err(|e| Problem::validation(e.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        text: String,
    }

    fn code(body: &str) -> &'static str {
        match parse::<Body>(body.as_bytes()) {
            Ok(Body { text }) => {
                assert!(!text.is_empty());
                "OK"
            }
            Err(problem) => problem.code(),
        }
    }

    #[test]
    fn a_body_is_an_object_of_its_types_that_can_be_stored() {
        for (body, expected) in [
            (r#"{"text":"a","other":[null]}"#, "OK"),
            (r#"{"text":"\\u0000"}"#, "OK"),
            (r#"{"text":"\u0000"}"#, "VALIDATION_ERROR"),
            (r#"{"text":"a","b":{"c":["\u0000"]}}"#, "VALIDATION_ERROR"),
            (r#"{"text":null}"#, "VALIDATION_ERROR"),
            (r#"{}"#, "VALIDATION_ERROR"),
            (r#"["a"]"#, "VALIDATION_ERROR"),
            (r#"{"text":"#, "MALFORMED_JSON"),
            ("", "MALFORMED_JSON"),
        ] {
            assert_eq!(code(body), expected, "{body}");
        }
    }
}
