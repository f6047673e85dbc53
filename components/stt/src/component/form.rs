//! The form of an upload: its files stream to the blob store, and are looked at, while it is still being
//! read.

use axum::body::Bytes;
use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use futures::stream;
use guest::uuid::Uuid;
use guest::{Problem, blobs, filename, idempotency};
use sha2::{Digest, Sha256};

use super::{scan, upload};
use crate::limits::MAX_FILE;
use crate::probe::{Probe, Recording};
use crate::request::{self, MAX_VOCABULARY, Wanted};

/// Of a field that is no file, in bytes.
const MAX_FIELD: usize = 1_024;
/// Fields that are no files.
const MAX_FIELDS: usize = 64;

/// What the form said.
pub(super) struct Form {
    pub(super) files: Vec<Result<StoredFile, Rejected>>,
    pub(super) user_id: Option<String>,
    pub(super) wanted: Wanted,
    most: usize,
    fields: usize,
    /// Whether files are told apart by their content.
    digests: bool,
    /// Blobs that no job has.
    pub(super) staged: Vec<String>,
}

/// A file, under a key that no job has yet.
pub(super) struct StoredFile {
    pub(super) name: String,
    pub(super) staged: String,
    pub(super) recording: Recording,
    /// Empty where nobody asked for it.
    pub(super) digest: Vec<u8>,
}

/// A file that is not taken.
pub(super) struct Rejected {
    pub(super) name: String,
    pub(super) problem: Problem,
}

impl Form {
    /// For so many files at most.
    pub(super) fn new(most: usize, digests: bool) -> Self {
        Self {
            files: vec![],
            user_id: None,
            wanted: Wanted::default(),
            most,
            fields: 0,
            digests,
            staged: vec![],
        }
    }

    /// Where this fails, what was staged so far is to be thrown away.
    pub(super) async fn read(&mut self, mut form: Multipart) -> Result<(), Problem> {
        while let Some(field) = form.next_field().await.map_err(|e| malformed(&e))? {
            self.field(field).await?;
        }
        if self.files.is_empty() {
            return Err(Problem::validation("the form has no field `file`"));
        }
        self.wanted.check().map_err(Problem::validation)
    }

    async fn field(&mut self, mut field: Field<'_>) -> Result<(), Problem> {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            return self.file(field).await;
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Problem::validation("the form has too many fields"));
        }
        match name.as_str() {
            "user_id" => self.user_id = Some(text(&mut field, MAX_FIELD).await?),
            "language_code" => {
                let code = text(&mut field, MAX_FIELD).await?;
                self.wanted.language_code =
                    request::language(&code).map_err(Problem::validation)?;
            }
            "speakers" => {
                let count = text(&mut field, MAX_FIELD).await?;
                self.wanted.speakers = request::speakers(&count).map_err(Problem::validation)?;
            }
            "vocabulary" => {
                let phrases = text(&mut field, MAX_VOCABULARY).await?;
                let phrases = request::vocabulary(&phrases).map_err(Problem::validation)?;
                self.wanted.vocabulary.extend(phrases);
            }
            _ => skip(&mut field).await?,
        }
        Ok(())
    }

    async fn file(&mut self, mut field: Field<'_>) -> Result<(), Problem> {
        if self.files.len() >= self.most {
            let most = self.most;
            return Err(Problem::validation(format!(
                "the form has more than {most} fields `file`"
            )));
        }
        let name = filename::clean(field.file_name().unwrap_or_default(), "audio");
        let staged = format!("staged/{}", Uuid::new_v4());
        self.staged.push(staged.clone());
        upload::expect(&staged).await?;
        let mut intake = Intake {
            field: &mut field,
            probe: Probe::new(),
            digest: self.digests.then(Sha256::new),
            broken: false,
        };
        let stored = intake.store(&staged).await;
        let Intake {
            probe,
            digest,
            broken,
            ..
        } = intake;
        let fit = match stored {
            Ok(()) => scan::fit(probe).map_err(Problem::from),
            // One file less; but where the form itself breaks off, there is no next.
            Err(problem) if !broken && problem.status().is_client_error() && self.most > 1 => {
                skip(&mut field).await?;
                Err(problem)
            }
            Err(problem) => return Err(problem),
        };
        self.files.push(match fit {
            Ok(recording) => Ok(StoredFile {
                name,
                staged,
                recording,
                digest: digest
                    .map(|digest| digest.finalize().to_vec())
                    .unwrap_or_default(),
            }),
            Err(problem) => Err(Rejected { name, problem }),
        });
        Ok(())
    }

    /// What tells this request from another one.
    pub(super) fn fingerprint(&self) -> String {
        let wanted = &self.wanted;
        let speakers = wanted
            .speakers
            .map(|count| count.to_string())
            .unwrap_or_default();
        let vocabulary = wanted.vocabulary.join(",");
        let mut parts = vec![
            wanted.language_code.as_bytes(),
            speakers.as_bytes(),
            vocabulary.as_bytes(),
        ];
        for file in &self.files {
            parts.extend(match file {
                Ok(file) => [file.name.as_bytes(), &file.digest],
                Err(rejected) => [rejected.name.as_bytes(), rejected.problem.code().as_bytes()],
            });
        }
        idempotency::fingerprint(&parts)
    }
}

/// A file on its way to the store.
struct Intake<'a, 'f> {
    field: &'a mut Field<'f>,
    probe: Probe,
    digest: Option<Sha256>,
    /// The form broke off.
    broken: bool,
}

impl Intake<'_, '_> {
    async fn store(&mut self, key: &str) -> Result<(), Problem> {
        let chunks = stream::unfold(self, |intake| async {
            let next = intake.next().await?;
            Some((next, intake))
        });
        blobs::put(key, Box::pin(chunks), MAX_FILE).await?;
        Ok(())
    }

    async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        let chunk = match self.field.chunk().await {
            Ok(chunk) => chunk?,
            Err(error) => {
                self.broken = true;
                return Some(Err(malformed(&error)));
            }
        };
        if let Err(why) = self.probe.push(&chunk) {
            return Some(Err(scan::Unfit::from(why).into()));
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&chunk);
        }
        Some(Ok(chunk))
    }
}

async fn text(field: &mut Field<'_>, most: usize) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|e| malformed(&e))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Err(Problem::validation("a field of the form is too long"));
        }
    }
    String::from_utf8(bytes).map_err(|_| Problem::validation("a field of the form is not UTF-8"))
}

async fn skip(field: &mut Field<'_>) -> Result<(), Problem> {
    while field.chunk().await.map_err(|e| malformed(&e))?.is_some() {}
    Ok(())
}

fn malformed(error: &MultipartError) -> Problem {
    Problem::validation(format!("the form cannot be read: {}", error.body_text()))
}
