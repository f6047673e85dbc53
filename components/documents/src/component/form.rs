//! A form with files: each streams to the blob store while the form is still being read, under a key that
//! no document has yet.

use axum::body::Bytes;
use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use futures::{StreamExt, stream};
use guest::uuid::Uuid;
use guest::{Problem, blobs, filename};
use sha2::{Digest, Sha256};

use super::{leftover, secret};
use crate::sniff::{HEAD, Kind, Sniffer, Unsupported};

/// Of a field that is no file, in bytes.
const MAX_FIELD: usize = 1_024;
/// Fields that are no files.
const MAX_FIELDS: usize = 16;
/// Of a file, in bytes; the gateway's limit for the whole body is a little above.
const MAX_FILE: u64 = 100 << 20;

/// What a form said.
#[derive(Default)]
pub(super) struct Form {
    /// Each file by itself, or why it is not taken.
    pub(super) files: Vec<Result<StoredFile, Refused>>,
    pub(super) user_id: Option<String>,
    pub(super) generate_notes: Option<bool>,
    pub(super) password: Option<String>,
}

/// A file under its staged key.
pub(super) struct StoredFile {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// SHA-256 of the bytes; only where somebody wants to know.
    pub(super) digest: Vec<u8>,
    /// Whether nothing of it can be read without its password.
    is_locked: bool,
}

/// A file that is not taken.
pub(super) struct Refused {
    pub(super) name: String,
    pub(super) problem: Problem,
}

/// How a form is to be read.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) files: usize,
    pub(super) digests: bool,
}

pub(super) fn staged(id: &str) -> String {
    format!("staged/{id}")
}

impl Form {
    /// Reads a form; what was stored of one that cannot be read is removed.
    pub(super) async fn read(form: Multipart, wanted: Wanted) -> Result<Self, Problem> {
        let mut read = Self::default();
        let mut whole = read.fields(form, wanted).await;
        if whole.is_ok() && read.password.is_none() {
            whole = read.refuse_locked().await;
        }
        if let Err(problem) = whole {
            read.remove().await;
            return Err(problem);
        }
        Ok(read)
    }

    /// Nothing half-stored; where this fails too, the clock takes what is left.
    pub(super) async fn remove(&self) {
        for file in self.files.iter().flatten() {
            let _ = blobs::delete(&staged(&file.id)).await;
        }
    }

    /// The password may be the form's last field.
    async fn refuse_locked(&mut self) -> Result<(), Problem> {
        for file in &mut self.files {
            if let Ok(locked) = file
                && locked.is_locked
            {
                blobs::delete(&staged(&locked.id)).await?;
                *file = Err(refused(locked.name.clone(), Unsupported::Encrypted));
            }
        }
        Ok(())
    }

    async fn fields(&mut self, mut form: Multipart, wanted: Wanted) -> Result<(), Problem> {
        for _ in 0..wanted.files + MAX_FIELDS {
            let Some(field) = form.next_field().await.map_err(|e| malformed(&e))? else {
                return Ok(());
            };
            match field.name().unwrap_or_default() {
                "file" if self.files.len() == wanted.files => {
                    let why = match wanted.files {
                        1 => {
                            "the form has more than one field `file`; `/upload/batch` takes several"
                                .into()
                        }
                        most => format!("the form has more than {most} fields `file`"),
                    };
                    return Err(Problem::validation(why));
                }
                "file" => {
                    let file = store(field, wanted.digests).await?;
                    self.files.push(file);
                }
                "user_id" => self.user_id = Some(text(field).await?),
                "generate_notes" => self.generate_notes = Some(boolean(&text(field).await?)?),
                "password" => {
                    let password = text(field).await?;
                    self.password = secret::checked(Some(&password))?.map(ToOwned::to_owned);
                }
                _ => skip(field).await?,
            }
        }
        Err(Problem::validation("the form has too many fields"))
    }
}

/// What ails the file alone is its own result; what ails the form or the store, everybody's.
async fn store(
    mut field: Field<'_>,
    wants_digest: bool,
) -> Result<Result<StoredFile, Refused>, Problem> {
    let name = filename::clean(field.file_name().unwrap_or_default(), "document");
    let mut head = Vec::new();
    while head.len() < HEAD {
        match field.chunk().await.map_err(|e| malformed(&e))? {
            Some(chunk) => head.extend_from_slice(&chunk),
            None => break,
        }
    }
    let mut sniffer = match Sniffer::new(&head) {
        Ok(sniffer) => sniffer,
        Err(why) => {
            skip(field).await?;
            return Ok(Err(refused(name, why)));
        }
    };
    let id = Uuid::new_v4().to_string();
    let mut digest = wants_digest.then(Sha256::new);
    leftover::expect(&id, &staged(&id)).await?;
    let size = {
        let mut is_head = true;
        let rest = field.map(|chunk| chunk.map_err(|e| malformed(&e)));
        let whole = stream::iter([Ok(Bytes::from(head))]).chain(rest);
        let watched = whole.inspect(|chunk| {
            if let Ok(chunk) = chunk {
                if let Some(digest) = &mut digest {
                    digest.update(chunk);
                }
                if !std::mem::replace(&mut is_head, false) {
                    sniffer.feed(chunk);
                }
            }
        });
        blobs::put(&staged(&id), Box::pin(watched), MAX_FILE).await
    };
    let size = match size {
        Ok(size) => size,
        Err(problem) if problem.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Ok(Err(Refused { name, problem }));
        }
        Err(problem) => return Err(problem),
    };
    let (kind, is_locked) = match sniffer.verdict() {
        Ok(kind) => (kind, false),
        // What is in the envelope can only be told by who opens it.
        Err(Unsupported::Encrypted) => (Kind::Docx, true),
        Err(why) => {
            let _ = blobs::delete(&staged(&id)).await;
            return Ok(Err(refused(name, why)));
        }
    };
    Ok(Ok(StoredFile {
        id,
        name,
        kind,
        size,
        digest: digest
            .map(|digest| digest.finalize().to_vec())
            .unwrap_or_default(),
        is_locked,
    }))
}

fn refused(name: String, why: Unsupported) -> Refused {
    let problem = match why {
        Unsupported::Empty => Problem::unprocessable("EMPTY_DOCUMENT", "the file is empty"),
        Unsupported::Encrypted => Problem::unprocessable(
            "ENCRYPTED_DOCUMENT",
            "the document is protected by a password: give it as `password`",
        ),
        Unsupported::Other(what) => Problem::unsupported_media_type(format!(
            "the file is {what}; PDF, DOCX and text can be read"
        )),
    };
    Refused { name, problem }
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
