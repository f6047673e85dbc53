//! Every error of the host's own as the contract's body: the only place of the host where a status
//! is chosen.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use runtime::CallError;
use serde_json::json;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::dispatch::DispatchError;
use crate::gateway::auth::Denied;
use crate::gateway::limits::{Limited, Told, name as limits_name, seconds};
use crate::webhook::Refusal;

/// What is refused for how it is asked, whoever asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unasked {
    /// A request says not whom it is for, or twice.
    NoHost,
    /// In development mode, a name that is not this machine's.
    ForeignHost,
    /// A web page that nobody has named.
    ForeignOrigin,
    /// A body that would have to be unpacked.
    EncodedBody,
    /// The path speaks WebSocket alone.
    NotAWebSocket,
}

/// What the host answers by itself.
#[derive(Debug)]
pub(crate) enum Problem {
    NotFound,
    InvalidPath,
    UnsupportedVersion,
    MethodNotAllowed,
    Denied(Denied),
    /// An operator has taken the component out of service.
    Draining,
    /// What nobody may ask.
    Front(Unasked),
    /// Of a webhook's API.
    Webhook(Refusal),
    /// The host has as much in hand as it takes on.
    Overloaded,
    /// What a user has used cannot be read.
    NoUsage,
    /// The caller asks too often.
    Limited(Limited),
    /// The caller has as much in hand of this component as one may.
    TooManyAtOnce,
    /// What a component says of its health cannot be read.
    BrokenHealth,
    /// A component does not say how it is, to all who ask now.
    Unwell(Arc<Problem>),
    Dispatch(DispatchError),
    /// Of a caller who was counted, and is told how they stand.
    Counted(Box<Problem>, Told),
}

/// This moment, as in `2025-12-05T10:30:00Z`.
pub(crate) fn timestamp() -> String {
    rfc3339(OffsetDateTime::now_utc())
}

/// A moment, as in `2025-12-05T10:30:00Z`.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.to_offset(UtcOffset::UTC)
        .format(form)
        .unwrap_or_default()
}

/// The contract's body of an error; `check` is the one that a deploy did not pass.
pub(crate) fn render(
    status: StatusCode,
    code: &str,
    message: &str,
    request_id: &str,
    check: Option<&str>,
) -> Response {
    let mut body = json!({
        "error": message,
        "code": code,
        "timestamp": timestamp(),
        "request_id": request_id,
    });
    if let Some(check) = check {
        body["check"] = json!(check);
    }
    let mut response = (status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // RFC 9110, sections 15.5.22 and 15.5.16.
        StatusCode::UPGRADE_REQUIRED => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            let identity = HeaderValue::from_static("identity");
            headers.insert(header::ACCEPT_ENCODING, identity);
        }
        _ => {}
    }
    response
}

fn front(why: Unasked) -> (StatusCode, &'static str, &'static str) {
    match why {
        Unasked::NoHost => (
            StatusCode::BAD_REQUEST,
            "INVALID_HOST",
            "a request has one `host`",
        ),
        Unasked::ForeignHost => (
            StatusCode::MISDIRECTED_REQUEST,
            "HOST_NOT_ALLOWED",
            "in development mode the host answers to localhost alone",
        ),
        Unasked::ForeignOrigin => (
            StatusCode::FORBIDDEN,
            "ORIGIN_NOT_ALLOWED",
            "the page's origin is not one of LECTERN_CORS_ORIGINS",
        ),
        Unasked::EncodedBody => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_CONTENT_ENCODING",
            "a body comes as it is, without a content-encoding",
        ),
        Unasked::NotAWebSocket => (
            StatusCode::UPGRADE_REQUIRED,
            "UPGRADE_REQUIRED",
            "this path speaks WebSocket, version 13, over HTTP/1.1",
        ),
    }
}

