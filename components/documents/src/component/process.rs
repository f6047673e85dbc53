//! `document.uploaded`: reads the file, makes notes, and stores both with the events that say so, in
//! one transaction. Dying anywhere before it leaves nothing; the event comes again.

use corpus::Document;
use guest::events::{Disposition, Event, Failure, payload};
use guest::postgres::{self, Transaction};
use guest::uuid::Uuid;
use guest::{Problem, blobs, events, llm, log, params, timestamp};
use serde_json::json;

use super::store::{self, Pending, Uploaded};
use crate::notes;
use crate::read::{self, Reading, Unreadable};

/// Of a file that is read into the sandbox, in bytes.
const MAX_FILE: u64 = 100 << 20;

/// Notes and who wrote them.
struct Notes {
    markdown: String,
    engine: String,
    terms: Vec<String>,
}

pub(super) async fn handle(event: Event) -> Result<(), Disposition> {
    let uploaded: Uploaded = payload(&event)?;
    let id = &uploaded.document_id;
    // Gone, or done already by an earlier delivery.
    let Some(pending) = store::pending(id).await? else {
        return Ok(());
    };
    let outcome = match event.previous {
        None => read(&pending).await?,
        Some(failure) => Err(after(failure)),
    };
    match outcome {
        Ok(reading) => complete(&event, id, &pending, reading).await?,
        Err(why) => fail(&event, id, &pending, &why).await?,
    }
    Ok(())
}

/// The file took the last instance down with it: it is not read again.
fn after(failure: Failure) -> Unreadable {
    match failure {
        Failure::Trap => Unreadable::Corrupt("reading it failed".into()),
        Failure::Cpu | Failure::Deadline | Failure::Memory => Unreadable::TooComplex,
    }
}

async fn read(pending: &Pending) -> Result<Result<Reading, Unreadable>, Problem> {
    match blobs::read(&pending.s3_key, MAX_FILE).await {
        Ok(bytes) => Ok(read::read(pending.kind, &bytes)),
        Err(blobs::Error::Corrupt) => Ok(Err(Unreadable::Corrupt(
            "the stored file is not what was uploaded".into(),
        ))),
        Err(blobs::Error::NotFound) => {
            Ok(Err(Unreadable::Corrupt("the stored file is gone".into())))
        }
        Err(error) => Err(error.into()),
    }
}

async fn complete(
    event: &Event,
    id: &str,
    pending: &Pending,
    reading: Reading,
) -> Result<(), Problem> {
    let made = if pending.generate_notes {
        Some(make_notes(&reading.document).await)
    } else {
        None
    };
    let text_key = format!("text/{id}.json");
    let text = serde_json::to_vec(&reading.document).map_err(|_| Problem::internal())?;
    blobs::put_bytes(&text_key, text).await?;
    let tx = postgres::begin().await?;
    if !events::first_time(&tx, event).await? {
        return Ok(());
    }
    let (notes, engine) = match &made {
        Some(notes) => (Some(&notes.markdown), Some(&notes.engine)),
        None => (None, None),
    };
    let updated = postgres::execute_in(
        &tx,
        "update documents set status = 'completed', extracted_text = $2, notes = $3, engine = $4, \
         page_count = $5, truncated = $6, processed_at = now() \
         where document_id = $1 and status = 'processing'",
        params![
            id,
            reading.document.text(),
            notes,
            engine,
            reading.page_count,
            reading.truncated
        ],
    );
    if updated.await? == 0 {
        return Ok(());
    }
    let processed =
        json!({ "status": "completed", "page_count": reading.page_count, "text_key": text_key });
    publish_processed(&tx, id, pending, processed).await?;
    if let Some(notes) = made {
        publish_notes(&tx, id, pending, &notes).await?;
    }
    postgres::commit(tx).await
}

async fn fail(event: &Event, id: &str, pending: &Pending, why: &Unreadable) -> Result<(), Problem> {
    log::warn(&format!("document {id} cannot be read: {}", why.code()));
    let tx = postgres::begin().await?;
    if !events::first_time(&tx, event).await? {
        return Ok(());
    }
    postgres::execute_in(
        &tx,
        "update documents set status = 'failed', error_code = $2, error_message = $3, processed_at = now() \
         where document_id = $1 and status = 'processing'",
        params![id, why.code(), why.message()],
    )
    .await?;
    publish_processed(
        &tx,
        id,
        pending,
        json!({ "status": "failed", "code": why.code() }),
    )
    .await?;
    postgres::commit(tx).await
}

async fn publish_processed(
    tx: &Transaction,
    id: &str,
    pending: &Pending,
    mut outcome: serde_json::Value,
) -> Result<(), Problem> {
    outcome["schema_version"] = json!(1);
    outcome["document_id"] = json!(id);
    outcome["tenant"] = json!(pending.tenant);
    outcome["user_id"] = json!(pending.user_id);
    outcome["filename"] = json!(pending.filename);
    outcome["processed_at"] = json!(timestamp::now());
    events::publish_in(tx, "document.processed", id, &outcome).await
}

async fn publish_notes(
    tx: &Transaction,
    id: &str,
    pending: &Pending,
    notes: &Notes,
) -> Result<(), Problem> {
    let payload = json!({
        "schema_version": 1,
        "document_id": id,
        "tenant": pending.tenant,
        "user_id": pending.user_id,
        "engine": notes.engine,
        "terms": notes.terms,
        "generated_at": timestamp::now(),
    });
    events::publish_in(tx, "notes.generated", id, &payload).await
}

/// By the language model where there is one and it answers, else from the document itself.
async fn make_notes(document: &Document) -> Notes {
    let own = notes::extract(document);
    let terms = own.terms.iter().map(|term| term.text.clone()).collect();
    let nonce = Uuid::new_v4().simple().to_string();
    let (system, user) = notes::prompt(document, &nonce);
    let message = |role, content| llm::Message { role, content };
    let request = llm::Request {
        messages: vec![
            message(llm::Role::System, system),
            message(llm::Role::User, user),
        ],
        max_tokens: None,
        temperature: Some(0.2),
        schema: None,
    };
    match llm::ask(request).await {
        Ok(answer) if !answer.text.trim().is_empty() => Notes {
            markdown: notes::sanitize(&answer.text),
            engine: answer.model,
            terms,
        },
        Ok(_) | Err(llm::Error::NotConfigured) => Notes {
            markdown: own.to_markdown(),
            engine: llm::LOCAL_ENGINE.into(),
            terms,
        },
        Err(error) => {
            log::warn(&format!(
                "the language model wrote no notes ({error}); they are extracted"
            ));
            Notes {
                markdown: own.to_markdown(),
                engine: llm::LOCAL_ENGINE.into(),
                terms,
            }
        }
    }
}
