//! Two users, two tenants, every route of chat: nothing of one is seen or changed by the other.

use corpus::samples::BIOLOGY;
use host::token::{self, Claims, Role};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{Answer, PATIENCE, TestHost};

const KEY: &[u8] = b"the tests' learners' tokens are signed with this key";

struct Caller<'a> {
    host: &'a TestHost,
    token: String,
}

impl Caller<'_> {
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.host.request(method, path).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.host.send(request).await
    }
}

/// Every route with what the owner would send.
fn routes(document: &Value) -> Vec<(Method, &'static str, Option<Value>)> {
    let about =
        |context: Value| json!({ "message": "What is mitosis?", "document_context": context });
    vec![
        (
            Method::POST,
            "/chat",
            Some(json!({ "message": "Hi", "session_id": "hers" })),
        ),
        (
            Method::POST,
            "/chat",
            Some(about(json!({ "document_id": document }))),
        ),
        (
            Method::POST,
            "/chat",
            Some(about(json!({ "document_ids": [document] }))),
        ),
        (Method::GET, "/chat/history/hers", None),
        (
            Method::PATCH,
            "/chat/sessions/hers",
            Some(json!({ "title": "Mine" })),
        ),
        (
            Method::GET,
            "/chat/sessions/hers/export?format=markdown",
            None,
        ),
        (Method::DELETE, "/chat/sessions/hers", None),
    ]
}

fn token_of(user: &str, tenant: Option<&str>, role: Role) -> String {
    let valid = std::time::Duration::from_secs(3_600);
    let claims = Claims {
        tenant: tenant.map(ToOwned::to_owned),
        ..Claims::new(user, role, valid)
    };
    token::encode(KEY, &claims).unwrap()
}

/// Uploads, and waits until it is read.
async fn upload(caller: &Caller<'_>) -> Value {
    let form = Form::new().part("file", Part::bytes(BIOLOGY.as_bytes()).file_name("a.txt"));
    let request = caller
        .host
        .request(Method::POST, "/upload")
        .bearer_auth(&caller.token);
    let uploaded = caller.host.send(request.multipart(form)).await.ok();
    let path = format!("/document/{}", uploaded["document_id"].as_str().unwrap());
    let read = async {
        while caller.call(Method::GET, &path, None).await.ok()["status"] == "processing" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("the document is read");
    uploaded["document_id"].clone()
}

#[tokio::test]
async fn nothing_of_one_is_seen_or_changed_by_another_whatever_the_route() {
    let secret = String::from_utf8(KEY.to_vec()).unwrap();
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(secret.into())
    })
    .await;
    let caller = |user, tenant, role| Caller {
        host: &host,
        token: token_of(user, tenant, role),
    };
    let alice = caller("alice", Some("school"), Role::User);
    let document = upload(&alice).await;
    let others = [
        ("bob", caller("bob", Some("school"), Role::User)),
        (
            "alice elsewhere",
            caller("alice", Some("college"), Role::User),
        ),
        ("alice without a tenant", caller("alice", None, Role::User)),
        (
            "an administrator elsewhere",
            caller("root", Some("college"), Role::Admin),
        ),
    ];
    let (method, path, body) = routes(&document).remove(0);
    alice.call(method, path, body).await.ok();
    let history = alice
        .call(Method::GET, "/chat/history/hers", None)
        .await
        .ok();
    assert_eq!(history["messages"].as_array().unwrap().len(), 2);
    for (name, other) in &others {
        for (method, path, body) in routes(&document) {
            let shown = format!("{name}: {method} {path}");
            let answer = other.call(method.clone(), path, body.clone()).await;
            assert_eq!(answer.code().0, 404, "{shown}");
            let asks_for_her = match &body {
                Some(body) => {
                    let mut body = body.clone();
                    body["user_id"] = json!("alice");
                    other.call(method, path, Some(body)).await
                }
                None => {
                    let mark = if path.contains('?') { '&' } else { '?' };
                    other
                        .call(method, &format!("{path}{mark}user_id=alice"), None)
                        .await
                }
            };
            assert!(
                matches!(asks_for_her.code().0, 403 | 404),
                "{shown} for alice"
            );
        }
        for path in ["/chat/sessions", "/chat/sessions?q=Hi"] {
            let listed = other.call(Method::GET, path, None).await.ok();
            assert_eq!(listed["sessions"], json!([]), "{name}: {path}");
        }
    }
    assert_eq!(
        alice
            .call(Method::GET, "/chat/history/hers", None)
            .await
            .ok(),
        history
    );
    for (method, path, body) in routes(&document) {
        let shown = format!("{method} {path}");
        let answer = alice.call(method, path, body).await;
        assert_eq!(answer.status, 200, "{shown}: {}", answer.body);
    }
    host.stop().await;
}
