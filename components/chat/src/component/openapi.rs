//! The shapes of answers, for the document: each is written where it is made, by PostgreSQL or by hand.

#![expect(dead_code, reason = "described, and written elsewhere")]

use utoipa::ToSchema;

use crate::citation::Citation;

/// An answer to a question.
#[derive(ToSchema)]
pub(super) struct Answered {
    /// `null` where nothing is stored.
    #[schema(required)]
    session_id: Option<String>,
    /// What is answered.
    response: String,
    #[schema(format = DateTime)]
    timestamp: String,
    /// `null` where nothing is stored.
    #[schema(required)]
    message_id: Option<String>,
    /// The model, or `local-extractive`: the documents' own sentences.
    engine: String,
    citations: Vec<Citation>,
    finish: Finish,
    /// Whether all of it stands in the documents; `null` where none was asked.
    #[schema(required)]
    grounded: Option<bool>,
    /// Statements of the model's that were left out, as they stand in no document.
    omitted: u32,
    /// Whether it was broken off.
    partial: bool,
}

/// Why an answer ended.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Finish {
    Stop,
    Length,
    Filtered,
    NotFound,
    Error,
    Cancelled,
}

/// Part of a session.
#[derive(ToSchema)]
pub(super) struct History {
    session_id: String,
    title: String,
    messages: Vec<Message>,
    /// For earlier messages, where there are any.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What one said.
#[derive(ToSchema)]
pub(super) struct Message {
    message_id: String,
    role: Role,
    content: String,
    #[schema(format = DateTime)]
    timestamp: String,
    /// As of the others, an answer's.
    engine: Option<String>,
    #[schema(nullable = false)]
    citations: Option<Vec<Citation>>,
    #[schema(nullable = false)]
    partial: Option<bool>,
    finish: Option<Finish>,
    grounded: Option<bool>,
    #[schema(nullable = false)]
    omitted: Option<u32>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Role {
    User,
    Assistant,
}

/// A page of sessions.
#[derive(ToSchema)]
pub(super) struct Sessions {
    sessions: Vec<Session>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct Session {
    session_id: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// When; `null` where nothing was said.
    #[schema(required, format = DateTime)]
    last_message: Option<String>,
    message_count: u64,
    #[schema(required)]
    title: Option<String>,
    /// Of a search: the message that has the words.
    snippet: Option<String>,
    /// Of a search: which message that is.
    message_id: Option<String>,
}

/// A session under its new title.
#[derive(ToSchema)]
pub(super) struct Renamed {
    session_id: String,
    title: String,
}

/// A session that is gone.
#[derive(ToSchema)]
pub(super) struct Deleted {
    message: String,
    session_id: String,
}

/// A whole session.
#[derive(ToSchema)]
pub(super) struct Exported {
    session_id: String,
    title: String,
    messages: Vec<Message>,
}
