//! Asking a language model, and knowing when there is none.

use wit_bindgen::StreamResult;

use crate::bindings::capabilities::lectern::platform::llm as wit;
pub use crate::bindings::capabilities::lectern::platform::llm::{
    AnswerSchema, Error, FinishReason, Message, Request, Role,
};

/// A whole answer.
pub struct Answer {
    /// As the server names it.
    pub model: String,
    /// What it said.
    pub text: String,
    /// Why it stopped.
    pub finish: FinishReason,
}

/// Waits for the whole answer. An answer that is cut off is an error.
pub async fn ask(request: Request) -> Result<Answer, Error> {
    let wit::Completion {
        model,
        mut text,
        outcome,
    } = wit::complete(request).await?;
    let mut bytes = Vec::new();
    loop {
        let (status, chunk) = text.read(Vec::with_capacity(4 << 10)).await;
        bytes.extend_from_slice(&chunk);
        if !matches!(status, StreamResult::Complete(_)) {
            break;
        }
    }
    let finish = outcome.await?.finish;
    let text =
        String::from_utf8(bytes).map_err(|_| Error::Invalid("the answer is not UTF-8".into()))?;
    Ok(Answer {
        model,
        text,
        finish,
    })
}

/// What a payload says of who wrote it: `local-extractive` is never called AI-generated.
pub const LOCAL_ENGINE: &str = "local-extractive";
