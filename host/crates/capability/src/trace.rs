//! What a piece of work is part of: the request that set it off, and its span. It goes with the work as a
//! task-local, so that whoever is asked on the way can name it in a log line, a header or a span of its own.
//!
//! Spans are those of OpenTelemetry (<https://opentelemetry.io/docs/specs/semconv/>). Without a collector
//! [`Tracer`] is empty: no span is made, no attribute is formatted, and what remains is the clone of a
//! reference count or two at each call of a capability.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, Value};

pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::{SpanContext, SpanKind};

use crate::events::is_traceparent;

tokio::task_local! {
    static NOW: Cause;
}

/// What a piece of work is part of.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    /// As in `x-request-id`: of the request at the beginning of it all, however many events lie between.
    pub request_id: Option<Arc<str>>,
    /// The span that it is part of, this host's or another's.
    pub span: Option<SpanContext>,
    /// Where its spans go.
    pub tracer: Tracer,
}

impl Cause {
    /// Of what is polled now; nothing where nobody said.
    pub fn now() -> Self {
        NOW.try_with(Clone::clone).unwrap_or_default()
    }

    /// Lets `read` see that of what is polled now.
    pub fn with_now<T>(read: impl FnOnce(&Self) -> T) -> Option<T> {
        NOW.try_with(read).ok()
    }

    /// Does `work` as a part of this.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        NOW.scope(self, work).await
    }

    /// The same, as a part of `span`, where that is one.
    pub fn within(&self, span: &Span) -> Self {
        Self {
            span: span.context().or_else(|| self.span.clone()),
            ..self.clone()
        }
    }

    /// A span below this one, where this one is recorded; else none, and `about` is not asked.
    pub fn child<N: Into<Cow<'static, str>>>(
        &self,
        kind: SpanKind,
        about: impl FnOnce() -> (N, Vec<KeyValue>),
    ) -> Span {
        match &self.span {
            Some(parent) if parent.is_sampled() => self.tracer.begin(kind, Some(parent), about),
            _ => Span::none(),
        }
    }

    /// For the header `traceparent`.
    pub fn traceparent(&self) -> Option<String> {
        self.span.as_ref().map(traceparent)
    }

    /// The trace's id in hexadecimal, where a collector has it.
    pub fn trace_id(&self) -> Option<TraceId> {
        let span = self.span.as_ref()?;
        span.is_sampled().then(|| span.trace_id())
    }

    /// `traceparent`, `tracestate` and `x-request-id`, for a server that is asked.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let span = self.span.as_ref();
        let state = span.map(|span| span.trace_state().header());
        let id = self.request_id.as_ref().map(ToString::to_string);
        [
            ("traceparent", self.traceparent()),
            ("tracestate", state.filter(|state| !state.is_empty())),
            ("x-request-id", id),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// `00-<trace>-<span>-<flags>`: <https://www.w3.org/TR/trace-context/#traceparent-header>
pub fn traceparent(span: &SpanContext) -> String {
    let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
    format!("00-{trace}-{id}-{flags:02x}", flags = flags.to_u8() & 1)
}

/// The reverse, with what vendors say beside it; `None` for what is no trace context.
pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    if !is_traceparent(traceparent) {
        return None;
    }
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()? & 1;
    // One that cannot be read is dropped, and the trace goes on: the W3C's own rule.
    let state = tracestate.and_then(|state| state.parse::<TraceState>().ok());
    let flags = TraceFlags::new(flags);
    Some(SpanContext::new(
        trace,
        span,
        flags,
        true,
        state.unwrap_or_default(),
    ))
}

/// Where spans go: to a collector, or nowhere.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Tracing>>);

struct Tracing {
    tracer: BoxedTracer,
    /// What stands behind each capability, as in `db.system.name`.
    systems: Vec<(&'static str, Vec<KeyValue>)>,
}

impl Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Tracer" } else { "no tracer" })
    }
}

impl Tracer {
    /// With what stands behind each capability, by its name.
    pub fn new(tracer: BoxedTracer, systems: Vec<(&'static str, Vec<KeyValue>)>) -> Self {
        Self(Some(Arc::new(Tracing { tracer, systems })))
    }

    /// Whether there is a collector.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What stands behind that capability.
    pub fn system(&self, capability: &str) -> &[KeyValue] {
        let systems = self.0.iter().flat_map(|tracing| &tracing.systems);
        let mut found = systems.filter(|(name, _)| *name == capability);
        found.next().map_or(&[], |(_, attributes)| attributes)
    }

    /// A span of another host's or of nothing; whether it is recorded, the sampler says.
    pub fn begin<N: Into<Cow<'static, str>>>(
        &self,
        kind: SpanKind,
        parent: Option<&SpanContext>,
        about: impl FnOnce() -> (N, Vec<KeyValue>),
    ) -> Span {
        self.begin_at(None, kind, parent, about)
    }

