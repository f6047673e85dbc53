//! How much one may ask: rates, what the host takes on, and components that fail.

mod quotas;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use host::config::Config;
use host::config::limits::{Rule, rates};
use host::token::{self, Claims, Role};
use reqwest::Method;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::{Answer, PATIENCE, TestHost};
use crate::metrics::{scrape, value};
use crate::services;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Those that are named, and no others.
fn only(text: &str) -> Vec<Rule> {
    let mut rules = rates(text).unwrap();
    rules.retain(|rule| text.contains(&format!("{}=", rule.name)));
    rules
}

pub(crate) fn with_tokens(config: &mut Config) {
    config.identity.secret = Some(SECRET.to_owned().into());
}

pub(crate) fn bearer(user: &str, tenant: Option<&str>) -> String {
    let claims = Claims {
        tenant: tenant.map(ToOwned::to_owned),
        ..Claims::new(user, Role::User, Duration::from_secs(3_600))
    };
    let token = token::encode(SECRET.as_bytes(), &claims).unwrap();
    format!("Bearer {token}")
}

/// A user that no other run knows: hosts of other tests may share the server.
fn somebody() -> String {
    uuid::Uuid::new_v4().to_string()
}

async fn ask(host: &TestHost, path: &str, bearer: &str) -> Answer {
    let request = host.request(Method::GET, path);
    host.send(request.header("authorization", bearer)).await
}

fn header(answer: &Answer, name: &str) -> String {
    let value = answer.headers.get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

fn redis(port: Option<u16>) -> Option<backend::redis::Config> {
    let host = services::wanted("REDIS_HOST")?;
    let known = services::variable("REDIS_PORT")?;
    Some(backend::redis::Config {
        host: port.map_or(host, |_| "127.0.0.1".into()),
        port: port.unwrap_or(known.parse().unwrap()),
        database: 0,
        username: None,
        password: None,
    })
}

async fn sharing(redis: &backend::redis::Config, text: &str) -> TestHost {
    let (redis, rules) = (redis.clone(), only(text));
    let host = TestHost::with("test-components", |config| {
        with_tokens(config);
        config.limits.rates = rules;
        config.backends.redis = Some(redis);
    })
    .await;
    // Until its connection is made, a host counts alone.
    let connected = async {
        while host.get("/health").await.body["dependencies"]["redis"] != "connected" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connected)
        .await
        .expect("Redis");
    host
}

/// On a machine that has no time for Redis, hosts count alone.
async fn counted_alone(hosts: &[&TestHost]) -> f64 {
    let mut all = 0.0;
    for host in hosts {
        all += value(&scrape(host).await, "lectern_rates_counted_alone_total").unwrap();
    }
    all
}

#[tokio::test]
async fn two_hosts_that_share_redis_let_through_exactly_what_a_rate_says() {
    let Some(redis) = redis(None) else { return };
    let rules = "user.read=50/1h tenant.read=70/1h";
    let (one, two) = tokio::join!(sharing(&redis, rules), sharing(&redis, rules));
    let ask_both = async |bearer: &str| {
        let asked = (0..120).map(|at| {
            let host = if at % 2 == 0 { &one } else { &two };
            ask(host, "/probe/empty", bearer)
        });
        futures::stream::iter(asked)
            .buffered(16)
            .collect::<Vec<_>>()
            .await
    };
    let (hers, his) = loop {
        let before = counted_alone(&[&one, &two]).await;
        let school = somebody();
        let hers = ask_both(&bearer("alice", Some(&school))).await;
        let his = ask_both(&bearer("bob", Some(&school))).await;
        if counted_alone(&[&one, &two]).await == before {
            break (hers, his);
        }
    };
    let passed = |answers: &[Answer]| {
        let passed = answers.iter().filter(|answer| answer.status == 200);
        passed.count()
    };
    assert_eq!(passed(&hers), 50);
    let refused = hers.iter().find(|answer| answer.status != 200).unwrap();
    assert_eq!(refused.code(), (429, "RATE_LIMITED"));
    // One comes back in 72 s.
    let retry: u64 = header(refused, "retry-after").parse().unwrap();
    assert!((1..=72).contains(&retry), "{retry}");
    let standing = header(refused, "ratelimit");
    assert!(standing.starts_with("\"user\";r=0;t="), "{standing}");
    let policy = header(refused, "ratelimit-policy");
    assert_eq!(policy, "\"user\";q=50;w=3600, \"tenant\";q=70;w=3600");
    // What was refused to her took nothing from her tenant.
    assert_eq!(passed(&his), 20);
    let refused = his.iter().find(|answer| answer.status != 200).unwrap();
    assert!(refused.body["error"].as_str().unwrap().contains("tenant"));
    one.stop().await;
    two.stop().await;
}

/// Passes connections on to Redis until it is told to hang up.
async fn gate(to: backend::redis::Config) -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (open, opened) = watch::channel(true);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (mut opened, address) = (opened.clone(), (to.host.clone(), to.port));
            tokio::spawn(async move {
                if !*opened.borrow() {
                    return;
                }
                let mut server = TcpStream::connect(address).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    _ = opened.wait_for(|open| !open) => {}
                }
            });
        }
    });
    (port, open)
}

