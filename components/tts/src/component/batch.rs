//! Many texts at once: each is asked for by an event, so that a crash resumes them.

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use guest::idempotency::{Key, fingerprint, once};
use guest::openapi::Error;
use guest::postgres;
use guest::uuid::Uuid;
use guest::{Caller, Path, Problem, Query, extract, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::http::{ByUser, shown};
use super::openapi::{BatchShown, BatchStarted};
use super::waiting::{self, Maker};
use super::{engine, library, synthesize};
use crate::request::{Order, Synthesize};

const MAX_ITEMS: usize = 100;
/// Of all texts, in bytes: they are stored in one statement.
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
    let voices = engine::voices().await?;
    for (at, order) in orders.iter().enumerate() {
        let speaker = synthesize::chosen(&voices, order);
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
            // In the order of their making.
            let id = |order| (Uuid::now_v7().to_string(), order);
            let rows: Vec<_> = orders.iter().map(id).collect();
            let tx = postgres::begin().await?;
            waiting::insert_in(&tx, &user, Maker::Events(&batch_id), &rows).await?;
            waiting::ask_for_batch_in(&tx, &batch_id).await?;
            let item = |(id, _): &(String, _)| json!({ "audio_id": id, "status": "processing" });
            let items: Vec<_> = rows.iter().map(item).collect();
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

/// A batch, and how far each of its texts is.
#[utoipa::path(
    get,
    path = "/synthesize/batch/{id}",
    operation_id = "show_batch",
    params(ByUser),
    responses(
        (status = 200, description = "The batch", body = BatchShown),
        (status = 404, description = "`BATCH_NOT_FOUND`", body = Error),
    ),
)]
pub(super) async fn show(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let found = library::batch(&id, &owner).await?;
    let is_done = found.iter().all(|audio| audio.status != "processing");
    let mut items = Vec::new();
    for audio in &found {
        items.push(shown(audio).await?);
    }
    let status = if is_done { "completed" } else { "processing" };
    Ok(Json(
        json!({ "batch_id": id, "status": status, "items": items }),
    ))
}
