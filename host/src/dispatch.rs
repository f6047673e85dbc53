//! From a request to a component's answer: a turn, a body within its limit, a streamed response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
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

use crate::gateway::limits::Place;
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
    /// The body breaks off, or its chunks are none.
    BodyBroken,
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
    request: Request,
    kind: Kind,
) -> Result<Response, DispatchError> {
    dispatch_in(revision, request, kind, None).await
}

/// The same in a user's place, which is held until the answer's last byte.
pub(crate) async fn dispatch_in(
    revision: &Arc<Revision>,
    mut request: Request,
    kind: Kind,
    place: Option<Place>,
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
    let coming = Arc::new(Coming::default());
    let request = request.map(|body| {
        Limited::new(body, limit, coming.clone())
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
    // Whatever the component made of a body that broke off: the reason is ours to tell, and says nothing of
    // the component.
    if let Some(broken) = coming.broken(&answer, limit) {
        return counted.end(Ended::Answered, Err(broken));
    }
    judge(permit, &answer);
    let ended = match &answer {
        Ok(response) if response.status().is_server_error() => Ended::Failed,
        Ok(_) => Ended::Answered,
        Err(error) => Ended::broken(error),
    };
    let answer = counted.end(ended, answer);
    let response = answer.map_err(DispatchError::Call)?;
    let turn = match is_stream(response.headers()) {
        true => revision.streaming(turn),
        false => turn,
    };
    Ok(response.map(|body| {
        Body::new(Answer {
            body,
            _turn: turn,
            _place: place,
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

const TOO_LARGE: u8 = 1;
const STALLED: u8 = 2;
const BROKEN: u8 = 3;

/// How a body comes.
#[derive(Default)]
pub(crate) struct Coming {
    /// Why it was cut off.
    broken: AtomicU8,
    /// Whether the component waits for more of it.
    is_awaited: AtomicBool,
}

impl Coming {
    /// Whether it was cut off for that.
    pub(crate) fn has_stalled(&self) -> bool {
        self.broken.load(Ordering::Relaxed) == STALLED
    }

    /// The client's part in it that there is no answer. Who sends so slowly that the time is over is told so.
    fn broken<T>(&self, answer: &Result<T, CallError>, limit: u64) -> Option<DispatchError> {
        match (self.broken.load(Ordering::Relaxed), answer) {
            (TOO_LARGE, _) => Some(DispatchError::BodyTooLarge { limit }),
            (STALLED, _) => Some(DispatchError::BodyStalled),
            (BROKEN, _) => Some(DispatchError::BodyBroken),
            (_, Err(CallError::Deadline)) if self.is_awaited.load(Ordering::Relaxed) => {
                Some(DispatchError::BodyStalled)
            }
            _ => None,
        }
    }
}

/// Server-sent events: WHATWG HTML, section 9.2.
fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// A body for a route of the host's own: cut off where it stalls, as a component's is.
pub(crate) fn paced(body: Body) -> (Body, Arc<Coming>) {
    let coming = Arc::new(Coming::default());
    let body = Limited::new(body, u64::MAX, coming.clone());
    (Body::new(body), coming)
}

/// A body must bring so much in so long, or it is cut off: a client that keeps a component's turn must
/// use it.
const PACE: (u64, Duration) = (8 << 10, Duration::from_secs(20));

/// A client's body, cut off at the limit, and when it stalls.
struct Limited {
    body: Body,
    left: u64,
    coming: Arc<Coming>,
    /// Set when the body is waited for; most bodies are there at once.
    pace: Option<Pin<Box<Sleep>>>,
    /// Since the pace was set.
    brought: u64,
}

impl Limited {
    fn new(body: Body, limit: u64, coming: Arc<Coming>) -> Self {
        Self {
            body,
            left: limit,
            coming,
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
        self.coming.broken.store(why, Ordering::Relaxed);
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
            self.coming.is_awaited.store(true, Ordering::Relaxed);
            return match self.stalls(cx) {
                true => Poll::Ready(Some(Err(self.cut(STALLED)))),
                false => Poll::Pending,
            };
        };
        self.coming.is_awaited.store(false, Ordering::Relaxed);
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|_| self.cut(BROKEN))?;
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
    _place: Option<Place>,
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
