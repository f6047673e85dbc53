//! Streams across the sandbox's border, with backpressure both ways.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Source, StreamConsumer, StreamProducer, StreamResult};

/// Feeds the guest from a stream of the host's. How it ended goes to `ended`, as a value that the
/// binding hands the guest as a future.
pub(super) struct Produce<T, E> {
    items: BoxStream<'static, Result<T, E>>,
    ended: Option<oneshot::Sender<Result<(), E>>>,
}

impl<T, E> Produce<T, E> {
    pub(super) fn new(
        items: BoxStream<'static, Result<T, E>>,
    ) -> (Self, oneshot::Receiver<Result<(), E>>) {
        let (sender, receiver) = oneshot::channel();
        (
            Self {
                items,
                ended: Some(sender),
            },
            receiver,
        )
    }

    fn poll_item(&mut self, cx: &mut Context<'_>, finish: bool) -> Poll<Result<T, StreamResult>> {
        match self.items.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(item))) => Poll::Ready(Ok(item)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(self.end(Err(error)))),
            Poll::Ready(None) => Poll::Ready(Err(self.end(Ok(())))),
            Poll::Pending if finish => Poll::Ready(Err(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn end(&mut self, how: Result<(), E>) -> StreamResult {
        if let Some(ended) = self.ended.take() {
            // The guest may have dropped the future; then nobody wants to know.
            let _ = ended.send(how);
        }
        StreamResult::Dropped
    }
}

/// Bytes, a chunk at a time.
pub(super) struct ProduceBytes<E>(pub(super) Produce<Bytes, E>);

impl<D, E: Send + 'static> StreamProducer<D> for ProduceBytes<E> {
    type Item = u8;
    type Buffer = Bytes;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: StoreContextMut<'a, D>,
        mut destination: Destination<'a, u8, Bytes>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        loop {
            let produced = match std::task::ready!(self.0.poll_item(cx, finish)) {
                Ok(chunk) if chunk.is_empty() => continue,
                Ok(chunk) => {
                    destination.set_buffer(chunk);
                    StreamResult::Completed
                }
                Err(ended) => ended,
            };
            return Poll::Ready(Ok(produced));
        }
    }
}

/// Values, one at a time.
pub(super) struct ProduceItems<T, E>(pub(super) Produce<T, E>);

impl<D, T, E> StreamProducer<D> for ProduceItems<T, E>
where
    T: wasmtime::component::Lower + Send + Sync + Unpin + 'static,
    E: Send + 'static,
{
    type Item = T;
    type Buffer = Option<T>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: StoreContextMut<'a, D>,
        mut destination: Destination<'a, T, Option<T>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        Poll::Ready(Ok(match std::task::ready!(self.0.poll_item(cx, finish)) {
            Ok(item) => {
                destination.set_buffer(Some(item));
                StreamResult::Completed
            }
            Err(ended) => ended,
        }))
    }
}

/// Takes the guest's bytes into the host, a chunk ahead of whoever reads them.
pub(super) struct Consume(PollSender<Bytes>);

/// The most that is taken over at once, whatever the guest offers.
const CHUNK: usize = 64 << 10;

impl Consume {
    /// The consumer, and what it takes as a stream. The stream ends with the guest's.
    pub(super) fn new() -> (Self, impl Stream<Item = Bytes> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(1);
        let chunks = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
        (Self(PollSender::new(sender)), chunks)
    }
}

impl<D> StreamConsumer<D> for Consume {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.0.poll_reserve(cx) {
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
        }
        let mut source = source.as_direct(store);
        let offered = source.remaining();
        let chunk = Bytes::copy_from_slice(&offered[..offered.len().min(CHUNK)]);
        source.mark_read(chunk.len());
        if !chunk.is_empty() && self.0.send_item(chunk).is_err() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
