//! `POST /upload`: the file streams to the blob store while the form is still being read; only when
//! all of it is fine does it become a document.

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Json, http::header};
use futures::{Stream, StreamExt, stream};
use guest::uuid::Uuid;
use guest::{Caller, Problem, blobs, timestamp};
use serde_json::json;

use super::store::{self, Upload};
use crate::filename;
use crate::sniff::{HEAD, Kind, Unsupported, sniff};

/// Of a field that is no file, in bytes.
const MAX_FIELD: usize = 1_024;
/// Fields, the file among them.
const MAX_FIELDS: usize = 16;
/// Of a file, in bytes; the gateway's limit for the whole body is a little above.
const MAX_FILE: u64 = 100 << 20;

/// What the form said.
#[derive(Default)]
struct Form {
    file: Option<StoredFile>,
    user_id: Option<String>,
    generate_notes: Option<bool>,
}

/// The file, under a key that no document has yet.
struct StoredFile {
    name: String,
    kind: Kind,
    size: u64,
}

pub(super) async fn upload(
    caller: Caller,
    form: Result<Multipart, MultipartRejection>,
) -> Result<impl IntoResponse, Problem> {
    let form =
        form.map_err(|e| Problem::validation(format!("the body is no form: {}", e.body_text())))?;
    let id = Uuid::new_v4().to_string();
    let staged = format!("staged/{id}");
    let stored = match read_form(form, &staged).await {
        Ok(form) => become_document(&caller, form, &id, &staged).await,
        Err(problem) => Err(problem),
    };
    if stored.is_err() {
        // Nothing half-stored; where this fails too, the blob has no name that anybody knows.
        let _ = blobs::delete(&staged).await;
    }
    let upload = stored?;
    let body = json!({
        "document_id": upload.document_id,
        "filename": upload.filename,
        "status": "processing",
        "s3_key": upload.s3_key,
        "uploaded_at": timestamp::now(),
    });
    let location = [(header::LOCATION, format!("/document/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(body)))
}

async fn become_document(
    caller: &Caller,
    form: Form,
    id: &str,
    staged: &str,
) -> Result<Upload, Problem> {
    let file = form
        .file
        .ok_or_else(|| Problem::validation("the form has no field `file`"))?;
    let user = caller.acts_as(form.user_id.as_deref())?;
    let s3_key = format!(
        "documents/{}/{id}.{}",
        blobs::segment(&user.id),
        file.kind.extension()
    );
    blobs::rename(staged, &s3_key).await?;
    let upload = Upload {
        document_id: id.to_owned(),
        user,
        filename: file.name,
        s3_key,
        kind: file.kind,
        size: file.size,
        generate_notes: form.generate_notes.unwrap_or(true),
    };
    let Err(problem) = store::insert(&upload).await else {
        return Ok(upload);
    };
    // The commit may have been done, and its acknowledgement lost.
    match store::exists(id).await {
        Ok(true) => Ok(upload),
        Ok(false) => {
            let _ = blobs::delete(&upload.s3_key).await;
            Err(problem)
        }
        // Nobody knows: a file too many is better than a document without one.
        Err(_) => Err(problem),
    }
}

async fn read_form(mut form: Multipart, staged: &str) -> Result<Form, Problem> {
    let mut read = Form::default();
    for _ in 0..MAX_FIELDS {
        let Some(field) = form.next_field().await.map_err(|e| malformed(&e))? else {
            return Ok(read);
        };
        match field.name().unwrap_or_default() {
            "file" if read.file.is_some() => {
                return Err(Problem::validation(
                    "the form has more than one field `file`",
                ));
            }
            "file" => read.file = Some(store_file(field, staged).await?),
            "user_id" => read.user_id = Some(text(field).await?),
            "generate_notes" => read.generate_notes = Some(boolean(&text(field).await?)?),
            _ => skip(field).await?,
        }
    }
    Err(Problem::validation("the form has too many fields"))
}

async fn store_file(mut field: Field<'_>, staged: &str) -> Result<StoredFile, Problem> {
    let name = filename::clean(field.file_name().unwrap_or_default());
    let mut head = Vec::new();
    while head.len() < HEAD {
        match field.chunk().await.map_err(|e| malformed(&e))? {
            Some(chunk) => head.extend_from_slice(&chunk),
            None => break,
        }
    }
    let kind = sniff(&head[..head.len().min(HEAD)]).map_err(unsupported)?;
    let whole = stream::iter([Ok(head.into())]).chain(rest(field));
    let size = blobs::put(staged, Box::pin(whole), MAX_FILE).await?;
    Ok(StoredFile { name, kind, size })
}

fn rest(field: Field<'_>) -> impl Stream<Item = Result<axum::body::Bytes, Problem>> + '_ {
    field.map(|chunk| chunk.map_err(|e| malformed(&e)))
}

fn unsupported(why: Unsupported) -> Problem {
    match why {
        Unsupported::Empty => Problem::unprocessable("EMPTY_DOCUMENT", "the file is empty"),
        Unsupported::Other(what) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            format!("the file is {what}; PDF and text can be read"),
        ),
    }
}

async fn text(mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|e| malformed(&e))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_FIELD {
            return Err(Problem::validation("a field of the form is too long"));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::validation("a field of the form is not UTF-8"))
}

fn boolean(text: &str) -> Result<bool, Problem> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Problem::validation("`generate_notes` is true or false")),
    }
}

async fn skip(mut field: Field<'_>) -> Result<(), Problem> {
    while field.chunk().await.map_err(|e| malformed(&e))?.is_some() {}
    Ok(())
}

fn malformed(error: &MultipartError) -> Problem {
    Problem::validation(format!("the form cannot be read: {}", error.body_text()))
}