#[tokio::test]
async fn a_host_that_loses_redis_counts_alone() {
    let Some(server) = redis(None) else { return };
    let (port, open) = gate(server).await;
    let through = redis(Some(port)).unwrap();
    let host = sharing(&through, "user.read=5/1h").await;
    let alice = bearer(&somebody(), None);
    assert_eq!(ask(&host, "/probe/empty", &alice).await.status, 200);
    open.send_replace(false);
    let refused = loop {
        let answer = ask(&host, "/probe/empty", &alice).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refused.code(), (429, "RATE_LIMITED"));
    // It began anew: five were let through, and the sixth was not.
    assert_eq!(counted_alone(&[&host]).await, 6.0);
    let metrics = scrape(&host).await;
    let limited = r#"lectern_requests_limited_total{scope="user",class="read"}"#;
    assert_eq!(value(&metrics, limited), Some(1.0), "{metrics}");
    host.stop().await;
}

#[tokio::test]
async fn who_guesses_tokens_is_slowed_down_and_who_has_one_is_not() {
    let host = TestHost::with("test-components", |config| {
        with_tokens(config);
        config.limits.rates = only("address.denied=5/1h");
    })
    .await;
    for _ in 0..5 {
        let guessed = ask(&host, "/probe/empty", "Bearer a.b.c").await;
        assert_eq!(guessed.code(), (401, "UNAUTHENTICATED"));
    }
    let guessed = ask(&host, "/probe/empty", "Bearer a.b.c").await;
    assert_eq!(guessed.code(), (429, "RATE_LIMITED"));
    assert_ne!(header(&guessed, "retry-after"), "");
    let alice = bearer("alice", None);
    assert_eq!(ask(&host, "/probe/empty", &alice).await.status, 200);
    host.stop().await;
}

async fn forwarded(host: &TestHost, address: &str) -> Answer {
    let request = host.request(Method::GET, "/probe/empty");
    host.send(request.header("x-forwarded-for", address)).await
}

#[tokio::test]
async fn a_forwarded_address_is_believed_of_a_trusted_proxy_alone() {
    let limited = |proxies: &str| {
        let proxies: Vec<_> = proxies
            .split_terminator(',')
            .map(|p| p.parse().unwrap())
            .collect();
        TestHost::with("test-components", |config| {
            config.limits.rates = only("address.read=2/1h");
            config.limits.proxies = proxies;
        })
    };
    let open = limited("").await;
    for address in ["1.1.1.1", "2.2.2.2"] {
        assert_eq!(forwarded(&open, address).await.status, 200);
    }
    let forged = forwarded(&open, "3.3.3.3").await;
    assert_eq!(forged.code(), (429, "RATE_LIMITED"));
    open.stop().await;

    let behind = limited("127.0.0.0/8").await;
    for address in ["1.1.1.1", "1.1.1.1", "2.2.2.2"] {
        assert_eq!(forwarded(&behind, address).await.status, 200);
    }
    let third = forwarded(&behind, "6.6.6.6, 1.1.1.1").await;
    assert_eq!(third.code(), (429, "RATE_LIMITED"));
    behind.stop().await;
}

#[tokio::test]
async fn dear_requests_have_a_rate_of_their_own_and_health_has_none() {
    let host = TestHost::with("components", |config| {
        config.limits.rates = only("address.model=1/1h address.read=2/1h");
    })
    .await;
    let question = json!({ "message": "What is a cell?", "user_id": "alice" });
    assert_eq!(host.post("/chat", question.clone()).await.status, 200);
    let second = host.post("/chat", question).await;
    assert_eq!(second.code(), (429, "RATE_LIMITED"));
    let quiz = json!({ "document_id": "none", "user_id": "alice" });
    let other = host.post("/quiz/generate", quiz).await;
    assert_eq!(
        other.code(),
        (429, "RATE_LIMITED"),
        "one rate for all services"
    );
    for _ in 0..2 {
        assert_eq!(host.get("/chat/sessions?user_id=alice").await.status, 200);
    }
    assert_eq!(host.get("/documents?user_id=alice").await.status, 429);
    for _ in 0..5 {
        assert_eq!(host.get("/chat/health").await.status, 200);
        assert_eq!(host.get("/health").await.status, 200);
    }
    host.stop().await;
}

#[tokio::test]
async fn one_user_s_streams_leave_places_to_others() {
    let host = TestHost::with("test-components", |config| {
        with_tokens(config);
        config.limits.rates = vec![];
    })
    .await;
    let (alice, bob) = (bearer("alice", None), bearer("bob", None));
    let mut streams = vec![];
    for _ in 0..16 {
        let url = format!("{}/probe/stream/600", host.base);
        let asked = host.http().get(url).header("authorization", &alice);
        let stream = asked.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    let refused = ask(&host, "/probe/empty", &alice).await;
    assert_eq!(refused.code(), (429, "TOO_MANY_AT_ONCE"));
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(ask(&host, "/probe/empty", &bob).await.status, 200);
    streams.pop();
    let room = async {
        while ask(&host, "/probe/empty", &alice).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, room).await.expect("a place");
    drop(streams);
    host.stop().await;
}

#[tokio::test]
async fn however_many_ask_how_a_component_is_it_is_asked_once() {
    let host = TestHost::probe().await;
    let asked = (0..50).map(|_| host.get("/probe/health"));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.status, 200);
    }
    let counted = r#"lectern_http_request_duration_seconds_count{component="probe","#;
    let counted = value(&scrape(&host).await, counted).unwrap();
    // An answer stands for a second, and this machine may be slow.
    assert!(counted < 25.0, "{counted}");
    let other = host.post("/probe/health", json!({})).await;
    assert_eq!(other.code(), (405, "METHOD_NOT_ALLOWED"));
    host.stop().await;
}

