//! Files that are being uploaded: a row each from before the first byte until a job has the file, or it is
//! gone. Who dies in between leaves the row, and the clock takes both.

use guest::postgres::{self, Transaction};
use guest::{Problem, blobs, log, params};

/// Longer than an upload may take, in minutes: its deadline is an hour.
const UNDER_WAY: u32 = 120;
/// Taken by one call of the clock.
const BATCH: u32 = 500;

/// Before anything lies under that key.
pub(super) async fn expect(key: &str) -> Result<(), Problem> {
    postgres::execute(
        "insert into uploads (key, due_at) values ($1, now() + $2 * interval '1 minute') \
         on conflict (key) do update set due_at = excluded.due_at",
        params![key, UNDER_WAY],
    )
    .await?;
    Ok(())
}

/// A job has the file from now on.
pub(super) async fn taken_in(tx: &Transaction, key: &str) -> Result<(), Problem> {
    postgres::execute_in(tx, "delete from uploads where key = $1", params![key]).await?;
    Ok(())
}

/// Also fine where nothing lies there.
pub(super) async fn discard(key: &str) -> Result<(), Problem> {
    blobs::delete(key).await?;
    postgres::execute("delete from uploads where key = $1", params![key]).await?;
    Ok(())
}

/// Called by the clock. What a job has stays, whatever a row says.
pub(super) async fn sweep() -> Result<(), Problem> {
    postgres::execute(
        "delete from uploads where due_at < now() \
         and exists (select from transcription_jobs where s3_key = uploads.key)",
        vec![],
    )
    .await?;
    let due = postgres::fetch(
        "select key from uploads where due_at < now() order by due_at limit $1",
        params![BATCH],
    );
    for mut row in due.await? {
        if let Err(problem) = discard(&row.text(0)).await {
            log::warn(&format!(
                "an upload's file stays for now: {}",
                problem.message()
            ));
        }
    }
    Ok(())
}
