//! Many texts at once: each is asked for by an event, so that a crash resumes them.

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use guest::idempotency::{Key, fingerprint, once};
use guest::identity::User;
use guest::openapi::Error;
use guest::postgres::{self, Transaction};
use guest::uuid::Uuid;
use guest::{Caller, Path, Problem, Query, events, extract, params, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::content::Origin;
use super::delivery::REQUESTED;
use super::http::{ByUser, shown};
use super::openapi::{BatchShown, BatchStarted};
use super::{library, retention, synthesize};
use crate::request::{Order, Synthesize};

const MAX_ITEMS: usize = 100;
/// Of all texts, in bytes: each is in an event.
const MAX_BYTES: usize = 4 << 20;
const ROUTE: &str = "/synthesize/batch";

#[derive(Deserialize, ToSchema)]
#[schema(as = SynthesizeBatch)]
pub(super) struct Batch {
    #[schema(min_items = 1, max_items = 100)]
    items: Vec<Synthesize>,
    /// Whose; the token's subject when absent.
    user_id: Option<String>,
}

impl Batch {
    /// All of them, or what is wrong with the first that cannot be spoken.
    fn check(self) -> Result<Vec<Order>, Problem> {
        if self.items.is_empty() || self.items.len() > MAX_ITEMS {
            let why = format!("`items` has 1 to {MAX_ITEMS} items");
            return Err(Problem::validation(why));
        }
        if self.items.iter().map(|item| item.text.len()).sum::<usize>() > MAX_BYTES {
            return Err(
                crate::refusal::Refusal::too_long("the texts are too long together").into(),
            );
        }
        let check = |(at, item): (usize, Synthesize)| {
            let named = |refusal| Problem::from(refusal).details(json!({ "item": at }));
            item.check().map_err(named)
        };
        self.items.into_iter().enumerate().map(check).collect()
    }
}

/// Speaks up to 100 texts, in the background.
#[utoipa::path(
    post,
    path = "/synthesize/batch",
    params(Key),
    request_body(content = Batch),
    responses(
        (status = 202, description = "They are being spoken", body = BatchStarted, headers(("Location" = String, description = "Where the batch is"))),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 413, description = "`TEXT_TOO_LONG`", body = Error),
        (status = 422, description = "`IDEMPOTENCY_KEY_REUSED`", body = Error),
        (status = 502, description = "`UPSTREAM_ERROR`", body = Error),
    ),
)]
pub(super) async fn create(caller: Caller, key: Key, body: Bytes) -> Result<Response, Problem> {
    let batch: Batch = extract::parse(&body)?;
    let user = caller.acts_as(batch.user_id.as_deref())?;
    let orders = batch.check()?;
    for (at, order) in orders.iter().enumerate() {
        let speaker = synthesize::speaker(order).await;
        speaker.map_err(|failure| failure.problem().details(json!({ "item": at })))?;
    }
    let owner = user.clone();
    once(
        key,
        &owner,
        ROUTE,
        &fingerprint(&[&body]),
        async move |claim| {
            let batch_id = Uuid::new_v4().to_string();
            let tx = postgres::begin().await?;
            let mut items = Vec::new();
            for order in &orders {
                // In the order of their making.
                let audio_id = Uuid::now_v7().to_string();
                request(&tx, &batch_id, &audio_id, &user, order).await?;
                items.push(json!({ "audio_id": audio_id, "status": "processing" }));
            }
            let body = json!({
                "batch_id": batch_id,
                "status": "processing",
                "items": items,
                "requested_at": timestamp::now(),
            });
            let location = format!("{ROUTE}/{batch_id}");
            let answer = claim.answer_in(&tx, StatusCode::ACCEPTED, Some(&location), &body);
            let answer = answer.await?;
            postgres::commit(tx).await?;
            Ok(answer)
        },
    )
    .await
}

async fn request(
    tx: &Transaction,
    batch_id: &str,
    audio_id: &str,
    user: &User,
    order: &Order,
) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "insert into audio (audio_id, tenant, user_id, batch_id, status, text, text_type, format, \
         requested_voice_id, expires_at) \
         values ($1, $2, $3, $4, 'processing', $5, $6, $7, $8, now() + $9 * interval '1 day')",
        params![
            audio_id,
            &user.tenant,
            &user.id,
            batch_id,
            &order.text,
            order.text_type(),
            order.format.as_str(),
            order.voice.clone(),
            retention::days()
        ],
    )
    .await?;
    let payload = json!({
        "schema_version": 1,
        "request_id": audio_id,
        "audio_id": audio_id,
        "user_id": user.id,
        "tenant": user.tenant,
        "text": order.text,
        "text_type": order.text_type(),
        "voice_id": order.voice,
        "language_code": order.language,
        "output_format": order.format.as_str(),
        "engine": order.engine.map(crate::voice::Engine::as_str),
        "sample_rate": order.rate,
    });
    events::publish_in(tx, REQUESTED, audio_id, &payload).await
}

/// A batch, and how far each of its texts is.
#[utoipa::path(
    get,
    path = "/synthesize/batch/{id}",
    responses(
        (status = 200, description = "The batch", body = BatchShown),
        (status = 404, description = "`BATCH_NOT_FOUND`", body = Error),
    ),
)]
pub(super) async fn show(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    origin: Origin,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let found = library::batch(&id, &owner).await?;
    let is_done = found.iter().all(|audio| audio.status != "processing");
    let mut items = Vec::new();
    for audio in &found {
        items.push(shown(audio, &origin).await?);
    }
    let status = if is_done { "completed" } else { "processing" };
    Ok(Json(
        json!({ "batch_id": id, "status": status, "items": items }),
    ))
}
