//! From a request to a component's answer: a turn, a body within its limit, a streamed response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use capability::breaker::Permit;
use capability::trace::{Cause, KeyValue, Span, SpanKind};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use runtime::revision::Turn;
use runtime::stats::Ended;
use runtime::{BodyError, CallError, Revision, WasiBody};
use tokio::time::Sleep;

use crate::gateway::trace;

/// Why there is no answer.
#[derive(Debug)]
pub enum DispatchError {
    /// The body is larger than the manifest lets.
    BodyTooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The body does not come, or hardly.
    BodyStalled,
    /// The component fails too often to be asked.
    Open {
        /// Until it is tried again.
        rest: Duration,
    },
    /// The component gave none.
    Call(CallError),
}

/// Whose turn a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its own.
    Request,
    /// None: it asks how the component is.
    Probe,
}

/// Lets the component answer.
pub async fn dispatch(
    revision: &Arc<Revision>,
    mut request: Request,
    kind: Kind,
) -> Result<Response, DispatchError> {
    let limit = revision.manifest().limits.body_bytes();
    if request.body().size_hint().lower() > limit {
        return Err(DispatchError::BodyTooLarge { limit });
    }
    let permit = match kind {
        // A probe is to find out.
        Kind::Probe => None,
        Kind::Request => Some(revision.breaker().admit().ok_or_else(|| {
            revision.stats().request(Ended::Refused, Duration::ZERO);
            DispatchError::Open {
                rest: revision.breaker().rest(),
            }
        })?),
    };
    let began = Instant::now();
    let mut span = span(revision);
    let turn = match kind {
        Kind::Probe => Ok(revision.extra_turn()),
        Kind::Request => revision.turn().await,
    };
    let turn = turn.map_err(|error| {
        let stats = revision.stats();
        stats.request(Ended::broken(&error), began.elapsed());
        span.fail("Overloaded");
        DispatchError::Call(error)
    })?;
    let cause = Cause::now().within(&span);
    if span.is_recorded() {
        let waited = i64::try_from(began.elapsed().as_millis());
        span.set("lectern.queue_ms", waited.unwrap_or(i64::MAX));
        trace::write(request.headers_mut(), &cause);
    }
    let broken = Arc::new(AtomicU8::new(WHOLE));
    let request = request.map(|body| {
        Limited::new(body, limit, broken.clone())
            .map_err(|_| BodyError::ConnectionTerminated)
            .boxed_unsync()
    });
    let counted = Counted {
        revision,
        began,
        ended: Ended::Failed,
    };
    let answer = cause.scope(revision.handle(request)).await;
    span.answered(&answer);
    judge(permit, &answer);
    // Whatever the component made of a body that broke off: the reason is ours to tell.
    match broken.load(Ordering::Relaxed) {
        TOO_LARGE => {
            return counted.end(Ended::Answered, Err(DispatchError::BodyTooLarge { limit }));
        }
        STALLED => return counted.end(Ended::Answered, Err(DispatchError::BodyStalled)),
        _ => {}
    }
    let ended = match &answer {
        Ok(response) if response.status().is_server_error() => Ended::Failed,
        Ok(_) => Ended::Answered,
        Err(error) => Ended::broken(error),
    };
    let answer = counted.end(ended, answer);
    let response = answer.map_err(DispatchError::Call)?;
    Ok(response.map(|body| {
        Body::new(Answer {
            body,
            _turn: turn,
            _span: span,
        })
    }))
}

/// The component's part of a request, from its place in the queue to the last byte.
fn span(revision: &Revision) -> Span {
    Cause::now().child(SpanKind::Internal, || told(revision))
}

/// Its name, and who it is.
pub(crate) fn told(revision: &Revision) -> (String, Vec<KeyValue>) {
    let (component, name) = (revision.manifest().name.to_string(), revision.name());
    let attributes = vec![
        KeyValue::new("lectern.component", component.clone()),
        KeyValue::new(
            "lectern.revision",
            name.chars().take(12).collect::<String>(),
        ),
    ];
    (component, attributes)
}

/// What the component answers is its own affair, an error's status too; that it cannot answer is not. Where
/// it had no turn, or the host no room for an instance, nothing is known.
fn judge<T>(permit: Option<Permit<'_>>, answer: &Result<T, CallError>) {
    match (permit, answer) {
        (None, _) => {}
        (_, Err(CallError::Overloaded | CallError::Retired | CallError::NoInstance(_))) => {}
        (Some(permit), Ok(_)) => permit.succeeded(),
        (Some(permit), Err(_)) => permit.failed(),
    }
}

/// Counts a request when it ends, also where its client has left: one that waited too long is the
/// revision's failure.
struct Counted<'a> {
    revision: &'a Revision,
    began: Instant,
    ended: Ended,
}

impl Counted<'_> {
    fn end<T>(mut self, ended: Ended, answer: T) -> T {
        self.ended = ended;
        answer
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let stats = self.revision.stats();
        stats.request(self.ended, self.began.elapsed());
    }
}

const WHOLE: u8 = 0;
const TOO_LARGE: u8 = 1;
const STALLED: u8 = 2;

/// A body must bring so much in so long, or it is cut off: a client that keeps a component's turn must
/// use it.
const PACE: (u64, Duration) = (8 << 10, Duration::from_secs(20));

/// A client's body, cut off at the limit, and when it stalls.
struct Limited {
    body: Body,
    left: u64,
    broken: Arc<AtomicU8>,
    /// Set when the body is waited for; most bodies are there at once.
    pace: Option<Pin<Box<Sleep>>>,
    /// Since the pace was set.
    brought: u64,
}

impl Limited {
    fn new(body: Body, limit: u64, broken: Arc<AtomicU8>) -> Self {
        Self {
            body,
            left: limit,
            broken,
            pace: None,
            brought: 0,
        }
    }

    fn stalls(&mut self, cx: &mut Context<'_>) -> bool {
        let (bytes, period) = PACE;
        let pace = self
            .pace
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(period)));
        while pace.as_mut().poll(cx).is_ready() {
            if self.brought < bytes {
                return true;
            }
            self.brought = 0;
            pace.as_mut().reset(tokio::time::Instant::now() + period);
        }
        false
    }

    fn cut(&self, why: u8) -> std::io::Error {
        self.broken.store(why, Ordering::Relaxed);
        std::io::Error::other("the body was cut off")
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            return match self.stalls(cx) {
                true => Poll::Ready(Some(Err(self.cut(STALLED)))),
                false => Poll::Pending,
            };
        };
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(std::io::Error::other)?;
            let size = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.brought += size;
            match self.left.checked_sub(size) {
                Some(left) => self.left = left,
                None => return Err(self.cut(TOO_LARGE)),
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A component's body; the turn and the span end with it.
struct Answer {
    body: WasiBody,
    _turn: Turn,
    _span: Span,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
