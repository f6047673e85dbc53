//! What is said over a WebSocket, as JSON.

use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{ACCEPT, PATH};

/// Characters of a subscription's name.
const MAX_ID: usize = 64;

/// What a client wants.
#[derive(Debug)]
pub(super) enum Asked {
    Subscribe { id: String, request: Box<Request> },
    Unsubscribe { id: String },
}

/// Why it is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Malformed,
    Id,
    Path,
    InUse,
    TooMany,
}

impl Refused {
    pub(super) fn shown(self, id: Option<&str>) -> Message {
        let (code, error) = match self {
            Self::Malformed => (
                "MALFORMED_MESSAGE",
                "a message is {\"type\": \"subscribe\", \"id\", \"path\"} or {\"type\": \"unsubscribe\", \"id\"}",
            ),
            Self::Id => ("INVALID_ID", "an id has 1 to 64 characters"),
            Self::Path => (
                "INVALID_PATH",
                "a path begins with a slash, and leads to no WebSocket",
            ),
            Self::InUse => ("ID_IN_USE", "there is a subscription of that id"),
            Self::TooMany => (
                "TOO_MANY_SUBSCRIPTIONS",
                "a connection has 16 subscriptions at most",
            ),
        };
        let mut shown = json!({ "type": "error", "code": code, "error": error });
        if let Some(id) = id {
            shown["id"] = json!(id);
        }
        Message::text(shown.to_string())
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Wire {
    Subscribe {
        id: String,
        path: String,
        body: Option<Value>,
    },
    Unsubscribe {
        id: String,
    },
}

/// What a message asks, and of which subscription where that is known.
pub(super) fn read(text: &str) -> Result<Asked, (Option<String>, Refused)> {
    let wire = serde_json::from_str(text).map_err(|_| (None, Refused::Malformed))?;
    match wire {
        Wire::Subscribe { id, path, body } => {
            let id = checked(id)?;
            match request(&path, body) {
                Some(request) => Ok(Asked::Subscribe { id, request }),
                None => Err((Some(id), Refused::Path)),
            }
        }
        Wire::Unsubscribe { id } => Ok(Asked::Unsubscribe { id: checked(id)? }),
    }
}

fn checked(id: String) -> Result<String, (Option<String>, Refused)> {
    match id.chars().count() {
        1..=MAX_ID => Ok(id),
        _ => Err((None, Refused::Id)),
    }
}

/// As the client would have sent it for a stream of events.
fn request(path: &str, body: Option<Value>) -> Option<Box<Request>> {
    let path: PathAndQuery = path.parse().ok().filter(|_| path.starts_with('/'))?;
    if path.path() == PATH {
        return None;
    }
    let (name, accepted) = ACCEPT;
    let mut request = Request::new(match &body {
        Some(body) => Body::from(body.to_string()),
        None => Body::empty(),
    });
    *request.uri_mut() = Uri::from(path);
    let headers = request.headers_mut();
    headers.insert(name, HeaderValue::from_static(accepted));
    if body.is_some() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        *request.method_mut() = Method::POST;
    }
    Some(Box::new(request))
}

/// An event of a subscription. Data that is JSON stays it.
pub(super) fn event(id: &str, name: &str, data: &str) -> Message {
    let data = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data));
    let shown = json!({ "type": "event", "id": id, "event": name, "data": data });
    Message::text(shown.to_string())
}

/// A subscription's answer was no stream: all of it.
pub(super) fn answered(id: &str, status: u16, body: &[u8]) -> Message {
    let mut shown = json!({ "type": "end", "id": id, "status": status });
    if !body.is_empty() {
        let text = || Value::from(String::from_utf8_lossy(body));
        shown["body"] = serde_json::from_slice(body).unwrap_or_else(|_| text());
    }
    Message::text(shown.to_string())
}

/// A subscription's stream is over; where it broke off, it says so.
pub(super) fn over(id: &str, status: u16, code: Option<&str>) -> Message {
    let mut shown = json!({ "type": "end", "id": id, "status": status });
    if let Some(code) = code {
        shown["code"] = json!(code);
    }
    Message::text(shown.to_string())
}

/// A subscription ended because the client wished it.
pub(super) fn cancelled(id: &str) -> Message {
    Message::text(json!({ "type": "end", "id": id, "cancelled": true }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_the_request_that_it_names() {
        let asked = read(r#"{"type":"subscribe","id":"1","path":"/document/a/events?user_id=b"}"#);
        let Ok(Asked::Subscribe { id, request }) = asked else {
            panic!("{asked:?}");
        };
        assert_eq!(
            (id.as_str(), request.method(), request.uri().to_string()),
            ("1", &Method::GET, "/document/a/events?user_id=b".into())
        );
        assert_eq!(request.headers()["accept"], "text/event-stream");
        let asked = read(r#"{"type":"subscribe","id":"1","path":"/chat","body":{"message":"x"}}"#);
        let Ok(Asked::Subscribe { request, .. }) = asked else {
            panic!("{asked:?}");
        };
        assert_eq!(request.method(), Method::POST);
    }

    #[test]
    fn what_is_no_message_is_refused_by_its_fault() {
        for (text, refused) in [
            ("", Refused::Malformed),
            ("[]", Refused::Malformed),
            (r#"{"type":"shout","id":"1"}"#, Refused::Malformed),
            (
                r#"{"type":"subscribe","id":1,"path":"/a"}"#,
                Refused::Malformed,
            ),
            (r#"{"type":"unsubscribe"}"#, Refused::Malformed),
            (r#"{"type":"unsubscribe","id":""}"#, Refused::Id),
            (r#"{"type":"subscribe","id":"1","path":"a"}"#, Refused::Path),
            (
                r#"{"type":"subscribe","id":"1","path":"http://evil/"}"#,
                Refused::Path,
            ),
            (
                r#"{"type":"subscribe","id":"1","path":"/ws"}"#,
                Refused::Path,
            ),
            (
                r#"{"type":"subscribe","id":"1","path":"/a b"}"#,
                Refused::Path,
            ),
        ] {
            assert_eq!(read(text).unwrap_err().1, refused, "{text}");
        }
    }
}
