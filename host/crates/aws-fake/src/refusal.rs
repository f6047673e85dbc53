//! Errors as AWS writes them.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, StatusCode, header};
use serde_json::json;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// How a service writes its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Polly's: the error's name is in a header.
    RestJson,
    /// Transcribe's and Textract's: the name is in the body, and the status is 400 or 500.
    AwsJson,
    /// S3's: the error's name is in a body of XML.
    RestXml,
    /// S3's `HEAD`: no body, so no name either.
    Head,
}

/// An error of a service.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    /// What the caller did wrong.
    pub(crate) fn caller(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
        }
    }

    /// Who the caller is not.
    pub(crate) fn identity(code: &'static str, message: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            ..Self::caller(code, message)
        }
    }

    pub(crate) fn not_found(code: &'static str, message: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            ..Self::caller(code, message)
        }
    }

    pub(crate) fn fault(code: &'static str) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..Self::caller(code, "An internal error occurred.")
        }
    }

    pub(crate) fn respond(self, protocol: Protocol) -> Response {
        let json = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
        match protocol {
            Protocol::Head => self.status.into_response(),
            Protocol::RestXml => {
                let (code, message) = (self.code, self.message);
                let body =
                    format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
                (
                    self.status,
                    [(header::CONTENT_TYPE, "application/xml")],
                    body,
                )
                    .into_response()
            }
            Protocol::RestJson => {
                let body = json!({"message": self.message}).to_string();
                let kind = [(ERROR_TYPE, self.code)];
                (self.status, kind, json, body).into_response()
            }
            Protocol::AwsJson => {
                let status = if self.status.is_server_error() {
                    self.status
                } else {
                    StatusCode::BAD_REQUEST
                };
                let body = json!({"__type": self.code, "Message": self.message}).to_string();
                (status, json, body).into_response()
            }
        }
    }
}
