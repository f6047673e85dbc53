//! A large language model behind any server that speaks OpenAI's chat completions.

use async_trait::async_trait;
use futures::stream::BoxStream;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The instructions.
    System,
    /// The learner.
    User,
    /// The model.
    Assistant,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The words.
    pub content: String,
}

/// Asks for one JSON document of this schema.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerSchema {
    /// `[a-zA-Z0-9_-]`, at most 64 characters.
    pub name: String,
    /// JSON Schema.
    pub schema: serde_json::Value,
}

/// One completion to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// In their order.
    pub messages: Vec<Message>,
    /// Already clamped to the grant.
    pub max_tokens: u32,
    /// 0 to 2.
    pub temperature: Option<f32>,
    /// For an answer in JSON.
    pub schema: Option<AnswerSchema>,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It had said all.
    Stop,
    /// `max_tokens` were reached.
    Length,
    /// The server withheld the rest.
    Filtered,
}

/// How a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why the model stopped.
    pub finish: Finish,
    /// 0 where the server does not say.
    pub prompt_tokens: u32,
    /// 0 where the server does not say.
    pub completion_tokens: u32,
}

/// A piece of the answer. [`Delta::Done`] comes last, and only when the answer is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// The next words, never empty and without U+0000, which no PostgreSQL text takes.
    Text(String),
    /// The end.
    Done(Outcome),
}

/// A completion whose first token has come.
pub struct Completion {
    /// As the server names it.
    pub model: String,
    /// Dropping it MUST end the request upstream.
    pub deltas: BoxStream<'static, Result<Delta, Error>>,
}

/// Why there is no answer; mirrors `error` in `wit/llm.wit`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No server is configured.
    #[error("no language model is configured")]
    NotConfigured,
    /// The server refused the key.
    #[error("the language model's server refused the key")]
    AccessDenied,
    /// The first token, or the next one, did not come in time.
    #[error("the language model took too long")]
    Timeout,
    /// The server failed or cannot be reached.
    #[error("the language model is unavailable: {0}")]
    Unavailable(String),
    /// Rate limit or credit.
    #[error("the language model's quota is used up")]
    QuotaExceeded,
    /// The server refused the request.
    #[error("the language model refused the request: {0}")]
    Invalid(String),
}

/// A model to ask.
#[async_trait]
pub trait Llm: Send + Sync {
    /// Answers when the first token has come.
    async fn complete(&self, request: Request) -> Result<Completion, Error>;
}

/// What stands where no server is configured.
pub struct NoLlm;

#[async_trait]
impl Llm for NoLlm {
    async fn complete(&self, _: Request) -> Result<Completion, Error> {
        Err(Error::NotConfigured)
    }
}
