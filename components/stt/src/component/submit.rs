//! `POST /transcribe` and `POST /transcribe/batch`: only when all of a file is stored, and fine, does it
//! become a job.

use axum::extract::Multipart;
use axum::extract::multipart::MultipartRejection;
use axum::http::StatusCode;
use axum::response::Response;
use guest::idempotency::{self, Claim, Key};
use guest::identity::User;
use guest::openapi::Error;
use guest::uuid::Uuid;
use guest::{Caller, Problem, blobs, postgres, timestamp};
use serde_json::{Value, json};

use super::budget;
use super::form::{Form, Rejected, StoredFile};
use super::openapi::{Batch, RecordingForm, RecordingsForm, Submitted};
use super::{store, upload};
use crate::request::Wanted;

/// Files of one batch.
const MOST: usize = 20;

type Received = Result<Multipart, MultipartRejection>;

/// A job that is to be.
pub(super) struct New {
    pub(super) id: String,
    pub(super) user: User,
    pub(super) s3_key: String,
    pub(super) file: StoredFile,
    pub(super) wanted: Wanted,
}

/// Has a recording transcribed.
///
/// MP3, MP4, WAV, FLAC, OGG, AMR or WebM, of half a second to four hours, 2 GiB at most. It is done in the
/// background: `GET /transcription/{id}`, or its events, tell how far it is.
#[utoipa::path(
    post,
    path = "/transcribe",
    params(Key),
    request_body(content = RecordingForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "It is taken", body = Submitted, headers(("Location" = String, description = "Where the transcription is"))),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 415, description = "`UNSUPPORTED_MEDIA_TYPE`", body = Error),
        (status = 422, description = "`EMPTY_AUDIO`, `AUDIO_TOO_SHORT`, `AUDIO_TOO_LONG`, `CORRUPT_AUDIO`, `NO_AUDIO_TRACK`, `TOO_MANY_CHANNELS`, `IDEMPOTENCY_KEY_REUSED`", body = Error),
        (status = 507, description = "`STORAGE_FULL`", body = Error),
    ),
)]
pub(super) async fn one(caller: Caller, key: Key, form: Received) -> Result<Response, Problem> {
    submit(caller, key, form, 1, "/transcribe").await
}

/// Has up to 20 recordings transcribed.
///
/// One that is refused takes none with it; where all are, the first's error is the answer.
#[utoipa::path(
    post,
    path = "/transcribe/batch",
    params(Key),
    request_body(content = RecordingsForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "Which are taken, and which are not", body = Batch),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 415, description = "`UNSUPPORTED_MEDIA_TYPE`", body = Error),
        (status = 422, description = "`EMPTY_AUDIO`, `AUDIO_TOO_SHORT`, `AUDIO_TOO_LONG`, `CORRUPT_AUDIO`, `NO_AUDIO_TRACK`, `TOO_MANY_CHANNELS`, `IDEMPOTENCY_KEY_REUSED`", body = Error),
        (status = 507, description = "`STORAGE_FULL`", body = Error),
    ),
)]
pub(super) async fn batch(caller: Caller, key: Key, form: Received) -> Result<Response, Problem> {
    submit(caller, key, form, MOST, "/transcribe/batch").await
}

async fn submit(
    caller: Caller,
    key: Key,
    received: Received,
    most: usize,
    route: &'static str,
) -> Result<Response, Problem> {
    let received = received
        .map_err(|e| Problem::validation(format!("the body is no form: {}", e.body_text())))?;
    let mut form = Form::new(most, key.0.is_some());
    let read = form.read(received).await;
    let staged = std::mem::take(&mut form.staged);
    let answered = match read {
        Ok(()) => become_jobs(&caller, key, form, route).await,
        Err(problem) => Err(problem),
    };
    // What became a job has another name by now. Where this fails, the clock tries again.
    for blob in &staged {
        let _ = upload::discard(blob).await;
    }
    answered
}

