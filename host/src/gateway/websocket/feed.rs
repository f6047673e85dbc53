//! One subscription: a request through the gateway, and its events as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures::{Stream, StreamExt};
use http_body_util::{BodyExt, Limited};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::super::Gateway;
use super::message;

/// Bytes of an answer that is no stream.
const MAX_ANSWER: usize = 64 << 10;
/// Bytes of one event: nothing of it is passed on before its end.
const MAX_EVENT: usize = 1 << 20;

/// Something to pass on.
pub(super) struct Said {
    pub(super) id: String,
    /// Which subscription of that id.
    pub(super) number: u64,
    pub(super) message: Message,
    pub(super) is_last: bool,
}

/// A subscription.
pub(super) struct Feed {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) say: mpsc::Sender<Said>,
}

impl Feed {
    /// Dropped, it ends the request, and what stands behind it.
    pub(super) async fn run(self, gateway: Arc<Gateway>, request: Request) {
        let response = gateway.answer_boxed(request).await;
        let last = self.forward(response).await;
        self.say(last, true).await;
    }

    /// Passes on what is a stream; answers the last word.
    async fn forward(&self, response: Response) -> Message {
        let status = response.status().as_u16();
        if !is_stream(&response) {
            let body = Limited::new(response.into_body(), MAX_ANSWER);
            return match body.collect().await {
                Ok(body) => message::answered(&self.id, status, &body.to_bytes()),
                Err(_) => message::over(&self.id, status, Some("ANSWER_TOO_LARGE")),
            };
        }
        let held = Arc::new(AtomicUsize::new(0));
        let body = bounded(response.into_body(), held.clone());
        let mut events = std::pin::pin!(body.eventsource());
        while let Some(event) = events.next().await {
            let Ok(event) = event else {
                return message::over(&self.id, status, Some("STREAM_BROKEN"));
            };
            held.store(0, Ordering::Relaxed);
            let event = message::event(&self.id, &event.event, &event.data);
            // Waits for the client, and the component with it.
            if !self.say(event, false).await {
                break;
            }
        }
        message::over(&self.id, status, None)
    }

    /// Whether there is still somebody to say it to.
    async fn say(&self, message: Message, is_last: bool) -> bool {
        let said = Said {
            id: self.id.clone(),
            number: self.number,
            message,
            is_last,
        };
        self.say.send(said).await.is_ok()
    }
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    response.status().is_success() && kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// The body, ended where an event does not end: a component could else fill the host's memory. `held` are the
/// bytes that came since an event was whole; whoever reads the events sets it.
fn bounded(
    body: Body,
    held: Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(std::io::Error::other)?;
        match held.fetch_add(chunk.len(), Ordering::Relaxed) <= MAX_EVENT {
            true => Ok(chunk),
            false => Err(std::io::Error::other("an event does not end")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_waits_for_a_client_that_does_not_listen() {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let endless = futures::stream::repeat_with(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>("data: x\n\n")
        });
        let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
        let response = response.body(Body::from_stream(endless)).unwrap();
        let (say, mut said) = mpsc::channel(2);
        let id = "1".to_owned();
        let feed = Feed { id, number: 1, say };
        let mut forward = std::pin::pin!(feed.forward(response));
        for _ in 0..100 {
            assert!(futures::poll!(forward.as_mut()).is_pending());
        }
        let before = sent.load(Ordering::Relaxed);
        assert!((2..10).contains(&before), "{before} for two that fit");
        assert!(!said.recv().await.unwrap().is_last);
        assert!(futures::poll!(forward.as_mut()).is_pending());
        assert!(sent.load(Ordering::Relaxed) > before);
    }

    /// The last word on a stream of those chunks.
    async fn last(chunks: Vec<Vec<u8>>) -> String {
        let chunks = chunks.into_iter().map(Ok::<_, std::io::Error>);
        let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
        let body = Body::from_stream(futures::stream::iter(chunks));
        let (say, mut said) = mpsc::channel(2);
        let id = "1".to_owned();
        let feed = Feed { id, number: 1, say };
        let heard = async { while said.recv().await.is_some() {} };
        let forward = async {
            let last = feed.forward(response.body(body).unwrap()).await;
            drop(feed);
            last
        };
        let (last, ()) = tokio::join!(forward, heard);
        last.into_text().unwrap().to_string()
    }

    #[tokio::test]
    async fn an_event_that_does_not_end_is_cut_off_however_events_end() {
        let data = [b"data: ", vec![b'x'; 100 << 10].as_slice()].concat();
        for end in ["\n\n", "\r\n\r\n"] {
            let event = [data.as_slice(), end.as_bytes()].concat();
            assert!(!last(vec![event; 50]).await.contains("STREAM_BROKEN"));
            let (begin, end) = end.split_at(1);
            let begin = [data.as_slice(), begin.as_bytes()].concat();
            let halves = std::iter::repeat_n([begin, end.into()], 50).flatten();
            assert!(!last(halves.collect()).await.contains("STREAM_BROKEN"));
        }
        assert!(
            last(vec![vec![b'x'; 100 << 10]; 50])
                .await
                .contains("STREAM_BROKEN")
        );
    }
}
