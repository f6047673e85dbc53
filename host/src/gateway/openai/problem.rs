//! Errors in OpenAI's form, for the routes that are OpenAI's: the contract's own, told on, and what these
//! routes refuse themselves.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::gateway::limits::{Limited as TooSoon, Told};
use crate::gateway::problem::Problem;

/// Of an error that is told on.
const MAX_ERROR: usize = 64 << 10;
/// Whether OpenAI's own clients send the request again.
const RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error in OpenAI's form.
#[derive(Serialize, ToSchema)]
pub(in crate::gateway) struct OpenAiError {
    error: Said,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiErrorBody)]
struct Said {
    /// For a person.
    message: String,
    /// As in `invalid_request_error`.
    r#type: &'static str,
    /// Which parameter, where it is one.
    #[schema(required)]
    param: Option<&'static str>,
    /// Stable.
    #[schema(required)]
    code: Option<String>,
}

/// As OpenAI has it for an account without credit, type and code.
const QUOTA: &str = "insufficient_quota";

/// Why a route of OpenAI's does not answer.
#[derive(Debug)]
pub(in crate::gateway) enum Refusal {
    /// What the contract's route, or the gateway, said.
    Told {
        status: StatusCode,
        code: String,
        message: String,
        retry_after: Option<HeaderValue>,
        /// How the caller stands.
        rates: Option<Box<Told>>,
    },
    /// The request.
    Invalid {
        param: Option<&'static str>,
        message: String,
    },
    /// The path has another method.
    Method(Method),
    /// Bytes.
    TooLarge(usize),
    /// The body does not come.
    Stalled,
    /// There is no model of that name.
    UnknownModel(String),
    /// Nobody can answer, as it is configured.
    NoModel(&'static str),
    /// A transcription that takes longer than a client waits.
    Pending { job: String },
    /// A transcription that ended without a transcript.
    NotTranscribed { code: String, message: String },
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let (status, code, message) = problem.parts();
        let is_away = status == StatusCode::SERVICE_UNAVAILABLE;
        let soon = || is_away.then(|| HeaderValue::from_static("1"));
        Self::Told {
            status,
            code: code.to_owned(),
            message,
            retry_after: problem.retry_after().or_else(soon),
            rates: match problem {
                Problem::Limited(TooSoon { told, .. }) => told.map(Box::new),
                _ => None,
            },
        }
    }
}

impl Refusal {
    pub(super) fn invalid(param: Option<&'static str>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Invalid { param, message }
    }

    /// Of what was asked about a recording that is taken: who is told to come later would send it again.
    pub(super) fn of_job(self, job: &str) -> Self {
        match self.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Self::Pending {
                job: job.to_owned(),
            },
            _ => self,
        }
    }

    /// An answer of a component's that is none.
    pub(super) fn broken() -> Self {
        Self::Told {
            status: StatusCode::BAD_GATEWAY,
            code: "SERVICE_FAILED".into(),
            message: "the service's answer broke off".into(),
            retry_after: None,
            rates: None,
        }
    }

    /// An answer that began, and did not end.
    pub(super) fn interrupted(why: &str) -> Self {
        Self::Told {
            status: StatusCode::BAD_GATEWAY,
            code: "ANSWER_INTERRUPTED".into(),
            message: why.to_owned(),
            retry_after: None,
            rates: None,
        }
    }

    /// What a route of the contract said, in the contract's form.
    pub(super) async fn told(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let read = Limited::new(body, MAX_ERROR).collect().await;
        let body = read.map(|read| read.to_bytes()).unwrap_or_default();
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |member: &str, otherwise: &str| {
            let text = said[member].as_str().unwrap_or(otherwise);
            text.to_owned()
        };
        Self::Told {
            status: head.status,
            code: text("code", "SERVICE_FAILED"),
            message: text("error", "the service failed"),
            retry_after: head.headers.get(header::RETRY_AFTER).cloned(),
            rates: None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Told { status, .. } => *status,
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownModel(_) => StatusCode::NOT_FOUND,
            // As it is set up: no error of the service's, which somebody would be called for.
            Self::NoModel(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Pending { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::NotTranscribed { code, .. } => match code.as_str() {
                "ENGINE_NOT_CONFIGURED" => StatusCode::NOT_IMPLEMENTED,
                "ENGINE_ACCESS_DENIED" | "ENGINE_REFUSED" => StatusCode::BAD_GATEWAY,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            },
        }
    }

    /// As OpenAI names what clients tell apart; the contract's code for the rest.
    fn code(&self) -> Option<String> {
        let code = match self {
            Self::Told { status, .. } if *status == StatusCode::UNAUTHORIZED => "invalid_api_key",
            // That will not be better in a minute.
            Self::Told { code, .. } if code == "QUOTA_EXCEEDED" => QUOTA,
            Self::Told { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => {
                "rate_limit_exceeded"
            }
            Self::Told { code, .. } | Self::NotTranscribed { code, .. } => code,
            Self::Invalid { .. } => return None,
            Self::Method(_) => "METHOD_NOT_ALLOWED",
            Self::TooLarge(_) => "PAYLOAD_TOO_LARGE",
            Self::Stalled => "REQUEST_TIMEOUT",
            Self::UnknownModel(_) => "model_not_found",
            Self::NoModel(_) => "model_not_configured",
            Self::Pending { .. } => "TRANSCRIPTION_PROCESSING",
        };
        Some(code.to_owned())
    }

    fn message(&self) -> String {
        match self {
            Self::Told { message, .. }
            | Self::Invalid { message, .. }
            | Self::NotTranscribed { message, .. } => message.clone(),
            Self::Method(method) => format!("the path has another method: {method}"),
            Self::TooLarge(limit) => format!("the body exceeds {limit} bytes"),
            Self::Stalled => "the body did not come in time".into(),
            Self::UnknownModel(model) => {
                let model: String = model.chars().take(100).collect();
                format!("there is no model `{model}`: GET /v1/models lists them")
            }
            Self::NoModel(why) => (*why).into(),
            Self::Pending { job } => {
                format!("the transcription takes longer: GET /transcription/{job} has it later")
            }
        }
    }

    fn param(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { param, .. } => *param,
            Self::UnknownModel(_) => Some("model"),
            _ => None,
        }
    }

    /// The error as it is sent, in an answer of its own or within a stream.
    pub(super) fn body(&self) -> OpenAiError {
        let r#type = match self.status() {
            StatusCode::TOO_MANY_REQUESTS if self.code().is_some_and(|code| code == QUOTA) => QUOTA,
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        OpenAiError {
            error: Said {
                message: self.message(),
                r#type,
                param: self.param(),
                code: self.code(),
            },
        }
    }

    /// The response.
    pub(in crate::gateway) fn render(&self) -> Response {
        let mut response = (self.status(), axum::Json(self.body())).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Told {
                retry_after, rates, ..
            } => {
                if let Some(after) = retry_after {
                    headers.insert(header::RETRY_AFTER, after.clone());
                }
                if let Some(rates) = rates {
                    rates.write(headers);
                }
            }
            Self::Method(method) => {
                if let Ok(method) = HeaderValue::from_str(method.as_str()) {
                    headers.insert(header::ALLOW, method);
                }
            }
            // It would be the same again, or be done twice.
            Self::NoModel(_) | Self::Pending { .. } | Self::NotTranscribed { .. } => {
                headers.insert(RETRY, HeaderValue::from_static("false"));
            }
            _ => {}
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
