//! Documents in PostgreSQL.

use guest::identity::{Owner, User};
use guest::postgres::{self, Row, Transaction};
use guest::{Problem, events, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::text::Document;
use crate::sniff::Kind;

/// A new document.
pub(super) struct Upload {
    pub(super) document_id: String,
    pub(super) user: User,
    pub(super) filename: String,
    pub(super) s3_key: String,
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) generate_notes: bool,
}

/// The payload of `document.uploaded`: also what asks for processing, so that a crash resumes it.
#[derive(Serialize, Deserialize)]
pub(super) struct Uploaded {
    pub(super) schema_version: u32,
    pub(super) document_id: String,
    #[serde(default)]
    pub(super) tenant: String,
    pub(super) user_id: String,
    pub(super) filename: String,
    pub(super) s3_key: String,
}

/// What processing needs of a document.
pub(super) struct Pending {
    pub(super) tenant: String,
    pub(super) user_id: String,
    pub(super) filename: String,
    pub(super) s3_key: String,
    pub(super) kind: Kind,
    pub(super) generate_notes: bool,
}

fn missing() -> Problem {
    Problem::not_found("DOCUMENT_NOT_FOUND", "there is no such document")
}

/// The row and its event, or neither.
pub(super) async fn insert(upload: &Upload) -> Result<(), Problem> {
    let tx = postgres::begin().await?;
    postgres::execute_in(
        &tx,
        "insert into documents (document_id, tenant, user_id, filename, s3_key, status, kind, size_bytes, generate_notes) \
         values ($1, $2, $3, $4, $5, 'processing', $6, $7, $8)",
        params![
            &upload.document_id,
            &upload.user.tenant,
            &upload.user.id,
            &upload.filename,
            &upload.s3_key,
            upload.kind.extension(),
            i64::try_from(upload.size).unwrap_or(i64::MAX),
            upload.generate_notes,
        ],
    )
    .await?;
    let event = Uploaded {
        schema_version: 1,
        document_id: upload.document_id.clone(),
        tenant: upload.user.tenant.clone(),
        user_id: upload.user.id.clone(),
        filename: upload.filename.clone(),
        s3_key: upload.s3_key.clone(),
    };
    publish_uploaded(&tx, &event).await?;
    postgres::commit(tx).await
}

async fn publish_uploaded(tx: &Transaction, event: &Uploaded) -> Result<(), Problem> {
    events::publish_in(tx, "document.uploaded", &event.document_id, &json!(event)).await
}

/// Whether the document was stored; told when it could not be told before.
pub(super) async fn exists(id: &str) -> Result<bool, Problem> {
    let row = postgres::fetch_optional(
        "select 1 from documents where document_id = $1",
        params![id],
    );
    Ok(row.await?.is_some())
}

/// The contract's body of one document, but for its text.
pub(super) async fn document(id: &str, owner: &Owner) -> Result<Document, Problem> {
    let row = postgres::fetch_optional(
        "select filename, status, char_length(extracted_text)::bigint, notes, page_count, processed_at, uploaded_at, s3_key, \
         engine, truncated, error_code, error_message \
         from documents where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone()],
    );
    let mut row = row.await?.ok_or_else(missing)?;
    let mut body = json!({
        "document_id": id,
        "filename": row.text(0),
        "status": row.text(1),
        "notes": row.opt_text(3),
        "page_count": row.opt_int(4),
        "processed_at": row.opt_timestamp(5),
        "uploaded_at": row.timestamp(6),
        "s3_key": row.text(7),
        "engine": row.opt_text(8),
        "truncated": row.boolean(9),
    });
    if let Some(code) = row.opt_text(10) {
        body["failure"] = json!({ "code": code, "error": row.text(11) });
    }
    Ok(Document {
        id: id.to_owned(),
        body,
        characters: row.opt_int(2),
    })
}

/// The contract's list, newest first.
pub(super) async fn documents(user: &User) -> Result<Vec<Value>, Problem> {
    let rows = postgres::fetch(
        "select document_id, filename, status, uploaded_at from documents \
         where tenant = $1 and user_id = $2 order by uploaded_at desc, document_id limit 1000",
        params![&user.tenant, &user.id],
    );
    let item = |mut row: Row| {
        json!({
            "document_id": row.text(0),
            "filename": row.text(1),
            "status": row.text(2),
            "uploaded_at": row.timestamp(3),
        })
    };
    Ok(rows.await?.into_iter().map(item).collect())
}

/// Asks for processing again; a document that is being processed is left to it.
pub(super) async fn process_again(id: &str, owner: &Owner) -> Result<(), Problem> {
    let tx = postgres::begin().await?;
    let rows = postgres::fetch_in(
        &tx,
        "select user_id, filename, s3_key, status, requested_at > now() - interval '10 minutes' from documents \
         where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3) for update",
        params![id, &owner.tenant, owner.user.clone()],
    );
    let mut row = rows.await?.into_iter().next().ok_or_else(missing)?;
    let event = Uploaded {
        schema_version: 1,
        document_id: id.to_owned(),
        tenant: owner.tenant.clone(),
        user_id: row.text(0),
        filename: row.text(1),
        s3_key: row.text(2),
    };
    // What was asked for a while ago, and is not done, may have been given up.
    if row.text(3) == "processing" && row.boolean(4) {
        return Ok(());
    }
    postgres::execute_in(
        &tx,
        "update documents set status = 'processing', requested_at = now(), error_code = null, error_message = null \
         where document_id = $1",
        params![id],
    )
    .await?;
    publish_uploaded(&tx, &event).await?;
    postgres::commit(tx).await
}

/// The document, where it still waits to be processed.
pub(super) async fn pending(id: &str) -> Result<Option<Pending>, Problem> {
    let row = postgres::fetch_optional(
        "select user_id, filename, s3_key, kind, generate_notes, tenant from documents \
         where document_id = $1 and status = 'processing'",
        params![id],
    );
    Ok(row.await?.and_then(|mut row| {
        Some(Pending {
            tenant: row.text(5),
            user_id: row.text(0),
            filename: row.text(1),
            s3_key: row.text(2),
            kind: Kind::parse(&row.text(3))?,
            generate_notes: row.boolean(4),
        })
    }))
}
