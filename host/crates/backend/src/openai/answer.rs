//! An answer from its parts: each in time, the whole within bounds, the end with what it cost.

use std::time::Duration;

use capability::llm::{Delta, Error, Finish, Outcome};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::wire::{Part, Piece, Refused, Usage};

/// How long the next token may take.
const NEXT_TOKEN: Duration = Duration::from_secs(30);
/// How long a finished answer waits for its usage, which comes in a chunk of its own.
const LAST_CHUNK: Duration = Duration::from_secs(2);
/// The most that one answer may hold, whatever the server sends.
pub(super) const MAX_ANSWER: usize = 1 << 20;

pub(super) type Parts = BoxStream<'static, Result<Piece<Part>, Refused>>;
pub(super) type Deltas = BoxStream<'static, Result<Piece<Delta>, Refused>>;

/// What has come so far.
#[derive(Default)]
struct Answer {
    size: usize,
    /// And until when more is waited for.
    finish: Option<(Finish, Instant)>,
    usage: Usage,
}

/// Nothing comes after [`Delta::Done`] or an error.
pub(super) fn deltas(parts: Parts) -> Deltas {
    stream::unfold(Some((parts, Answer::default())), |state| async move {
        let (mut parts, mut answer) = state?;
        loop {
            let (model, next) = match answer.wait(&mut parts).await {
                Some(Ok(piece)) => (piece.model, Some(Ok(piece.what))),
                Some(Err(refused)) => (None, Some(Err(refused))),
                None => (None, None),
            };
            let Some(next) = answer.take(next) else {
                continue;
            };
            let more = matches!(next, Ok(Delta::Text(_)));
            let piece = next.map(|what| Piece { model, what });
            return Some((piece, more.then_some((parts, answer))));
        }
    })
    .boxed()
}

impl Answer {
    /// `None` at the stream's end, and where a finished answer has waited long enough.
    async fn wait(&self, parts: &mut Parts) -> Option<Result<Piece<Part>, Refused>> {
        match self.finish {
            Some((_, until)) => timeout_at(until, parts.next()).await.unwrap_or(None),
            None => timeout(NEXT_TOKEN, parts.next())
                .await
                .unwrap_or(Some(Err(Refused::lasting(Error::Timeout)))),
        }
    }

    fn take(&mut self, next: Option<Result<Part, Refused>>) -> Option<Result<Delta, Refused>> {
        match next {
            Some(Ok(Part::Text(text))) => Some(self.text(text)),
            Some(Ok(Part::Finish(finish))) => {
                let until = Instant::now() + LAST_CHUNK;
                self.finish.get_or_insert((finish, until));
                None
            }
            Some(Ok(Part::Usage(usage))) => {
                self.usage = usage;
                self.finish.is_some().then(|| Ok(self.done()))
            }
            // Some servers give no reason; `[DONE]` says all the same that nothing is missing.
            Some(Ok(Part::End)) if self.size > 0 => Some(Ok(self.done())),
            // What breaks after the end takes nothing from the answer.
            _ if self.finish.is_some() => Some(Ok(self.done())),
            Some(Err(refused)) => Some(Err(refused)),
            Some(Ok(Part::End)) | None => Some(Err(self.unfinished())),
        }
    }

    fn text(&mut self, text: String) -> Result<Delta, Refused> {
        self.size += text.len();
        if self.size > MAX_ANSWER {
            let error = Error::Unavailable("the answer exceeds 1 MiB".into());
            return Err(Refused::lasting(error));
        }
        Ok(Delta::Text(text))
    }

    fn done(&self) -> Delta {
        Delta::Done(Outcome {
            finish: self.finish.map_or(Finish::Stop, |(finish, _)| finish),
            prompt_tokens: self.usage.prompt_tokens,
            completion_tokens: self.usage.completion_tokens,
        })
    }

    fn unfinished(&self) -> Refused {
        let why = if self.size > 0 {
            "the answer was cut off"
        } else {
            "the answer was empty"
        };
        Refused::transient(Error::Unavailable(why.into()))
    }
}
