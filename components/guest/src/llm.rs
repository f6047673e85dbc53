//! Asking a language model, and knowing when there is none.

use wit_bindgen::{FutureReader, StreamReader, StreamResult};

use crate::bindings::capabilities::lectern::platform::llm as wit;
pub use crate::bindings::capabilities::lectern::platform::llm::{
    AnswerSchema, Error, FinishReason, Message, Outcome, Request, Role,
};

/// Bytes taken over from the host at a time.
const CHUNK: usize = 4 << 10;

/// A whole answer.
pub struct Answer {
    /// As the server names it.
    pub model: String,
    /// What it said.
    pub text: String,
    /// Why it stopped.
    pub finish: FinishReason,
}

/// An answer as it comes. Dropping it ends the request upstream.
pub struct Stream {
    /// As the server names it.
    pub model: String,
    text: StreamReader<u8>,
    outcome: FutureReader<Result<Outcome, Error>>,
    /// The beginning of a character whose end has not come.
    begun: Vec<u8>,
}

/// Answers when the first words have come.
pub async fn start(request: Request) -> Result<Stream, Error> {
    let wit::Completion {
        model,
        text,
        outcome,
    } = wit::complete(request).await?;
    Ok(Stream {
        model,
        text,
        outcome,
        begun: vec![],
    })
}

impl Stream {
    /// The next words; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<String, Error>> {
        loop {
            let (status, chunk) = self.text.read(Vec::with_capacity(CHUNK)).await;
            self.begun.extend_from_slice(&chunk);
            let words = whole_characters(&mut self.begun);
            if words.as_ref().is_none_or(|words| !words.is_empty()) {
                let broken = || Error::Invalid("the answer is not UTF-8".into());
                return Some(words.ok_or_else(broken));
            }
            if !matches!(status, StreamResult::Complete(_)) {
                return None;
            }
        }
    }

    /// Why it stopped, after the last words. An answer that is cut off is an error.
    pub async fn finish(self) -> Result<FinishReason, Error> {
        if !self.begun.is_empty() {
            return Err(Error::Invalid("the answer is not UTF-8".into()));
        }
        Ok(self.outcome.await?.finish)
    }
}

/// Takes the characters that are whole; `None` where the bytes are no UTF-8.
fn whole_characters(bytes: &mut Vec<u8>) -> Option<String> {
    let end = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return None,
    };
    let rest = bytes.split_off(end);
    String::from_utf8(std::mem::replace(bytes, rest)).ok()
}

/// Waits for the whole answer. An answer that is cut off is an error.
pub async fn ask(request: Request) -> Result<Answer, Error> {
    let mut stream = start(request).await?;
    let mut text = String::new();
    while let Some(words) = stream.next().await {
        text.push_str(&words?);
    }
    let model = std::mem::take(&mut stream.model);
    let finish = stream.finish().await?;
    Ok(Answer {
        model,
        text,
        finish,
    })
}

/// What a payload says of who wrote it: `local-extractive` is never called AI-generated.
pub const LOCAL_ENGINE: &str = "local-extractive";
