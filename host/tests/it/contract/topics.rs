//! The contract's topics, as anybody who shares nothing but Kafka sees them.

use std::time::Duration;

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use super::{USER, is_moment, resembles, text};
use crate::harness::{PATIENCE, TestHost};
use crate::services;

/// What the examples have made.
pub(super) struct Made<'a> {
    pub(super) document: &'a str,
    pub(super) quiz: &'a str,
    pub(super) job: &'a Value,
    pub(super) audio: &'a str,
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    let servers = services::variable("KAFKA_BOOTSTRAP_SERVERS").unwrap();
    config.set("bootstrap.servers", servers);
    config
}

/// A record: its key, its header `event-id`, its payload.
struct Record {
    key: String,
    event_id: Option<String>,
    payload: Value,
}

/// The first record of a topic that is looked for, from its beginning.
async fn record(topic: String, wanted: impl Fn(&Record) -> bool + Send + 'static) -> Record {
    let shown = topic.clone();
    let read = tokio::task::spawn_blocking(move || {
        let group = format!("{topic}-{}", uuid::Uuid::new_v4());
        let consumer: BaseConsumer = client()
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[&topic]).unwrap();
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
                let read = read(&message);
                if wanted(&read) {
                    return Some(read);
                }
            }
        }
        None
    });
    read.await
        .unwrap()
        .unwrap_or_else(|| panic!("{shown} has no such record"))
}

fn read(message: &impl Message) -> Record {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let mut id = headers.filter(|header| header.key == "event-id");
    Record {
        key: utf8(message.key().unwrap_or_default()),
        event_id: id.next().and_then(|header| header.value.map(utf8)),
        payload: serde_json::from_slice(message.payload().unwrap()).unwrap(),
    }
}

/// Each topic that a service of the contract produces has a record of what was made, under its key.
pub(super) async fn have_their_records(run: &str, made: &Made<'_>) {
    let job = text(made.job, "job_id");
    for (topic, member, id, example) in [
        (
            "chat.message",
            "session_id",
            "optional-session-id",
            json!({ "message_id": "m", "user_id": USER, "role": "user", "content": "c", "timestamp": super::AT }),
        ),
        (
            "document.uploaded",
            "document_id",
            made.document,
            json!({ "user_id": USER, "filename": "document.pdf", "s3_key": "k" }),
        ),
        (
            "document.processed",
            "document_id",
            made.document,
            json!({
                "user_id": USER, "filename": "document.pdf", "status": "completed", "page_count": 2,
                "text_key": "k", "processed_at": super::AT,
            }),
        ),
        (
            "notes.generated",
            "document_id",
            made.document,
            json!({ "user_id": USER, "engine": "e", "terms": ["t"], "generated_at": super::AT }),
        ),
        (
            "quiz.generated",
            "quiz_id",
            made.quiz,
            json!({
                "status": "completed", "document_id": "d", "document_ids": ["d"], "user_id": USER,
                "num_questions": 10, "difficulty": "medium", "quiz_type": "multiple_choice", "engine": "e",
                "created_at": super::AT,
            }),
        ),
        (
            "audio.transcription.completed",
            "job_id",
            job,
            json!({
                "user_id": USER, "filename": "f", "status": "completed", "engine": "e", "confidence": 0.5,
                "duration": 2.5, "language_code": "en-US", "completed_at": super::AT,
            }),
        ),
        (
            "audio.generation.completed",
            "audio_id",
            made.audio,
            json!({
                "user_id": USER, "status": "completed", "voice_id": "v", "engine": "e", "format": "mp3",
                "duration": 2.5, "cached": false, "generated_at": super::AT,
            }),
        ),
    ] {
        let key = id.to_owned();
        let found = record(format!("{run}.{topic}"), move |record| record.key == key).await;
        let payload = &found.payload;
        resembles(payload, &example);
        resembles(payload, &json!({ "event_id": "e", "schema_version": 1 }));
        assert_eq!(payload["schema_version"], 1, "{topic}");
        assert_eq!(payload["tenant"], "", "{topic}");
        assert_eq!(payload["user_id"], USER, "{topic}");
        assert_eq!(payload[member], id, "{topic}");
        assert_eq!(payload["event_id"].as_str(), found.event_id.as_deref());
        uuid::Uuid::parse_str(text(payload, "event_id")).unwrap();
    }
}

/// What others ask for, with no more than `deploy/asyncapi.yaml` requires: no key, no headers, no
/// envelope.
pub(super) async fn are_taken_from_strangers(host: &TestHost, run: &str, document: &str) {
    let stored = host
        .transcribe(super::tone(), "foreign.wav", &[("user_id", USER)])
        .await
        .ok();
    let producer: FutureProducer = client().create().unwrap();
    for (topic, payload) in [
        (
            "quiz.requested",
            json!({ "user_id": USER, "document_id": document, "request_id": "foreign" }),
        ),
        (
            "audio.transcription.requested",
            json!({ "user_id": USER, "s3_key": stored["s3_key"] }),
        ),
        (
            "audio.generation.requested",
            json!({ "request_id": "foreign", "user_id": USER, "text": "By a stranger." }),
        ),
    ] {
        let (topic, payload) = (format!("{run}.{topic}"), payload.to_string());
        let record = FutureRecord::<(), _>::to(&topic).payload(&payload);
        producer.send(record, PATIENCE).await.unwrap();
    }
    let quiz = answer(run, "quiz.generated", |payload| {
        payload["request_id"] == "foreign"
    })
    .await;
    let made = host
        .get(&format!("/quiz/{}?user_id={USER}", text(&quiz, "quiz_id")))
        .await
        .ok();
    assert_eq!(made["document_id"], document);
    let audio = answer(run, "audio.generation.completed", |payload| {
        payload["request_id"] == "foreign"
    })
    .await;
    let made = host
        .get(&format!(
            "/audio/{}?user_id={USER}",
            text(&audio, "audio_id")
        ))
        .await
        .ok();
    assert_eq!(made["text"], "By a stranger.");
    // Another job than the one that stored the audio, under the event's own id.
    let first = stored["job_id"].clone();
    let name = text(&stored, "s3_key")
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let job = answer(run, "audio.transcription.completed", move |payload| {
        payload["filename"] == name.as_str() && payload["job_id"] != first
    })
    .await;
    assert!(is_moment(text(&job, "completed_at")));
    let made = host
        .get(&format!(
            "/transcription/{}?user_id={USER}",
            text(&job, "job_id")
        ))
        .await
        .ok();
    assert_eq!(made["status"], "completed");
}

/// The event that answers a request.
async fn answer(run: &str, topic: &str, wanted: impl Fn(&Value) -> bool + Send + 'static) -> Value {
    let found = record(format!("{run}.{topic}"), move |record| {
        wanted(&record.payload)
    })
    .await;
    assert_eq!(found.payload["status"], "completed", "{}", found.payload);
    found.payload
}
