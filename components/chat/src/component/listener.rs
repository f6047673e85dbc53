//! Whoever waits for an answer: a client that reads it as it is written, or one that waits for all of it.

use std::pin::pin;

use axum::response::Response;
use axum::response::sse::Event;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use futures::{FutureExt, SinkExt, Stream, StreamExt, stream};
use guest::wasip3::clocks::monotonic_clock::wait_for;
use guest::{log, sse};
use serde_json::Value;

/// Events that wait for a slow client. Then the model waits too.
const WAITING: usize = 16;
/// Between two signs of life, in nanoseconds.
const BEAT: u64 = 2_000_000_000;

/// Where an answer goes while it is written.
pub(super) struct Listener(Option<Reader>);

struct Reader {
    events: mpsc::Sender<Event>,
    gone: oneshot::Receiver<()>,
    left: bool,
}

impl Listener {
    /// Nobody reads along.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Somebody does, and the response that they read.
    pub(super) fn streaming() -> (Self, Response) {
        let (sender, events) = mpsc::channel(WAITING);
        let (here, gone) = oneshot::channel();
        let reader = Reader {
            events: sender,
            gone,
            left: false,
        };
        (Self(Some(reader)), sse::respond(held(events, here)))
    }

    /// Says it, where somebody listens.
    pub(super) async fn say(&mut self, event: &str, data: &Value) {
        let event = Event::default().event(event).data(data.to_string());
        self.send(event).await;
    }

    async fn send(&mut self, event: Event) {
        let Some(reader) = &mut self.0 else {
            return;
        };
        if reader.events.send(event).await.is_err() && !reader.left {
            reader.left = true;
            log::info("the client left before its answer had ended");
        }
    }

    /// Waits for the work, unless the one who listens leaves before it is done. A client that has left is
    /// noticed when something is sent: in a silence, a comment every two seconds is.
    pub(super) async fn unless_left<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            {
                let (gone, silence) = (pin!(self.gone()), pin!(wait_for(BEAT)));
                match select(work.as_mut(), select(gone, silence)).await {
                    Either::Left((done, _)) => return Some(done),
                    Either::Right((Either::Left(_), _)) => return None,
                    Either::Right((Either::Right(_), _)) => {}
                }
            }
            self.send(Event::default().comment("")).await;
        }
    }

    /// Resolves when the one who listened has left; never where nobody did.
    async fn gone(&mut self) {
        match &mut self.0 {
            Some(reader) if !reader.left => {
                let _ = (&mut reader.gone).await;
                reader.left = true;
            }
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    /// Whether the one who listened has left.
    pub(super) fn has_left(&mut self) -> bool {
        match &mut self.0 {
            Some(reader) => {
                reader.left = reader.left || (&mut reader.gone).now_or_never().is_some();
                reader.left
            }
            None => false,
        }
    }

    /// Whether somebody reads along.
    pub(super) fn streams(&self) -> bool {
        self.0.is_some()
    }
}

/// The events; `here` is dropped with them.
fn held(
    events: mpsc::Receiver<Event>,
    here: oneshot::Sender<()>,
) -> impl Stream<Item = Event> + Send {
    stream::unfold((events, here), |(mut events, here)| async move {
        let event = events.next().await?;
        Some((event, (events, here)))
    })
}