    /// The same, of something that began earlier.
    pub fn begin_at<N: Into<Cow<'static, str>>>(
        &self,
        at: Option<SystemTime>,
        kind: SpanKind,
        parent: Option<&SpanContext>,
        about: impl FnOnce() -> (N, Vec<KeyValue>),
    ) -> Span {
        let Some(tracing) = &self.0 else {
            return Span::none();
        };
        let (name, attributes) = about();
        let mut builder = SpanBuilder::from_name(name)
            .with_kind(kind)
            .with_attributes(attributes);
        builder.start_time = at;
        let parent = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent.clone()),
            None => Context::new(),
        };
        Span(Some(tracing.tracer.build_with_context(builder, &parent)))
    }
}

/// A piece of work that is told of, and ends when this is dropped; or nothing.
#[derive(Debug)]
pub struct Span(Option<BoxedSpan>);

impl Span {
    /// Nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether anybody will see what is said of it.
    pub fn is_recorded(&self) -> bool {
        self.0.as_ref().is_some_and(BoxedSpan::is_recording)
    }

    /// As others name it; `None` where this is nothing.
    pub fn context(&self) -> Option<SpanContext> {
        self.0.as_ref().map(|span| span.span_context().clone())
    }

    /// An attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// A better name.
    pub fn rename(&mut self, name: String) {
        if let Some(span) = &mut self.0 {
            span.update_name(name);
        }
    }

    /// It failed; `kind` is one of a few words, and no message, which could quote somebody.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", kind.into()));
            span.set_status(Status::error(""));
        }
    }

    /// It failed with that error, where it is one: the variant's name is what is told. That there is nothing,
    /// or nobody to ask, is an answer.
    pub fn answered<T, E: Debug>(&mut self, answer: &Result<T, E>) {
        let (Err(error), true) = (answer, self.is_recorded()) else {
            return;
        };
        match variant(error) {
            answer if ["NotConfigured", "NotFound"].contains(&answer.as_str()) => {
                self.set("lectern.answer", answer);
            }
            error => self.fail(error),
        }
    }
}

/// The name of an error's variant: `Db` of `Db { sqlstate: "23505", .. }`.
fn variant(error: &impl Debug) -> String {
    let shown = format!("{error:?}");
    let name = shown.split(|c: char| !c.is_ascii_alphanumeric()).next();
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_context_is_read_and_written_as_the_w3c_has_it() {
        let read = parse(GIVEN, Some("vendor=1")).unwrap();
        assert!(read.is_sampled());
        assert_eq!(traceparent(&read), GIVEN);
        assert_eq!(read.trace_state().header(), "vendor=1");
        // Of a later version what is known is kept.
        let later = parse(&GIVEN.replacen("00", "cc", 1), None).unwrap();
        assert_eq!(traceparent(&later), GIVEN);
        assert!(parse("00-0-0-01", None).is_none());
        assert!(parse(GIVEN, Some("no state")).is_some());
    }

    #[test]
    fn without_a_collector_nothing_is_told_and_nothing_is_asked() {
        let cause = Cause {
            span: parse(GIVEN, None),
            ..Cause::default()
        };
        let span = cause.child(SpanKind::Client, || -> (String, Vec<KeyValue>) {
            unreachable!("nobody wants to know")
        });
        assert!(!span.is_recorded());
        assert_eq!(cause.within(&span).traceparent().as_deref(), Some(GIVEN));
    }

    #[tokio::test]
    async fn what_a_request_sets_off_knows_its_id() {
        assert!(Cause::now().request_id.is_none());
        let cause = Cause {
            request_id: Some("7".into()),
            span: parse(GIVEN, None),
            ..Cause::default()
        };
        let headers: Vec<_> = cause
            .scope(async { Cause::now().headers().collect() })
            .await;
        let expected = [("traceparent", GIVEN), ("x-request-id", "7")];
        assert_eq!(headers, expected.map(|(k, v)| (k, v.to_owned())));
    }

    #[test]
    fn of_an_error_its_kind_is_told_and_not_its_words() {
        let error = crate::postgres::Error::Db {
            sqlstate: "23505".into(),
            message: "Key (user_id)=(alice) already exists".into(),
            constraint: None,
        };
        assert_eq!(variant(&error), "Db");
        assert_eq!(variant(&crate::cache::Error::Timeout), "Timeout");
    }
}
