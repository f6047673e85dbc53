//! The two bodies of a request, as they pass.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use capability::outbound::{Error, OutboundBody};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::failure::by_meaning;

/// The request's. The server's silence begins anew with each piece that it takes.
pub(super) struct Sending {
    /// The client wants it `Sync`. Nobody waits for the lock: there is one owner.
    body: Mutex<OutboundBody>,
    silent_since: watch::Sender<Instant>,
}

impl Sending {
    pub(super) fn new(body: OutboundBody, silent_since: watch::Sender<Instant>) -> Self {
        Self {
            body: Mutex::new(body),
            silent_since,
        }
    }

    fn peek<T>(&self, look: impl FnOnce(&OutboundBody) -> T) -> T {
        look(&self.body.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let body = this.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        let frame = ready!(Pin::new(body).poll_frame(cx));
        this.silent_since.send_replace(Instant::now());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.peek(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.peek(Body::size_hint)
    }
}

/// The response's. Each piece comes within `limit` of being asked for.
pub(super) struct Receiving {
    body: reqwest::Body,
    limit: Duration,
    /// Set while the server is waited for; whoever reads may take their time.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Receiving {
    pub(super) fn new(body: reqwest::Body, limit: Duration) -> Self {
        Self {
            body,
            limit,
            patience: None,
        }
    }
}

impl Body for Receiving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.patience = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|e| by_meaning(&e))));
        }
        let limit = this.limit;
        let patience = this
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::Timeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
