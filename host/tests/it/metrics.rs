//! What Prometheus is told.

use reqwest::Method;
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
