//! What Prometheus is told.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::json;

use crate::harness::TestHost;

/// The value of the one line that begins so.
pub(crate) fn value(metrics: &str, begins: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(begins))?;
    line.rsplit(' ').next()?.parse().ok()
}

pub(crate) async fn scrape(host: &TestHost) -> String {
    let response = reqwest::get(format!("{}/metrics", host.admin)).await;
    let response = response.unwrap();
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    response.text().await.unwrap()
}

#[tokio::test]
async fn requests_events_caches_and_connections_are_counted() {
    let host = TestHost::start().await;
    let question = json!({ "message": "What is a cell?", "user_id": "alice" });
    let asked = host
        .send(host.request(Method::POST, "/chat").json(&question))
        .await;
    assert_eq!(asked.status, 200);
    let session = asked.body["session_id"].as_str().unwrap();
    for _ in 0..3 {
        let history = host.request(Method::GET, &format!("/chat/history/{session}"));
        assert_eq!(host.send(history).await.status, 200);
    }
    let missing = host.send(host.request(Method::GET, "/nowhere")).await;
    assert_eq!(missing.status, 404);
    let metrics = scrape(&host).await;
    let read = |begins: &str| value(&metrics, begins);
    let answered = r#"lectern_http_requests_total{component="chat",method="GET",status="200"}"#;
    assert_eq!(read(answered), Some(3.0), "{metrics}");
    let by_host = r#"lectern_http_requests_total{component="lectern",method="GET",status="404"}"#;
    assert_eq!(read(by_host), Some(1.0));
    let count = r#"lectern_http_request_duration_seconds_count{component="chat","#;
    let bucket = r#"lectern_http_request_duration_seconds_bucket{le="+Inf",component="chat","#;
    assert_eq!(read(count), Some(4.0), "{metrics}");
    assert_eq!(read(bucket), Some(4.0), "{metrics}");
    assert!(read(r#"lectern_http_request_duration_seconds_sum{component="chat","#) > Some(0.0));
    let hits = r#"lectern_cache_calls_total{component="chat",outcome="hit"}"#;
    assert_eq!(read(hits), Some(2.0));
    let open = r#"lectern_postgres_connections{component="chat",state="idle"}"#;
    assert!(read(open) >= Some(1.0));
    assert_eq!(
        read(r#"lectern_switches_total{component="chat"}"#),
        Some(1.0)
    );
    assert!(read(r#"lectern_outbox_events{database="#).is_some());
    let lag = r#"lectern_consumer_lag{group="quiz",topic="document.processed"}"#;
    assert_eq!(read(lag), Some(0.0));
    assert_eq!(read(r#"lectern_server_up{server="database"}"#), Some(1.0));
    assert!(metrics.ends_with("# EOF\n"));
    host.stop().await;
}

/// The names that a text speaks of, as in an expression of Prometheus.
fn spoken_of(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("lectern_"));
    let plain = ours.map(|word| word.strip_suffix("_bucket").unwrap_or(word));
    plain.map(ToOwned::to_owned).collect()
}

/// The names that a scrape has, whether or not there is anything to count yet.
fn scraped(metrics: &str) -> BTreeSet<String> {
    let told = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let name = |told: &str| match told.split_once(' ')? {
        (name, "counter") => Some(format!("{name}_total")),
        (name, _) => Some(name.to_owned()),
    };
    told.filter_map(name).collect()
}

fn deployed(file: &str) -> String {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    std::fs::read_to_string(deploy.join(file)).unwrap()
}

/// Not written before the first of its kind: here nobody comes too soon.
const UNCOUNTED: [&str; 3] = [
    "lectern_requests_limited_total",
    "lectern_webhook_attempts_total",
    "lectern_websocket_endings_total",
];

#[tokio::test]
async fn every_metric_of_the_dashboard_and_of_the_alerts_is_there() {
    let host = TestHost::start().await;
    // What only requests are counted by.
    host.get("/chat/sessions?user_id=alice").await.ok();
    let there = scraped(&scrape(&host).await);
    host.stop().await;
    for (file, least) in [
        ("grafana/lectern.json", 20),
        ("prometheus/lectern.rules.yml", 12),
    ] {
        let wanted = spoken_of(&deployed(file));
        assert!(wanted.len() >= least, "{file} speaks of {wanted:?}");
        let missing = wanted
            .difference(&there)
            .filter(|name| !UNCOUNTED.contains(&name.as_str()));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new(), "{file}");
    }
}

async fn scrape_older(host: &TestHost) -> String {
    let asked = host.http().get(format!("{}/metrics", host.admin));
    let answer = asked
        .header(ACCEPT, "text/plain;version=0.0.4")
        .send()
        .await
        .unwrap();
    let kind = &answer.headers()["content-type"];
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn who_wants_the_older_format_gets_it() {
    let host = TestHost::probe().await;
    host.get("/probe/empty").await;
    let older = scrape_older(&host).await;
    assert!(
        older.contains("# TYPE lectern_http_requests_total counter\n"),
        "{older}"
    );
    assert!(!older.contains("# EOF") && !older.contains("# UNIT"));
    host.stop().await;
}

#[tokio::test]
async fn what_a_revision_did_is_read_while_it_drains() {
    let host = TestHost::probe().await;
    let table = host.platform().live().table().clone();
    let former = table.service("probe").unwrap().stable.clone();
    host.get("/probe/empty").await;
    let turn = former.extra_turn();
    let name = former.name()[..12].to_owned();
    let folder = crate::harness::target().join("test-components");
    let manifest = std::fs::read_to_string(folder.join("probe.toml")).unwrap();
    let next = host::client::Upload {
        wasm: std::fs::read(folder.join("probe.wasm")).unwrap(),
        manifest: Some(format!("{manifest}\n[config]\nVERSION = \"2\"\n")),
        ..host::client::Upload::default()
    };
    host.operator().deploy("probe", next).await.unwrap();
    let metrics = scrape(&host).await;
    let series = |what: &str, revision: &str| {
        format!(r#"lectern_{what}{{component="probe",revision="{revision}"}}"#)
    };
    assert_eq!(
        value(&metrics, &series("in_hand", &name)),
        Some(1.0),
        "{metrics}"
    );
    assert!(
        value(&metrics, &series("instances", &name)) >= Some(1.0),
        "{metrics}"
    );
    let table = host.platform().live().table().clone();
    let now = table.service("probe").unwrap().stable.name()[..12].to_owned();
    assert_eq!(
        value(&metrics, &series("in_hand", &now)),
        Some(0.0),
        "{metrics}"
    );
    drop((turn, former));
    host.stop().await;
}