async fn become_jobs(
    caller: &Caller,
    key: Key,
    form: Form,
    route: &'static str,
) -> Result<Response, Problem> {
    let user = caller.acts_as(form.user_id.as_deref())?;
    let fingerprint = form.fingerprint();
    let (mut jobs, mut rejected) = (vec![], vec![]);
    for file in form.files {
        match file {
            Ok(file) => jobs.push(new(&user, file, &form.wanted)),
            Err(file) => rejected.push(file),
        }
    }
    if jobs.is_empty()
        && let Some(first) = rejected.pop()
    {
        return Err(first.problem);
    }
    let work = async |claim: &Claim| store_all(claim, &jobs, &rejected, route).await;
    idempotency::once(key, &user, route, &fingerprint, work).await
}

fn new(user: &User, file: StoredFile, wanted: &Wanted) -> New {
    let id = Uuid::new_v4().to_string();
    let extension = file.recording.container.extension();
    New {
        s3_key: format!("audio/{}/{id}.{extension}", blobs::segment(&user.id)),
        id,
        user: user.clone(),
        file,
        wanted: wanted.clone(),
    }
}

async fn store_all(
    claim: &Claim,
    jobs: &[New],
    rejected: &[Rejected],
    route: &str,
) -> Result<Response, Problem> {
    budget::hold(jobs).await?;
    for job in jobs {
        let placed = async {
            upload::expect(&job.s3_key).await?;
            blobs::rename(&job.file.staged, &job.s3_key).await
        };
        if let Err(problem) = placed.await {
            budget::give_back(jobs).await;
            return Err(problem);
        }
    }
    let stored = insert(claim, jobs, rejected, route).await;
    let Err(problem) = stored else {
        return stored;
    };
    // The commit may have been done, and its acknowledgement lost.
    match store::exists(jobs.first().map_or("", |job| &job.id)).await {
        Ok(true) => {
            let (location, body) = answer(jobs, rejected, route);
            Ok(idempotency::respond(
                StatusCode::ACCEPTED,
                location.as_deref(),
                &body,
            ))
        }
        Ok(false) => {
            for job in jobs {
                let _ = upload::discard(&job.s3_key).await;
            }
            budget::give_back(jobs).await;
            Err(problem)
        }
        // Nobody knows: the clock finds out which files have jobs.
        Err(_) => Err(problem),
    }
}

async fn insert(
    claim: &Claim,
    jobs: &[New],
    rejected: &[Rejected],
    route: &str,
) -> Result<Response, Problem> {
    let tx = postgres::begin().await?;
    for job in jobs {
        store::insert(&tx, job).await?;
        upload::taken_in(&tx, &job.s3_key).await?;
    }
    let (location, body) = answer(jobs, rejected, route);
    let response = claim
        .answer_in(&tx, StatusCode::ACCEPTED, location.as_deref(), &body)
        .await?;
    postgres::commit(tx).await?;
    Ok(response)
}

/// The contract's body, or one of these for each file.
fn answer(jobs: &[New], rejected: &[Rejected], route: &str) -> (Option<String>, Value) {
    let submitted_at = timestamp::now();
    let body = |job: &New| {
        json!({
            "job_id": job.id,
            "filename": job.file.name,
            "status": "processing",
            "s3_key": job.s3_key,
            "submitted_at": submitted_at,
        })
    };
    if route == "/transcribe"
        && let Some(job) = jobs.first()
    {
        return (Some(format!("/transcription/{}", job.id)), body(job));
    }
    let refused = rejected.iter().map(|file| {
        json!({
            "filename": file.name,
            "error": file.problem.message(),
            "code": file.problem.code(),
        })
    });
    let accepted: Vec<_> = jobs.iter().map(body).collect();
    let refused: Vec<_> = refused.collect();
    (
        None,
        json!({ "transcriptions": accepted, "rejected": refused }),
    )
}
