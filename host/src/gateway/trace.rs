//! A request's arrival: the trace that it is part of, and the span that the gateway makes of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use bytes::Bytes;
use capability::trace::{Cause, KeyValue, Span, SpanContext, SpanKind, Tracer, parse};
use http_body::{Frame, SizeHint};

use crate::router::RouteTable;

/// <https://www.w3.org/TR/trace-context/>
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A request that has come.
pub(super) struct Arrived {
    span: Span,
    pub(super) cause: Cause,
    method: Method,
    path: String,
}

impl Arrived {
    /// The client's own trace goes on, one that is none is replaced: what a request sets off, events
    /// included, can be told from others.
    pub(super) fn with(tracer: &Tracer, request: &mut Request, id: &str) -> Self {
        let given = given(request.headers());
        let method = request.method().clone();
        let span = tracer.begin(SpanKind::Server, given.as_ref(), || {
            let attributes = vec![
                KeyValue::new("http.request.method", known(&method)),
                KeyValue::new("url.scheme", "http"),
                KeyValue::new("lectern.request_id", id.to_owned()),
            ];
            (known(&method), attributes)
        });
        let cause = Cause {
            request_id: Some(id.into()),
            span: span
                .context()
                .or(given)
                .or_else(|| parse(&invented(), None)),
            tracer: tracer.clone(),
        };
        let arrived = Self {
            path: match span.is_recorded() {
                true => request.uri().path().to_owned(),
                false => String::new(),
            },
            span,
            cause,
            method,
        };
        write(request.headers_mut(), &arrived.cause);
        arrived
    }

    /// Until the last byte of the response. The route is the component's, as its manifest has it: a path
    /// may name somebody.
    pub(super) fn answered(
        mut self,
        table: &RouteTable,
        service: &str,
        response: Response,
    ) -> Response {
        if !self.span.is_recorded() {
            return response;
        }
        let status = response.status();
        let span = &mut self.span;
        span.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(status.as_u16().to_string());
        }
        if let Some(route) = table.route_of(service, &self.path) {
            span.rename(format!("{} {route}", known(&self.method)));
            span.set("http.route", route.to_owned());
        }
        let span = self.span;
        response.map(|body| Body::new(Told { body, _span: span }))
    }
}

fn given(headers: &HeaderMap) -> Option<SpanContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    parse(text(TRACEPARENT)?, text(TRACESTATE))
}

/// A trace that nobody records.
fn invented() -> String {
    let (trace, span) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let span = &span.simple().to_string()[16..];
    format!("00-{}-{span}-00", trace.simple())
}

/// For who gets the request next.
pub(crate) fn write(headers: &mut HeaderMap, cause: &Cause) {
    let value = |text: Option<String>| HeaderValue::try_from(text?).ok();
    let state = cause.span.as_ref().map(|span| span.trace_state().header());
    match value(cause.traceparent()) {
        Some(parent) => headers.insert(TRACEPARENT, parent),
        None => headers.remove(TRACEPARENT),
    };
    match value(state.filter(|state| !state.is_empty())) {
        Some(state) => headers.insert(TRACESTATE, state),
        None => headers.remove(TRACESTATE),
    };
}

/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/>: a client may invent methods.
fn known(method: &Method) -> &'static str {
    match crate::metrics::known(method) {
        "other" => "_OTHER",
        known => known,
    }
}

/// A body, and the span that ends with it.
struct Told {
    body: Body,
    _span: Span,
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
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
    use super::*;

    fn arrived(traceparent: &str) -> (Arrived, Request) {
        let request = Request::builder().header("traceparent", traceparent);
        let request = request.header("tracestate", "vendor=1");
        let mut request = request.body(Body::empty()).unwrap();
        let arrived = Arrived::with(&Tracer::default(), &mut request, "7");
        (arrived, request)
    }

    #[test]
    fn a_client_s_trace_goes_on_and_what_is_none_is_replaced() {
        let own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (arrived_own, request) = arrived(own);
        assert_eq!(request.headers()["traceparent"], own);
        assert_eq!(request.headers()["tracestate"], "vendor=1");
        assert_eq!(arrived_own.cause.request_id.as_deref(), Some("7"));
        let (_, request) = arrived("00-zz-1-01");
        let made = request.headers()["traceparent"].to_str().unwrap();
        assert!(
            capability::events::is_traceparent(made) && made.ends_with("-00"),
            "{made}"
        );
        assert!(!request.headers().contains_key("tracestate"));
    }
}
