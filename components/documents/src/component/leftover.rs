//! Blobs that nothing speaks of yet, or any more: a row each, until they are gone.

use guest::postgres::{self, Transaction};
use guest::schedule::Tick;
use guest::{Problem, blobs, log, params, sweep};

use super::run::Run;

/// Longer than an upload or a run may take, in minutes.
const UNDER_WAY: u32 = 120;
/// As long as a consumer tries to read a text that another has replaced, in minutes, and once more.
const REPLACED: u32 = 2 * 24 * 60;
/// Taken by one call of the clock.
const BATCH: u32 = 500;

/// Before a blob of an upload is written: who dies before the document is there leaves no blob for ever.
pub(super) async fn expect(document: &str, key: &str) -> Result<(), Problem> {
    postgres::execute(
        "insert into leftovers (key, document_id, due_at) values ($1, $2, now() + $3 * interval '1 minute') \
         on conflict (key) do update set due_at = excluded.due_at",
        params![key, document, UNDER_WAY],
    )
    .await?;
    Ok(())
}

/// The same before a run writes its text; whether the run is still on.
pub(super) async fn expect_text(run: &Run, key: &str) -> Result<bool, Problem> {
    let expected = postgres::execute(
        "insert into leftovers (key, document_id, due_at) \
         select $3, document_id, now() + $4 * interval '1 minute' from documents \
         where document_id = $1 and run = $2 and status = 'processing' \
         on conflict (key) do update set due_at = excluded.due_at",
        params![&run.id, run.number, key, UNDER_WAY],
    );
    Ok(expected.await? == 1)
}

/// All that was expected of an upload is its document's now.
pub(super) async fn taken_in(tx: &Transaction, document: &str) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "delete from leftovers where document_id = $1",
        params![document],
    )
    .await?;
    Ok(())
}

/// The run's text takes the place of the one before, which may still be read for a while.
pub(super) async fn replace_text_in(tx: &Transaction, run: &Run, key: &str) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "insert into leftovers (key, document_id, due_at) \
         select coalesce(text_key, 'text/' || document_id || '.json'), document_id, \
         now() + $3 * interval '1 minute' from documents \
         where document_id = $1 and extracted_text is not null and text_key is distinct from $2 \
         on conflict (key) do update set due_at = excluded.due_at",
        params![&run.id, key, REPLACED],
    )
    .await?;
    postgres::execute_in(tx, "delete from leftovers where key = $1", params![key]).await?;
    Ok(())
}

/// They are nobody's any more.
pub(super) async fn due_in(
    tx: &Transaction,
    document: &str,
    keys: &[String],
) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "insert into leftovers (key, document_id, due_at) \
         select jsonb_array_elements_text($2::jsonb), $1, now() \
         on conflict (key) do update set due_at = now()",
        params![document, serde_json::json!(keys)],
    )
    .await?;
    Ok(())
}

/// Takes what is left of a document that is gone.
pub(super) async fn clear(document: &str) -> Result<(), Problem> {
    let left = postgres::fetch(
        "select key from leftovers where document_id = $1",
        params![document],
    );
    for mut row in left.await? {
        remove(&row.text(0)).await?;
    }
    Ok(())
}

async fn remove(key: &str) -> Result<(), Problem> {
    blobs::delete(key).await?;
    postgres::execute("delete from leftovers where key = $1", params![key]).await?;
    Ok(())
}

/// Called by the clock. What a document speaks of stays, whatever a row says.
pub(super) async fn run(tick: Tick) -> Result<(), String> {
    sweep::run(tick).await?;
    let due = postgres::fetch(
        "select key from leftovers where due_at < now() \
         and not exists (select from documents where documents.document_id = leftovers.document_id \
         and key in (s3_key, text_key)) order by due_at limit $1",
        params![BATCH],
    );
    let due = due.await.map_err(|problem| problem.message().to_owned())?;
    for mut row in due {
        if let Err(problem) = remove(&row.text(0)).await {
            log::warn(&format!("a blob stays for now: {}", problem.message()));
        }
    }
    Ok(())
}
