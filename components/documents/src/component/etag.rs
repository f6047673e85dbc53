//! ETags (RFC 9110, sections 8.8 and 13): a document's version.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use guest::Problem;
use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "described, and read by `is_known`")]
pub(super) struct Known {
    /// `ETag`s that the client has.
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "described, and read by `wanted`")]
pub(super) struct Changed {
    /// The `ETag` of the version that is to be changed.
    #[param(rename = "If-Match", nullable = false)]
    if_match: Option<String>,
}

/// Of that version.
pub(super) fn of(version: i64) -> (HeaderName, HeaderValue) {
    let tag = HeaderValue::from_str(&format!("\"{version}\""));
    (
        header::ETAG,
        tag.unwrap_or(HeaderValue::from_static("\"\"")),
    )
}

/// Whether the client has that version already.
pub(super) fn is_known(headers: &HeaderMap, version: i64) -> bool {
    let own = format!("\"{version}\"");
    tags(headers, header::IF_NONE_MATCH)
        .iter()
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == own)
}

/// The version that the client means to change; `None` for any.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    match &tags(headers, header::IF_MATCH)[..] {
        [] => Ok(None),
        [any] if any == "*" => Ok(None),
        [tag] => {
            let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            // No version is 0: what is none of ours never fits.
            Ok(Some(
                version.and_then(|v| v.parse().ok()).unwrap_or_default(),
            ))
        }
        _ => Err(Problem::validation("`If-Match` has one tag here")),
    }
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let values = headers.get_all(name);
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    let tags = texts.flat_map(|text| text.split(','));
    tags.map(|tag| tag.trim().to_owned()).collect()
}
