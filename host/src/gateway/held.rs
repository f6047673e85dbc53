//! Answers that wait for their client. Over HTTP/2 a client may open a hundred and take nothing of any,
//! while the connection is as lively as can be; each holds a turn of its component.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Error;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The answers of one connection.
#[derive(Clone)]
pub(super) struct Held(Arc<Answers>);

struct Answers {
    began: Instant,
    /// Of each: since when it waits, in milliseconds since then, or 0.
    since: Mutex<Vec<Weak<AtomicU64>>>,
    first: Notify,
}

impl Held {
    pub(super) fn new() -> Self {
        Self(Arc::new(Answers {
            began: Instant::now(),
            since: Mutex::default(),
            first: Notify::new(),
        }))
    }

    /// The same body, looked at from now on.
    pub(super) fn watch(&self, body: Body) -> Body {
        let since = Arc::new(AtomicU64::new(self.0.now()));
        let mut all = self.0.since.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|each| each.strong_count() > 0);
        all.push(Arc::downgrade(&since));
        drop(all);
        self.0.first.notify_one();
        Body::new(Watched {
            body,
            since,
            answers: self.0.clone(),
        })
    }

    /// Resolves when one has waited for `limit`.
    pub(super) async fn stalls(&self, limit: Duration) {
        self.0.first.notified().await;
        while !self.has_stalled(limit) {
            tokio::time::sleep(LOOK.min(limit)).await;
        }
    }

    fn has_stalled(&self, limit: Duration) -> bool {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let now = self.0.now();
        let all = self.0.since.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = all.iter().filter_map(Weak::upgrade);
        waiting.any(|since| match since.load(Ordering::Relaxed) {
            0 => false,
            since => now.saturating_sub(since) >= limit,
        })
    }
}

impl Answers {
    /// Never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).map_or(u64::MAX, |ms| ms + 1)
    }
}

struct Watched {
    body: Body,
    since: Arc<AtomicU64>,
    answers: Arc<Answers>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // What is pending waits for its component; what is asked for again has gone to its client.
        let since = match &polled {
            Poll::Ready(Some(Ok(_))) => self.answers.now(),
            _ => 0,
        };
        self.since.store(since, Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const NOW: Duration = Duration::ZERO;

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_told() {
        let held = Held::new();
        let _untouched = held.watch(Body::from("x"));
        held.stalls(SOON).await;
        let held = Held::new();
        let two = futures::stream::iter(["a", "b"].map(Ok::<_, std::io::Error>));
        let mut begun = held.watch(Body::from_stream(two));
        begun.frame().await.unwrap().unwrap();
        held.stalls(SOON).await;
    }

    #[tokio::test]
    async fn an_answer_that_waits_for_its_component_and_one_that_is_over_are_not() {
        let held = Held::new();
        let silent = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        let mut waiting = held.watch(Body::from_stream(silent));
        assert!(held.has_stalled(NOW), "nobody has asked for it yet");
        let polled = futures::poll!(std::pin::pin!(waiting.frame()));
        assert!(polled.is_pending(), "it says nothing");
        let over = held.watch(Body::from("x"));
        over.collect().await.unwrap();
        assert!(!held.has_stalled(NOW));
    }
}
