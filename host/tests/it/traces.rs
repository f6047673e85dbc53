//! Traces, as a collector gets them; and the request's id, as an operator looks for it.

use std::collections::BTreeSet;
use std::io::Write as _;

use aws_fake::{ACCESS_KEY_ID, Fake, REGION, SECRET_ACCESS_KEY};
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use backend::aws::{self, Keys};
use backend::openai;
use corpus::samples::BIOLOGY;
use host::config::backends::{Chosen, Speech};
use host::config::telemetry::Sampling;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::collector::{Collected, Collector, Span, axum_serve, tree};
use crate::harness::{PATIENCE, TestHost, data_dir};
use crate::process;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";
/// Nothing of this may be in a trace.
const MARKER: &str = "Quetzalcoatlus";
const USER: &str = "alice.personal";
const KEY: &str = "key-of-the-collector";

fn upload(request: RequestBuilder) -> RequestBuilder {
    let text = format!("{BIOLOGY}\n{MARKER} is in this document.\n");
    let file = Part::bytes(text.into_bytes()).file_name(format!("{MARKER}.txt"));
    let form = Form::new().part("file", file);
    request.multipart(form.text("user_id", USER))
}

async fn traced(change: impl FnOnce(&mut host::config::telemetry::Otlp)) -> (TestHost, Collector) {
    let collector = Collector::start().await;
    let mut otlp = collector.otlp.clone();
    otlp.headers = vec![("x-key".into(), KEY.to_owned().into())];
    change(&mut otlp);
    let host = TestHost::with("components", |config| config.otlp = Some(otlp)).await;
    (host, collector)
}

fn of_trace(collected: &Collected) -> Vec<Span> {
    let spans = collected.spans.iter();
    spans.filter(|span| span.trace == TRACE).cloned().collect()
}

/// The only one of that name, of that component.
#[track_caller]
fn one<'a>(spans: &'a [Span], name: &str, component: &str) -> &'a Span {
    let mut found = spans
        .iter()
        .filter(|span| span.name == name && span.is("lectern.component") == component);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {name} of {component}"));
    assert!(
        found.next().is_none(),
        "more than one {name} of {component}"
    );
    first
}

fn is_below(spans: &[Span], span: &Span, above: &Span) -> bool {
    let parent = spans.iter().find(|other| other.id == span.parent);
    parent.is_some_and(|parent| parent.id == above.id || is_below(spans, parent, above))
}

/// From the gateway to the component, its SQL, its event, and the handlers of others.
fn parents_are_right(spans: &[Span], shown: &str) {
    let gateway = one(spans, "POST /upload", "");
    assert_eq!(
        (gateway.parent.as_str(), gateway.kind),
        (CLIENT, SpanKind::Server)
    );
    assert_eq!(gateway.is("http.response.status_code"), "202");
    let component = one(spans, "documents", "documents");
    assert_eq!(
        (component.parent.as_str(), component.kind),
        (gateway.id.as_str(), SpanKind::Internal)
    );
    assert_eq!(component.is("lectern.revision").len(), 12);
    assert!(component.is("lectern.queue_ms").parse::<u64>().is_ok());
    let uploaded = one(spans, "publish document.uploaded", "documents");
    assert!(is_below(spans, uploaded, component));
    assert_eq!(uploaded.kind, SpanKind::Producer);
    let handler = one(spans, "process document.uploaded", "documents");
    assert_eq!(
        (handler.parent.as_str(), handler.kind),
        (uploaded.id.as_str(), SpanKind::Consumer)
    );
    assert_eq!(
        handler.is("messaging.message.id"),
        uploaded.is("messaging.message.id")
    );
    let processed = one(spans, "publish document.processed", "documents");
    assert!(is_below(spans, processed, handler));
    for other in ["chat", "quiz"] {
        let taken = one(spans, "process document.processed", other);
        assert_eq!(taken.parent, processed.id);
        let has_sql =
            |span: &Span| span.name.starts_with("INSERT ") && is_below(spans, span, taken);
        assert!(
            spans.iter().any(has_sql),
            "{other} writes nothing:\n{shown}"
        );
    }
    let sql = |above: &Span| {
        let below = spans.iter().filter(|span| is_below(spans, span, above));
        below
            .filter(|span| span.is("db.system.name") == "postgresql")
            .count()
    };
    assert!(sql(component) > 0 && sql(handler) > 0);
    let transaction = spans
        .iter()
        .find(|span| span.id == uploaded.parent)
        .unwrap();
    assert_eq!(transaction.name, "transaction");
    assert!(
        spans
            .iter()
            .any(|span| span.name == "blobs put" && is_below(spans, span, component))
    );
    assert!(spans.iter().all(|span| !span.has_failed), "{shown}");
}

