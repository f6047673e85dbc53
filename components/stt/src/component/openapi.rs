//! The shapes of forms and answers, for the document: each is read or written elsewhere.

#![expect(dead_code, reason = "described, and read or written elsewhere")]

use guest::openapi::RefusedFile;
use utoipa::ToSchema;

use crate::transcript::Word;

/// A recording, and how it is to be transcribed.
#[derive(ToSchema)]
pub(super) struct RecordingForm {
    #[schema(content_media_type = "application/octet-stream")]
    file: String,
    /// Whose; the token's subject when absent.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    user_id: Option<String>,
    /// BCP 47, or `auto`; `en-US` when absent.
    #[schema(nullable = false, max_length = 35)]
    language_code: Option<String>,
    /// Tell so many speakers apart.
    #[schema(nullable = false, minimum = 2, maximum = 30)]
    speakers: Option<u32>,
    /// Words to expect, by commas or lines.
    #[schema(nullable = false)]
    vocabulary: Option<String>,
}

/// Recordings, and how they are to be transcribed.
#[derive(ToSchema)]
pub(super) struct RecordingsForm {
    #[schema(min_items = 1, max_items = 20)]
    file: Vec<String>,
    /// Whose; the token's subject when absent.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    user_id: Option<String>,
    /// BCP 47, or `auto`; `en-US` when absent.
    #[schema(nullable = false, max_length = 35)]
    language_code: Option<String>,
    /// Tell so many speakers apart.
    #[schema(nullable = false, minimum = 2, maximum = 30)]
    speakers: Option<u32>,
    /// Words to expect, by commas or lines.
    #[schema(nullable = false)]
    vocabulary: Option<String>,
}

/// A recording that is being transcribed.
#[derive(ToSchema)]
#[schema(as = SubmittedRecording)]
pub(super) struct Submitted {
    job_id: String,
    filename: String,
    status: Status,
    s3_key: String,
    #[schema(format = DateTime)]
    submitted_at: String,
}

/// What became of several recordings.
#[derive(ToSchema)]
#[schema(as = SubmittedRecordings)]
pub(super) struct Batch {
    transcriptions: Vec<Submitted>,
    rejected: Vec<RefusedFile>,
}

/// How a transcription stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", as = TranscriptionStatus)]
pub(super) enum Status {
    Processing,
    Completed,
    Failed,
}

/// A transcription.
#[derive(ToSchema)]
pub(super) struct Transcription {
    job_id: String,
    filename: String,
    status: Status,
    /// `null` until it is completed.
    #[schema(required)]
    transcript: Option<String>,
    /// The mean over words, 0 to 1, where the engine says.
    #[schema(required)]
    confidence: Option<f64>,
    /// Seconds, where they are known.
    #[schema(required)]
    duration: Option<f64>,
    #[schema(required, format = DateTime)]
    completed_at: Option<String>,
    /// As asked for, or as found.
    language_code: String,
    #[schema(format = DateTime)]
    submitted_at: String,
    s3_key: String,
    #[schema(required)]
    engine: Option<String>,
    /// Codes, as in `SILENCE`.
    warnings: Vec<String>,
    /// In order; empty where the engine has no times.
    words: Vec<Word>,
    /// Why there is no transcript.
    #[schema(nullable = false)]
    failure: Option<Failure>,
}

/// Why a recording has no transcript.
#[derive(ToSchema)]
#[schema(as = FailedTranscription)]
pub(super) struct Failure {
    /// Stable, in capitals.
    code: String,
    /// What happened, and what to do.
    error: String,
    /// In the words of what failed.
    reason: String,
}

/// A page of transcriptions.
#[derive(ToSchema)]
pub(super) struct Transcriptions {
    transcriptions: Vec<Listed>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = ListedTranscription)]
pub(super) struct Listed {
    job_id: String,
    filename: String,
    status: Status,
    #[schema(format = DateTime)]
    submitted_at: String,
    /// Seconds, where they are known.
    #[schema(required)]
    duration: Option<f64>,
    language_code: String,
}

/// A transcription that is gone.
#[derive(ToSchema)]
#[schema(as = DeletedTranscription)]
pub(super) struct Deleted {
    message: String,
    job_id: String,
}
