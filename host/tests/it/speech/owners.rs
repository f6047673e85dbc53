//! Whose audio it is, and for how long.

use std::time::Duration;

use host::token::{self, Claims, Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::{asked, blobs, content, id};
use crate::harness::{Answer, PATIENCE, TestHost};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn bearer(tenant: Option<&str>, user: &str, role: Role) -> String {
    let claims = Claims {
        tenant: tenant.map(ToOwned::to_owned),
        ..Claims::new(user, role, Duration::from_secs(600))
    };
    format!("Bearer {}", token::encode(KEY.as_bytes(), &claims).unwrap())
}

async fn send(host: &TestHost, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = host.request(method, path).header("authorization", token);
    host.send(match body {
        Value::Null => request,
        body => request.json(body),
    })
    .await
}

#[tokio::test]
async fn nobody_reaches_what_is_somebody_else_s_by_any_route() {
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(KEY.to_owned().into());
    })
    .await;
    let alice = bearer(Some("north"), "alice", Role::User);
    let say = json!({ "text": "My own words." });
    let own = send(&host, &alice, Method::POST, "/synthesize", &say)
        .await
        .ok();
    let items = json!({ "items": [say] });
    let batch = send(&host, &alice, Method::POST, "/synthesize/batch", &items)
        .await
        .ok();
    let audio = format!("/audio/{}", id(&own));
    let batch = format!("/synthesize/batch/{}", batch["batch_id"].as_str().unwrap());

    let strangers = [
        bearer(Some("north"), "bob", Role::User),
        bearer(Some("south"), "alice", Role::User),
        bearer(None, "alice", Role::User),
        bearer(Some("south"), "root", Role::Admin),
        bearer(None, "root", Role::Admin),
    ];
    for stranger in &strangers {
        for (method, path, code) in [
            (Method::GET, audio.clone(), "AUDIO_NOT_FOUND"),
            (Method::GET, format!("{audio}/content"), "AUDIO_NOT_FOUND"),
            (Method::GET, format!("{audio}/marks"), "AUDIO_NOT_FOUND"),
            (Method::DELETE, audio.clone(), "AUDIO_NOT_FOUND"),
            (Method::GET, batch.clone(), "BATCH_NOT_FOUND"),
        ] {
            let answer = send(&host, stranger, method.clone(), &path, &Value::Null).await;
            assert_eq!(answer.code(), (404, code), "{method} {path}");
        }
        let listed = send(&host, stranger, Method::GET, "/audio", &Value::Null)
            .await
            .ok();
        assert_eq!(listed["audio"], json!([]));
    }
    for path in [
        "/audio?user_id=alice".to_owned(),
        format!("{audio}?user_id=alice"),
    ] {
        let bob = send(&host, &strangers[0], Method::GET, &path, &Value::Null).await;
        assert_eq!(bob.code(), (403, "FORBIDDEN"));
    }
    let claimed = json!({ "text": "Not mine.", "user_id": "alice" });
    let bob = send(&host, &strangers[0], Method::POST, "/synthesize", &claimed).await;
    assert_eq!(bob.code(), (403, "FORBIDDEN"));

    // The same words in another tenant are made anew: how long that takes tells nothing of this one.
    let other = send(&host, &strangers[1], Method::POST, "/synthesize", &say)
        .await
        .ok();
    assert_eq!(other["cached"], false);
    let bob = send(&host, &strangers[0], Method::POST, "/synthesize", &say)
        .await
        .ok();
    assert_eq!(bob["cached"], true);
    let root = bearer(Some("north"), "root", Role::Admin);
    let admin = send(&host, &root, Method::GET, &audio, &Value::Null)
        .await
        .ok();
    assert_eq!(admin["text"], "My own words.");
    let still = send(&host, &alice, Method::GET, &audio, &Value::Null).await;
    assert_eq!(still.status, 200);
    host.stop().await;
}

