//! Who may come in, and what the gateway says by itself.

use backend::postgres::cluster::Cluster;
use std::time::Duration;

use host::token::{self, Role};
use reqwest::Method;
use serde_json::json;

use crate::harness::{PATIENCE, TestHost, data_dir};

const KEY: &str = "0123456789abcdef0123456789abcdef";

async fn with_tokens(components: &str) -> TestHost {
    TestHost::with(components, |config| {
        config.identity.secret = Some(KEY.to_owned().into())
    })
    .await
}

fn bearer(user: &str, role: Role) -> String {
    format!(
        "Bearer {}",
        token::sign(KEY.as_bytes(), user, role, Duration::from_secs(60)).unwrap()
    )
}

#[tokio::test]
async fn with_a_secret_every_service_wants_a_token() {
    let host = with_tokens("components").await;
    for (method, path) in [
        (Method::POST, "/chat"),
        (Method::GET, "/chat/sessions"),
        (Method::GET, "/documents"),
        (Method::POST, "/upload"),
        (Method::POST, "/quiz/generate"),
        (Method::GET, "/transcriptions"),
    ] {
        let answer = host.send(host.request(method, path)).await;
        assert_eq!(answer.code(), (401, "UNAUTHENTICATED"), "{path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let alice = bearer("alice", Role::User);
    let as_alice = |path: &str| {
        host.request(Method::GET, path)
            .header("authorization", &alice)
    };
    assert_eq!(host.send(as_alice("/documents")).await.status, 200);
    assert_eq!(
        host.send(as_alice("/documents?user_id=alice")).await.status,
        200
    );
    assert_eq!(
        host.send(as_alice("/documents?user_id=bob")).await.code(),
        (403, "FORBIDDEN")
    );
    let admin = bearer("root", Role::Admin);
    let as_admin = host
        .request(Method::GET, "/documents?user_id=bob")
        .header("authorization", admin);
    assert_eq!(host.send(as_admin).await.status, 200);
    let body = json!({ "message": "x", "user_id": "bob" });
    let as_bob = host
        .request(Method::POST, "/chat")
        .header("authorization", &alice)
        .json(&body);
    assert_eq!(host.send(as_bob).await.code(), (403, "FORBIDDEN"));
    for open in [
        "/health",
        "/chat/health",
        "/documents/health",
        "/quiz/health",
        "/stt/health",
        "/capabilities",
    ] {
        assert_eq!(host.get(open).await.status, 200, "{open}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_client_cannot_say_who_it_is() {
    let host = with_tokens("test-components").await;
    let request = host
        .request(Method::GET, "/probe/whoami")
        .header("authorization", bearer("alice", Role::User))
        .header("x-lectern-user", "root")
        .header("X-Lectern-Role", "admin");
    assert_eq!(
        host.send(request).await.ok(),
        json!({ "user": "alice", "admin": false })
    );
    host.stop().await;
}

#[tokio::test]
async fn a_request_keeps_its_id_in_answer_and_error() {
    let host = TestHost::start().await;
    let request = host
        .request(Method::GET, "/document/none")
        .header("x-request-id", "mine-1");
    let answer = host.send(request).await;
    assert_eq!(
        (&answer.headers["x-request-id"], &answer.body["request_id"]),
        (&"mine-1".parse().unwrap(), &json!("mine-1"))
    );
    assert_eq!(host.get("/health").await.headers["x-request-id"].len(), 36);
    host.stop().await;
}

#[tokio::test]
async fn health_is_measured() {
    let folder = data_dir();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    let database = cluster.config().clone();
    let host = TestHost::with("components", |config| {
        config.backends.database = Some(database)
    })
    .await;
    for path in [
        "/health",
        "/chat/health",
        "/documents/health",
        "/quiz/health",
    ] {
        let body = host.get(path).await.ok();
        assert_eq!(
            (&body["status"], &body["dependencies"]["database"]),
            (&json!("healthy"), &json!("connected"))
        );
    }
    let capabilities = host.get("/capabilities").await.ok();
    assert!(
        capabilities["capabilities"]["llm"]["backend"]
            .as_str()
            .unwrap()
            .starts_with("none")
    );
    let blobs = &capabilities["capabilities"]["blobs"]["backend"];
    let blobs = blobs.as_str().unwrap();
    assert!(blobs.starts_with("a folder of the host's at /"), "{blobs}");
    cluster.stop().await;
    for path in ["/health", "/health/ready", "/chat/health"] {
        let told = async {
            loop {
                let answer = host.get(path).await;
                let database = &answer.body["dependencies"]["database"];
                if (answer.status, database) == (503, &json!("disconnected")) {
                    return;
                }
                // What was measured is good for three seconds.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        assert!(
            told.is_ok(),
            "{path} does not tell that the database is away"
        );
    }
    assert_eq!(host.get("/health/live").await.status, 200);
    let answer = host.get("/documents?user_id=alice").await;
    assert_eq!(answer.code(), (503, "DATABASE_UNAVAILABLE"));
    assert!(answer.headers.contains_key("retry-after"));
    host.stop().await;
}

#[tokio::test]
async fn paths_that_climb_are_refused() {
    let host = TestHost::start().await;
    let address = host.base.strip_prefix("http://").unwrap().to_owned();
    for path in [
        "/chat/../documents",
        "//chat",
        "/chat/%2e%2e/documents",
        "/a%00b",
    ] {
        let raw = raw(
            &address,
            &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert!(
            raw.starts_with("HTTP/1.1 400") && raw.contains("INVALID_PATH"),
            "{path}: {raw}"
        );
    }
    let long = raw(
        &address,
        &format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            "a".repeat(9_000)
        ),
    )
    .await;
    assert!(long.starts_with("HTTP/1.1 4"), "{long:.80}");
    host.stop().await;
}

async fn raw(address: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_service_s_own_port_is_that_service_alone() {
    let host = TestHost::start().await;
    let port = host.port("quiz").await;
    let health = reqwest::get(format!("{port}/health")).await.unwrap();
    assert_eq!(health.status(), 200);
    let health: serde_json::Value = health.json().await.unwrap();
    assert_eq!(
        (&health["service"], &health["status"]),
        (&json!("quiz"), &json!("healthy"))
    );
    for (path, status) in [
        ("/quiz/history", 200),
        ("/quiz/health", 200),
        ("/chat/sessions", 404),
        ("/chat/health", 404),
        ("/health/ready", 404),
        ("/capabilities", 404),
        ("/quiz/../chat/sessions", 404),
    ] {
        let answer = reqwest::get(format!("{port}{path}")).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    host.stop().await;
}

#[tokio::test]
async fn where_things_are_is_not_for_strangers_to_know() {
    let host = TestHost::with("test-components", |config| {
        config.identity.secret = Some("the tests' users sign with this key".to_owned().into());
    })
    .await;
    let told = host.get("/capabilities").await.ok();
    let blobs = &told["capabilities"]["blobs"]["backend"];
    assert_eq!(blobs, "a folder of the host's");
    assert!(!told.to_string().contains('/'), "{told}");
    host.stop().await;
}