#[tokio::test]
async fn openai_s_routes_are_counted_before_they_are_read() {
    let host = TestHost::with("components", |config| {
        config.limits.rates = only("address.model=1/1h address.read=2/1h");
    })
    .await;
    let spoken = json!({ "model": "tts-1", "input": "Hello.", "voice": "alloy" });
    let first = host.http().post(format!("{}/v1/audio/speech", host.base));
    let first = first.json(&spoken).send().await.unwrap();
    assert_eq!(
        (
            first.status().as_u16(),
            first.headers().contains_key("ratelimit")
        ),
        (200, true)
    );
    // Its body never ends.
    let endless = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let second = host.http().post(format!("{}/v1/audio/speech", host.base));
    let second = second.header("content-type", "application/json");
    let second = second.body(reqwest::Body::wrap_stream(endless)).send();
    let second = tokio::time::timeout(PATIENCE, second)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(second.status(), 429);
    for name in ["retry-after", "ratelimit"] {
        assert!(second.headers().contains_key(name), "{name}");
    }
    let second: serde_json::Value = second.json().await.unwrap();
    assert_eq!(second["error"]["code"], "rate_limit_exceeded");
    for status in [200, 200, 429] {
        assert_eq!(host.get("/v1/models").await.status, status);
    }
    host.stop().await;
}

#[tokio::test]
async fn a_component_that_fails_again_and_again_is_given_a_rest() {
    let host = TestHost::probe().await;
    // A learner's mistakes are no failures.
    for _ in 0..30 {
        assert_eq!(host.get("/probe/nothing").await.status, 404);
    }
    for _ in 0..20 {
        let trapped = host.get("/probe/misbehave/trap").await;
        assert_eq!(trapped.code(), (500, "SERVICE_FAILED"));
    }
    let refused = host.get("/probe/empty").await;
    assert_eq!(refused.code(), (503, "SERVICE_UNAVAILABLE"));
    assert_ne!(header(&refused, "retry-after"), "");
    // Who asks how it is, is told.
    let health = host.get("/probe/health").await.ok();
    assert_eq!(
        (&health["status"], &health["circuit"]),
        (&json!("degraded"), &json!("open"))
    );
    let openings = r#"lectern_breaker_openings_total{component="probe","#;
    assert_eq!(value(&scrape(&host).await, openings), Some(1.0));
    let back = async {
        while host.get("/probe/empty").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("a trial");
    assert_eq!(host.get("/probe/health").await.ok()["circuit"], json!(null));
    let closed = r#"lectern_breaker{component="probe","#;
    assert_eq!(value(&scrape(&host).await, closed), Some(0.0));
    host.stop().await;
}

#[tokio::test]
async fn what_is_too_much_for_the_host_is_refused_and_health_is_not() {
    let host = TestHost::with("test-components", |config| config.limits.in_flight = 1).await;
    let host = Arc::new(host);
    let slow = tokio::spawn({
        let host = host.clone();
        async move { host.get("/probe/pause/2000").await.status }
    });
    let refused = async {
        loop {
            let answer = host.get("/probe/pause/0").await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("one too many");
    assert_eq!(refused.code(), (503, "OVERLOADED"));
    assert_ne!(header(&refused, "retry-after"), "");
    assert_eq!(host.get("/health").await.status, 200);
    assert_eq!(host.get("/probe/health").await.status, 200);
    assert!(value(&scrape(&host).await, "lectern_requests_shed_total") >= Some(1.0));
    // Either may have been first.
    let slow = slow.await.unwrap();
    assert!([200, 503].contains(&slow), "{slow}");
    assert_eq!(host.get("/probe/empty").await.status, 200);
    Arc::into_inner(host).unwrap().stop().await;
}

#[tokio::test]
async fn who_is_refused_is_told_how_they_stand_as_well() {
    let host = TestHost::with("components", |config| {
        with_tokens(config);
        config.limits.rates = only("user.write=10/1h user.model=10/1h");
    })
    .await;
    let alice = bearer("alice", None);
    for (path, body, status) in [
        ("/webhooks", vec![b'{'; 10], 400),
        ("/chat", vec![b' '; 2 << 20], 413),
    ] {
        let request = host.request(Method::POST, path).body(body);
        let answer = host.send(request.header("authorization", &alice)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(header(&answer, "ratelimit").starts_with("\"user\";r="));
    }
    host.stop().await;
}
