//! Documents in PostgreSQL.

use axum::response::Response;
use guest::identity::{Owner, User};
use guest::page::{Cursor, Page};
use guest::postgres::{self, Row, Transaction};
use guest::{Problem, events, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::leftover;
use super::text::{Document, PIECE};
use crate::sniff::Kind;

/// The run that an upload asks for.
pub(super) const FIRST_RUN: u32 = 1;

/// A new document.
pub(super) struct Upload {
    pub(super) document_id: String,
    pub(super) user: User,
    pub(super) filename: String,
    pub(super) s3_key: String,
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) generate_notes: bool,
    pub(super) sealed_password: Option<String>,
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
    /// Which run is asked for; one of before has none.
    #[serde(default)]
    pub(super) run: Option<u32>,
}

pub(super) fn missing() -> Problem {
    Problem::not_found("DOCUMENT_NOT_FOUND", "there is no such document")
}

/// The rows, their events and the answer, or nothing of it.
pub(super) async fn insert(
    uploads: &[Upload],
    answer: impl AsyncFnOnce(&Transaction) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let tx = postgres::begin().await?;
    for upload in uploads {
        insert_one(&tx, upload).await?;
    }
    let answer = answer(&tx).await?;
    postgres::commit(tx).await?;
    Ok(answer)
}

async fn insert_one(tx: &Transaction, upload: &Upload) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "insert into documents (document_id, tenant, user_id, filename, s3_key, status, kind, size_bytes, \
         generate_notes, sealed_password) values ($1, $2, $3, $4, $5, 'processing', $6, $7, $8, $9)",
        params![
            &upload.document_id,
            &upload.user.tenant,
            &upload.user.id,
            &upload.filename,
            &upload.s3_key,
            upload.kind.extension(),
            i64::try_from(upload.size).unwrap_or(i64::MAX),
            upload.generate_notes,
            upload.sealed_password.clone(),
        ],
    )
    .await?;
    leftover::taken_in(tx, &upload.document_id).await?;
    let event = Uploaded {
        schema_version: 1,
        document_id: upload.document_id.clone(),
        tenant: upload.user.tenant.clone(),
        user_id: upload.user.id.clone(),
        filename: upload.filename.clone(),
        s3_key: upload.s3_key.clone(),
        run: Some(FIRST_RUN),
    };
    publish_uploaded(tx, &event).await
}

pub(super) async fn publish_uploaded(tx: &Transaction, event: &Uploaded) -> Result<(), Problem> {
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

/// How far a document is.
pub(super) struct Standing {
    pub(super) version: i64,
    pub(super) status: String,
    /// For a client: `{"document_id", "status", "progress"}` and why it failed.
    pub(super) body: Value,
}

pub(super) async fn standing(id: &str, owner: &Owner) -> Result<Standing, Problem> {
    let row = postgres::fetch_optional(
        "select version, status, stage, stage_done, stage_total, error_code, error_message from documents \
         where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone()],
    );
    let mut row = row.await?.ok_or_else(missing)?;
    let status = row.text(1);
    let mut body = json!({
        "document_id": id,
        "status": &status,
        "progress": progress(&status, &mut row, 2),
    });
    if let Some(code) = row.opt_text(5) {
        body["failure"] = json!({ "code": code, "error": row.text(6) });
    }
    Ok(Standing {
        version: row.int(0),
        status,
        body,
    })
}

/// Of the columns stage, done and total; nothing where all is done.
fn progress(status: &str, row: &mut Row, at: usize) -> Value {
    match status {
        "processing" => json!({
            "stage": row.text(at), "done": row.count(at + 1), "total": row.count(at + 2),
        }),
        _ => Value::Null,
    }
}

/// The contract's body of one document, but for its text.
pub(super) async fn document(id: &str, owner: &Owner) -> Result<Document, Problem> {
    let row = postgres::fetch_optional(
        "select filename, status, char_length(extracted_text)::bigint, notes, page_count, processed_at, uploaded_at, \
         s3_key, engine, truncated, error_code, error_message, stage, stage_done, stage_total, warnings, ocr, \
         notes_edited_at, version, text_run, kind, \
         case when char_length(extracted_text) <= $4 then extracted_text end \
         from documents where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone(), PIECE],
    );
    let mut row = row.await?.ok_or_else(missing)?;
    let status = row.text(1);
    let mut body = json!({
        "document_id": id,
        "filename": row.text(0),
        "status": &status,
        "progress": progress(&status, &mut row, 12),
        "type": row.text(20),
        "notes": row.opt_text(3),
        "notes_edited_at": row.opt_timestamp(17),
        "page_count": row.opt_int(4),
        "processed_at": row.opt_timestamp(5),
        "uploaded_at": row.timestamp(6),
        "s3_key": row.text(7),
        "engine": row.opt_text(8),
        "truncated": row.boolean(9),
        "warnings": list(row.text(15)),
        "needs_ocr": list(row.text(16)),
    });
    if let Some(code) = row.opt_text(10) {
        body["failure"] = json!({ "code": code, "error": row.text(11) });
    }
    Ok(Document {
        id: id.to_owned(),
        body,
        characters: row.opt_int(2),
        short: row.opt_text(21),
        version: row.int(18),
        text_run: row.count(19),
    })
}

/// A list of the service's own making.
pub(super) fn list(json: String) -> Value {
    serde_json::from_str(&json).unwrap_or_else(|_| json!([]))
}

/// The contract's list, newest first.
pub(super) async fn documents(user: &User, page: &Page) -> Result<Vec<(Cursor, Value)>, Problem> {
    let after = page.after.as_ref();
    let rows = postgres::fetch(
        "select document_id, filename, status, uploaded_at from documents \
         where tenant = $1 and user_id = $2 and ($3::bigint is null or (uploaded_at, document_id) < \
         (timestamptz 'epoch' + $3 * interval '1 microsecond', $4::text)) \
         order by uploaded_at desc, document_id desc limit $5",
        params![
            &user.tenant,
            &user.id,
            after.map(|after| after.at),
            after.map(|after| after.id.clone()),
            page.rows()
        ],
    );
    let item = |mut row: Row| {
        let cursor = Cursor {
            at: row.microseconds(3),
            id: row.text(0),
        };
        let body = json!({
            "document_id": &cursor.id,
            "filename": row.text(1),
            "status": row.text(2),
            "uploaded_at": row.timestamp(3),
        });
        (cursor, body)
    };
    Ok(rows.await?.into_iter().map(item).collect())
}
