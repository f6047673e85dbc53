//! A trace collector in this process: OTLP over HTTP, decoded with OpenTelemetry's own messages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use host::config::telemetry::Otlp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::harness::PATIENCE;

/// A span, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) has_failed: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    micros: u64,
    began: u64,
}

impl Span {
    pub(crate) fn is(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }
}

/// What came so far.
#[derive(Clone, Default)]
pub(crate) struct Collected {
    pub(crate) spans: Vec<Span>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: HeaderMap,
    pub(crate) resource: BTreeMap<String, String>,
}

pub(crate) struct Collector {
    pub(crate) otlp: Otlp,
    collected: watch::Receiver<Collected>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let (sender, collected) = watch::channel(Collected::default());
        let take = move |headers: HeaderMap, body: Bytes| async move {
            sender.send_modify(|collected| take(collected, headers, &body));
            Bytes::new()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut otlp = Otlp::to(&format!(
            "http://{}/v1/traces",
            listener.local_addr().unwrap()
        ));
        otlp.delay = Duration::from_millis(50);
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum_serve(listener, router).await });
        Self { otlp, collected }
    }

    /// What came, once it is enough.
    pub(crate) async fn until(&self, mut is_enough: impl FnMut(&Collected) -> bool) -> Collected {
        let mut collected = self.collected.clone();
        let waiting = collected.wait_for(|collected| is_enough(collected));
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(enough) => enough.unwrap().clone(),
            Err(_) => {
                let names: Vec<_> = self.now().spans.into_iter().map(|span| span.name).collect();
                panic!("only these spans came: {names:?}");
            }
        }
    }

    pub(crate) fn now(&self) -> Collected {
        self.collected.borrow().clone()
    }
}

/// Until the test ends.
pub(crate) async fn axum_serve(listener: TcpListener, router: Router) {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto::Builder;
    use hyper_util::service::TowerToHyperService;
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn take(collected: &mut Collected, headers: HeaderMap, body: &[u8]) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    collected.headers = headers;
    collected.bytes.extend_from_slice(body);
    for resource in request.resource_spans {
        collected.resource = attributes(resource.resource.unwrap().attributes);
        for span in resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            collected.spans.push(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind(),
                has_failed: span
                    .status
                    .as_ref()
                    .is_some_and(|status| status.code() == StatusCode::Error),
                name: span.name,
                attributes: attributes(span.attributes),
                micros: (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000,
                began: span.start_time_unix_nano,
            });
        }
    }
}

fn attributes(
    all: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>,
) -> BTreeMap<String, String> {
    let shown = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    all.into_iter()
        .filter_map(|attribute| Some((attribute.key, shown(attribute.value?.value?))))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The spans below `parent`, as a tree.
pub(crate) fn tree(spans: &[Span], parent: &str) -> String {
    let mut text = String::new();
    branch(spans, parent, 0, &mut text);
    text
}

fn branch(spans: &[Span], parent: &str, depth: usize, text: &mut String) {
    let mut below: Vec<_> = spans.iter().filter(|span| span.parent == parent).collect();
    below.sort_by_key(|span| span.began);
    for span in below {
        let name = format!("{}{}", "  ".repeat(depth), span.name);
        let of = span.is("lectern.component");
        let kind = format!("{:?}", span.kind).to_lowercase();
        let ms = f64::from(u32::try_from(span.micros).unwrap_or(u32::MAX)) / 1e3;
        let _ = writeln!(text, "{name:<52} {kind:<9} {of:<10} {ms:>9.2} ms");
        branch(spans, &span.id, depth + 1, text);
    }
}