fn nothing_secret_is_told(collected: &Collected) {
    assert_eq!(collected.headers["x-key"], KEY);
    assert_eq!(collected.resource["service.name"], "lectern");
    let told = String::from_utf8_lossy(&collected.bytes);
    for secret in [MARKER, USER, "a-token-that-nobody-checks", KEY] {
        assert!(!told.contains(secret), "{secret} is in a trace");
    }
}

#[tokio::test]
async fn an_upload_is_one_trace_down_to_what_other_services_make_of_it() {
    let (host, collector) = traced(|_| {}).await;
    let request = host
        .request(Method::POST, "/upload")
        .header("traceparent", format!("00-{TRACE}-{CLIENT}-01"))
        .header("authorization", "Bearer a-token-that-nobody-checks");
    let uploaded = host.send(upload(request)).await.ok();
    host.settled(uploaded["document_id"].as_str().unwrap())
        .await;
    let handled = |collected: &Collected| {
        let spans = of_trace(collected);
        let of = |name: &str| spans.iter().filter(|span| span.name == name).count();
        let known: BTreeSet<_> = spans.iter().map(|span| span.id.as_str()).collect();
        // What has ended comes before what it is a part of.
        let is_whole = |span: &Span| span.parent == CLIENT || known.contains(span.parent.as_str());
        of("process document.processed") == 2
            && of("send document.processed") == 1
            && spans.iter().all(is_whole)
    };
    let collected = collector.until(handled).await;
    let spans = of_trace(&collected);
    let shown = tree(&spans, CLIENT);
    let _ = writeln!(std::io::stderr(), "{shown}");

    parents_are_right(&spans, &shown);
    nothing_secret_is_told(&collected);
    host.stop().await;
}

/// A server of OpenAI's kind that tells what it was asked with.
async fn model() -> (openai::Config, mpsc::UnboundedReceiver<HeaderMap>) {
    let (asked, headers) = mpsc::unbounded_channel();
    let answer = move |headers: HeaderMap| async move {
        let _ = asked.send(headers);
        let said = json!({ "message": { "content": MARKER }, "finish_reason": "stop" });
        let usage = json!({ "prompt_tokens": 11, "completion_tokens": 7 });
        axum::Json(json!({ "model": "m-1", "choices": [said], "usage": usage }))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/chat/completions", post(answer));
    tokio::spawn(axum_serve(listener, router));
    let config = openai::Config {
        base_url,
        key: None,
        model: "m".into(),
        referer: None,
        title: None,
    };
    (config, headers)
}

#[tokio::test]
async fn a_model_and_amazon_are_asked_as_parts_of_the_request() {
    let collector = Collector::start().await;
    let (fake, (llm, mut asked)) = (Fake::start().await.unwrap(), model().await);
    let host = TestHost::with("components", |config| {
        config.otlp = Some(collector.otlp.clone());
        config.backends.llm = Some(llm);
        config.backends.aws = aws::Config {
            endpoint_url: Some(fake.url().to_owned()),
            keys: Some(Keys {
                access_key_id: ACCESS_KEY_ID.into(),
                secret_access_key: SECRET_ACCESS_KEY.to_owned().into(),
                session_token: None,
            }),
            ..aws::Config::new(REGION)
        };
        config.backends.speech = Chosen {
            what: Speech::Polly,
            reason: "the test wants it".into(),
        };
    })
    .await;
    let request = |path: &str, body: Value| {
        host.request(Method::POST, path)
            .header("traceparent", format!("00-{TRACE}-{CLIENT}-01"))
            .header("x-request-id", "a-request.7")
            .json(&body)
    };
    let question = json!({ "message": format!("What is a {MARKER}?"), "user_id": USER });
    host.send(request("/chat", question)).await.ok();
    let text = json!({ "text": MARKER, "voice_id": "Joanna", "user_id": USER });
    host.send(request("/synthesize", text)).await.ok();
    let of = |collected: &Collected, name: &str| {
        of_trace(collected)
            .into_iter()
            .find(|span| span.name == name)
    };
    let names = [
        "chat m-1",
        "speech synthesize",
        "POST /synthesize",
        "POST /chat",
    ];
    let collected = collector
        .until(|collected| names.iter().all(|name| of(collected, name).is_some()))
        .await;
    let _ = writeln!(std::io::stderr(), "{}", tree(&of_trace(&collected), CLIENT));
    let chat = of(&collected, "chat m-1").unwrap();
    assert_eq!(chat.is("gen_ai.usage.output_tokens"), "7");
    let headers = asked.recv().await.unwrap();
    assert_eq!(
        headers["traceparent"],
        format!("00-{TRACE}-{}-01", chat.id).as_str()
    );
    assert_eq!(headers["x-request-id"], "a-request.7");
    let speech = of(&collected, "speech synthesize").unwrap();
    let polly = of(&collected, "polly/SynthesizeSpeech").unwrap();
    assert_eq!(
        (&polly.parent, polly.is("http.response.status_code")),
        (&speech.id, "200")
    );
    let told = String::from_utf8_lossy(&collected.bytes);
    for secret in [MARKER, USER, SECRET_ACCESS_KEY] {
        assert!(!told.contains(secret), "{secret} is in a trace");
    }
    host.stop().await;
}

#[tokio::test]
async fn who_is_not_sampled_is_not_told_of() {
    let (host, collector) = traced(|_| {}).await;
    let ask = |trace: &str, flags: &str| {
        host.request(Method::GET, "/chat/sessions?user_id=alice")
            .header("traceparent", format!("00-{trace}-{CLIENT}-{flags}"))
    };
    let other = "1".repeat(32);
    host.send(ask(&other, "00")).await.ok();
    host.send(ask(TRACE, "01")).await.ok();
    let is_there = |collected: &Collected| {
        of_trace(collected)
            .iter()
            .any(|span| span.name.starts_with("GET "))
    };
    let collected = collector.until(is_there).await;
    assert!(collected.spans.iter().all(|span| span.trace != other));
    host.stop().await;
}

#[tokio::test]
async fn a_sampler_of_nothing_lets_only_callers_decide() {
    let (host, collector) = traced(|otlp| {
        otlp.sampling = Sampling {
            is_by_parent: true,
            ratio: 0.0,
        };
    })
    .await;
    host.get("/chat/sessions?user_id=alice").await.ok();
    let decided = host
        .request(Method::GET, "/chat/sessions?user_id=alice")
        .header("traceparent", format!("00-{TRACE}-{CLIENT}-01"));
    host.send(decided).await.ok();
    let collected = collector
        .until(|collected| !of_trace(collected).is_empty())
        .await;
    assert!(collected.spans.iter().all(|span| span.trace == TRACE));
    host.stop().await;
    // What waited is sent at the end.
    let names: Vec<_> = of_trace(&collector.now())
        .into_iter()
        .map(|span| span.name)
        .collect();
    assert!(names.iter().any(|name| name == "chat"), "{names:?}");
}

#[tokio::test]
async fn a_collector_that_is_away_is_no_one_s_trouble() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("http://{}/v1/traces", free.local_addr().unwrap());
    drop(free);
    let (host, _) = traced(|otlp| otlp.endpoint = away).await;
    for _ in 0..50 {
        host.get("/chat/sessions?user_id=alice").await.ok();
    }
    host.stop().await;
}

