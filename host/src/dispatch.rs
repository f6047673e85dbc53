//! From a request to a component's answer: a turn, a body within its limit, a streamed response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use runtime::revision::Turn;
use runtime::{BodyError, CallError, Revision, WasiBody};

/// Why there is no answer.
#[derive(Debug)]
pub enum DispatchError {
    /// The body is larger than the manifest lets.
    BodyTooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The component gave none.
    Call(CallError),
}

/// Lets the component answer.
pub async fn dispatch(
    revision: &Arc<Revision>,
    request: Request,
) -> Result<Response, DispatchError> {
    let limit = revision.manifest().limits.body_bytes();
    if request.body().size_hint().lower() > limit {
        return Err(DispatchError::BodyTooLarge { limit });
    }
    let turn = revision.turn().await.map_err(DispatchError::Call)?;
    let exceeded = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| {
        Limited {
            body,
            left: limit,
            exceeded: exceeded.clone(),
        }
        .boxed_unsync()
    });
    let answer = revision.handle(request).await;
    // Whatever the component made of a body that broke off: the reason is ours to tell.
    if exceeded.load(Ordering::Relaxed) {
        return Err(DispatchError::BodyTooLarge { limit });
    }
    let response = answer.map_err(DispatchError::Call)?;
    Ok(response.map(|body| Body::new(Answer { body, _turn: turn })))
}

/// A client's body, cut off at the limit.
struct Limited {
    body: Body,
    left: u64,
    exceeded: Arc<AtomicBool>,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|_| BodyError::ConnectionTerminated)?;
            let size = frame.data_ref().map_or(0, |data| data.len() as u64);
            match self.left.checked_sub(size) {
                Some(left) => self.left = left,
                None => {
                    self.exceeded.store(true, Ordering::Relaxed);
                    return Err(BodyError::HttpRequestBodySize(None));
                }
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

/// A component's body; the turn ends with it.
struct Answer {
    body: WasiBody,
    _turn: Turn,
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
