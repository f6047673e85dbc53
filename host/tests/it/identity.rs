//! Tokens of an identity provider, whose keys come by their URL and change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use host::config::identity::Identity;
use host::gateway;
use host::token::{self, Claims, Role};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::ecdsa::SigningKey;
use p256::pkcs8::EncodePrivateKey;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::{ADMIN_KEY, Answer, TestHost};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://id.example";

/// An identity provider: what it answers can be changed.
struct Provider {
    url: String,
    served: Arc<Served>,
}

impl Provider {
    async fn start(keys: &[&Signer]) -> Self {
        let served = Arc::new(Served {
            keys: Mutex::new(set(keys)),
            hangs: AtomicBool::new(false),
            asked: Notify::new(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let ever = std::future::pending();
        let answers = served.clone();
        tokio::spawn(gateway::serve(listener, answers, ever, Duration::ZERO));
        Self { url, served }
    }

    fn has(&self, keys: &[&Signer]) {
        *self.served.keys.lock().unwrap() = set(keys);
    }
}

struct Served {
    keys: Mutex<Value>,
    hangs: AtomicBool,
    asked: Notify,
}

impl gateway::Answer for Served {
    async fn answer(self: &Arc<Self>, _: Request) -> Response {
        if self.hangs.load(Ordering::SeqCst) {
            self.asked.notify_one();
            std::future::pending::<()>().await;
        }
        axum::Json(self.keys.lock().unwrap().clone()).into_response()
    }
}

fn set(keys: &[&Signer]) -> Value {
    let keys = keys.iter().map(|signer| signer.jwk.clone()).collect();
    serde_json::to_value(JwkSet { keys }).unwrap()
}

struct Signer {
    key: EncodingKey,
    jwk: Jwk,
}

impl Signer {
    fn new(id: &str, seed: u8) -> Self {
        let secret = SigningKey::from_slice(&[seed; 32]).unwrap();
        let der = secret.to_pkcs8_der().unwrap();
        let key = EncodingKey::from_ec_der(der.as_bytes());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        Self { key, jwk }
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid.clone_from(&self.jwk.common.key_id);
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// That insists on what nobody knows.
    fn critical(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid.clone_from(&self.jwk.common.key_id);
        header.crit = Some(vec!["exp".into()]);
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    fn unnamed(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &self.key).unwrap()
    }
}

fn claims(user: &str) -> Value {
    json!({ "sub": user, "iss": ISSUER, "aud": ["lectern", "other"], "exp": 9_999_999_999_u64 })
}

async fn host(provider: &Provider) -> TestHost {
    let url = provider.url.clone();
    TestHost::with("components", |config| {
        config.identity.secret = Some(SECRET.to_owned().into());
        config.identity.jwks_url = Some(url);
        config.identity.issuer = Some(ISSUER.into());
        config.identity.audience = Some("lectern".into());
    })
    .await
}

async fn ask(host: &TestHost, token: &str) -> Answer {
    let request = host.request(Method::GET, "/documents");
    host.send(request.header("authorization", format!("Bearer {token}")))
        .await
}

#[tokio::test]
async fn a_provider_s_token_names_its_subject_until_its_key_is_gone() {
    let (first, second) = (Signer::new("1", 1), Signer::new("2", 2));
    let provider = Provider::start(&[&first]).await;
    let host = host(&provider).await;
    assert_eq!(ask(&host, &first.sign(&claims("alice"))).await.status, 200);
    // A new key is found when a token names it; the old one is no longer taken.
    provider.has(&[&second]);
    assert_eq!(ask(&host, &second.sign(&claims("alice"))).await.status, 200);
    let old = ask(&host, &first.sign(&claims("alice"))).await;
    assert_eq!(old.code(), (401, "UNAUTHENTICATED"));
    // RFC 7515, section 4.1.4: a token need not name its key.
    assert_eq!(
        ask(&host, &second.unnamed(&claims("alice"))).await.status,
        200
    );
    let old = ask(&host, &first.unnamed(&claims("alice"))).await;
    assert_eq!(old.code(), (401, "UNAUTHENTICATED"));
    host.stop().await;
}

#[tokio::test]
async fn what_providers_write_otherwise_is_read() {
    let signer = Signer::new("1", 1);
    let provider = Provider::start(&[&signer]).await;
    let host = host(&provider).await;
    // A role of another name is none of ours; a `NumericDate` may have a fraction.
    for (name, value) in [
        ("role", json!("authenticated")),
        ("role", json!(null)),
        ("role", json!(["admin"])),
        ("iat", json!(1_700_000_000.5)),
        ("exp", json!(9_999_999_999.5)),
    ] {
        let mut claims = claims("alice");
        claims[name] = value.clone();
        let answer = ask(&host, &signer.sign(&claims)).await;
        assert_eq!(answer.status, 200, "{name}: {value}");
    }
    host.stop().await;
}

#[tokio::test]
async fn unknown_keys_of_a_slow_provider_keep_nobody_out() {
    let provider = Provider::start(&[&Signer::new("1", 1)]).await;
    let url = provider.url.clone();
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(SECRET.to_owned().into());
        config.identity.jwks_url = Some(url);
        config.limits.in_flight = 2;
    })
    .await;
    let known = Signer::new("1", 1).sign(&claims("alice"));
    assert_eq!(ask(&host, &known).await.status, 200);
    provider.served.hangs.store(true, Ordering::SeqCst);
    let unknown = Signer::new("2", 2).sign(&claims("mallory"));
    let ended = AtomicBool::new(false);
    let many = async {
        let answers = join_all((0..20).map(|_| ask(&host, &unknown))).await;
        ended.store(true, Ordering::SeqCst);
        answers
    };
    let others = async {
        provider.served.asked.notified().await;
        let bob = token::sign(
            SECRET.as_bytes(),
            "bob",
            Role::User,
            Duration::from_secs(60),
        );
        for token in [bob.unwrap(), known] {
            assert_eq!(ask(&host, &token).await.status, 200);
        }
        assert!(
            !ended.load(Ordering::SeqCst),
            "they waited for the provider"
        );
    };
    let (refused, ()) = tokio::join!(many, others);
    for answer in refused {
        assert_eq!(answer.code(), (401, "UNAUTHENTICATED"));
    }
    host.stop().await;
}

#[tokio::test]
async fn operators_tokens_are_for_this_host_as_all_others() {
    let identity = Identity {
        issuer: Some(ISSUER.into()),
        audience: Some("lectern".into()),
        ..Identity::default()
    };
    let wanted = identity.clone();
    let host = TestHost::with("test-components", |config| config.identity = wanted).await;
    let claims = || Claims::new("olga", Role::Admin, Duration::from_secs(60));
    let other = Identity {
        audience: Some("other".into()),
        ..identity.clone()
    };
    for (claims, status) in [
        (claims().of(&identity), 200),
        (claims().of(&other), 401),
        (claims(), 401),
    ] {
        let token = token::encode(ADMIN_KEY, &claims).unwrap();
        let url = format!("{}/admin/v1/components", host.admin);
        let answer = host.http().get(url).bearer_auth(token).send().await;
        assert_eq!(answer.unwrap().status().as_u16(), status);
    }
    host.stop().await;
}

#[tokio::test]
async fn tokens_of_others_for_others_or_against_the_algorithm_are_refused() {
    let (known, stranger) = (Signer::new("1", 1), Signer::new("1", 9));
    let provider = Provider::start(&[&known]).await;
    let host = host(&provider).await;
    let with = |name: &str, value: Value| {
        let mut claims = claims("alice");
        claims[name] = value;
        known.sign(&claims)
    };
    let without = |name: &str| {
        let mut claims = claims("alice");
        claims.as_object_mut().unwrap().remove(name);
        known.sign(&claims)
    };
    // The public key as a secret: the classic confusion.
    let public = serde_json::to_vec(&known.jwk).unwrap();
    let confused = token::sign(&public, "alice", Role::Admin, Duration::from_secs(60)).unwrap();
    for bad in [
        stranger.sign(&claims("alice")),
        with("aud", json!("other")),
        with("iss", json!("https://evil.example")),
        with("nbf", json!(9_999_999_998_u64)),
        with("tenant", json!("")),
        with("sub", json!("")),
        with("exp", json!(-1)),
        known.critical(&claims("alice")),
        without("aud"),
        without("iss"),
        without("exp"),
        confused,
    ] {
        let answer = ask(&host, &bad).await;
        assert_eq!(answer.code(), (401, "UNAUTHENTICATED"), "{bad}");
    }
    let late = ask(&host, &with("exp", json!(1))).await;
    assert_eq!(late.code(), (401, "TOKEN_EXPIRED"));
    host.stop().await;
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another_and_its_administrator_is_no_operator() {
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(SECRET.to_owned().into());
    })
    .await;
    let token = |tenant: Option<&str>, role| {
        let claims = Claims {
            tenant: tenant.map(ToOwned::to_owned),
            ..Claims::new("alice", role, Duration::from_secs(60))
        };
        let token = token::encode(SECRET.as_bytes(), &claims).unwrap();
        format!("Bearer {token}")
    };
    let send = |method: Method, path: &str, bearer: &str, body: Option<Value>| {
        let request = host.request(method, path).header("authorization", bearer);
        host.send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
    };
    let (north, south) = (
        token(Some("north"), Role::User),
        token(Some("south"), Role::User),
    );
    let question = json!({ "message": "What is a cell?" });
    let asked = send(Method::POST, "/chat", &north, Some(question))
        .await
        .ok();
    let session = asked["session_id"].as_str().unwrap();
    let history = format!("/chat/history/{session}");
    assert_eq!(send(Method::GET, &history, &north, None).await.status, 200);
    for stranger in [
        south,
        token(None, Role::User),
        token(None, Role::Admin),
        token(Some("south"), Role::Admin),
    ] {
        let seen = send(Method::GET, &history, &stranger, None).await;
        assert_eq!(seen.code(), (404, "SESSION_NOT_FOUND"));
    }
    let their_own = token(Some("north"), Role::Admin);
    assert_eq!(
        send(Method::GET, &history, &their_own, None).await.status,
        200
    );
    host.stop().await;
}