/// Lines of the host's log that speak of the request, once `is_enough` of them are there.
async fn lines(
    folder: &std::path::Path,
    id: &str,
    is_enough: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let read = async {
        loop {
            let log = std::fs::read_to_string(folder.join("host.log")).unwrap_or_default();
            let objects = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let found: Vec<_> = objects.filter(|line| line["request_id"] == id).collect();
            if is_enough(&found) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("the lines are written")
}

#[tokio::test]
async fn one_request_s_id_is_in_the_lines_of_all_services_that_work_for_it() {
    let collector = Collector::start().await;
    let base = collector
        .otlp
        .endpoint
        .trim_end_matches("/v1/traces")
        .to_owned();
    let folder = data_dir();
    let variables = [
        ("LECTERN_LOG_FORMAT", "json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &base),
        ("OTEL_SERVICE_NAME", "school"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let host = process::start(folder.path(), "", &variables).await;
    let id = "upload-of-the-test.1";
    let request = reqwest::Client::new().post(format!("{}/upload", host.base));
    let sent = upload(request.header("x-request-id", id))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.headers()["x-request-id"], id);
    assert_eq!(sent.status(), 202);
    let handled = |lines: &[Value], service: &str, topic: &str| {
        lines.iter().any(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            line["service"] == service && message.starts_with(&format!("handled {topic} "))
        })
    };
    let found = lines(folder.path(), id, |lines| {
        handled(lines, "documents", "document.uploaded")
            && handled(lines, "chat", "document.processed")
            && handled(lines, "quiz", "document.processed")
    })
    .await;
    for line in &found {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    let gateway = found.iter().find(|line| {
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("POST /upload 202")
    });
    let trace = gateway.unwrap()["trace_id"].as_str().unwrap();
    assert!(
        found.iter().all(|line| line["trace_id"] == trace),
        "one trace, one id"
    );
    let keys = ["timestamp", "level", "service", "message"];
    assert!(
        found
            .iter()
            .all(|line| keys.iter().all(|key| line[key].is_string()))
    );
    let collected = collector
        .until(|collected| collected.spans.iter().any(|span| span.trace == trace))
        .await;
    assert_eq!(collected.resource["service.name"], "school");
    host.stop().await;
    let log = std::fs::read_to_string(folder.path().join("host.log")).unwrap();
    assert!(!log.contains(MARKER) && !log.contains(USER));
}
