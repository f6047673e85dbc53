//! The routes that speak as OpenAI's do, asked as OpenAI's clients ask.

use corpus::samples::BIOLOGY;
use eventsource_stream::Eventsource;
use futures::StreamExt;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{Answer, TestHost};
use crate::scripted::{Script, Scripted};
use crate::transcription::{hears, tone, wav};

const KEY: &str = "the tests' users sign with this key";
const CHAT: &str = "/v1/chat/completions";
const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";

/// The status and the code of an error in OpenAI's form.
#[track_caller]
fn refused(answer: &Answer) -> (u16, Value) {
    let error = &answer.body["error"];
    assert!(
        error["message"].is_string(),
        "{} {}",
        answer.status,
        answer.body
    );
    assert!(
        error["type"].is_string() && error.get("param").is_some(),
        "{error}"
    );
    (answer.status, error["code"].clone())
}

fn says(text: &'static str) -> impl Fn(&Value) -> Script + Send + Sync + 'static {
    move |_| Script::Says(text.to_owned(), 5)
}

fn asks(model: &str, question: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": question }] })
}

fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

/// The chunks of a streamed answer, without `[DONE]`, which must be the last.
async fn chunks(host: &TestHost, mut body: Value) -> Vec<Value> {
    body["stream"] = json!(true);
    let answer = host
        .request(Method::POST, CHAT)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let events = answer.bytes_stream().eventsource();
    let data: Vec<String> = events.map(|event| event.unwrap().data).collect().await;
    let (last, chunks) = data.split_last().unwrap();
    assert_eq!(last, "[DONE]");
    chunks
        .iter()
        .map(|chunk| serde_json::from_str(chunk).unwrap())
        .collect()
}

#[tokio::test]
async fn models_are_what_is_configured() {
    let host = TestHost::start().await.described().await;
    let ids = |models: &Value| {
        let models = models["data"].as_array().unwrap().iter();
        models
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&host.get("/v1/models").await.ok()), ["lectern"]);
    assert_eq!(host.get("/v1/models/lectern").await.ok()["object"], "model");
    let none = host.get("/v1/models/gpt-5").await;
    assert_eq!(refused(&none), (404, json!("model_not_found")));
    let posted = host.post("/v1/models", json!({})).await;
    assert_eq!(refused(&posted), (405, json!("METHOD_NOT_ALLOWED")));
    assert_eq!(posted.headers["allow"], "GET");
    let newer = host
        .request(Method::GET, "/v1/models")
        .header("api-version", "2");
    assert_eq!(
        refused(&host.send(newer).await),
        (400, json!("UNSUPPORTED_API_VERSION"))
    );
    host.stop().await;
    let model = Scripted::start(says("Hi.")).await;
    let host = model.host().await.described().await;
    assert_eq!(
        ids(&host.get("/v1/models").await.ok()),
        ["lectern", "test-model"]
    );
    host.stop().await;
}

#[tokio::test]
async fn without_a_model_and_without_documents_nobody_answers_and_says_so() {
    let host = TestHost::start().await.described().await;
    let answer = host.post(CHAT, asks("lectern", "Hello")).await;
    assert_eq!(refused(&answer), (501, json!("model_not_configured")));
    assert_eq!(answer.headers["x-should-retry"], "false");
    // What the edge refuses has OpenAI's form here too.
    let packed = host
        .request(Method::POST, CHAT)
        .header("content-encoding", "gzip");
    let packed = host.send(packed.json(&asks("lectern", "Hello"))).await;
    assert_eq!(
        refused(&packed),
        (415, json!("UNSUPPORTED_CONTENT_ENCODING"))
    );
    let unknown = host.post(CHAT, asks("gpt-5", "Hello")).await;
    assert_eq!(refused(&unknown), (404, json!("model_not_found")));
    for (body, param) in [
        (json!({ "model": "lectern", "messages": [] }), "messages"),
        (json!({ "model": "lectern", "n": 2, "messages": [] }), "n"),
        (
            json!({ "model": "lectern", "messages": [], "response_format": { "type": "json_object" } }),
            "response_format",
        ),
    ] {
        let host = &host;
        // A document, so that somebody could answer.
        if param == "messages" {
            host.processed("alice", "cells.txt", BIOLOGY).await;
        }
        let mut body = body;
        body["user"] = json!("alice");
        let answer = host.post(CHAT, body).await;
        assert_eq!(refused(&answer).0, 400);
        assert_eq!(answer.body["error"]["param"], param);
    }
    let broken = host.request(Method::POST, CHAT).body("{");
    assert_eq!(refused(&host.send(broken).await).0, 400);
    host.stop().await;
}

