//! How jobs end: with a transcript or without, once, with the event that says so.

use guest::{Problem, events, log, params, postgres, quota, timestamp};
use serde_json::{Value, json};

use super::budget;
use super::engine::{self, Error};
use super::job::Job;
use super::{removal, store};
use crate::failure::Cause;
use crate::probe::Recording;
use crate::transcript::{Transcript, Warning};

/// Characters of what an engine says about itself.
const MAX_MESSAGE: usize = 300;

/// Why there is no transcript.
pub(super) struct Failure {
    pub(super) code: &'static str,
    /// In the words of what failed; what to do about it goes with the code.
    message: String,
}

impl Failure {
    pub(super) fn new(code: &'static str, why: &str) -> Self {
        let message = why.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE);
        Self {
            code,
            message: message.collect(),
        }
    }

    /// As the engine told it.
    pub(super) fn of_engine(job: &Job, cause: Cause, why: &str) -> Self {
        let truncated = Warning::Truncated.code();
        let is_truncated = job.warnings.iter().any(|warning| warning == truncated);
        Self::new(cause.code(is_truncated), why)
    }

    pub(super) fn overdue() -> Self {
        Self::new(
            "TRANSCRIPTION_TIMEOUT",
            "the engine has not ended within a day",
        )
    }

    /// Of an engine's error; `None` where a later try may go well.
    pub(super) fn of(error: &Error) -> Option<Self> {
        Some(match error {
            Error::NotConfigured => Self::new(
                "ENGINE_NOT_CONFIGURED",
                "no transcription engine is configured",
            ),
            Error::AccessDenied => Self::new(
                "ENGINE_ACCESS_DENIED",
                "the transcription engine refuses the service",
            ),
            Error::NoAudio => Self::new("AUDIO_NOT_FOUND", "there is no such recording"),
            Error::Invalid(why) => Self::new("ENGINE_REFUSED", why),
            Error::NotFound
            | Error::NotYet
            | Error::Timeout
            | Error::Unavailable
            | Error::QuotaExceeded => return None,
        })
    }
}

/// What the recording is, found after its row was made.
pub(super) async fn examined(job: &Job, recording: &Recording) -> Result<(), Problem> {
    // Before the row says so: whoever deletes the job then finds it held, and gives it back.
    if let Some(ms) = recording.duration_ms {
        budget::examined(&job.id, ms).await;
    }
    let updated = postgres::execute(
        "update transcription_jobs set container = $2, is_silent = $3, duration = $4::text::numeric, warnings = $5 \
         where job_id = $1 and status = 'processing'",
        params![
            &job.id,
            recording.container.extension(),
            job.is_silent,
            store::seconds(recording.duration_ms),
            json!(job.warnings),
        ],
    );
    if updated.await? == 0 && !store::exists(&job.id).await? {
        quota::give_back(&job.id).await;
    }
    Ok(())
}

/// Says that there will be a job at the engine, before there is one: it is to be forgotten there. False
/// where the job has been deleted.
pub(super) async fn starting(id: &str) -> Result<bool, Problem> {
    let marked = postgres::execute(
        "update transcription_jobs set aws_job_name = job_id where job_id = $1 and status = 'processing'",
        params![id],
    );
    Ok(marked.await? == 1)
}

pub(super) async fn complete(job: &Job, transcript: Transcript) -> Result<(), Problem> {
    let (transcript, warnings) = transcript.settled(job.wanted.speakers.is_some());
    let mut all = job.warnings.clone();
    all.extend(warnings.iter().map(|warning| warning.code().to_owned()));
    let engine = (!transcript.engine.is_empty()).then(|| transcript.engine.clone());
    let confidence = transcript.confidence.map(|sure| format!("{sure:.4}"));
    let last = transcript.words.iter().map(|word| word.end_ms).max();
    let tx = postgres::begin().await?;
    let updated = postgres::execute_in(
        &tx,
        "update transcription_jobs set status = 'completed', transcript = $2, confidence = $3::text::numeric, \
         words = $4, engine = $5, warnings = $6, completed_at = now(), \
         language_code = case when language_code = 'auto' then coalesce($7, language_code) else language_code end \
         where job_id = $1 and status = 'processing'",
        params![
            &job.id,
            &transcript.text,
            confidence,
            json!(transcript.words),
            engine.clone(),
            json!(all),
            transcript.language_code.clone(),
        ],
    );
    let is_first = updated.await? == 1;
    if is_first {
        let told = json!({
            "status": "completed",
            "confidence": transcript.confidence,
            "language_code": transcript.language_code.as_ref().unwrap_or(&job.wanted.language_code),
            "engine": engine,
        });
        publish(&tx, job, told).await?;
        postgres::commit(tx).await?;
        let told_ms = job.duration.map_or(0, |seconds| (seconds * 1_000.0) as u64);
        budget::heard(&job.id, told_ms, last.unwrap_or_default().into()).await;
    }
    forget(&job.id, &job.s3_key).await;
    Ok(())
}

pub(super) async fn fail(job: &Job, failure: &Failure) -> Result<(), Problem> {
    log::warn(&format!(
        "the job {} has no transcript: {}",
        job.id, failure.code
    ));
    let tx = postgres::begin().await?;
    let updated = postgres::execute_in(
        &tx,
        "update transcription_jobs set status = 'failed', error_code = $2, error_message = $3, warnings = $4, \
         completed_at = now() where job_id = $1 and status = 'processing'",
        params![&job.id, failure.code, &failure.message, json!(job.warnings)],
    );
    if updated.await? == 1 {
        publish(
            &tx,
            job,
            json!({ "status": "failed", "code": failure.code }),
        )
        .await?;
        postgres::commit(tx).await?;
        // What was not heard costs nothing.
        quota::give_back(&job.id).await;
    }
    forget(&job.id, &job.s3_key).await;
    Ok(())
}

/// Without the text: whoever deletes a transcript could not take it back out of a log of events.
async fn publish(tx: &postgres::Transaction, job: &Job, mut outcome: Value) -> Result<(), Problem> {
    outcome["schema_version"] = json!(1);
    outcome["job_id"] = json!(job.id);
    outcome["tenant"] = json!(job.user.tenant);
    outcome["user_id"] = json!(job.user.id);
    outcome["filename"] = json!(job.filename);
    outcome["duration"] = json!(job.duration);
    outcome["completed_at"] = json!(timestamp::now());
    events::publish_in(tx, "audio.transcription.completed", &job.id, &outcome).await
}

/// What the engine keeps of the job. Where this fails the row still says that there is something, or a note
/// where the row has gone, and the clock tries again.
pub(super) async fn forget(id: &str, s3_key: &str) {
    let forgotten = engine::forget(id).await;
    if let Err(error) = forgotten {
        log::warn(&format!("the engine did not forget the job {id}: {error}"));
        removal::note(id, s3_key).await;
        return;
    }
    let _ = postgres::execute(
        "update transcription_jobs set aws_job_name = null where job_id = $1 and status <> 'processing'",
        params![id],
    )
    .await;
}