/// Has the clock call now, and waits until it has.
pub(super) async fn swept(host: &TestHost) {
    host.sql("update lectern.timers set due_at = now() - interval '1 s' where component = 'tts' returning name")
        .await;
    let done = async {
        let due =
            "select count(*)::text from lectern.timers where component = 'tts' and due_at < now()";
        while host.sql(due).await != ["0"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done)
        .await
        .expect("the clock calls");
    let errors = host
        .sql("select error from lectern.timers where error is not null")
        .await;
    assert_eq!(errors, [""; 0]);
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_is_gone() {
    let host = TestHost::start().await;
    let old = host
        .post("/synthesize", asked("alice", "A secret of last week."))
        .await
        .ok();
    let shared = host
        .post("/synthesize", asked("bob", "A secret of last week."))
        .await
        .ok();
    let lone = host
        .post("/synthesize", asked("alice", "Another one."))
        .await
        .ok();
    let days = "select extract(day from expires_at - generated_at)::text from tts.audio limit 1";
    assert_eq!(host.sql(days).await, ["7"]);
    assert_eq!(blobs(&host), 2);
    host.sql("update tts.audio set expires_at = now() where user_id = 'alice' returning audio_id")
        .await;

    // At once, and still so when the clock has come by.
    for _ in 0..2 {
        for audio in [&old, &lone] {
            let path = format!("/audio/{}", id(audio));
            assert_eq!(host.get(&path).await.code(), (410, "AUDIO_GONE"));
            let content = host.get(&format!("{path}/content")).await;
            assert_eq!(content.code(), (410, "AUDIO_GONE"));
        }
        assert_eq!(
            host.get("/audio?user_id=alice").await.ok()["audio"],
            json!([])
        );
        swept(&host).await;
    }
    assert_eq!(blobs(&host), 1, "bob's is still there");
    assert!(!content(&host, &shared).await.is_empty());
    let texts = "select coalesce(text, '') from tts.audio where user_id = 'alice' order by 1";
    assert_eq!(host.sql(texts).await, ["", ""]);
    host.sql("update tts.audio set expires_at = now() where user_id = 'bob' returning audio_id")
        .await;
    swept(&host).await;
    assert_eq!(blobs(&host), 0);
    assert_eq!(
        host.sql("select count(*)::text from tts.renditions").await,
        ["0"]
    );
    host.sql("update tts.audio set expires_at = now() - interval '91 days' returning audio_id")
        .await;
    swept(&host).await;
    assert_eq!(host.get(&format!("/audio/{}", id(&old))).await.status, 404);
    host.stop().await;
}

#[tokio::test]
async fn what_a_dead_maker_left_is_taken_over_and_swept() {
    let host = TestHost::start().await;
    let made = host
        .post("/synthesize", asked("alice", "Made once."))
        .await
        .ok();
    host.post("/synthesize", asked("alice", "Left alone."))
        .await
        .ok();
    // As if the first one's maker had died, and the second one's row had never been written.
    host.sql("delete from tts.audio returning audio_id").await;
    host.sql(
        "update tts.renditions set status = 'making', lease_until = now() - interval '1 s' \
         where content_key = (select content_key from tts.renditions order by made_at limit 1) returning 'x'",
    )
    .await;
    let again = host
        .post("/synthesize", asked("alice", "Made once."))
        .await
        .ok();
    // The cache remembers what the database does not have.
    assert_eq!(
        (&again["cached"], &again["duration"]),
        (&json!(false), &made["duration"])
    );
    host.sql(
        "update tts.renditions set made_at = now() - interval '2 h', lease_until = now() - interval '2 h' \
         returning 'x'",
    )
    .await;
    swept(&host).await;
    assert_eq!(blobs(&host), 1);
    assert_eq!(
        host.sql("select count(*)::text from tts.doomed_blobs")
            .await,
        ["0"]
    );
    assert!(!content(&host, &again).await.is_empty());
    host.stop().await;
}
