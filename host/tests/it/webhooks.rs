//! A learner's own server is told what is finished: that it is, by whom, again where it was not taken, and
//! that nobody is told who should not be.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use corpus::samples::BIOLOGY;
use hmac::{Hmac, KeyInit, Mac};
use host::config::Config;
use host::gateway::{self, Answer};
use host::token::{self, Claims, Role};
use http_body_util::BodyExt;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::backends;
use crate::harness::{PATIENCE, TestHost};
use crate::metrics::{scrape, value};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A learner's server.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<(HeaderMap, String)>>,
    /// What it answers; 200 when there is no more.
    answers: Mutex<VecDeque<Response>>,
    came: Notify,
}

impl Answer for Ear {
    async fn answer(self: &Arc<Self>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let heard = (parts.headers, String::from_utf8(body.to_vec()).unwrap());
        self.heard.lock().unwrap().push(heard);
        self.came.notify_one();
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| StatusCode::OK.into_response())
    }
}

impl Ear {
    /// Answers it and its address.
    async fn listen(answers: impl IntoIterator<Item = Response>) -> (Arc<Self>, String) {
        let ear = Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            ..Self::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let ever = std::future::pending();
        tokio::spawn(gateway::serve(listener, ear.clone(), ever, Duration::ZERO));
        (ear, url)
    }

    /// So many messages, once they have come.
    async fn heard(&self, count: usize) -> Vec<(HeaderMap, String)> {
        let all = async {
            loop {
                let came = self.came.notified();
                let heard = self.heard.lock().unwrap().clone();
                if heard.len() >= count {
                    return heard;
                }
                came.await;
            }
        };
        let heard = tokio::time::timeout(PATIENCE, all).await;
        heard.expect("the learner's server is told")
    }
}

async fn developing() -> TestHost {
    TestHost::with("components", |config| config.edge.webhook_loopback = true).await
}

