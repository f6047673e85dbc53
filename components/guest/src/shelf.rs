//! The documents that a service knows from events: whose they are, how far they are, and their
//! passages. Wants the tables `shelf` and `passages` (see the service's migrations).
//!
//! Events of different topics have no order among them, not even of one document: whichever comes first
//! makes the row, and each writes what it alone knows.

use corpus::{Document, Passage};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::events::{Disposition, Event, payload};
use crate::identity::Owner;
use crate::postgres::{self, Row, Transaction};
use crate::{Problem, blobs, events, log, params};

/// Who publishes documents, and owns the blobs with their text.
const DOCUMENTS: &str = "documents";
/// More than the largest text that the documents service stores.
const MAX_TEXT: u64 = 64 << 20;
/// Passages fetched in one call.
const PAGE: u32 = 2_000;
/// How often, and for how long, to look again for a document that was uploaded a moment ago: its
/// event may be on its way.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: u64 = 50_000_000;

#[derive(Deserialize)]
struct Uploaded {
    document_id: String,
    #[serde(default)]
    tenant: String,
    user_id: String,
    filename: String,
}

#[derive(Deserialize)]
struct Processed {
    document_id: String,
    #[serde(default)]
    tenant: String,
    user_id: String,
    filename: String,
    status: String,
    code: Option<String>,
    text_key: Option<String>,
}

/// The payload of `document.deleted`.
#[derive(Deserialize)]
pub struct Deleted {
    /// Its id.
    pub document_id: String,
    /// Whose it was.
    #[serde(default)]
    pub tenant: String,
    /// Whose it was.
    pub user_id: String,
}

/// A document whose passages can be read.
#[derive(Debug)]
pub struct Shelved {
    /// Its id.
    pub document_id: String,
    /// Whose it is.
    pub user_id: String,
    /// As it was uploaded.
    pub filename: String,
    /// Terms from its notes, best first; may be empty.
    pub terms: Vec<String>,
}

/// `document.uploaded`: from now on the document is known, if not yet readable.
pub async fn uploaded(event: &Event) -> Result<(), Disposition> {
    let Uploaded {
        document_id,
        tenant,
        user_id,
        filename,
    } = payload(event)?;
    postgres::execute(
        "insert into shelf (document_id, tenant, user_id, filename, status) values ($1, $2, $3, $4, 'processing') \
         on conflict (document_id) do update set filename = excluded.filename where shelf.status <> 'deleted'",
        params![document_id, tenant, user_id, filename],
    )
    .await?;
    Ok(())
}

/// `document.processed`: stores its passages, or why there are none. Answers whether the text was there.
pub async fn processed(event: &Event) -> Result<bool, Disposition> {
    let document: Processed = payload(event)?;
    let passages = match &document.text_key {
        Some(key) if document.status == "completed" => passages(key).await?,
        _ => Some(vec![]),
    };
    let tx = postgres::begin().await?;
    if events::first_time(&tx, event).await? {
        match &passages {
            Some(passages) => store(&tx, &document, passages).await?,
            // An event about that comes behind this one, and would wait for it: what is known of the document
            // stays until then.
            None => log::warn(&format!(
                "the text of document {} was deleted or replaced before it was read",
                document.document_id
            )),
        }
        postgres::commit(tx).await?;
    }
    Ok(passages.is_some())
}

/// Nothing where the text is gone: whoever deletes a document takes it at once.
async fn passages(key: &str) -> Result<Option<Vec<Passage>>, Disposition> {
    let text = match blobs::read_shared(DOCUMENTS, key, MAX_TEXT).await {
        Ok(text) => text,
        Err(blobs::Error::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let document: Document = serde_json::from_slice(&text)
        // Without serde's words, which quote the text.
        .map_err(|_| Disposition::Reject("the document's text has another shape".into()))?;
    drop(text);
    Ok(Some(document.passages()))
}

async fn store(
    tx: &Transaction,
    document: &Processed,
    passages: &[Passage],
) -> Result<(), Problem> {
    let stored = postgres::execute_in(
        tx,
        "insert into shelf (document_id, tenant, user_id, filename, status, code) values ($1, $2, $3, $4, $5, $6) \
         on conflict (document_id) do update set filename = excluded.filename, status = excluded.status, \
         code = excluded.code where shelf.status <> 'deleted'",
        params![
            &document.document_id,
            &document.tenant,
            &document.user_id,
            &document.filename,
            &document.status,
            document.code.clone()
        ],
    );
    if stored.await? == 0 {
        return Ok(());
    }
    postgres::execute_in(
        tx,
        "delete from passages where document_id = $1",
        params![&document.document_id],
    )
    .await?;
    for batch in passages.chunks(PAGE as usize) {
        postgres::execute_in(
            tx,
            "insert into passages (document_id, ordinal, page, starts_at, ends_at, body) \
             select $1, p.ordinal, p.page, p.\"start\", p.\"end\", p.\"text\" from jsonb_to_recordset($2::jsonb) \
             as p(ordinal integer, page integer, \"start\" integer, \"end\" integer, \"text\" text)",
            params![&document.document_id, json!(batch)],
        )
        .await?;
    }
    Ok(())
}

/// `document.deleted`: nothing of it stays but its id, as what was published before may come after. What
/// else the service has of the document goes in `also`, in the same transaction.
pub async fn deleted(
    event: &Event,
    also: impl AsyncFnOnce(&Transaction, &Deleted) -> Result<(), Problem>,
) -> Result<(), Disposition> {
    let gone: Deleted = payload(event)?;
    let tx = postgres::begin().await?;
    if events::first_time(&tx, event).await? {
        bury(&tx, &gone).await?;
        also(&tx, &gone).await?;
        postgres::commit(tx).await?;
    }
    Ok(())
}

async fn bury(tx: &Transaction, gone: &Deleted) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "insert into shelf (document_id, tenant, user_id, filename, status) values ($1, $2, $3, '', 'deleted') \
         on conflict (document_id) do update set status = 'deleted', filename = '', code = null, terms = '[]'",
        params![&gone.document_id, &gone.tenant, &gone.user_id],
    )
    .await?;
    postgres::execute_in(
        tx,
        "delete from passages where document_id = $1",
        params![&gone.document_id],
    )
    .await?;
    Ok(())
}

