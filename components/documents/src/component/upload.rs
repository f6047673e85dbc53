//! `POST /upload` and `POST /upload/batch`: only when all of a form is read, and its answer is stored, do
//! its files become documents.

use axum::extract::Multipart;
use axum::extract::multipart::MultipartRejection;
use axum::http::StatusCode;
use axum::response::Response;
use guest::idempotency::{self, Claim, Key};
use guest::identity::User;
use guest::openapi::Error;
use guest::{Caller, Problem, blobs, timestamp};
use serde_json::{Value, json};

use super::form::{Form, Refused, StoredFile, Wanted, staged};
use super::openapi::{Batch, BatchForm, UploadForm, Uploaded};
use super::store::{self, FIRST_RUN, Upload};
use super::{leftover, secret};

/// Files of one batch.
const MAX_BATCH: usize = 20;

/// Uploads a document.
///
/// PDF, DOCX or text, of 100 MiB at most. It is read in the background: `GET /document/{id}`, or its
/// events, tell how far it is.
#[utoipa::path(
    post,
    path = "/upload",
    params(Key),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "It is taken", body = Uploaded, headers(("Location" = String, description = "Where the document is"))),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 415, description = "`UNSUPPORTED_MEDIA_TYPE`", body = Error),
        (status = 422, description = "`EMPTY_DOCUMENT`, `ENCRYPTED_DOCUMENT`, `IDEMPOTENCY_KEY_REUSED`", body = Error),
        (status = 507, description = "`STORAGE_FULL`", body = Error),
    ),
)]
pub(super) async fn upload(
    caller: Caller,
    key: Key,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    let mut form = read(form, 1, &key).await?;
    match form.files.pop() {
        Some(Ok(file)) => {
            form.files = vec![Ok(file)];
            take(&caller, key, "/upload", form).await
        }
        Some(Err(refused)) => Err(refused.problem),
        None => Err(Problem::validation("the form has no field `file`")),
    }
}

/// Uploads up to 20 documents.
///
/// Each has a result of its own: one that is refused takes none with it.
#[utoipa::path(
    post,
    path = "/upload/batch",
    params(Key),
    request_body(content = BatchForm, content_type = "multipart/form-data"),
    responses(
        (status = 207, description = "A result for each file", body = Batch),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 422, description = "`IDEMPOTENCY_KEY_REUSED`", body = Error),
        (status = 507, description = "`STORAGE_FULL`", body = Error),
    ),
)]
pub(super) async fn batch(
    caller: Caller,
    key: Key,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    let form = read(form, MAX_BATCH, &key).await?;
    if form.files.is_empty() {
        return Err(Problem::validation("the form has no field `file`"));
    }
    take(&caller, key, "/upload/batch", form).await
}

async fn read(
    form: Result<Multipart, MultipartRejection>,
    files: usize,
    key: &Key,
) -> Result<Form, Problem> {
    let form =
        form.map_err(|e| Problem::validation(format!("the body is no form: {}", e.body_text())))?;
    let digests = key.0.is_some();
    Form::read(form, Wanted { files, digests }).await
}

async fn take(
    caller: &Caller,
    key: Key,
    route: &'static str,
    form: Form,
) -> Result<Response, Problem> {
    let taken = async {
        let user = caller.acts_as(form.user_id.as_deref())?;
        let password = secret::told_apart(&key, form.password.as_deref()).await?;
        let fingerprint = fingerprint(&form, password.as_deref());
        idempotency::once(key, &user, route, &fingerprint, async |claim| {
            become_documents(&user, &form, route, claim).await
        })
        .await
    };
    let taken = taken.await;
    // What has become a document has another name by now; what has not is not kept.
    form.remove().await;
    taken
}

