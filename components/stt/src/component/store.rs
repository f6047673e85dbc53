//! Jobs in PostgreSQL.

use guest::identity::Owner;
use guest::page::{Cursor, Page};
use guest::postgres::{self, Row, Transaction};
use guest::{Problem, events, params};
use serde_json::{Value, json};

use super::submit::New;
use crate::transcript::Warning;
use crate::{failure, limits};

fn missing() -> Problem {
    Problem::not_found("TRANSCRIPTION_NOT_FOUND", "there is no such transcription")
}

/// The row and the event that asks for its processing, so that a crash resumes it.
pub(super) async fn insert(tx: &Transaction, job: &New) -> Result<(), Problem> {
    let recording = &job.file.recording;
    let warnings: Vec<_> = recording
        .truncated
        .then(|| Warning::Truncated.code())
        .into_iter()
        .collect();
    postgres::execute_in(
        tx,
        "insert into transcription_jobs (job_id, tenant, user_id, filename, s3_key, container, is_silent, \
         duration, language_code, speakers, vocabulary, warnings) \
         values ($1, $2, $3, $4, $5, $6, $7, $8::text::numeric, $9, $10, $11, $12)",
        params![
            &job.id,
            &job.user.tenant,
            &job.user.id,
            &job.file.name,
            &job.s3_key,
            recording.container.extension(),
            limits::is_silent(recording),
            seconds(recording.duration_ms),
            &job.wanted.language_code,
            job.wanted.speakers,
            json!(job.wanted.vocabulary),
            json!(warnings),
        ],
    )
    .await?;
    let payload = json!({
        "schema_version": 1,
        "job_id": job.id,
        "tenant": job.user.tenant,
        "user_id": job.user.id,
        "filename": job.file.name,
        "s3_key": job.s3_key,
        "language_code": job.wanted.language_code,
        "stored": true,
    });
    events::publish_in(tx, "audio.transcription.requested", &job.id, &payload).await
}

/// As `numeric` reads it.
pub(super) fn seconds(ms: Option<u64>) -> Option<String> {
    ms.map(|ms| format!("{}.{:03}", ms / 1_000, ms % 1_000))
}

/// Whether the job was stored; told when it could not be told before.
pub(super) async fn exists(id: &str) -> Result<bool, Problem> {
    let row = postgres::fetch_optional(
        "select 1 from transcription_jobs where job_id = $1",
        params![id],
    );
    Ok(row.await?.is_some())
}

/// A decimal as a number.
fn number(row: &mut Row, at: usize) -> Value {
    let number = row.opt_text(at).and_then(|text| text.parse::<f64>().ok());
    json!(number)
}

/// One job, as it is shown.
pub(super) struct Shown {
    /// The contract's body, and what it lacks.
    pub(super) body: Value,
    /// A JSON array: of four hours of speech, megabytes.
    pub(super) words: String,
}

impl Shown {
    /// Refused until there is a transcript.
    pub(super) fn completed(self) -> Result<Self, Problem> {
        match self.body["status"].as_str() {
            Some("completed") => Ok(self),
            Some("failed") => {
                let why = "the transcription failed";
                let failed = Problem::unprocessable("TRANSCRIPTION_FAILED", why);
                Err(failed.details(self.body["failure"].clone()))
            }
            _ => {
                let why = "the transcription is still being processed";
                Err(Problem::conflict("TRANSCRIPTION_PROCESSING", why).retry_after(2))
            }
        }
    }
}

/// Tells what retention has taken from what nobody knows.
pub(super) async fn job(id: &str, owner: &Owner) -> Result<Shown, Problem> {
    let row = postgres::fetch_optional(
        "select filename, status, transcript, confidence::text, duration::text, completed_at, language_code, \
         submitted_at, s3_key, engine, warnings, error_code, error_message, words \
         from transcription_jobs where job_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone()],
    );
    let Some(mut row) = row.await? else {
        return Err(gone_or_missing(id, owner).await?);
    };
    let warnings: Value = serde_json::from_str(&row.text(10)).unwrap_or_default();
    let mut body = json!({
        "job_id": id,
        "filename": row.text(0),
        "status": row.text(1),
        "transcript": row.opt_text(2),
        "confidence": number(&mut row, 3),
        "duration": number(&mut row, 4),
        "completed_at": row.opt_timestamp(5),
        "language_code": row.text(6),
        "submitted_at": row.timestamp(7),
        "s3_key": row.text(8),
        "engine": row.opt_text(9),
        "warnings": warnings,
    });
    if let Some(code) = row.opt_text(11) {
        body["failure"] =
            json!({ "code": code, "error": failure::advice(&code), "reason": row.text(12) });
    }
    let words = row.text(13);
    Ok(Shown { body, words })
}

/// How a job stands.
pub(super) struct Status {
    pub(super) word: String,
    /// Why it failed.
    pub(super) code: Option<String>,
}

pub(super) async fn status(id: &str, owner: &Owner) -> Result<Status, Problem> {
    let row = postgres::fetch_optional(
        "select status, error_code from transcription_jobs \
         where job_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone()],
    );
    match row.await? {
        Some(mut row) => Ok(Status {
            word: row.text(0),
            code: row.opt_text(1),
        }),
        None => Err(gone_or_missing(id, owner).await?),
    }
}

/// Whether retention has taken it, or nobody knows it.
async fn gone_or_missing(id: &str, owner: &Owner) -> Result<Problem, Problem> {
    let row = postgres::fetch_optional(
        "select 1 from expired_jobs where job_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone()],
    );
    Ok(match row.await? {
        Some(_) => Problem::new(
            axum::http::StatusCode::GONE,
            "TRANSCRIPTION_GONE",
            "the transcription was kept as long as it is to be kept",
        ),
        None => missing(),
    })
}

/// The contract's list, newest first.
pub(super) async fn jobs(owner: &Owner, page: &Page) -> Result<Vec<(Cursor, Value)>, Problem> {
    let (at, id) = match &page.after {
        Some(after) => (Some(after.at), after.id.clone()),
        None => (None, String::new()),
    };
    let rows = postgres::fetch(
        "select job_id, filename, status, submitted_at, duration::text, language_code from transcription_jobs \
         where tenant = $1 and ($2::text is null or user_id = $2) and ($3::bigint is null \
         or (submitted_at, job_id) < (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4)) \
         order by submitted_at desc, job_id desc limit $5",
        params![&owner.tenant, owner.user.clone(), at, id, page.rows()],
    );
    let item = |mut row: Row| {
        let (id, at) = (row.text(0), row.microseconds(3));
        let item = json!({
            "job_id": &id,
            "filename": row.text(1),
            "status": row.text(2),
            "submitted_at": row.timestamp(3),
            "duration": number(&mut row, 4),
            "language_code": row.text(5),
        });
        (Cursor { at, id }, item)
    };
    Ok(rows.await?.into_iter().map(item).collect())
}
