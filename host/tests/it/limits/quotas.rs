//! Budgets of a day, and of storage.

use reqwest::Method;
use serde_json::{Value, json};

use super::{bearer, header, with_tokens};
use crate::harness::{Answer, PATIENCE, TestHost};
use crate::metrics::{scrape, value};
use crate::scripted::{Script, Scripted};
use crate::transcription::{form, wav};

async fn post(host: &TestHost, path: &str, bearer: &str, body: &Value) -> Answer {
    let request = host.request(Method::POST, path).json(body);
    host.send(request.header("authorization", bearer)).await
}

async fn used(host: &TestHost, bearer: &str) -> Value {
    let request = host.request(Method::GET, "/usage");
    let answer = host.send(request.header("authorization", bearer)).await;
    answer.ok()["usage"].take()
}

fn is_refused(answer: &Answer, quota: &str) -> bool {
    let (status, code) = answer.code();
    (status, code) == (429, "QUOTA_EXCEEDED") && answer.body["details"]["quota"] == quota
}

#[tokio::test]
async fn tokens_of_a_model_are_counted_and_refused_beyond_a_day_s_budget() {
    let server = Scripted::start(|_| Script::Says("A cell is small.".into(), 4)).await;
    let host = server
        .host_with(|config| {
            with_tokens(config);
            config.limits.budgets.llm_tokens = Some(60);
        })
        .await;
    let (alice, bob) = (bearer("alice", None), bearer("bob", None));
    let question = json!({ "message": "What is a cell?" });
    let mut answers = 0;
    let refused = loop {
        let answer = post(&host, "/chat", &alice, &question).await;
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(answer.body["engine"], "test-model-1");
        answers += 1;
    };
    assert!(is_refused(&refused, "llm_tokens"), "{}", refused.body);
    assert!(answers > 0, "the first has room");
    let retry: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=86_401).contains(&retry), "{retry}");
    let tokens = used(&host, &alice).await["llm_tokens"].take();
    assert!(tokens["used"].as_u64().unwrap() >= 60, "{tokens}");
    assert_eq!(tokens["limit"], 60);
    assert!(tokens["resets_at"].is_string());
    // Each has a budget of his own.
    assert_eq!(used(&host, &bob).await["llm_tokens"]["used"], 0);
    assert_eq!(post(&host, "/chat", &bob, &question).await.status, 200);
    let refusals = r#"lectern_quota_refusals_total{quota="llm_tokens"}"#;
    assert_eq!(value(&scrape(&host).await, refusals), Some(1.0));
    host.stop().await;
}

#[tokio::test]
async fn spoken_characters_are_counted_once_and_refused_beyond_a_budget() {
    let host = TestHost::with("components", |config| {
        with_tokens(config);
        config.limits.budgets.speech_characters = Some(30);
    })
    .await;
    let alice = bearer("alice", None);
    let say = async |text: &str| {
        let order = json!({ "text": text, "output_format": "wav" });
        post(&host, "/synthesize", &alice, &order).await
    };
    assert_eq!(say("Hello, this is a test.").await.status, 200);
    let characters = async || used(&host, &alice).await["tts_characters"]["used"].take();
    assert_eq!(characters().await, 22);
    // What was spoken before costs nothing.
    assert_eq!(say("Hello, this is a test.").await.status, 200);
    assert_eq!(characters().await, 22);
    let refused = say("Another ten.").await;
    assert!(is_refused(&refused, "tts_characters"), "{}", refused.body);
    assert_eq!(say("As ever.").await.status, 200);
    assert_eq!(characters().await, 30);
    host.stop().await;
}

#[tokio::test]
async fn seconds_of_recordings_are_held_and_given_back_where_nothing_was_heard() {
    let host = TestHost::with("components", |config| {
        with_tokens(config);
        config.limits.budgets.transcription_seconds = Some(3);
    })
    .await;
    let alice = bearer("alice", None);
    let dictate = async |ms| {
        let request = host.request(Method::POST, "/transcribe");
        let request = request.multipart(form(wav(ms, 0.5), "a.wav", &[]));
        host.send(request.header("authorization", &alice)).await
    };
    let refused = dictate(3_500).await;
    assert!(is_refused(&refused, "stt_seconds"), "{}", refused.body);
    // There is no engine: the job fails, and what it held comes back.
    let held = dictate(2_500).await.ok();
    let given_back = async {
        while used(&host, &alice).await["stt_seconds"]["used"] != 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back)
        .await
        .expect("given back");
    let path = format!("/transcription/{}", held["job_id"].as_str().unwrap());
    let request = host.request(Method::GET, &path);
    let job = host
        .send(request.header("authorization", &alice))
        .await
        .ok();
    assert_eq!(job["status"], "failed");
    host.stop().await;
}

#[tokio::test]
async fn uploads_are_the_learner_s_storage_until_they_are_deleted() {
    let host = TestHost::with("components", |config| {
        with_tokens(config);
        config.limits.budgets.storage_bytes = Some(1_000);
    })
    .await;
    let alice = bearer("alice", None);
    let upload = async |name: &str| {
        let text = "The cell divides. ".repeat(40);
        let request = host.request(Method::POST, "/upload");
        let request = request.multipart(form(text, name, &[]));
        host.send(request.header("authorization", &alice)).await
    };
    let stored = async || used(&host, &alice).await["storage_bytes"]["used"].take();
    let first = upload("a.txt").await.ok();
    assert_eq!(stored().await, 720);
    let refused = upload("b.txt").await;
    assert!(is_refused(&refused, "storage_bytes"), "{}", refused.body);
    assert_eq!(refused.headers.get("retry-after"), None, "no day ends it");
    assert_eq!(stored().await, 720);
    let path = format!("/document/{}", first["document_id"].as_str().unwrap());
    let delete = host.request(Method::DELETE, &path);
    let deleted = host.send(delete.header("authorization", &alice)).await;
    assert_eq!(deleted.status, 200);
    let freed = async {
        while stored().await != 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("freed");
    assert_eq!(upload("b.txt").await.status, 202);
    host.stop().await;
}
