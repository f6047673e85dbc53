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

async fn with_tokens() -> TestHost {
    let secret = String::from_utf8(KEY.to_vec()).unwrap();
    TestHost::with("components", |config| {
        config.identity.secret = Some(secret.into());
    })
    .await
}

#[tokio::test]
async fn nothing_of_one_is_seen_or_changed_by_another_whatever_the_route() {
    let host = with_tokens().await;
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
        // A question in a session of that name is one in a session of their own: below.
        for (method, path, body) in routes(&document).into_iter().skip(1) {
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

/// What a caller is told of a session, without what is each answer's own.
fn told(answer: Answer) -> (u16, Value) {
    let mut body = answer.body;
    if let Some(text) = body.as_str() {
        // The times in it.
        let timeless = text.replace(|c: char| c.is_ascii_digit(), "0");
        return (answer.status, json!(timeless));
    }
    let Some(members) = body.as_object_mut() else {
        return (answer.status, body);
    };
    for own in ["session_id", "message_id", "timestamp", "request_id"] {
        members.remove(own);
    }
    let messages = members.get_mut("messages").and_then(Value::as_array_mut);
    for message in messages.into_iter().flatten() {
        message["message_id"] = json!(null);
        message["timestamp"] = json!(null);
    }
    (answer.status, body)
}

#[tokio::test]
async fn a_session_s_name_does_not_tell_whether_others_use_it() {
    let host = with_tokens().await;
    let caller = |user, tenant| Caller {
        host: &host,
        token: token_of(user, tenant, Role::User),
    };
    let alice = caller("alice", Some("school"));
    let say = |session: &str| json!({ "message": "Hi", "session_id": session });
    alice
        .call(Method::POST, "/chat", Some(say("hers")))
        .await
        .ok();
    let hers = alice
        .call(Method::GET, "/chat/history/hers", None)
        .await
        .ok();
    for other in [
        caller("bob", Some("school")),
        caller("alice", Some("college")),
        caller("alice", None),
    ] {
        let mut seen = Vec::new();
        for session in ["hers", "nobody-s"] {
            let path = |route: &str| route.replace("{}", session);
            let title = || Some(json!({ "title": "Mine" }));
            let mut steps = Vec::new();
            for (method, route, body) in [
                (Method::GET, "/chat/history/{}", None),
                (Method::DELETE, "/chat/sessions/{}", None),
                (Method::POST, "/chat", Some(say(session))),
                (Method::POST, "/chat", Some(say(session))),
                (Method::GET, "/chat/history/{}", None),
                (Method::PATCH, "/chat/sessions/{}", title()),
                (Method::GET, "/chat/history/{}?limit=1", None),
                (
                    Method::GET,
                    "/chat/sessions/{}/export?format=markdown",
                    None,
                ),
                (Method::DELETE, "/chat/sessions/{}", None),
                (Method::GET, "/chat/history/{}", None),
            ] {
                steps.push(told(other.call(method, &path(route), body).await));
            }
            seen.push(steps);
        }
        // A cursor is a place in the table.
        for steps in &mut seen {
            assert!(steps[6].1["next_cursor"].is_string(), "{:?}", steps[6]);
            steps[6].1["next_cursor"] = json!(null);
        }
        assert_eq!(seen[0], seen[1]);
        let statuses: Vec<u16> = seen[0].iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [404, 404, 200, 200, 200, 200, 200, 200, 200, 404]);
    }
    let after = alice
        .call(Method::GET, "/chat/history/hers", None)
        .await
        .ok();
    assert_eq!(after, hers);
    let listed = alice.call(Method::GET, "/chat/sessions", None).await.ok();
    assert_eq!(listed["sessions"][0]["session_id"], "hers");
    host.stop().await;
}

#[tokio::test]
async fn nobody_keeps_another_out_of_a_session() {
    let host = with_tokens().await;
    let caller = |user| Caller {
        host: &host,
        token: token_of(user, Some("school"), Role::User),
    };
    let (alice, bob) = (caller("alice"), caller("bob"));
    let say = |session: &str| Some(json!({ "message": "Hi", "session_id": session }));
    bob.call(Method::POST, "/chat", say("notes")).await.ok();
    alice.call(Method::POST, "/chat", say("notes")).await.ok();
    let rows = "select session_id from chat.chat_sessions where user_id = 'alice'";
    let row = host.sql(rows).await;
    alice
        .call(Method::DELETE, "/chat/sessions/notes", None)
        .await
        .ok();
    // What her session's row was, he takes before she comes again.
    bob.call(Method::POST, "/chat", say(&row[0])).await.ok();
    alice.call(Method::POST, "/chat", say("notes")).await.ok();
    let history = alice
        .call(Method::GET, "/chat/history/notes", None)
        .await
        .ok();
    assert_eq!(history["messages"].as_array().unwrap().len(), 2);

    // Two first questions at once are in one session too.
    bob.call(Method::POST, "/chat", say("both")).await.ok();
    let first = alice.call(Method::POST, "/chat", say("both"));
    let second = alice.call(Method::POST, "/chat", say("both"));
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status, second.status), (200, 200));
    let history = alice
        .call(Method::GET, "/chat/history/both", None)
        .await
        .ok();
    assert_eq!(history["messages"].as_array().unwrap().len(), 4);
    assert_eq!(host.sql(rows).await.len(), 2);
    host.stop().await;
}
