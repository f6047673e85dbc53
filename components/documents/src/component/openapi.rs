//! The shapes of forms and answers, for the document: each is read or written elsewhere.

#![expect(dead_code, reason = "described, and read or written elsewhere")]

use guest::openapi::{Failure, RefusedFile};
use serde_json::Value;
use utoipa::ToSchema;

use crate::ocr::{OcrPage, State, Warning};
use crate::piece::Range;
use crate::read::Reason;

/// A file, and how it is to be read.
#[derive(ToSchema)]
pub(super) struct UploadForm {
    #[schema(content_media_type = "application/octet-stream")]
    file: String,
    /// Whose; the token's subject when absent.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    user_id: Option<String>,
    /// `true` or `false`, `1` or `0`, `yes` or `no`, `on` or `off`; `true` when absent.
    #[schema(nullable = false, required = false, value_type = String)]
    generate_notes: Option<bool>,
    /// Of a file that is encrypted.
    #[schema(nullable = false, max_length = 255)]
    password: Option<String>,
}

/// Files, and how they are to be read.
#[derive(ToSchema)]
pub(super) struct BatchForm {
    #[schema(min_items = 1, max_items = 20)]
    file: Vec<String>,
    /// Whose; the token's subject when absent.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    user_id: Option<String>,
    /// `true` or `false`, `1` or `0`, `yes` or `no`, `on` or `off`; `true` when absent.
    #[schema(nullable = false, required = false, value_type = String)]
    generate_notes: Option<bool>,
    /// Of all of them.
    #[schema(nullable = false, max_length = 255)]
    password: Option<String>,
}

/// A document that is being read.
#[derive(ToSchema)]
pub(super) struct Uploaded {
    document_id: String,
    filename: String,
    status: Status,
    s3_key: String,
    #[schema(format = DateTime)]
    uploaded_at: String,
}

/// A result for each file, in their order.
#[derive(ToSchema)]
pub(super) struct Batch {
    documents: Vec<Result>,
}

#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum Result {
    Taken(Uploaded),
    Refused(RefusedFile),
}

/// How a document stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Status {
    Processing,
    Completed,
    Failed,
}

/// How far the processing is.
#[derive(ToSchema)]
pub(super) struct Progress {
    /// `queued`, `reading`, `ocr` or `notes`.
    stage: String,
    done: u32,
    total: u32,
}

/// A document.
#[derive(ToSchema)]
pub(super) struct Document {
    document_id: String,
    filename: String,
    status: Status,
    /// `null` where all is done.
    #[schema(required)]
    progress: Option<Progress>,
    /// `pdf`, `docx` or `txt`.
    r#type: String,
    /// `null` until it is read.
    #[schema(required)]
    extracted_text: Option<String>,
    /// Markdown.
    #[schema(required)]
    notes: Option<String>,
    #[schema(required, format = DateTime)]
    notes_edited_at: Option<String>,
    #[schema(required)]
    page_count: Option<u32>,
    #[schema(required, format = DateTime)]
    processed_at: Option<String>,
    #[schema(format = DateTime)]
    uploaded_at: String,
    s3_key: String,
    /// Who wrote the notes: the model, or `local-extractive`.
    #[schema(required)]
    engine: Option<String>,
    /// Whether it was too long to be read whole.
    truncated: bool,
    warnings: Vec<Warning>,
    /// Pages without text.
    needs_ocr: Vec<OcrPage>,
    /// Why it could not be read.
    #[schema(nullable = false)]
    failure: Option<Failure>,
}

/// A page of documents.
#[derive(ToSchema)]
pub(super) struct Documents {
    documents: Vec<Listed>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = ListedDocument)]
pub(super) struct Listed {
    document_id: String,
    filename: String,
    status: Status,
    #[schema(format = DateTime)]
    uploaded_at: String,
}

/// Processing that is under way.
#[derive(ToSchema)]
#[schema(as = ProcessingStarted)]
pub(super) struct Started {
    message: String,
    document_id: String,
}

/// A document that is gone.
#[derive(ToSchema)]
#[schema(as = DeletedDocument)]
pub(super) struct Removed {
    message: String,
    document_id: String,
}

/// A document's notes.
#[derive(ToSchema)]
pub(super) struct Notes {
    document_id: String,
    /// Markdown; `null` where there are none.
    #[schema(required)]
    notes: Option<String>,
    /// Who wrote them: the model, or `local-extractive`.
    #[schema(required)]
    engine: Option<String>,
    #[schema(required, format = DateTime)]
    edited_at: Option<String>,
    /// What the notes were made of: overview, sections, key terms, definitions.
    #[schema(required, value_type = Option<Object>)]
    outline: Option<Value>,
}

/// Notes as they are kept.
#[derive(ToSchema)]
#[schema(as = EditedNotes)]
pub(super) struct Edited {
    document_id: String,
    notes: String,
    #[schema(format = DateTime)]
    edited_at: String,
}

/// Some of a document's pages.
#[derive(ToSchema)]
pub(super) struct Pages {
    document_id: String,
    pages: Vec<PageText>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct PageText {
    /// From 1.
    page: u32,
    text: String,
    /// Why it has no text of its own.
    #[schema(nullable = false)]
    needs_ocr: Option<NeedsOcr>,
}

/// Why a page had to be looked at, and whether it was.
#[derive(ToSchema)]
pub(super) struct NeedsOcr {
    reason: Reason,
    status: State,
}

/// Places in documents.
#[derive(ToSchema)]
#[schema(as = FoundPlaces)]
pub(super) struct Results {
    results: Vec<Place>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = FoundPlace)]
pub(super) struct Place {
    document_id: String,
    filename: String,
    /// From 1.
    page: u32,
    /// Of the piece's first character, in the document's text.
    start: u32,
    /// Higher is closer; comparable within an answer.
    score: f64,
    /// Plain text, whatever it looks like.
    snippet: String,
    /// Where in the snippet the question's words stand.
    highlights: Vec<Range>,
}
