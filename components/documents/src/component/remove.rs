//! `DELETE /document/{id}`: the row, its text and its place in the index go with the event that says so;
//! the blobs after it, by whoever comes first: the request, the event, or the processing that finds the
//! row gone.

use axum::Json;
use guest::events::{Disposition, Event, payload};
use guest::openapi::Error;
use guest::postgres::{self, Transaction};
use guest::{Caller, Path, Problem, Query, blobs, events, params, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::http::ByUser;
use super::openapi::Removed;
use super::{leftover, look, secret, store};

/// The payload of `document.deleted`.
#[derive(Serialize, Deserialize)]
struct Deleted {
    schema_version: u32,
    document_id: String,
    #[serde(default)]
    tenant: String,
    user_id: String,
    #[serde(default)]
    s3_key: Option<String>,
    #[serde(default)]
    run: u32,
    #[serde(default)]
    deleted_at: String,
}

/// Deletes a document, and all that came of it.
#[utoipa::path(
    delete,
    path = "/document/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "It is gone", body = Removed),
        (status = 404, description = "`DOCUMENT_NOT_FOUND`", body = Error),
    ),
)]
pub(super) async fn remove(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let tx = postgres::begin().await?;
    let rows = postgres::fetch_in(
        &tx,
        "delete from documents where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3) \
         returning tenant, user_id, s3_key, run, coalesce(text_key, 'text/' || document_id || '.json')",
        params![&id, &owner.tenant, owner.user],
    );
    let mut row = rows.await?.into_iter().next().ok_or_else(store::missing)?;
    let gone = Deleted {
        schema_version: 1,
        document_id: id.clone(),
        tenant: row.text(0),
        user_id: row.text(1),
        s3_key: row.opt_text(2),
        run: row.count(3),
        deleted_at: timestamp::now(),
    };
    // Who comes first removes them; the clock does, where all others fail. Of what nobody has made yet there
    // is no blob, which is fine.
    let mut keys = vec![
        row.text(4),
        work_key(&id, gone.run),
        secret::key_blob(&id, gone.run),
    ];
    keys.extend(gone.s3_key.clone());
    leftover::due_in(&tx, &id, &keys).await?;
    forget_answers(&tx, &gone).await?;
    events::publish_in(&tx, "document.deleted", &id, &json!(gone)).await?;
    postgres::commit(tx).await?;
    // What fails here the event does.
    let _ = blobs_of(&gone).await;
    let body = json!({ "message": "Document deleted successfully", "document_id": id });
    Ok(Json(body))
}

/// Answers that are kept for a repeated request name the file.
async fn forget_answers(tx: &Transaction, gone: &Deleted) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "delete from idempotency where tenant = $1 and user_id = $2 and strpos(body::text, $3) > 0",
        params![&gone.tenant, &gone.user_id, &gone.document_id],
    )
    .await?;
    Ok(())
}

/// `document.deleted`, from this service to itself: nothing of it stays in the blob store.
pub(super) async fn deleted(event: &Event) -> Result<(), Disposition> {
    let gone: Deleted = payload(event)?;
    if !store::exists(&gone.document_id).await? {
        blobs_of(&gone).await?;
    }
    Ok(())
}

async fn blobs_of(gone: &Deleted) -> Result<(), Problem> {
    look::forget(&gone.document_id, gone.run).await;
    if let Some(key) = &gone.s3_key {
        blobs::delete(key).await?;
    }
    derived(&gone.document_id, gone.run).await
}

/// What processing made of a document.
pub(super) async fn derived(id: &str, run: u32) -> Result<(), Problem> {
    leftover::clear(id).await?;
    scratch(id, run).await
}

/// What a run that is over has no more need of.
pub(super) async fn scratch(id: &str, run: u32) -> Result<(), Problem> {
    blobs::delete(&work_key(id, run)).await?;
    secret::forget(id, run).await
}

/// The text by page, for other services. A run has its own: what an earlier one still writes changes nothing.
pub(super) fn text_key(id: &str, run: u32) -> String {
    format!("text/{id}/{run}.json")
}

/// The text as it is while pages of it are looked at.
pub(super) fn work_key(id: &str, run: u32) -> String {
    format!("work/{id}-{run}.json")
}
