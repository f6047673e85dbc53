//! Versions of the API: in the path, as in `/v1/chat`, and in the header `API-Version`. There is one.

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::problem::Problem;

/// Said in every answer; a client may ask for one.
pub(super) const HEADER: HeaderName = HeaderName::from_static("api-version");
const CURRENT: &str = "1";
const PREFIX: &str = "/v1";

/// Fails where the client wants a version that is not spoken.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let mut asked = headers.get_all(HEADER).iter();
    match asked.all(|asked| asked.as_bytes().trim_ascii() == CURRENT.as_bytes()) {
        true => Ok(()),
        false => Err(Problem::UnsupportedVersion),
    }
}

/// `/v1/chat` is `/chat`.
pub(super) fn strip(request: &mut Request) {
    let path = request.uri().path_and_query().map(PathAndQuery::as_str);
    let rest = path.and_then(|path| path.strip_prefix(PREFIX));
    // `/v1beta` is another path.
    let rest = rest.filter(|rest| rest.starts_with('/'));
    let rest = rest.and_then(|rest| rest.parse::<PathAndQuery>().ok());
    if let Some(rest) = rest {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(rest);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

/// Tells a client which version answered.
pub(super) fn tell(headers: &mut HeaderMap) {
    headers.insert(HEADER, HeaderValue::from_static(CURRENT));
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn taken(uri: &str, version: Option<&str>) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        if let Some(version) = version {
            request = request.header(HEADER, version);
        }
        let mut request = request.body(Body::empty()).unwrap();
        check(request.headers()).ok()?;
        strip(&mut request);
        Some(request.uri().to_string())
    }

    #[test]
    fn a_prefix_is_taken_off_once() {
        for (uri, expected) in [
            ("/v1/chat?q=%2Fv1", "/chat?q=%2Fv1"),
            ("/v1/v1/chat", "/v1/chat"),
            ("/v1", "/v1"),
            ("/v1/", "/"),
            ("/v1beta/chat", "/v1beta/chat"),
            ("/chat", "/chat"),
            ("http://lectern/v1/chat", "http://lectern/chat"),
        ] {
            assert_eq!(taken(uri, None).as_deref(), Some(expected), "{uri}");
        }
    }

    #[test]
    fn a_version_that_is_not_spoken_is_refused() {
        assert!(taken("/chat", Some("1")).is_some());
        assert!(taken("/chat", Some(" 1 ")).is_some());
        for version in ["2", "", "v1", "1, 2", "01"] {
            assert_eq!(taken("/chat", Some(version)), None, "{version}");
        }
    }
}
