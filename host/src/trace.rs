//! Traces, to a collector that speaks OTLP over HTTP. Spans wait in a queue of 2,048, from which a thread
//! of its own sends them: a collector that is slow or away costs spans, and no request anything.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use bytes::Bytes;
use capability::trace::{KeyValue, Tracer};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use crate::config::backends::{self, Backends};
use crate::config::telemetry::{Otlp, Sampling};

/// What is not sent by then is lost with the host.
const LAST: Duration = Duration::from_secs(3);

/// No traces where there should be some.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent: {0}")]
pub struct TraceError(String);

/// What sends spans, or nothing.
#[derive(Default)]
pub struct Traces {
    provider: Option<SdkTracerProvider>,
    /// For all who make spans.
    pub tracer: Tracer,
}

impl Traces {
    /// To that collector; nothing where there is none.
    pub fn start(otlp: Option<&Otlp>, backends: &Backends) -> Result<Self, TraceError> {
        let Some(otlp) = otlp else {
            return Ok(Self::default());
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(otlp)?)
            .with_endpoint(&otlp.endpoint)
            .with_timeout(otlp.timeout)
            .build();
        // Without its words, which quote the address.
        let unfit = |_| TraceError("the endpoint is none that can be asked".into());
        let exporter = exporter.map_err(unfit)?;
        let batches = BatchConfigBuilder::default()
            .with_scheduled_delay(otlp.delay)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor.build())
            .with_sampler(sampler(otlp.sampling))
            .with_resource(resource(otlp))
            .build();
        let tracer = BoxedTracer::new(Box::new(provider.tracer("lectern")));
        Ok(Self {
            tracer: Tracer::new(tracer, systems(backends)),
            provider: Some(provider),
        })
    }

    /// Sends what still waits, for a moment.
    pub async fn stop(self) {
        let Some(provider) = self.provider else {
            return;
        };
        // It waits for its own thread.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST));
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::warn!("the last spans were not sent");
        }
    }
}

fn sampler(
    Sampling {
        is_by_parent,
        ratio,
    }: Sampling,
) -> Sampler {
    let own = match ratio {
        1.0 => Sampler::AlwaysOn,
        0.0 => Sampler::AlwaysOff,
        ratio => Sampler::TraceIdRatioBased(ratio),
    };
    match is_by_parent {
        true => Sampler::ParentBased(Box::new(own)),
        false => own,
    }
}

/// <https://opentelemetry.io/docs/specs/semconv/resource/#service>
fn resource(otlp: &Otlp) -> Resource {
    let given = otlp.attributes.iter();
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(
            "service.instance.id",
            uuid::Uuid::new_v4().to_string(),
        ))
        .with_attributes(given.map(|(key, value)| KeyValue::new(key.clone(), value.clone())))
        .with_service_name(otlp.service.clone())
        .build()
}

/// What stands behind each capability: names and addresses, no credentials.
fn systems(backends: &Backends) -> Vec<(&'static str, Vec<KeyValue>)> {
    let at = |name: &'static str, system: &'static str, host: &str, port: u16| {
        vec![
            KeyValue::new(name, system),
            KeyValue::new("server.address", host.to_owned()),
            KeyValue::new("server.port", i64::from(port)),
        ]
    };
    let backend = |name: &'static str| vec![KeyValue::new("lectern.backend", name)];
    let postgres = match &backends.database {
        Some(server) => at("db.system.name", "postgresql", &server.host, server.port),
        None => vec![KeyValue::new("db.system.name", "postgresql")],
    };
    let cache = match &backends.redis {
        Some(redis) => at("db.system.name", "redis", &redis.host, redis.port),
        None => backend("memory"),
    };
    let events = match &backends.kafka {
        Some(_) => vec![KeyValue::new("messaging.system", "kafka")],
        None => vec![KeyValue::new("messaging.system", "postgresql")],
    };
    let buckets = &backends.buckets;
    let blobs = match buckets.default.is_some() || !buckets.by_component.is_empty() {
        true => backend("s3"),
        false => backend("folder"),
    };
    let llm = backends.llm.as_ref().map_or_else(Vec::new, |llm| {
        vec![
            KeyValue::new("gen_ai.provider.name", "openai"),
            KeyValue::new("gen_ai.request.model", llm.model.clone()),
        ]
    });
    let speech = match backends.speech.what {
        backends::Speech::Polly => backend("polly"),
        backends::Speech::Local => backend("flite"),
    };
    let transcription = match backends.transcription.what {
        backends::Transcription::Transcribe(_) => backend("transcribe"),
        backends::Transcription::OpenAi(_) => backend("openai"),
        backends::Transcription::Command(_) => backend("command"),
        backends::Transcription::None => backend("none"),
    };
    let ocr = match backends.ocr.what {
        backends::Ocr::Textract => backend("textract"),
        backends::Ocr::Local => backend("tesseract"),
        backends::Ocr::None => backend("none"),
    };
    vec![
        ("postgres", postgres),
        ("cache", cache),
        ("events", events),
        ("blobs", blobs),
        ("llm", llm),
        ("speech", speech),
        ("transcription", transcription),
        ("ocr", ocr),
    ]
}

/// The collector, asked on the host's own runtime: the thread that sends has none.
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    is_away: AtomicBool,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl Collector {
    fn new(otlp: &Otlp) -> Result<Self, TraceError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &otlp.headers {
            let unfit = |_| TraceError(format!("`{name}` is no header, or its value is none"));
            let header = HeaderName::from_str(name).map_err(|e| unfit(e.to_string()))?;
            let value = HeaderValue::from_str(value.expose_secret());
            let mut value = value.map_err(|e| unfit(e.to_string()))?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(otlp.timeout)
            // The headers go to the configured server and to nobody it points at.
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Ok(Self {
            client: client.map_err(|e| TraceError(e.to_string()))?,
            runtime: Handle::current(),
            is_away: AtomicBool::new(false),
        })
    }

    /// Once when it goes, and once when it is back.
    fn tell(&self, trouble: Option<String>) {
        let was_away = self.is_away.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(why) if !was_away => {
                tracing::warn!("the trace collector takes no spans, which are lost: {why}");
            }
            None if was_away => tracing::info!("the trace collector takes spans again"),
            _ => {}
        }
    }
}

/// Without the URL, which may hold a key.
async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let shown = |error: reqwest::Error| error.without_url().to_string();
    let request = request.try_into().map_err(shown)?;
    let answer = client.execute(request).await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(shown)?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = answer.status();
    *response.body_mut() = answer.bytes().await.map_err(shown)?;
    Ok(response)
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.client.clone(), request)).await;
        let answer = sent.unwrap_or_else(|_| Err("the host ends".into()));
        self.tell(answer.as_ref().err().cloned());
        answer.map_err(Into::into)
    }
}
