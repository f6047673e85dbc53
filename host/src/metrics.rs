//! `GET /metrics` of the admin listener, in the OpenMetrics text format that Prometheus reads
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>). Most of it is counted elsewhere anyway,
//! and only read here; nothing of it is a secret, a name of a user or a text.

mod encode;
mod process;
mod sample;
mod text;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use self::sample::Sampled;
use crate::assemble::Platform;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the latency buckets.
const BUCKETS: [Duration; 15] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
];

/// A request, as the gateway answered it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    component: String,
    method: &'static str,
    status: u16,
}

/// How something ended, by a word of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    how: &'static str,
}

/// What is counted for the metrics alone.
#[derive(Clone)]
pub struct Counters {
    requests: Family<Answered, Counter>,
    sockets: Gauge,
    socket_endings: Family<Ended, Counter>,
    webhook_attempts: Family<Ended, Counter>,
}

/// A WebSocket, counted until it is dropped.
pub(crate) struct OpenSocket(Gauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Counters {
    fn default() -> Self {
        process::start();
        Self {
            requests: Family::default(),
            sockets: Gauge::default(),
            socket_endings: Family::default(),
            webhook_attempts: Family::default(),
        }
    }
}

impl Counters {
    /// A request was answered, by a component or by the gateway itself, which is `lectern`.
    pub fn answered(&self, component: &str, method: &Method, status: u16) {
        let labels = Answered {
            component: component.to_owned(),
            method: known(method),
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Requests, as the gateway answered them",
            self.requests.clone(),
        );
        registry.register(
            "websockets",
            "WebSockets that are open",
            self.sockets.clone(),
        );
        registry.register(
            "websocket_endings",
            "WebSockets that ended, by why",
            self.socket_endings.clone(),
        );
        registry.register(
            "webhook_attempts",
            "Attempts to tell a webhook, by what came of them",
            self.webhook_attempts.clone(),
        );
    }

    /// A WebSocket was opened.
    pub(crate) fn socket_opened(&self) -> OpenSocket {
        self.sockets.inc();
        OpenSocket(self.sockets.clone())
    }

    /// A WebSocket ended.
    pub(crate) fn socket_ended(&self, how: &'static str) {
        self.socket_endings.get_or_create(&Ended { how }).inc();
    }

    /// A webhook was told something, or was to be.
    pub(crate) fn webhook_told(&self, how: &'static str) {
        self.webhook_attempts.get_or_create(&Ended { how }).inc();
    }
}

/// A client may invent methods; each would be a time series for ever.
pub(crate) fn known(method: &Method) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let found = METHODS.iter().find(|name| **name == method.as_str());
    found.copied().unwrap_or("other")
}

/// Reads everything, and writes it down, in the older text format where `asked` accepts no other.
pub async fn scrape(platform: &Arc<Platform>, asked: &HeaderMap) -> Response {
    let sampled = Sampled::take(platform).await;
    let mut registry = Registry::with_prefix("lectern");
    platform.counters().register(&mut registry);
    registry.register(
        "requests_limited",
        "Requests that came too soon, by whose rate it was and their class",
        platform.limits().refusals(),
    );
    registry.register_collector(Box::new(encode::Collector {
        platform: platform.clone(),
        sampled,
    }));
    let mut written = String::new();
    if prometheus_client::encoding::text::encode(&mut written, &registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let accept = asked.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let (kind, written) = match accept.is_some_and(text::is_wanted) {
        true => (text::CONTENT_TYPE, text::older(&written)),
        false => (CONTENT_TYPE, written),
    };
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
    (kind, written).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invented_method_makes_no_time_series() {
        let counters = Counters::default();
        for name in ["GET", "BREW", "PROPFIND"] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            counters.answered("chat", &method, 200);
        }
        let mut registry = Registry::default();
        registry.register("r", "r", counters.requests);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains(r#"r_total{component="chat",method="other",status="200"} 2"#));
        assert!(!text.contains("BREW"));
    }
}