/// `notes.generated`: keeps the key terms.
pub async fn noted(event: &Event) -> Result<(), Disposition> {
    #[derive(Deserialize)]
    struct Noted {
        document_id: String,
        #[serde(default)]
        tenant: String,
        user_id: String,
        terms: Value,
    }
    let Noted {
        document_id,
        tenant,
        user_id,
        terms,
    } = payload(event)?;
    postgres::execute(
        "insert into shelf (document_id, tenant, user_id, filename, status, terms) values ($1, $2, $3, '', 'processing', $4) \
         on conflict (document_id) do update set terms = excluded.terms where shelf.status <> 'deleted'",
        params![document_id, tenant, user_id, terms],
    )
    .await?;
    Ok(())
}

/// The document, once it is readable. Waits a second for one that is on its way.
pub async fn find(document_id: &str, owner: &Owner) -> Result<Shelved, Problem> {
    let mut found = look(document_id, owner).await?;
    for _ in 0..LOOKS {
        if !matches!(&found, Look::Unknown | Look::Processing) {
            break;
        }
        wasip3::clocks::monotonic_clock::wait_for(BETWEEN_LOOKS).await;
        found = look(document_id, owner).await?;
    }
    match found {
        Look::Ready(shelved) => Ok(shelved),
        Look::Unknown | Look::Deleted => Err(Problem::not_found(
            "DOCUMENT_NOT_FOUND",
            "there is no such document",
        )),
        Look::Processing => {
            let message = "the document is still being processed";
            Err(Problem::conflict("DOCUMENT_PROCESSING", message).retry_after(2))
        }
        Look::Failed(code) => Err(Problem::unprocessable(
            "DOCUMENT_UNREADABLE",
            "the document could not be read",
        )
        .details(json!({ "reason": code }))),
    }
}

enum Look {
    Unknown,
    Deleted,
    Processing,
    Failed(String),
    Ready(Shelved),
}

async fn look(document_id: &str, owner: &Owner) -> Result<Look, Problem> {
    let row = postgres::fetch_optional(
        "select status, code, user_id, filename, terms from shelf \
         where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![document_id, &owner.tenant, owner.user.clone()],
    )
    .await?;
    let Some(mut row) = row else {
        return Ok(Look::Unknown);
    };
    let code = row.text(1);
    Ok(match row.text(0).as_str() {
        // Read, and nothing to be found in it.
        "completed" if code == "NO_TEXT" => Look::Failed(code),
        "completed" => Look::Ready(Shelved {
            document_id: document_id.to_owned(),
            user_id: row.text(2),
            filename: row.text(3),
            terms: serde_json::from_str(&row.text(4)).unwrap_or_default(),
        }),
        "processing" => Look::Processing,
        "deleted" => Look::Deleted,
        _ => Look::Failed(code),
    })
}

/// All of a document's passages, in their order.
pub async fn read(document_id: &str) -> Result<Vec<Passage>, Problem> {
    let mut all: Vec<Passage> = Vec::new();
    loop {
        let from = all.last().map_or(0, |passage| passage.ordinal + 1);
        let rows = postgres::fetch(
            "select ordinal, page, starts_at, ends_at, body from passages \
             where document_id = $1 and ordinal >= $2 order by ordinal limit $3",
            params![document_id, from, PAGE],
        )
        .await?;
        let fetched = rows.len();
        all.extend(rows.into_iter().map(passage));
        if fetched < PAGE as usize {
            return Ok(all);
        }
    }
}

fn passage(mut row: Row) -> Passage {
    Passage {
        ordinal: row.count(0),
        page: row.count(1),
        start: row.count(2),
        end: row.count(3),
        text: row.text(4),
    }
}

/// These passages, by document and ordinal, where they are there; in the documents' order.
pub async fn read_some(wanted: &[(String, u32)]) -> Result<Vec<(String, Passage)>, Problem> {
    let places: Vec<Value> = wanted
        .iter()
        .map(|(document, ordinal)| json!({ "document_id": document, "ordinal": ordinal }))
        .collect();
    let rows = postgres::fetch(
        "select p.ordinal, p.page, p.starts_at, p.ends_at, p.body, p.document_id \
         from jsonb_to_recordset($1::jsonb) as w(document_id text, ordinal integer) \
         join passages p using (document_id, ordinal) order by p.document_id, p.ordinal",
        params![json!(places)],
    );
    let read = rows.await?.into_iter().map(|mut row| {
        let document = row.text(5);
        (document, passage(row))
    });
    Ok(read.collect())
}
