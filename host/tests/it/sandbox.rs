//! Components that misbehave, and what it costs the others: nothing.

use std::time::Duration;

use reqwest::Method;
use runtime::{Capabilities, Component, Engine, Haste, Manifest, Refused};
use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestHost, target};

#[tokio::test]
async fn a_request_that_misbehaves_ends_with_an_error_and_harms_no_other() {
    let host = TestHost::probe().await;
    for (how, code) in [
        ("trap", (500, "SERVICE_FAILED")),
        ("spin", (500, "SERVICE_FAILED")),
        ("grow", (500, "SERVICE_FAILED")),
        ("wait", (504, "SERVICE_TIMEOUT")),
    ] {
        let path = format!("/probe/misbehave/{how}");
        let (bad, good) = tokio::join!(host.get(&path), good_requests(&host));
        assert_eq!(bad.code(), code, "{how}");
        assert_eq!(good, 20, "{how}");
    }
    assert_eq!(
        host.get("/probe/misbehave/flood").await.ok(),
        json!("survived")
    );
    host.stop().await;
}

/// Requests that begin while another misbehaves; those that share its instance may fall with it.
async fn good_requests(host: &TestHost) -> usize {
    let mut answered = 0;
    for _ in 0..20 {
        // Another instance: the one that is busy is not offered work.
        tokio::time::sleep(Duration::from_millis(10)).await;
        answered += usize::from(host.get("/probe/empty").await.status == 200);
    }
    answered
}

#[tokio::test]
async fn an_event_s_handler_is_told_how_the_attempt_before_died() {
    let host = TestHost::probe().await;
    // Makes the tables, which two events at once would trip over.
    host.get("/probe/effects").await.ok();
    for what in [
        "fine",
        "trap",
        "spin",
        "grow",
        "wait",
        "retry",
        "reject",
        "always trap",
    ] {
        host.post("/probe/publish/probe.asked", json!({ "what": what }))
            .await
            .ok();
    }
    let expected = json!([
        ["fine", 1, null],
        ["grow", 2, "Failure::Memory"],
        ["retry", 2, null],
        ["spin", 2, "Failure::Cpu"],
        ["trap", 2, "Failure::Trap"],
        ["wait", 2, "Failure::Deadline"],
    ]);
    let seen = async {
        loop {
            let effects = host.get("/probe/effects").await.ok();
            if effects.as_array().unwrap().len() == 6 {
                return effects;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let effects: Value = tokio::time::timeout(PATIENCE, seen)
        .await
        .expect("six effects");
    assert_eq!(effects, expected);
    let dead = async {
        loop {
            let rows: Vec<String> = host
                .sql("select payload->>'what' from lectern.dead_letters order by 1")
                .await;
            if rows.len() == 2 {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let dead = tokio::time::timeout(PATIENCE, dead)
        .await
        .expect("two dead letters");
    assert_eq!(dead, ["always trap", "reject"]);
    host.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_not_granted_is_denied() {
    let host = TestHost::probe().await;
    let denied = host
        .post("/probe/publish/document.uploaded", json!({ "what": "x" }))
        .await;
    assert_eq!(denied.code(), (500, "INTERNAL_ERROR"));
    let sql = "select lectern.publish('document.uploaded', 'k', '{}')";
    let around = host
        .send(host.request(Method::POST, "/probe/sql").body(sql))
        .await;
    assert_eq!(around.status, 200);
    let gone = async {
        while !host
            .sql("select topic from lectern.outbox")
            .await
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the relay has seen it");
    assert!(host.sql("select topic from lectern.inbox").await.is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_component_has_no_socket_of_its_own() {
    let host = TestHost::probe().await;
    let address = host.base.strip_prefix("http://").unwrap();
    let reached = host.get(&format!("/probe/socket/{address}")).await;
    assert_eq!(reached.ok(), json!("false false false"));
    host.stop().await;
}

#[tokio::test]
async fn bytes_and_rows_stream_through_the_sandbox() {
    let host = TestHost::probe().await;
    let chunks =
        || futures::stream::iter((0..640).map(|_| Ok::<_, std::io::Error>(vec![7u8; 64 << 10])));
    let body = || reqwest::Body::wrap_stream(chunks());
    let counted = host
        .send(host.request(Method::POST, "/probe/sink").body(body()))
        .await;
    assert_eq!(counted.body, json!(40 << 20));
    let stored = host
        .send(
            host.request(Method::POST, "/probe/store/large")
                .body(body()),
        )
        .await;
    assert_eq!(stored.body, json!(40 << 20));
    host.send(
        host.request(Method::POST, "/probe/store/small")
            .body("hello"),
    )
    .await
    .ok();
    assert_eq!(host.get("/probe/store/small").await.ok(), json!("hello"));
    for (sql, answer) in [
        ("select n from generate_series(1, 20000) n", "20000"),
        (
            "select 10 / (3 - n) from generate_series(1, 5) n",
            "after 2 rows",
        ),
        (
            "select * from pg_authid",
            "after 0 rows: Error::AccessDenied",
        ),
    ] {
        let rows = host
            .send(host.request(Method::POST, "/probe/sql").body(sql))
            .await;
        let text = rows
            .body
            .as_str()
            .map_or_else(|| rows.body.to_string(), ToOwned::to_owned);
        assert!(text.starts_with(answer), "{sql}: {text}");
    }
    host.stop().await;
}

fn component(manifest: &str) -> Result<Component, Refused> {
    let wasm = std::fs::read(target().join("test-components/probe.wasm")).unwrap();
    let engine = Engine::new(Some(&target().join("test-compiled"))).unwrap();
    Component::new(
        &engine,
        Manifest::parse(manifest).unwrap(),
        &wasm,
        Capabilities::default(),
        Haste::Start,
    )
}

#[test]
fn an_import_without_its_grant_names_the_line_that_would_allow_it() {
    let refused = component("name = \"probe\"").err().unwrap().to_string();
    assert!(
        refused.contains("`probe` imports `lectern:platform/"),
        "{refused}"
    );
    assert!(refused.contains("add `[grants."), "{refused}");
    let refused = component("name = \"probe\"\n[grants.postgres]\n[grants.events]\n")
        .err()
        .unwrap();
    match refused {
        Refused::NotGranted { import, remedy, .. } => {
            assert_eq!(
                (import.as_str(), remedy),
                ("lectern:platform/blobs@0.1.0", "[grants.blobs]")
            );
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_no_component_is_refused() {
    let engine = Engine::new(None).unwrap();
    let core = b"\0asm\x01\0\0\0";
    for bytes in [&b""[..], b"junk", core, b"\0asm\x0d\0\x01\0\x07"] {
        let manifest = Manifest::parse("name = \"a\"").unwrap();
        let refused = Component::new(
            &engine,
            manifest,
            bytes,
            Capabilities::default(),
            Haste::Start,
        );
        assert!(matches!(refused, Err(Refused::NotAComponent { .. })));
    }
    // An empty component: nothing to answer the route with.
    let empty = b"\0asm\x0d\0\x01\0";
    let manifest = Manifest::parse("name = \"a\"\n[http]\nroutes = [\"/a\"]").unwrap();
    let nothing = Capabilities::default();
    let refused = Component::new(&engine, manifest, empty, nothing, Haste::Start);
    assert!(matches!(
        refused,
        Err(Refused::NotExported {
            export: "wasi:http/handler",
            ..
        })
    ));
}
