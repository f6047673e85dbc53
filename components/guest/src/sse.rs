//! Server-sent events (WHATWG HTML, section 9.2), with a sign of life while there are none.

use std::convert::Infallible;
use std::pin::Pin;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::future::{Either, select};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use http::{HeaderName, HeaderValue, header};

/// Proxies give up a connection that is silent for longer, in nanoseconds.
const HEARTBEAT: u64 = 15_000_000_000;
/// nginx sends what it gets at once.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The events as they come, with a comment where 15 s pass without one. The stream is dropped when the
/// client has left.
pub fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let alive = stream::unfold(events.boxed(), step);
    let mut response = Sse::new(alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}

async fn step(
    mut events: BoxStream<'static, Event>,
) -> Option<(Result<Event, Infallible>, BoxStream<'static, Event>)> {
    let silence = std::pin::pin!(wasip3::clocks::monotonic_clock::wait_for(HEARTBEAT));
    let event = match select(Pin::new(&mut events).next(), silence).await {
        Either::Left((event, _)) => event?,
        Either::Right(_) => Event::default().comment(""),
    };
    Some((Ok(event), events))
}
