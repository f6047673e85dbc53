//! How a service describes itself: what its routes have in common. The document is made of the routes
//! themselves, when the host asks for it at [`PATH`]; the gateway joins those of all services.

use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use crate::Page;
use crate::idempotency::Key;

/// Where a service answers its document, to the host alone.
pub const PATH: &str = "/openapi.json";

/// Every error.
#[derive(ToSchema)]
pub struct Error {
    /// For a person.
    pub error: String,
    /// Stable, in capitals.
    pub code: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// Also in the header `x-request-id`, and in the log.
    pub request_id: String,
    /// Further members for a program, as the code says.
    #[schema(nullable = false)]
    pub details: Option<serde_json::Value>,
}

/// A file of a list whose other files were taken.
#[derive(ToSchema)]
pub struct RefusedFile {
    /// As it was sent.
    pub filename: String,
    /// For a person.
    pub error: String,
    /// Stable, in capitals.
    pub code: String,
}

/// Why there is none of something.
#[derive(ToSchema)]
pub struct Failure {
    /// Stable, in capitals.
    pub code: String,
    /// For a person.
    pub error: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described, and read by `Page` itself")]
struct Paging {
    /// Items of the page; 50 when absent.
    #[param(minimum = 1, maximum = 200, nullable = false)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "described, and read by `Key` itself")]
struct Repeatable {
    /// A POST that is repeated with it answers as it did at first, for a day, and does nothing more.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        nullable = false
    )]
    idempotency_key: Option<String>,
}

impl IntoParams for Page {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Paging::into_params(parameter_in)
    }
}

impl IntoParams for Key {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Repeatable::into_params(parameter_in)
    }
}
