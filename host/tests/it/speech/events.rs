//! What is asked for by events, one by one or a batch at a time.

use std::time::Duration;

use serde_json::{Value, json};

use super::ear::check_against_ffmpeg;
use super::{content, id};
use crate::harness::{PATIENCE, TestHost};

/// Until no item is being made.
async fn batched(host: &TestHost, batch: &Value) -> Value {
    let path = format!("/synthesize/batch/{}", batch["batch_id"].as_str().unwrap());
    let done = async {
        loop {
            let batch = host.get(&path).await.ok();
            if batch["status"] == "completed" {
                return batch;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done)
        .await
        .expect("the batch is done")
}

#[tokio::test]
async fn a_batch_is_spoken_by_events() {
    let host = TestHost::start().await;
    // What is published stays to be read.
    host.sql("insert into lectern.subscriptions values ('reader', 'audio.generation.requested') returning topic").await;
    let items = json!([
        { "text": "One." },
        { "text": "Two.", "output_format": "ogg" },
        { "text": "<speak><emphasis>Three.</emphasis></speak>", "text_type": "ssml" },
    ]);
    let asked = json!({ "items": items, "user_id": "alice" });
    let batch = host.post("/synthesize/batch", asked).await;
    assert_eq!(batch.status, 202, "{}", batch.body);
    let location = format!(
        "/synthesize/batch/{}",
        batch.body["batch_id"].as_str().unwrap()
    );
    assert_eq!(batch.headers["location"], location.as_str());
    let done = batched(&host, &batch.body).await;
    let status = |at: usize| done["items"][at]["status"].as_str().unwrap();
    assert_eq!(
        (status(0), status(1), status(2)),
        ("completed", "completed", "failed"),
        "{done}"
    );
    assert_eq!(done["items"][2]["failure"]["code"], "UNSUPPORTED_SSML");
    let ogg = &done["items"][1];
    check_against_ffmpeg(&content(&host, ogg).await, "ogg", ogg);
    let failed = format!("/audio/{}/content", id(&done["items"][2]));
    let failed = host.get(&failed).await;
    assert_eq!(failed.code(), (409, "AUDIO_FAILED"));
    assert_eq!(failed.body["details"]["code"], "UNSUPPORTED_SSML");
    let why = failed.body["error"].as_str().unwrap();
    assert!(why.starts_with("this audio could not be made: the local engine has no `<emphasis>`"));
    // A deletion could not reach it there.
    let asked = host
        .sql("select payload::text from lectern.inbox where consumer = 'reader'")
        .await;
    assert_eq!(asked.len(), 3);
    for asked in &asked {
        assert!(!asked.contains("One") && !asked.contains("Two") && !asked.contains("Three"));
    }
    let foreign = host.get(&format!("{location}?user_id=bob")).await;
    assert_eq!(foreign.code(), (404, "BATCH_NOT_FOUND"));

    let bad = json!({ "items": [{ "text": "One." }, { "text": "" }] });
    let refused = host.post("/synthesize/batch", bad).await;
    assert_eq!(refused.code(), (400, "VALIDATION_ERROR"));
    assert_eq!(refused.body["details"]["item"], 1);
    let none = host.post("/synthesize/batch", json!({ "items": [] })).await;
    assert_eq!(none.code(), (400, "VALIDATION_ERROR"));
    host.stop().await;
}

/// Published by anybody who may: here the administrator of the database.
const REQUESTED: &str = "insert into lectern.outbox (component, topic, key, payload) values \
    ('tts', 'audio.generation.requested', 'r1', \
    '{\"request_id\": \"r1\", \"user_id\": \"alice\", \"text\": \"By an event.\", \"voice_id\": \"Joanna\", \
    \"language_code\": \"en-US\", \"output_format\": \"mp3\"}'), \
    ('tts', 'audio.generation.requested', 'r2', \
    '{\"request_id\": \"r2\", \"user_id\": \"alice\", \"text\": \"A\", \"output_format\": \"aac\"}') returning topic";

#[tokio::test]
async fn an_event_asks_for_an_audio_and_another_says_how_it_ended() {
    let host = TestHost::start().await;
    // What is published stays to be read.
    host.sql("insert into lectern.subscriptions values ('reader', 'audio.generation.completed') returning topic").await;
    host.sql(REQUESTED).await;
    let told = async {
        loop {
            let rows = host
                .sql("select payload::text from lectern.inbox where consumer = 'reader' order by payload->>'request_id'")
                .await;
            if rows.len() == 2 {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told)
        .await
        .expect("two events");
    let told: Vec<Value> = told
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    assert_eq!(
        (&told[0]["status"], &told[0]["request_id"]),
        (&json!("completed"), &json!("r1"))
    );
    assert_eq!(
        (&told[1]["status"], &told[1]["code"]),
        (&json!("failed"), &json!("UNSUPPORTED_FORMAT"))
    );
    assert!(
        told.iter()
            .all(|event| event["text"].is_null() && event["user_id"] == "alice")
    );
    let path = format!("/audio/{}?user_id=alice", id(&told[0]));
    let audio = host.get(&path).await.ok();
    assert_eq!(
        (&audio["text"], &audio["duration"]),
        (&json!("By an event."), &told[0]["duration"])
    );

    host.sql(AGAIN).await;
    let handled = async {
        let waiting = "select count(*)::text from lectern.inbox where consumer = 'tts'";
        while host.sql(waiting).await != ["0"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, handled)
        .await
        .expect("it is handled");
    let told = "select ((select count(*) from lectern.outbox) + count(*))::text from lectern.inbox";
    assert_eq!(host.sql(told).await, ["2"]);
    let kept = host.get("/audio?user_id=alice").await.ok();
    assert_eq!(kept["audio"].as_array().unwrap().len(), 1);
    host.stop().await;
}

#[tokio::test]
async fn a_batch_is_spoken_as_it_was_asked() {
    let host = TestHost::start().await;
    let item = json!({ "text": "At eight.", "voice_id": "kal", "output_format": "wav", "sample_rate": 8_000 });
    let other = json!({ "text": "At any.", "voice_id": "kal", "sample_rate": 16_000 });
    let asked = json!({ "items": [item, other], "user_id": "alice" });
    let batch = host.post("/synthesize/batch", asked).await.body;
    let done = batched(&host, &batch).await;
    let (first, second) = (&done["items"][0], &done["items"][1]);
    assert_eq!(
        (&first["voice_id"], &first["sample_rate"], &first["format"]),
        (&json!("kal"), &json!(8_000), &json!("wav"))
    );
    check_against_ffmpeg(&content(&host, first).await, "wav", first);
    assert_eq!(second["failure"]["code"], "UNSUPPORTED_SAMPLE_RATE");
    host.stop().await;
}

/// Delivered a second time, as a broker may.
const AGAIN: &str = "insert into lectern.inbox (consumer, event_id, topic, key, payload, occurred_at) \
    select 'tts', event_id::uuid, topic, 'r1', '{\"request_id\": \"r1\", \"user_id\": \"alice\", \
    \"text\": \"By an event.\"}', now() from tts.inbox returning topic";