/// `password` is what tells it from another.
fn fingerprint(form: &Form, password: Option<&[u8]>) -> String {
    let notes = form.generate_notes.unwrap_or(true);
    let flags = [u8::from(notes), u8::from(form.password.is_some())];
    let mut parts: Vec<&[u8]> = vec![&flags];
    for file in &form.files {
        match file {
            Ok(file) => parts.extend([file.name.as_bytes(), &file.digest]),
            Err(refused) => {
                parts.extend([refused.name.as_bytes(), refused.problem.code().as_bytes()])
            }
        }
    }
    parts.extend(password);
    idempotency::fingerprint(&parts)
}

async fn become_documents(
    user: &User,
    form: &Form,
    route: &'static str,
    claim: &Claim,
) -> Result<Response, Problem> {
    let mut uploads = Vec::new();
    for file in form.files.iter().flatten() {
        match become_upload(user, form, file).await {
            Ok(upload) => uploads.push(upload),
            Err(problem) => {
                remove(&uploads).await;
                return Err(problem);
            }
        }
    }
    let answer = answer(form, &uploads, route);
    let stored = store::insert(&uploads, async |tx| {
        claim
            .answer_in(tx, answer.status, answer.location.as_deref(), &answer.body)
            .await
    });
    let Err(problem) = stored.await else {
        return Ok(idempotency::respond(
            answer.status,
            answer.location.as_deref(),
            &answer.body,
        ));
    };
    let Some(first) = uploads.first() else {
        return Err(problem);
    };
    // The commit may have been done, and its acknowledgement lost.
    match store::exists(&first.document_id).await {
        Ok(true) => Ok(idempotency::respond(
            answer.status,
            answer.location.as_deref(),
            &answer.body,
        )),
        Ok(false) => {
            remove(&uploads).await;
            Err(problem)
        }
        // Nobody knows: a file too many is better than a document without one.
        Err(_) => Err(problem),
    }
}

async fn become_upload(user: &User, form: &Form, file: &StoredFile) -> Result<Upload, Problem> {
    let extension = file.kind.extension();
    let s3_key = format!(
        "documents/{}/{}.{extension}",
        blobs::segment(&user.id),
        file.id
    );
    leftover::expect(&file.id, &s3_key).await?;
    if form.password.is_some() {
        leftover::expect(&file.id, &secret::key_blob(&file.id, FIRST_RUN)).await?;
    }
    let sealed_password = secret::keep(&file.id, FIRST_RUN, form.password.as_deref()).await?;
    blobs::rename(&staged(&file.id), &s3_key).await?;
    Ok(Upload {
        document_id: file.id.clone(),
        user: user.clone(),
        filename: file.name.clone(),
        s3_key,
        kind: file.kind,
        size: file.size,
        generate_notes: form.generate_notes.unwrap_or(true),
        sealed_password,
    })
}

async fn remove(uploads: &[Upload]) {
    for upload in uploads {
        let _ = blobs::delete(&upload.s3_key).await;
        let _ = secret::forget(&upload.document_id, FIRST_RUN).await;
    }
}

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Value,
}

fn answer(form: &Form, uploads: &[Upload], route: &str) -> Answer {
    let now = timestamp::now();
    let mut taken = uploads.iter().map(|upload| {
        json!({
            "document_id": upload.document_id,
            "filename": upload.filename,
            "status": "processing",
            "s3_key": upload.s3_key,
            "uploaded_at": now,
        })
    });
    if route == "/upload" {
        let location = uploads
            .first()
            .map(|upload| format!("/document/{}", upload.document_id));
        return Answer {
            status: StatusCode::ACCEPTED,
            location,
            body: taken.next().unwrap_or_default(),
        };
    }
    let mut result = |file: &Result<StoredFile, Refused>| match file {
        Ok(_) => taken.next().unwrap_or_default(),
        Err(Refused { name, problem }) => json!({
            "filename": name,
            "error": problem.message(),
            "code": problem.code(),
        }),
    };
    let documents: Vec<Value> = form.files.iter().map(&mut result).collect();
    Answer {
        status: StatusCode::MULTI_STATUS,
        location: None,
        body: json!({ "documents": documents }),
    }
}
