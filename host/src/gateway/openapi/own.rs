//! What the host answers by itself.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::learner;
use crate::gateway::{docs, openai, status};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lectern",
        description = "An AI learning platform: documents and notes, answers with quotes, quizzes and spaced review, \
            speech to text and text to speech.\n\nEvery path is also under `/v1`, as in `/v1/chat`; the header \
            `API-Version` says which version answered. Lists take `limit` and `cursor`, and answer `next_cursor`. A \
            POST that makes something takes an `Idempotency-Key`. Errors are `{\"error\", \"code\", \"timestamp\", \
            \"request_id\"}`; those of the routes that speak as OpenAI's have OpenAI's form.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        status::ready,
        status::health,
        status::live,
        status::capabilities,
        contract,
        docs::page,
        learner::usage,
        learner::websocket,
        learner::make,
        learner::list,
        learner::show,
        learner::delete,
        learner::ping,
        learner::deliveries,
        openai::models::list,
        openai::models::show,
        openai::chat::complete,
        openai::speech::speak,
        openai::speech::voices,
        openai::speech::models,
        openai::transcription::transcribe,
    ),
    components(schemas(Error, openai::problem::OpenAiError)),
    tags(
        (name = "host", description = "How the platform is, and this document"),
        (name = "openai", description = "As OpenAI's API has it, for clients that speak it")
    )
)]
struct Own;

pub(super) fn document() -> Value {
    serde_json::to_value(Own::openapi()).unwrap_or_default()
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "host",
    security(()),
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = 304, description = "The client has it"),
    ),
)]
#[expect(dead_code, reason = "described, and answered by `Contract`")]
fn contract() {}

/// Every error.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, and written by `problem`")]
pub(super) struct Error {
    /// For a person.
    error: String,
    /// Stable, in capitals.
    code: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    timestamp: String,
    /// Also in the header `x-request-id`, and in the log.
    request_id: String,
    /// Further members for a program, as the code says.
    #[schema(nullable = false)]
    details: Option<Value>,
}

/// How something is, and what it needs.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, and written by `status`")]
pub(in crate::gateway) struct Health {
    /// `healthy`, `degraded` or `unhealthy`.
    status: String,
    service: String,
    #[schema(format = DateTime)]
    timestamp: String,
    /// `connected`, `disconnected`, `local` or what else ails it, by name.
    #[schema(nullable = false)]
    dependencies: Option<BTreeMap<String, String>>,
}

/// What stands behind what.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, and written by `status`")]
pub(in crate::gateway) struct Capabilities {
    /// By name, as in `llm`.
    capabilities: BTreeMap<String, Capability>,
}

/// What stands behind a capability.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, and written by `status`")]
pub(in crate::gateway) struct Capability {
    backend: String,
    /// Which variable decided.
    reason: String,
}