/// Who is not let in.
fn denied(why: &Denied) -> (StatusCode, &'static str, &'static str) {
    match why {
        Denied::Missing => (
            StatusCode::UNAUTHORIZED,
            "UNAUTHENTICATED",
            "a bearer token is needed",
        ),
        Denied::Expired => (
            StatusCode::UNAUTHORIZED,
            "TOKEN_EXPIRED",
            "the token has expired",
        ),
        Denied::Invalid => (
            StatusCode::UNAUTHORIZED,
            "UNAUTHENTICATED",
            "the token is not valid",
        ),
        Denied::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "IDENTITY_UNAVAILABLE",
            "the keys that tokens are checked with cannot be had now",
        ),
    }
}

/// What a component was not asked, or did not answer.
fn undispatched(error: &DispatchError) -> (StatusCode, &'static str, String) {
    let (status, code, message) = match error {
        DispatchError::Open { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
            "the service fails too often, and is given a rest",
        ),
        DispatchError::BodyTooLarge { limit } => {
            let message = format!("the body exceeds {limit} bytes");
            return (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message);
        }
        DispatchError::BodyStalled => (
            StatusCode::REQUEST_TIMEOUT,
            "REQUEST_TIMEOUT",
            "the body did not come in time",
        ),
        DispatchError::BodyBroken => (
            StatusCode::BAD_REQUEST,
            "BODY_BROKEN",
            "the body broke off, or is not in the chunks that it says",
        ),
        DispatchError::Call(error) => call(error),
    };
    (status, code, message.to_owned())
}

impl Problem {
    /// The component's call that gave no answer, where it is one.
    pub(super) fn broken_call(&self) -> Option<&CallError> {
        match self {
            Self::Dispatch(DispatchError::Call(error)) => Some(error),
            Self::Counted(why, _) => why.broken_call(),
            _ => None,
        }
    }

    /// Said to a caller who stands so.
    pub(super) fn counted(self, told: Option<Told>) -> Self {
        match told {
            Some(told) => Self::Counted(Box::new(self), told),
            None => self,
        }
    }

    pub(crate) fn parts(&self) -> (StatusCode, &'static str, String) {
        let (status, code, message) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such path"),
            Self::InvalidPath => (
                StatusCode::BAD_REQUEST,
                "INVALID_PATH",
                "the path is malformed",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "METHOD_NOT_ALLOWED",
                "the path has other methods",
            ),
            Self::UnsupportedVersion => (
                StatusCode::BAD_REQUEST,
                "UNSUPPORTED_API_VERSION",
                "there is version 1 of this API alone",
            ),
            Self::Denied(why) => denied(why),
            Self::Front(why) => front(*why),
            Self::Draining => (
                StatusCode::SERVICE_UNAVAILABLE,
                "SERVICE_DRAINING",
                "the service is out of service for a while",
            ),
            Self::Webhook(Refusal::Invalid(why)) => {
                return (StatusCode::BAD_REQUEST, "VALIDATION_ERROR", why.clone());
            }
            Self::Webhook(refusal) => webhook(refusal),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "OVERLOADED",
                "the platform has as much to do as it can",
            ),
            Self::NoUsage => (
                StatusCode::SERVICE_UNAVAILABLE,
                "DATABASE_UNAVAILABLE",
                "the database cannot be reached",
            ),
            Self::Limited(limited) => {
                let who = limits_name(limited.scope);
                let message = format!("too many requests of this {who}; try again later");
                return (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message);
            }
            Self::TooManyAtOnce => (
                StatusCode::TOO_MANY_REQUESTS,
                "TOO_MANY_AT_ONCE",
                "this user has as many requests in hand of this service as one may",
            ),
            Self::BrokenHealth => (
                StatusCode::BAD_GATEWAY,
                "SERVICE_FAILED",
                "the service does not say how it is",
            ),
            Self::Unwell(why) => return why.parts(),
            Self::Counted(why, _) => return why.parts(),
            Self::Dispatch(error) => return undispatched(error),
        };
        (status, code, message.to_owned())
    }

    /// The response, with the request's id.
    pub(crate) fn render(self, request_id: &str) -> Response {
        if let Self::Counted(why, told) = self {
            let mut response = why.render(request_id);
            told.write(response.headers_mut());
            return response;
        }
        let (status, code, message) = self.parts();
        let mut response = render(status, code, &message, request_id, None);
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, after);
        }
        // RFC 9110, section 15.5.6. What the host answers by itself is read alone, but for webhooks.
        let allowed = match &self {
            Self::MethodNotAllowed => Some("GET, HEAD"),
            Self::Webhook(Refusal::NoSuchMethod(methods)) => Some(*methods),
            _ => None,
        };
        if let Some(methods) = allowed {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if let Self::Limited(Limited {
            told: Some(told), ..
        }) = &self
        {
            told.write(headers);
        }
        response
    }

    /// Seconds, where more is known than that it is worth a try; never at once, which a client should not.
    pub(super) fn retry_after(&self) -> Option<HeaderValue> {
        let after = match self {
            Self::Limited(limited) => limited.retry,
            Self::TooManyAtOnce => Duration::ZERO,
            Self::Dispatch(DispatchError::Open { rest }) => *rest,
            Self::Unwell(why) => return why.retry_after(),
            Self::Counted(why, _) => return why.retry_after(),
            _ => return None,
        };
        Some(HeaderValue::from(seconds(after).max(1)))
    }
}