async fn make(host: &TestHost, user: &str, url: &str) -> Value {
    let body = json!({ "url": url, "user_id": user, "events": ["document.processed"] });
    let answer = host.post("/webhooks", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let id = answer.body["webhook_id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/webhooks/{id}"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.body
}

/// The deliveries once one of them is in that state.
async fn deliveries(host: &TestHost, user: &str, hook: &Value, state: &str) -> Value {
    let id = hook["webhook_id"].as_str().unwrap();
    let path = format!("/webhooks/{id}/deliveries?user_id={user}");
    let settled = async {
        loop {
            let all = host.get(&path).await.ok();
            let tried = |one: &Value| one["state"] == state && one["attempts"] != 0;
            let done = |one: &Value| !one["error"].is_null() || one["state"] == "delivered";
            if all["deliveries"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| tried(one) && done(one))
            {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settled).await;
    settled.unwrap_or_else(|_| panic!("no delivery is {state}"))
}

/// As Standard Webhooks has a receiver do it.
fn is_signed(secret: &Value, headers: &HeaderMap, body: &str) -> bool {
    let secret = secret.as_str().unwrap().strip_prefix("whsec_").unwrap();
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let key = STANDARD.decode(secret).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(
        format!(
            "{}.{}.{body}",
            text("webhook-id"),
            text("webhook-timestamp")
        )
        .as_bytes(),
    );
    let expected = STANDARD.encode(mac.finalize().into_bytes());
    text("webhook-signature") == format!("v1,{expected}")
}

#[tokio::test]
async fn a_finished_document_is_told_to_its_owner_s_server_alone() {
    let host = developing().await;
    let (ear, url) = Ear::listen([]).await;
    let (others, others_url) = Ear::listen([]).await;
    let hook = make(&host, "alice", &url).await;
    make(&host, "bob", &others_url).await;
    let document = host.processed("alice", "diary.txt", BIOLOGY).await;
    let heard = ear.heard(1).await;
    let (headers, body) = &heard[0];
    assert!(is_signed(&hook["secret"], headers, body));
    assert!(!is_signed(
        &hook["secret"],
        headers,
        &body.replace("alice", "bob")
    ));
    let told: Value = serde_json::from_str(body).unwrap();
    assert_eq!(told["type"], "document.processed");
    assert_eq!(told["data"]["document_id"], document["document_id"]);
    assert_eq!(told["data"]["status"], "completed");
    assert!(!body.contains("diary"), "{body}");
    let all = deliveries(&host, "alice", &hook, "delivered").await;
    assert_eq!(all["deliveries"][0]["status"], 200);
    assert_eq!(
        all["deliveries"][0]["message_id"],
        headers["webhook-id"].to_str().unwrap()
    );
    // The secret was shown once.
    let id = hook["webhook_id"].as_str().unwrap();
    let shown = host
        .get(&format!("/webhooks/{id}?user_id=alice"))
        .await
        .ok();
    assert!(
        shown["secret"].is_null() && shown["disabled"].is_null(),
        "{shown}"
    );

    let ping = format!("/webhooks/{id}/ping?user_id=alice");
    let pinged = host.post(&ping, json!({})).await;
    assert_eq!(pinged.status, 202);
    let heard = ear.heard(2).await;
    assert!(heard[1].1.contains("webhook.ping"));
    assert_eq!(
        heard[1].0["webhook-id"],
        pinged.body["message_id"].as_str().unwrap()
    );
    let path = format!("/webhooks/{id}?user_id=alice");
    let deleted = host.delete(&path).await;
    assert_eq!(deleted.status, 204, "{}", deleted.body);
    assert_eq!(host.get(&path).await.code(), (404, "WEBHOOK_NOT_FOUND"));
    assert!(others.heard.lock().unwrap().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn what_kafka_brings_is_told_once_by_two_hosts_of_one_group() {
    let run = backends::run();
    let real = |config: &mut Config| {
        config.edge.webhook_loopback = true;
        config.edge.webhook_key = Some(KEY.to_owned().into());
        backends::real(config, &run)
    };
    let mut reached = None;
    let host = TestHost::with("components", |config| reached = real(config)).await;
    if reached.is_none() {
        return host.stop().await;
    }
    let other = TestHost::with("components", |config| reached = real(config)).await;
    let (ear, url) = Ear::listen([]).await;
    let hook = make(&host, "alice", &url).await;
    let document = host.processed("alice", "diary.txt", BIOLOGY).await;
    let (headers, body) = ear.heard(1).await.remove(0);
    assert!(is_signed(&hook["secret"], &headers, &body));
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["data"]["document_id"], document["document_id"]);
    // Later than all that the first one set off.
    let ping = format!(
        "/webhooks/{}/ping?user_id=alice",
        hook["webhook_id"].as_str().unwrap()
    );
    assert_eq!(other.post(&ping, json!({})).await.status, 202);
    let heard = ear.heard(2).await;
    assert_eq!(heard.len(), 2);
    assert!(heard[1].1.contains("webhook.ping"));
    other.stop().await;
    host.stop().await;
}

#[tokio::test]
async fn what_was_not_taken_is_told_again_under_its_name_also_by_the_next_host() {
    let host = developing().await;
    let refused = || StatusCode::SERVICE_UNAVAILABLE.into_response();
    let (ear, url) = Ear::listen([refused()]).await;
    let hook = make(&host, "alice", &url).await;
    host.processed("alice", "a.txt", BIOLOGY).await;
    ear.heard(1).await;
    let waiting = deliveries(&host, "alice", &hook, "waiting").await;
    assert_eq!(waiting["deliveries"][0]["status"], 503, "{waiting}");
    let host = host
        .restart_changed(|config| config.edge.webhook_loopback = true)
        .await;
    let heard = ear.heard(2).await;
    let name = |at: usize| heard[at].0["webhook-id"].clone();
    assert_eq!((name(0), &heard[0].1), (name(1), &heard[1].1));
    assert!(is_signed(&hook["secret"], &heard[1].0, &heard[1].1));
    let taken = deliveries(&host, "alice", &hook, "delivered").await;
    assert_eq!(taken["deliveries"][0]["attempts"], 2, "{taken}");
    host.stop().await;
}

#[tokio::test]
async fn a_server_that_fails_is_given_a_rest_whatever_there_is_to_tell() {
    let host = developing().await;
    let refused = StatusCode::SERVICE_UNAVAILABLE.into_response();
    let (ear, url) = Ear::listen([refused]).await;
    let hook = make(&host, "alice", &url).await;
    host.processed("alice", "a.txt", BIOLOGY).await;
    ear.heard(1).await;
    let id = hook["webhook_id"].as_str().unwrap();
    let ping = format!("/webhooks/{id}/ping?user_id=alice");
    assert_eq!(host.post(&ping, json!({})).await.status, 202);
    let heard = ear.heard(3).await;
    let at = |nth: usize| heard[nth].0["webhook-timestamp"].to_str().unwrap();
    let at = |nth: usize| at(nth).parse::<i64>().unwrap();
    // The first wait is of 4 to 6 s.
    assert!(at(1) - at(0) >= 3, "{} and {}", at(0), at(1));
    let counted = async {
        loop {
            let metrics = scrape(&host).await;
            let attempts = |how: &str| {
                let name = format!("lectern_webhook_attempts_total{{how=\"{how}\"}}");
                value(&metrics, &name)
            };
            if attempts("taken") == Some(2.0) {
                return attempts("again");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let counted = tokio::time::timeout(PATIENCE, counted).await;
    assert_eq!(counted, Ok(Some(1.0)));
    host.stop().await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_no_more() {
    let host = developing().await;
    let (ear, url) = Ear::listen([StatusCode::GONE.into_response()]).await;
    let hook = make(&host, "alice", &url).await;
    host.processed("alice", "a.txt", BIOLOGY).await;
    ear.heard(1).await;
    deliveries(&host, "alice", &hook, "failed").await;
    let all = host.get("/webhooks?user_id=alice").await.ok();
    assert!(all["webhooks"][0]["disabled"]["at"].is_string(), "{all}");
    let id = hook["webhook_id"].as_str().unwrap();
    let ping = format!("/webhooks/{id}/ping?user_id=alice");
    let ping = host.post(&ping, json!({})).await;
    assert_eq!(ping.code(), (409, "WEBHOOK_DISABLED"));
    host.processed("alice", "b.txt", BIOLOGY).await;
    let later = deliveries(&host, "alice", &hook, "failed").await;
    assert_eq!(later["deliveries"].as_array().unwrap().len(), 1, "{later}");
    host.stop().await;
}

#[tokio::test]
async fn a_webhook_made_again_with_its_key_is_the_same() {
    let host = developing().await;
    let make = async |user: &str, key: &str, url: &str| {
        let body = json!({ "url": url, "user_id": user, "events": ["document.processed"] });
        let request = host.request(Method::POST, "/webhooks").json(&body);
        host.send(request.header("idempotency-key", key)).await
    };
    let first = make("alice", "1", "https://hooks.example/a").await.ok();
    assert_eq!(
        make("alice", "1", "https://hooks.example/a").await.ok(),
        first
    );
    let other = make("alice", "1", "https://hooks.example/b").await;
    assert_eq!(other.code(), (422, "IDEMPOTENCY_KEY_REUSED"));
    for (user, key) in [("alice", "2"), ("bob", "1")] {
        let other = make(user, key, "https://hooks.example/a").await.ok();
        assert_ne!(other["webhook_id"], first["webhook_id"]);
        assert_ne!(other["secret"], first["secret"]);
    }
    let bad = make("alice", "", "https://hooks.example/a").await;
    assert_eq!(bad.code(), (400, "VALIDATION_ERROR"));
    let hers = host.get("/webhooks?user_id=alice").await.ok();
    assert_eq!(hers["webhooks"].as_array().unwrap().len(), 2);
    host.stop().await;
}

#[tokio::test]
async fn a_webhook_that_a_thousand_messages_wait_for_takes_no_more() {
    let host = developing().await;
    let (ear, url) = Ear::listen([StatusCode::SERVICE_UNAVAILABLE.into_response()]).await;
    let hook = make(&host, "alice", &url).await;
    let id = hook["webhook_id"].as_str().unwrap();
    let ping = format!("/webhooks/{id}/ping?user_id=alice");
    assert_eq!(host.post(&ping, json!({})).await.status, 202);
    ear.heard(1).await;
    host.sql(
        "insert into lectern.webhook_deliveries (webhook, message, event, body, due_at) select webhook, \
         gen_random_uuid(), event, body, now() + interval '1 day' from lectern.webhook_deliveries, \
         generate_series(1, 999)",
    )
    .await;
    let refused = host.post(&ping, json!({})).await;
    assert_eq!(refused.code(), (409, "WEBHOOK_BACKLOG"));
    host.stop().await;
}

#[tokio::test]
async fn no_webhook_leads_into_this_network() {
    let host = TestHost::start().await;
    for url in [
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::1]:8081/admin",
        "https://10.0.0.1/",
        "https://2130706433/",
        "http://hooks.example/",
        "https://user:pass@hooks.example/",
        "file:///etc/passwd",
        "nonsense",
    ] {
        let body = json!({ "url": url, "events": ["document.processed"] });
        let answer = host.post("/webhooks", body).await;
        assert_eq!(answer.code(), (400, "VALIDATION_ERROR"), "{url}");
    }
    // A name is looked up when it is told; this one leads here.
    let (ear, url) = Ear::listen([]).await;
    let inner = url.replace("http://127.0.0.1", "https://localhost");
    let hook = make(&host, "alice", &inner).await;
    host.processed("alice", "a.txt", BIOLOGY).await;
    let refused = deliveries(&host, "alice", &hook, "waiting").await;
    let error = refused["deliveries"][0]["error"].as_str().unwrap();
    assert_eq!(error, "the name leads to no public address");
    assert!(ear.heard.lock().unwrap().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let host = developing().await;
    let (inner, inner_url) = Ear::listen([]).await;
    let moved = Response::builder()
        .status(302)
        .header(header::LOCATION, &inner_url);
    let (ear, url) = Ear::listen([moved.body(Body::empty()).unwrap()]).await;
    let hook = make(&host, "alice", &url).await;
    host.processed("alice", "a.txt", BIOLOGY).await;
    ear.heard(1).await;
    let all = deliveries(&host, "alice", &hook, "waiting").await;
    assert_eq!(all["deliveries"][0]["status"], 302, "{all}");
    assert!(inner.heard.lock().unwrap().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_webhook_is_its_owner_s() {
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(KEY.to_owned().into());
        // Where tokens are wanted, nobody's webhook leads here.
        config.edge.webhook_loopback = true;
    })
    .await;
    let of = |user: &str, tenant: Option<&str>, role| {
        let mut claims = Claims::new(user, role, Duration::from_secs(60));
        claims.tenant = tenant.map(ToOwned::to_owned);
        format!("Bearer {}", token::encode(KEY.as_bytes(), &claims).unwrap())
    };
    let alice = of("alice", None, Role::User);
    let send = |who: &str, method: Method, path: &str, body: Value| {
        let request = host.request(method, path).header("authorization", who);
        host.send(request.json(&body))
    };
    let wanted = json!({ "url": "https://hooks.example/", "events": ["quiz.generated"] });
    assert_eq!(
        host.post("/webhooks", wanted.clone()).await.code(),
        (401, "UNAUTHENTICATED")
    );
    let made = send(&alice, Method::POST, "/webhooks", wanted.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let path = format!("/webhooks/{}", made.body["webhook_id"].as_str().unwrap());
    for other in [
        of("bob", None, Role::User),
        of("alice", Some("school"), Role::User),
        of("root", None, Role::Admin),
    ] {
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::DELETE, path.clone()),
            (Method::POST, format!("{path}/ping")),
            (Method::GET, format!("{path}/deliveries")),
        ] {
            let answer = send(&other, method, &path, json!({})).await;
            assert_eq!(answer.code(), (404, "WEBHOOK_NOT_FOUND"), "{path}");
        }
        let none = send(&other, Method::GET, "/webhooks", json!({})).await;
        assert_eq!(none.ok()["webhooks"], json!([]));
    }
    let as_bob =
        json!({ "url": "https://hooks.example/", "events": ["quiz.generated"], "user_id": "bob" });
    let answer = send(&alice, Method::POST, "/webhooks", as_bob).await;
    assert_eq!(answer.code(), (403, "FORBIDDEN"));
    let here = json!({ "url": "http://127.0.0.1:9/", "events": ["quiz.generated"] });
    let answer = send(&alice, Method::POST, "/webhooks", here).await;
    assert_eq!(answer.code(), (400, "VALIDATION_ERROR"));
    assert_eq!(
        send(&alice, Method::GET, &path, json!({})).await.status,
        200
    );
    host.stop().await;
}

#[tokio::test]
async fn what_is_no_webhook_is_refused_and_so_is_the_eleventh() {
    let host = TestHost::start().await;
    for (body, refused) in [
        ("", (400, "MALFORMED_JSON")),
        ("{", (400, "MALFORMED_JSON")),
        ("[]", (400, "VALIDATION_ERROR")),
        (
            "{\"url\": \"https://a.example/\"}",
            (400, "VALIDATION_ERROR"),
        ),
        (
            "{\"url\": \"https://a.example/\", \"events\": []}",
            (400, "VALIDATION_ERROR"),
        ),
        (
            "{\"url\": \"https://a.example/\", \"events\": [\"chat.message\"]}",
            (400, "VALIDATION_ERROR"),
        ),
        (&" ".repeat(17 << 10), (413, "PAYLOAD_TOO_LARGE")),
    ] {
        let request = host
            .request(Method::POST, "/webhooks")
            .body(body.to_owned());
        assert_eq!(host.send(request).await.code(), refused, "{body:.60}");
    }
    for (method, path, refused) in [
        (Method::PUT, "/webhooks", (405, "METHOD_NOT_ALLOWED")),
        (Method::GET, "/webhooks/none", (404, "WEBHOOK_NOT_FOUND")),
        (Method::GET, "/webhookish", (404, "NOT_FOUND")),
    ] {
        let answer = host.send(host.request(method, path)).await;
        assert_eq!(answer.code(), refused, "{path}");
    }
    for _ in 0..10 {
        make(&host, "alice", "https://hooks.example/").await;
    }
    let more = json!({ "url": "https://hooks.example/", "user_id": "alice", "events": ["quiz.generated"] });
    assert_eq!(
        host.post("/webhooks", more).await.code(),
        (409, "TOO_MANY_WEBHOOKS")
    );
    make(&host, "bob", "https://hooks.example/").await;
    host.stop().await;
}
