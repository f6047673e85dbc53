//! A large file's turn to be read: others must not wait for one learner's books.

use guest::{Problem, params, postgres};

use super::run::Run;

/// From this size a file waits for its turn, in bytes: a small one is read in seconds.
const LARGE: u64 = 1 << 20;
/// Large files that are read at once: half of `event_limits.concurrency` in the manifest.
const AT_ONCE: u32 = 2;
/// Longer than an event may take, in seconds.
const LEASE: u32 = 360;
/// Until it asks again, in milliseconds.
pub(super) const PAUSE: u64 = 1_000;

/// Whether the file may be read now; it is the run's turn until [`end`], or for six minutes.
pub(super) async fn take(run: &Run) -> Result<bool, Problem> {
    if run.size <= LARGE {
        return Ok(true);
    }
    // An attempt of before has died.
    postgres::execute(
        "delete from readings where until < now() or document_id = $1",
        params![&run.id],
    )
    .await?;
    // The table's keys decide between two that ask at once.
    let taken = postgres::execute(
        "insert into readings (slot, document_id, tenant, user_id, until) \
         select slot, document_id, tenant, user_id, now() + $3 * interval '1 second' \
         from generate_series(1, $4::bigint) as slot, documents \
         where document_id = $1 and run = $2 and status = 'processing' \
         and not exists (select from readings where readings.slot = slot.slot) \
         order by slot limit 1 on conflict do nothing",
        params![&run.id, run.number, LEASE, AT_ONCE],
    );
    Ok(taken.await? == 1)
}

/// Also fine where it had none.
pub(super) async fn end(run: &Run) -> Result<(), Problem> {
    if run.size > LARGE {
        let gone = postgres::execute(
            "delete from readings where document_id = $1",
            params![&run.id],
        );
        gone.await?;
    }
    Ok(())
}