#[tokio::test]
async fn lectern_answers_from_the_asker_s_documents_with_quotes() {
    let host = TestHost::start().await.described().await;
    let document = host.processed("alice", "cells.txt", BIOLOGY).await;
    let id = document["document_id"].as_str().unwrap();
    let mut question = asks("lectern", "What do mitochondria do?");
    question["user"] = json!("alice");
    let latest = host.post(CHAT, question.clone()).await.ok();
    question["metadata"] = json!({ "document_ids": format!("[\"{id}\"]") });
    let named = host.post(CHAT, question.clone()).await.ok();
    for answer in [&latest, &named] {
        let cited = &answer["choices"][0]["message"]["citations"][0];
        assert_eq!(cited["document_id"], id);
        let quote = cited["quote"].as_str().unwrap();
        assert!(quote.to_lowercase().contains("mitochondria"), "{quote}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        assert_eq!(answer["lectern"]["engine"], "local-extractive");
    }
    let streamed = chunks(&host, question.clone()).await;
    let told: String = streamed
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(told, text(&named));
    let last = streamed.last().unwrap();
    assert_eq!(
        last["citations"],
        named["choices"][0]["message"]["citations"]
    );
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    // Nothing of it is kept.
    let sessions = host.get("/chat/sessions?user_id=alice").await.ok();
    assert_eq!(sessions["sessions"], json!([]));
    question["user"] = json!("bob");
    let others = host.post(CHAT, question).await;
    assert_eq!(refused(&others), (404, json!("DOCUMENT_NOT_FOUND")));
    host.stop().await;
}

#[tokio::test]
async fn a_conversation_is_told_to_the_model_and_its_answer_streamed() {
    let model = Scripted::start(says("Nice to meet you, Ada.")).await;
    let host = model.host().await.described().await;
    let conversation = json!({
        "model": "test-model",
        "messages": [
            { "role": "system", "content": "Answer in rhymes." },
            { "role": "user", "content": [{ "type": "text", "text": "I am Ada." }] },
            { "role": "assistant", "content": "Hello." },
            { "role": "user", "content": "Who am I?" },
        ],
        "temperature": 0.5,
        "stream_options": { "include_usage": true },
    });
    let answer = host.post(CHAT, conversation.clone()).await.ok();
    assert_eq!(text(&answer), "Nice to meet you, Ada.");
    assert_eq!(answer["model"], "test-model");
    let streamed = chunks(&host, conversation).await;
    assert_eq!(streamed[0]["choices"][0]["delta"]["role"], "assistant");
    let usage = streamed.last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    for asked in model.chats() {
        let messages = asked["messages"].as_array().unwrap();
        let told: Vec<_> = messages[1..]
            .iter()
            .map(|message| format!("{}: {}", message["role"], message["content"]))
            .collect();
        assert_eq!(
            told,
            [
                r#""user": "Answer in rhymes.""#,
                r#""user": "I am Ada.""#,
                r#""assistant": "Hello.""#,
                r#""user": "Who am I?""#,
            ]
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn a_session_that_is_named_is_kept_and_goes_on() {
    let model = Scripted::start(says("Yes.")).await;
    let host = model.host().await.described().await;
    let mut question = asks("test-model", "Is it so?");
    question["metadata"] = json!({ "session_id": "s-1" });
    question["user"] = json!("alice");
    let answer = host.post(CHAT, question.clone()).await.ok();
    assert_eq!(answer["lectern"]["session_id"], "s-1");
    let streamed = chunks(&host, question).await;
    assert_eq!(streamed.last().unwrap()["lectern"]["session_id"], "s-1");
    let history = host.get("/chat/history/s-1?user_id=alice").await.ok();
    assert_eq!(history["messages"].as_array().unwrap().len(), 4);
    host.stop().await;
}

#[tokio::test]
async fn a_model_that_breaks_off_ends_the_stream_with_an_error() {
    let model = Scripted::start(|_| Script::Breaks("Half an ".into())).await;
    let host = model.host().await;
    let mut question = asks("test-model", "Well?");
    question["stream"] = json!(true);
    let answer = host.post(CHAT, question).await;
    let events = answer.body.as_str().unwrap();
    let last = events.trim_end().rsplit("data: ").next().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["error"]["code"], "ANSWER_INTERRUPTED");
    host.stop().await;
}

#[tokio::test]
async fn speech_is_what_the_client_asks_for() {
    let host = TestHost::start().await.described().await;
    let say = |format: &str| json!({ "model": "tts-1", "voice": "alloy", "input": "Hello, learner.", "response_format": format });
    let spoken = async |body: Value| {
        let answer = host
            .request(Method::POST, "/v1/audio/speech")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (kind, answer.bytes().await.unwrap())
    };
    let (kind, mp3) = spoken(say("mp3")).await;
    assert_eq!(kind, "audio/mpeg");
    assert!(mp3.starts_with(b"ID3") || mp3[0] == 0xff);
    let (kind, wav) = spoken(say("wav")).await;
    assert_eq!((kind.as_str(), &wav[..4]), ("audio/wav", &b"RIFF"[..]));
    let (kind, pcm) = spoken(say("pcm")).await;
    assert_eq!(kind, "audio/pcm");
    // Of the same words at 16 kHz: of two samples three.
    let behind = (wav.len() - 44) / 2 - 1;
    assert_eq!(pcm.len() / 2, 1 + behind / 2 * 3 + behind % 2);
    let bare = json!({ "model": "tts-1", "voice": { "id": "kal16" }, "input": "Hello." });
    assert_eq!(spoken(bare).await.0, "audio/mpeg");
    for (member, value) in [
        ("response_format", json!("opus")),
        ("response_format", json!("aac")),
        ("response_format", json!("flac")),
        ("stream_format", json!("sse")),
        ("speed", json!(1.5)),
    ] {
        let mut body = say("mp3");
        body[member] = value;
        let answer = host.post("/v1/audio/speech", body).await;
        assert_eq!(refused(&answer).0, 400);
        assert_eq!(answer.body["error"]["param"], member);
    }
    let mut unknown = say("mp3");
    unknown["voice"] = json!("nobody");
    let unknown = host.post("/v1/audio/speech", unknown).await;
    assert_eq!(refused(&unknown), (400, json!("UNKNOWN_VOICE")));
    let voices = host.get("/v1/audio/voices").await.ok();
    for id in ["alloy", "kal16"] {
        let mut voices = voices["voices"].as_array().unwrap().iter();
        assert!(voices.any(|voice| voice["id"] == id), "{id}");
    }
    assert!(host.get("/v1/audio/models").await.ok()["models"][0]["id"].is_string());
    host.stop().await;
}

fn recording(fields: &[(&'static str, &'static str)]) -> Form {
    // The fields first, as OpenAI's clients write them.
    let form = fields
        .iter()
        .fold(Form::new(), |form, (name, value)| form.text(*name, *value));
    form.part("file", Part::bytes(tone()).file_name("a \"tone\".wav"))
}

#[tokio::test]
async fn a_recording_is_transcribed_in_every_form() {
    let engine = tempfile::tempdir().unwrap();
    let host = TestHost::with("components", |config| hears(config, engine.path())).await;
    let host = host.described().await;
    let transcribed = async |fields: &[(&'static str, &'static str)]| {
        let request = host
            .request(Method::POST, TRANSCRIPTIONS)
            .multipart(recording(fields));
        host.send(request).await
    };
    let model = ("model", "whisper-1");
    let heard = "Cells divide. They grow, too.";
    assert_eq!(transcribed(&[model]).await.ok(), json!({ "text": heard }));
    let plain = transcribed(&[model, ("response_format", "text")]).await;
    assert_eq!(plain.body, format!("{heard}\n"));
    let srt = transcribed(&[("response_format", "srt"), ("language", "en")]).await;
    assert_eq!(
        srt.headers["content-type"],
        "application/x-subrip; charset=utf-8"
    );
    assert!(
        srt.body
            .as_str()
            .unwrap()
            .starts_with("1\n00:00:00,100 --> ")
    );
    let vtt = transcribed(&[("response_format", "vtt")]).await;
    assert!(vtt.body.as_str().unwrap().starts_with("WEBVTT"));
    let verbose = ("response_format", "verbose_json");
    let whole = transcribed(&[model, verbose]).await.ok();
    assert_eq!(
        (&whole["text"], &whole["duration"]),
        (&json!(heard), &json!(2.5))
    );
    assert_eq!(whole["segments"][0]["start"], 0.1);
    assert_eq!(whole.get("words"), None);
    let words = transcribed(&[verbose, ("timestamp_granularities[]", "word")])
        .await
        .ok();
    assert_eq!(words["words"][1]["end"], 0.9);
    assert_eq!(words.get("segments"), None);
    host.stop().await;
}

#[tokio::test]
async fn a_recording_that_cannot_be_transcribed_is_refused_in_openai_s_form() {
    let host = TestHost::start().await.described().await;
    let send = async |form: Form| {
        let request = host.request(Method::POST, TRANSCRIPTIONS).multipart(form);
        host.send(request).await
    };
    // The file first, as curl users write it: what is wrong comes behind it.
    let file = || Form::new().part("file", Part::bytes(tone()).file_name("a.wav"));
    for (form, param) in [
        (
            file().text("response_format", "diarized_json"),
            "response_format",
        ),
        (
            file().text("timestamp_granularities[]", "word"),
            "timestamp_granularities[]",
        ),
        (Form::new().text("model", "whisper-1"), "file"),
        (file().part("file", Part::bytes(tone())), "file"),
    ] {
        let answer = send(form).await;
        assert_eq!(refused(&answer).0, 400);
        assert_eq!(answer.body["error"]["param"], param);
    }
    let listed = host.get("/transcriptions").await.ok();
    assert_eq!(
        listed["transcriptions"],
        json!([]),
        "what was refused is no job"
    );
    let other = Form::new().part("file", Part::bytes(&b"%PDF-1.4"[..]).file_name("a.wav"));
    assert_eq!(
        refused(&send(other).await),
        (415, json!("UNSUPPORTED_MEDIA_TYPE"))
    );
    let short = Form::new().part("file", Part::bytes(wav(100, 0.5)).file_name("a.wav"));
    assert_eq!(refused(&send(short).await), (422, json!("AUDIO_TOO_SHORT")));
    let none = send(file()).await;
    assert_eq!(refused(&none), (501, json!("ENGINE_NOT_CONFIGURED")));
    assert_eq!(none.headers["x-should-retry"], "false");
    let no_form = host.post(TRANSCRIPTIONS, json!({})).await;
    assert_eq!(refused(&no_form).0, 400);
    host.stop().await;
}

#[tokio::test]
async fn who_asks_is_asked_for_a_token_in_openai_s_form() {
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(KEY.to_owned().into());
    });
    let host = host.await.described().await;
    for (method, path) in [
        (Method::GET, "/v1/models"),
        (Method::POST, CHAT),
        (Method::POST, "/v1/audio/speech"),
        (Method::POST, TRANSCRIPTIONS),
        (Method::GET, "/v1/audio/voices"),
    ] {
        let answer = host.send(host.request(method, path)).await;
        assert_eq!(refused(&answer), (401, json!("invalid_api_key")), "{path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    // `user` is an application's own word there, and no claim.
    let token = host::token::sign(
        KEY.as_bytes(),
        "alice",
        host::token::Role::User,
        std::time::Duration::from_secs(60),
    );
    let body = json!({ "model": "tts-1", "input": "Hello.", "user": "bob" });
    let request = host
        .request(Method::POST, "/v1/audio/speech")
        .bearer_auth(token.unwrap());
    assert_eq!(host.send(request.json(&body)).await.status, 200);
    // Elsewhere an error has the contract's form.
    assert_eq!(
        host.get("/v1/chat/sessions").await.code(),
        (401, "UNAUTHENTICATED")
    );
    host.stop().await;
}
