//! What the caller may still have today, and the answer where that is nothing.

use serde_json::json;

use crate::Problem;
pub use crate::bindings::capabilities::lectern::platform::quota::Kind;
use crate::bindings::capabilities::lectern::platform::quota::{self as wit, Refusal};

/// Whether there is room for so much; counts nothing.
pub async fn check(kind: Kind, amount: u64) -> Result<(), Problem> {
    wit::check(kind, amount).await.map_err(Problem::from)
}

/// Counts what only the component knows, once for that name.
pub async fn hold(kind: Kind, name: &str, amount: u64) -> Result<(), Problem> {
    let held = wit::hold(kind, name.to_owned(), amount);
    held.await.map_err(Problem::from)
}

/// Gives it back. Also fine when there is nothing.
pub async fn give_back(name: &str) {
    wit::give_back(name.to_owned()).await;
}

/// Whether a capability's `quota-exceeded` was the caller's own budget, and the answer to that.
pub async fn exceeded() -> Option<Problem> {
    wit::refused().await.map(Problem::from)
}

/// What the host refuses, as the client is told.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (name, what) = match refusal.kind {
            Kind::LlmTokens => ("llm_tokens", "today's budget of the language model"),
            Kind::SpeechCharacters => ("tts_characters", "today's budget of speech"),
            Kind::TranscriptionSeconds => ("stt_seconds", "today's budget of transcription"),
            Kind::StorageBytes => ("storage_bytes", "the storage"),
        };
        let Refusal {
            limit,
            used,
            resets_in,
            ..
        } = refusal;
        let problem = Self::quota_exceeded(format!("{what} is used up")).details(json!({
            "quota": name,
            "limit": limit,
            "used": used,
            "resets_in": resets_in,
        }));
        match resets_in {
            Some(seconds) => problem.retry_after(seconds),
            None => problem,
        }
    }
}
