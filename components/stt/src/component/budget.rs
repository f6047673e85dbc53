//! The seconds of recordings, at their users' account: held when a job is made, given back where it has no
//! transcript.

use guest::Problem;
use guest::bindings::capabilities::lectern::platform::quota as wit;
use guest::quota::{self, Kind};

use super::submit::New;

/// An engine listens to half a minute at once, and its times may be off by as much.
const WINDOW_MS: u64 = 30_000;

/// For all of the jobs, or for none.
pub(super) async fn hold(jobs: &[New]) -> Result<(), Problem> {
    for (at, job) in jobs.iter().enumerate() {
        // Some say how long they are at their end only: `examined`.
        let Some(ms) = job.file.recording.duration_ms else {
            continue;
        };
        if let Err(problem) = one(&job.id, ms).await {
            give_back(&jobs[..at]).await;
            return Err(problem);
        }
    }
    Ok(())
}

async fn one(id: &str, ms: u64) -> Result<(), Problem> {
    quota::hold(Kind::TranscriptionSeconds, id, seconds(ms)).await
}

/// Rounded up, as engines bill.
fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1_000)
}

/// Of a recording that is here and is heard: as much of it as there is room for.
pub(super) async fn examined(id: &str, ms: u64) {
    at_most(id, seconds(ms)).await;
}

/// What was heard beyond what the file told, by a name of its own: what is held stays as it is. A call of the
/// clock is at nobody's account.
pub(super) async fn heard(id: &str, told_ms: u64, heard_ms: u64) {
    if heard_ms > told_ms + WINDOW_MS {
        at_most(&format!("{id}.heard"), seconds(heard_ms - told_ms)).await;
    }
}

async fn at_most(name: &str, amount: u64) {
    let hold = |amount| wit::hold(Kind::TranscriptionSeconds, name.to_owned(), amount);
    if let Err(full) = hold(amount).await {
        // Where somebody else is faster, there is no room.
        let _ = hold(full.limit.saturating_sub(full.used)).await;
    }
}

pub(super) async fn give_back(jobs: &[New]) {
    for job in jobs {
        quota::give_back(&job.id).await;
    }
}
