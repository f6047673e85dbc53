//! The contract's error body: `{"error", "code", "timestamp"}`, with `request_id` and, where it
//! helps, `details`. The only place of a service where a status is chosen.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::timestamp;

/// What went wrong, for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Option<Value>,
    retry_after: Option<u32>,
}

impl Problem {
    /// With a stable code in capitals and a sentence for a person.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: None,
            retry_after: None,
        }
    }

    /// 400 `VALIDATION_ERROR`: the request is not what the contract says.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message)
    }

    /// 400 with a code of its own: what is asked for cannot be done whatever there is.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 403 `FORBIDDEN`: the caller is somebody else.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    /// 404: not there, or not the caller's.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 409: not now.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 405 `METHOD_NOT_ALLOWED`: the path is there, and has other methods.
    pub fn method_not_allowed() -> Self {
        let message = "the path has other methods";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            message,
        )
    }

    /// 412 `PRECONDITION_FAILED`: it is no longer what the client has seen.
    pub fn precondition_failed(message: impl Into<String>) -> Self {
        let status = StatusCode::PRECONDITION_FAILED;
        Self::new(status, "PRECONDITION_FAILED", message)
    }

    /// 413 `PAYLOAD_TOO_LARGE`.
    pub fn too_large(message: impl Into<String>) -> Self {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, "PAYLOAD_TOO_LARGE", message)
    }

    /// 415 `UNSUPPORTED_MEDIA_TYPE`: a file of a kind that is not read.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    /// 422: understood, but it can't be done with this content.
    pub fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 429 `QUOTA_EXCEEDED`: the caller's own budget, not the platform's room.
    pub fn quota_exceeded(message: impl Into<String>) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, "QUOTA_EXCEEDED", message)
    }

    /// 503: something the service needs is away.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(1)
    }

    /// 507 `STORAGE_FULL`: the platform's, not the caller's own.
    pub fn storage_full() -> Self {
        let status = StatusCode::INSUFFICIENT_STORAGE;
        Self::new(status, "STORAGE_FULL", "the storage is full")
    }

    /// 500 `INTERNAL_ERROR`: the service's own mistake; what it was is in the log.
    pub fn internal() -> Self {
        let message = "something went wrong on our side";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
    }

    /// Further members for a program.
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// When trying again makes sense, in seconds.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response, once the request's id is known.
    pub fn render(&self, request_id: Option<&str>) -> Response {
        let mut body =
            json!({ "error": self.message, "code": self.code, "timestamp": timestamp::now() });
        if let Some(id) = request_id {
            body["request_id"] = json!(id);
        }
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        let mut response = (self.status, axum::Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Carries the problem out to where the request's id is known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