fn webhook(refusal: &Refusal) -> (StatusCode, &'static str, &'static str) {
    match refusal {
        Refusal::NoSuchPath => (StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such path"),
        Refusal::NoSuchMethod(_) => (
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "the path has other methods",
        ),
        Refusal::NoSuchWebhook => (
            StatusCode::NOT_FOUND,
            "WEBHOOK_NOT_FOUND",
            "there is no such webhook",
        ),
        Refusal::Malformed => (
            StatusCode::BAD_REQUEST,
            "MALFORMED_JSON",
            "the body is no JSON",
        ),
        Refusal::Invalid(_) => (
            StatusCode::BAD_REQUEST,
            "VALIDATION_ERROR",
            "the request is not as described",
        ),
        Refusal::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "PAYLOAD_TOO_LARGE",
            "a webhook has 16 KiB at most",
        ),
        Refusal::Stalled => (
            StatusCode::REQUEST_TIMEOUT,
            "REQUEST_TIMEOUT",
            "the body did not come in time",
        ),
        Refusal::Disabled => (
            StatusCode::CONFLICT,
            "WEBHOOK_DISABLED",
            "the webhook is told nothing any more; make it anew",
        ),
        Refusal::Backlog => (
            StatusCode::CONFLICT,
            "WEBHOOK_BACKLOG",
            "1,000 messages wait for the webhook already; its server is asked again when it has rested",
        ),
        Refusal::KeyReused => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "IDEMPOTENCY_KEY_REUSED",
            "that key was another webhook's",
        ),
        Refusal::TooMany => (
            StatusCode::CONFLICT,
            "TOO_MANY_WEBHOOKS",
            "a user has 10 webhooks at most",
        ),
        Refusal::Foreign => (
            StatusCode::FORBIDDEN,
            "FORBIDDEN",
            "`user_id` is not the token's subject",
        ),
        Refusal::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "DATABASE_UNAVAILABLE",
            "the database cannot be reached",
        ),
    }
}

/// All of an answer to a connection for which there is no place, before it has asked.
pub(super) fn full() -> String {
    let body = json!({
        "error": "the host has as many connections as it takes",
        "code": "TOO_MANY_CONNECTIONS",
        "timestamp": timestamp(),
        "request_id": uuid::Uuid::now_v7().to_string(),
    })
    .to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}"
    )
}

fn call(error: &CallError) -> (StatusCode, &'static str, &'static str) {
    match error {
        CallError::Overloaded | CallError::Retired | CallError::NoInstance(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "OVERLOADED",
            "the service has as much to do as it can",
        ),
        CallError::Deadline => (
            StatusCode::GATEWAY_TIMEOUT,
            "SERVICE_TIMEOUT",
            "the service took too long",
        ),
        CallError::Trap(_) | CallError::Cpu | CallError::Memory => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "SERVICE_FAILED",
            "the service failed",
        ),
    }
}
