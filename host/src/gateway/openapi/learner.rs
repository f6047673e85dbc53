//! What the host itself keeps for each learner: budgets, webhooks, live updates.
#![expect(
    dead_code,
    reason = "described, and answered by `gateway::usage`, `webhook` and `gateway::websocket`"
)]

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

use super::own::Error;

/// What one has used of one's budgets.
#[derive(ToSchema)]
struct Usage {
    /// By `llm_tokens`, `tts_characters`, `stt_seconds`, `storage_bytes`.
    usage: BTreeMap<String, Used>,
}

#[derive(ToSchema)]
struct Used {
    used: u64,
    /// `null` where there is none.
    #[schema(required)]
    limit: Option<u64>,
    /// The next midnight, UTC; `null` for what no day ends.
    #[schema(required, format = DateTime)]
    resets_at: Option<String>,
}

/// A server that is told.
#[derive(ToSchema)]
struct NewWebhook {
    /// `https://…`, at a public address.
    url: String,
    #[schema(min_items = 1)]
    events: Vec<WebhookEvent>,
    /// In development mode, and for an administrator.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    user_id: Option<String>,
}

#[derive(ToSchema)]
enum WebhookEvent {
    #[schema(rename = "document.processed")]
    Document,
    #[schema(rename = "quiz.generated")]
    Quiz,
    #[schema(rename = "audio.transcription.completed")]
    Transcription,
    #[schema(rename = "audio.generation.completed")]
    Speech,
}

/// A webhook as it is made.
#[derive(ToSchema)]
struct MadeWebhook {
    webhook_id: String,
    url: String,
    events: Vec<WebhookEvent>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required)]
    disabled: Option<Disabled>,
    /// What messages are signed with; in this answer and no other.
    secret: String,
}

/// A webhook.
#[derive(ToSchema)]
struct Webhook {
    webhook_id: String,
    url: String,
    events: Vec<WebhookEvent>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required)]
    disabled: Option<Disabled>,
}

/// Since when and why it is told no more.
#[derive(ToSchema)]
struct Disabled {
    #[schema(format = DateTime)]
    at: String,
    reason: String,
}

#[derive(ToSchema)]
struct WebhookList {
    webhooks: Vec<Webhook>,
}

#[derive(ToSchema)]
struct WebhookPing {
    /// The message's `webhook-id`.
    message_id: String,
}

#[derive(ToSchema)]
struct WebhookDeliveries {
    /// The newest 50.
    deliveries: Vec<WebhookDelivery>,
}

#[derive(ToSchema)]
struct WebhookDelivery {
    message_id: String,
    event: String,
    /// `delivered`, `waiting` or `failed`.
    state: String,
    attempts: u32,
    /// What the server answered last.
    #[schema(required)]
    status: Option<u16>,
    #[schema(required)]
    error: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    delivered_at: Option<String>,
    #[schema(required, format = DateTime)]
    next_attempt_at: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Whose {
    /// In development mode, and for an administrator.
    #[param(nullable = false)]
    user_id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
struct Which {
    /// The webhook's.
    id: String,
}

/// What one has used of one's budgets, and when they begin anew.
#[utoipa::path(
    get,
    path = "/usage",
    tag = "host",
    params(Whose),
    responses(
        (status = 200, description = "By budget", body = Usage),
        (status = 405, description = "`METHOD_NOT_ALLOWED`", body = Error),
    ),
)]
pub(super) fn usage() {}

/// One WebSocket for all that is live: a message `{"type":"subscribe","id","path","body"}` asks a route of
/// this document for its server-sent events.
#[utoipa::path(
    get,
    path = "/ws",
    operation_id = "websocket",
    tag = "host",
    responses(
        (status = 101, description = "It speaks WebSocket now"),
        (status = 405, description = "`METHOD_NOT_ALLOWED`", body = Error),
        (status = 426, description = "`UPGRADE_REQUIRED`", body = Error),
    ),
)]
pub(super) fn websocket() {}

/// Has a server of one's own told what is finished, signed as Standard Webhooks has it.
#[utoipa::path(
    post,
    path = "/webhooks",
    operation_id = "make_webhook",
    tag = "host",
    params(Whose, ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, nullable = false,
        description = "With the same, and the same `url` and `events`, the same webhook is answered, secret and all")),
    request_body = NewWebhook,
    responses(
        (status = 201, description = "It is told from now on", body = MadeWebhook,
            headers(("Location" = String, description = "The webhook"))),
        (status = 405, description = "`METHOD_NOT_ALLOWED`", body = Error),
        (status = 408, description = "`REQUEST_TIMEOUT`", body = Error),
        (status = 409, description = "`TOO_MANY_WEBHOOKS`", body = Error),
        (status = 422, description = "`IDEMPOTENCY_KEY_REUSED`", body = Error),
    ),
)]
pub(super) fn make() {}

/// One's webhooks.
#[utoipa::path(
    get,
    path = "/webhooks",
    operation_id = "list_webhooks",
    tag = "host",
    params(Whose),
    responses((status = 200, description = "All", body = WebhookList)),
)]
pub(super) fn list() {}

/// One of them.
#[utoipa::path(
    get,
    path = "/webhooks/{id}",
    operation_id = "show_webhook",
    tag = "host",
    params(Which, Whose),
    responses(
        (status = 200, description = "The webhook", body = Webhook),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`", body = Error),
        (status = 405, description = "`METHOD_NOT_ALLOWED`", body = Error),
    ),
)]
pub(super) fn show() {}

/// Tells its server nothing any more.
#[utoipa::path(
    delete,
    path = "/webhooks/{id}",
    operation_id = "delete_webhook",
    tag = "host",
    params(Which, Whose),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`", body = Error),
    ),
)]
pub(super) fn delete() {}

/// Sends it a message, to find out whether it works.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/ping",
    operation_id = "ping_webhook",
    tag = "host",
    params(Which, Whose),
    responses(
        (status = 202, description = "It is on its way", body = WebhookPing),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`", body = Error),
        (status = 409, description = "`WEBHOOK_DISABLED`, `WEBHOOK_BACKLOG`", body = Error),
        (status = 405, description = "`METHOD_NOT_ALLOWED`", body = Error),
    ),
)]
pub(super) fn ping() {}

/// What it was told of late.
#[utoipa::path(
    get,
    path = "/webhooks/{id}/deliveries",
    operation_id = "list_webhook_deliveries",
    tag = "host",
    params(Which, Whose),
    responses(
        (status = 200, description = "The newest first", body = WebhookDeliveries),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`", body = Error),
        (status = 405, description = "`METHOD_NOT_ALLOWED`", body = Error),
    ),
)]
pub(super) fn deliveries() {}
