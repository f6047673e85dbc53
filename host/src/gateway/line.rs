//! The log line of a request.

use std::time::Instant;

use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;

/// Bytes of a path in the log: whoever writes longer ones is refused, and is not to fill it.
const MAX_LOGGED: usize = 512;

/// The path, or its beginning. A URI's is ASCII.
fn loggable(path: &str) -> String {
    match path.get(..MAX_LOGGED) {
        Some(begin) if path.len() > MAX_LOGGED => format!("{begin}… ({} bytes)", path.len()),
        _ => path.to_owned(),
    }
}

/// The log line of one request.
pub(crate) struct Line {
    method: Method,
    path: String,
    started: Instant,
}

impl Line {
    pub(crate) fn begin(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            path: loggable(request.uri().path()),
            started: Instant::now(),
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn write(&self, service: &str, response: &Response, id: &str) {
        let Self {
            method,
            path,
            started,
        } = self;
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_millis());
        tracing::info!(service, request_id = id, "{method} {path} {status} {ms}ms");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_does_not_fill_the_log() {
        assert_eq!(loggable("/chat"), "/chat");
        let long = loggable(&"/a".repeat(30_000));
        assert!(
            long.len() < 600 && long.ends_with("(60000 bytes)"),
            "{long}"
        );
    }
}
