//! `/v1/models`: the configured language model, and `lectern`, which answers from documents.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Gateway;
use super::problem::Refusal;

/// Answers from the asker's documents, with a language model or without.
pub(super) const LECTERN: &str = "lectern";

/// Since when there are models here: seconds since the Unix epoch.
static STARTED: LazyLock<i64> = LazyLock::new(now);

pub(super) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// The models that there are.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiModels)]
pub(in crate::gateway) struct Models {
    /// `list`.
    object: &'static str,
    data: Vec<Model>,
}

/// A model.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiModel)]
pub(in crate::gateway) struct Model {
    id: String,
    /// `model`.
    object: &'static str,
    /// Seconds since the Unix epoch.
    created: i64,
    owned_by: &'static str,
}

fn models(gateway: &Gateway) -> Vec<Model> {
    let model = |id: &str| Model {
        id: id.to_owned(),
        object: "model",
        created: *STARTED,
        owned_by: "lectern",
    };
    let configured = gateway.platform.model().map(model);
    std::iter::once(model(LECTERN)).chain(configured).collect()
}

/// The models that there are.
///
/// `lectern` answers from the asker's documents; the other one is the configured language model.
#[utoipa::path(
    get,
    path = "/v1/models",
    operation_id = "openai_models",
    tag = "openai",
    responses((status = 200, description = "The models", body = Models)),
)]
pub(in crate::gateway) fn list(gateway: &Gateway) -> Response {
    let models = Models {
        object: "list",
        data: models(gateway),
    };
    axum::Json(models).into_response()
}

/// A model.
#[utoipa::path(
    get,
    path = "/v1/models/{model}",
    operation_id = "openai_model",
    tag = "openai",
    params(("model" = String, Path, description = "As `/v1/models` lists it")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 404, description = "`model_not_found`", body = super::problem::OpenAiError),
    ),
)]
pub(in crate::gateway) fn show(gateway: &Gateway, path: &str) -> Result<Response, Refusal> {
    let id = path.strip_prefix("/v1/models/").unwrap_or_default();
    let found = models(gateway).into_iter().find(|model| model.id == id);
    match found {
        Some(model) => Ok(axum::Json(model).into_response()),
        None => Err(Refusal::UnknownModel(id.to_owned())),
    }
}

/// Whether it is one of them.
pub(super) fn is_known(gateway: &Gateway, id: &str) -> bool {
    id == LECTERN || gateway.platform.model() == Some(id)
}
