//! Every refusal of the admin API: the only place of it where a status is chosen.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use backend::postgres::provision::ProvisionError;

use crate::deploy::DeployError;
use crate::factory::Unfit;
use crate::gateway::auth::Denied;
use crate::gateway::problem::{Problem, render};

/// Why a call is not answered as asked.
#[derive(Debug)]
pub(super) enum Refusal {
    NoSuchPath,
    NoSuchMethod,
    Denied(Denied),
    NotAdmin,
    /// The request is not as described.
    Invalid(String),
    TooLarge,
    Deploy(DeployError),
}

impl From<DeployError> for Refusal {
    fn from(error: DeployError) -> Self {
        Self::Deploy(error)
    }
}

/// Carried to where the request's id is known.
#[derive(Clone)]
struct Told {
    code: &'static str,
    message: String,
    check: Option<&'static str>,
}

impl Refusal {
    fn parts(&self) -> (StatusCode, Told) {
        let told = |code, message: &str| Told {
            code,
            message: message.to_owned(),
            check: None,
        };
        match self {
            Self::NoSuchPath => (
                StatusCode::NOT_FOUND,
                told("NOT_FOUND", "there is no such path"),
            ),
            Self::NoSuchMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                told("METHOD_NOT_ALLOWED", "the path has other methods"),
            ),
            Self::Denied(denied) => {
                let (status, code, message) = Problem::Denied(*denied).parts();
                (status, told(code, &message))
            }
            Self::NotAdmin => (
                StatusCode::FORBIDDEN,
                told(
                    "FORBIDDEN",
                    "the token's role is not `admin`: make one with `lectern token --role admin`",
                ),
            ),
            Self::Invalid(why) => (StatusCode::BAD_REQUEST, told("VALIDATION_ERROR", why)),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                told("PAYLOAD_TOO_LARGE", "a component has at most 64 MiB"),
            ),
            Self::Deploy(error) => deploy(error),
        }
    }
}

fn deploy(error: &DeployError) -> (StatusCode, Told) {
    let (status, code) = match error {
        DeployError::Unfit(Unfit::Route(_)) => (StatusCode::CONFLICT, "ROUTE_TAKEN"),
        DeployError::Unfit(unfit @ Unfit::Provision(ProvisionError::Migrate { .. })) => {
            (StatusCode::UNPROCESSABLE_ENTITY, unfit.code())
        }
        DeployError::Unfit(unfit @ (Unfit::Provision(_) | Unfit::Host(_))) => {
            (StatusCode::INTERNAL_SERVER_ERROR, unfit.code())
        }
        DeployError::Unfit(unfit) => (StatusCode::UNPROCESSABLE_ENTITY, unfit.code()),
        DeployError::NoComponent(_) => (StatusCode::NOT_FOUND, "COMPONENT_NOT_FOUND"),
        DeployError::NoRevision(..) => (StatusCode::NOT_FOUND, "REVISION_NOT_FOUND"),
        DeployError::ManifestMissing(_) => (StatusCode::BAD_REQUEST, "MANIFEST_MISSING"),
        DeployError::Busy(_) => (StatusCode::CONFLICT, "DEPLOY_IN_PROGRESS"),
        DeployError::InUse(_) => (StatusCode::CONFLICT, "REVISION_IN_USE"),
        DeployError::NothingBefore(_) => (StatusCode::CONFLICT, "NOTHING_TO_ROLL_BACK_TO"),
        DeployError::Header(_) | DeployError::Weight | DeployError::SameRevision => {
            (StatusCode::BAD_REQUEST, "VALIDATION_ERROR")
        }
        DeployError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        DeployError::Apply(_) => (StatusCode::CONFLICT, "NOT_APPLIED"),
    };
    let check = match error {
        DeployError::Unfit(unfit) => Some(unfit.check()),
        _ => None,
    };
    let message = match error {
        // What the database said is for the log.
        DeployError::Store(error) => {
            tracing::error!(%error, "the revisions cannot be reached");
            "the database cannot be reached".to_owned()
        }
        error => error.to_string(),
    };
    (
        status,
        Told {
            code,
            message,
            check,
        },
    )
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, told) = self.parts();
        let mut response = status.into_response();
        response.extensions_mut().insert(told);
        response
    }
}

/// The contract's body, now that the request's id is known.
pub(super) fn with_id(response: Response, id: &str) -> Response {
    match response.extensions().get::<Told>() {
        Some(told) => render(response.status(), told.code, &told.message, id, told.check),
        None => response,
    }
}
