//! The seconds of recordings, at their users' account: held when a job is made, given back where it has no
//! transcript.

use guest::Problem;
use guest::quota::{self, Kind};

use super::submit::New;

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

/// Rounded up, as engines bill.
pub(super) async fn one(id: &str, ms: u64) -> Result<(), Problem> {
    quota::hold(Kind::TranscriptionSeconds, id, ms.div_ceil(1_000)).await
}

pub(super) async fn give_back(jobs: &[New]) {
    for job in jobs {
        quota::give_back(&job.id).await;
    }
}
