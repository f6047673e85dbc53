//! Who listens while it is spoken.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::ear::check_against_ffmpeg;
use super::owners::swept;
use super::{asked, blobs, content};
use crate::harness::{PATIENCE, TestHost};

/// An answer that is heard, and where its audio is.
async fn listen(host: &TestHost, body: &Value) -> (Response, String) {
    listen_with(host, body, &[]).await
}

async fn listen_with(
    host: &TestHost,
    body: &Value,
    headers: &[(&'static str, &str)],
) -> (Response, String) {
    let request = host.request(Method::POST, "/synthesize").json(body);
    let request = request.header("accept", "audio/*");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let path = answer.headers()["location"].to_str().unwrap().to_owned();
    (answer, path)
}

/// Until the audio is as wanted.
async fn until(host: &TestHost, path: &str, status: &str) -> Value {
    let settled = async {
        loop {
            let audio = host.get(path).await.ok();
            if audio["status"] == status {
                return audio;
            }
            assert_eq!(audio["status"], "processing");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settled).await;
    settled.expect("it is made")
}

fn long() -> String {
    "This is a sentence of a long text that goes on and on. ".repeat(100)
}

#[tokio::test]
async fn a_long_text_is_heard_at_once_and_stored_when_it_ends() {
    let host = TestHost::start().await;
    let text = long();
    for format in ["mp3", "ogg", "wav"] {
        let body = json!({ "text": text, "output_format": format, "user_id": "alice" });
        let (answer, path) = listen(&host, &body).await;
        let heard = answer.bytes().await.unwrap();
        let stored = host.get(&path).await.ok();
        assert_eq!(stored["status"], "completed");
        assert_eq!(stored["text"], text.as_str());
        let bytes = content(&host, &stored).await;
        check_against_ffmpeg(&bytes, format, &stored);
        // The header of a WAV file that is heard does not know its length.
        let from = if format == "wav" { 44 } else { 0 };
        assert!(heard[from..] == bytes[from..], "{format}");
    }
    // What was heard before is heard again, whole.
    let body = json!({ "text": text, "output_format": "wav" });
    let (answer, _) = listen(&host, &body).await;
    let heard = answer.bytes().await.unwrap();
    assert_ne!(&heard[4..8], b"\xFF\xFF\xFF\xFF");
    host.stop().await;
}

#[tokio::test]
async fn who_listens_slowly_holds_up_nobody_and_hears_all_of_it() {
    let host = TestHost::start().await;
    // Six minutes of samples: more than sockets and buffers hold.
    let body = json!({ "text": long(), "output_format": "wav", "user_id": "alice" });
    let (answer, path) = listen(&host, &body).await;
    // From the first byte on there is an audio, and nobody reads on.
    let row = host.get(&path).await.ok();
    assert_eq!(row["text"], long().as_str());
    let same = json!({ "text": long(), "output_format": "wav", "user_id": "bob" });
    let same = host.post("/synthesize", same).await.ok();
    assert_eq!(same["cached"], true);
    let stored = until(&host, &path, "completed").await;
    let bytes = content(&host, &stored).await;
    assert!(bytes.len() > 8 << 20, "{}", bytes.len());
    let heard = answer.bytes().await.unwrap();
    assert_eq!(heard.len(), bytes.len());
    assert!(heard[44..] == bytes[44..]);
    host.stop().await;
}

#[tokio::test]
async fn who_leaves_early_finds_it_whole_later() {
    let host = TestHost::start().await;
    let (mut answer, path) = listen(&host, &asked("alice", &long())).await;
    assert!(!answer.chunk().await.unwrap().unwrap().is_empty());
    drop(answer);
    let stored = until(&host, &path, "completed").await;
    check_against_ffmpeg(&content(&host, &stored).await, "mp3", &stored);
    let listed = host.get("/audio?user_id=alice").await.ok();
    assert_eq!(listed["audio"].as_array().unwrap().len(), 1);
    assert_eq!(blobs(&host), 1);
    host.stop().await;
}

#[tokio::test]
async fn a_request_that_is_repeated_is_heard_again_and_spoken_once() {
    let host = TestHost::start().await;
    let body = asked("alice", "Said once, heard twice.");
    let key = [("idempotency-key", "one")];
    let (first, path) = listen_with(&host, &body, &key).await;
    let first = first.bytes().await.unwrap();
    let (again, same) = listen_with(&host, &body, &key).await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(same, path);
    assert_eq!(again.headers()["content-type"], "audio/mpeg");
    assert!(again.bytes().await.unwrap() == first);
    let listed = host.get("/audio?user_id=alice").await.ok();
    assert_eq!(listed["audio"].as_array().unwrap().len(), 1);
    // Neither other words nor another kind of answer.
    let other = host.request(Method::POST, "/synthesize").json(&body);
    let other = host.send(other.header("idempotency-key", "one")).await;
    assert_eq!(other.code(), (422, "IDEMPOTENCY_KEY_REUSED"));
    host.stop().await;
}

#[tokio::test]
async fn what_is_deleted_while_it_is_heard_stays_deleted() {
    let host = TestHost::start().await;
    let (answer, path) = listen(&host, &asked("alice", &long())).await;
    host.delete(&format!("{path}?user_id=alice")).await.ok();
    let heard = answer.bytes().await.unwrap();
    assert!(heard.len() > 100_000, "whoever listens hears the rest");
    assert_eq!(host.get(&path).await.code(), (404, "AUDIO_NOT_FOUND"));
    let left = "select ((select count(*) from tts.audio) + count(*))::text from tts.renditions";
    assert_eq!(host.sql(left).await, ["0"]);
    assert_eq!(blobs(&host), 0);
    host.stop().await;
}

/// As a host leaves it that dies while somebody listens.
const LEFT: &str = "insert into tts.audio (audio_id, user_id, status, text, text_type, format, requested_voice_id, \
    requested_rate, expires_at, ask_again_at) values ('left', 'alice', 'processing', 'Left unfinished.', 'text', \
    'wav', 'kal', 8000, now() + interval '7 d', now() - interval '1 s') returning audio_id";

#[tokio::test]
async fn what_a_dead_maker_left_unfinished_is_asked_for_again() {
    let host = TestHost::start().await;
    host.sql(LEFT).await;
    assert_eq!(
        host.get("/audio/left/content").await.code(),
        (409, "AUDIO_NOT_READY")
    );
    swept(&host).await;
    let stored = until(&host, "/audio/left", "completed").await;
    assert_eq!(
        (&stored["format"], &stored["sample_rate"]),
        (&json!("wav"), &json!(8_000))
    );
    check_against_ffmpeg(&content(&host, &stored).await, "wav", &stored);
    host.stop().await;
}
