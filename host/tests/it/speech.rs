//! Text to speech as its users hear it: the host's own voice, and Polly as its fake has it.

mod amazon;
mod ear;
mod events;
mod marked;
mod owners;
mod slow;
mod streamed;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use self::ear::check_against_ffmpeg;
use crate::harness::{Answer, TestHost};

/// The contract's own.
pub(crate) fn example() -> Value {
    json!({
        "text": "Hello, this is a test.",
        "voice_id": "Joanna",
        "language_code": "en-US",
        "output_format": "mp3",
        "user_id": "user-123",
    })
}

pub(crate) fn asked(user: &str, text: &str) -> Value {
    json!({ "text": text, "user_id": user })
}

pub(crate) fn id(body: &Value) -> &str {
    body["audio_id"].as_str().unwrap()
}

/// The bytes at the audio's address.
pub(crate) async fn content(host: &TestHost, audio: &Value) -> Vec<u8> {
    let url = &host.address(audio["s3_url"].as_str().unwrap());
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200, "{url} of {}", host.base);
    answer.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn the_contract_s_example_is_spoken_found_and_deleted() {
    let host = TestHost::start().await;
    let spoken = host.post("/synthesize", example()).await;
    assert_eq!(spoken.status, 200, "{}", spoken.body);
    let body = spoken.body;
    let id = id(&body).to_owned();
    assert_eq!(spoken.headers["location"], format!("/audio/{id}"));
    assert_eq!(body["cached"], false);
    // Who really speaks: Polly's voice is not on this machine.
    assert_eq!(
        (
            &body["voice_id"],
            &body["requested_voice_id"],
            &body["engine"]
        ),
        (&json!("kal16"), &json!("Joanna"), &json!("local"))
    );
    assert!(body["duration"].as_f64().unwrap() > 0.8, "{body}");
    check_against_ffmpeg(&content(&host, &body).await, "mp3", &body);

    let path = format!("/audio/{id}?user_id=user-123");
    let found = host.get(&path).await.ok();
    for member in [
        "audio_id",
        "s3_url",
        "duration",
        "generated_at",
        "expires_at",
    ] {
        assert_eq!(found[member], body[member], "{member}");
    }
    assert_eq!(found["text"], "Hello, this is a test.");
    assert_eq!(
        (&found["format"], &found["status"]),
        (&json!("mp3"), &json!("completed"))
    );
    let listed = host.get("/audio?user_id=user-123").await.ok();
    assert_eq!(listed["audio"][0]["audio_id"], id.as_str());

    let deleted = host.send(host.request(Method::DELETE, &path)).await.ok();
    assert_eq!(
        deleted,
        json!({ "message": "Audio deleted successfully", "audio_id": id })
    );
    assert_eq!(host.get(&path).await.code(), (404, "AUDIO_NOT_FOUND"));
    let again = host.send(host.request(Method::DELETE, &path)).await;
    assert_eq!(again.code(), (404, "AUDIO_NOT_FOUND"));
    let listed = host.get("/audio?user_id=user-123").await.ok();
    assert_eq!(listed["audio"], json!([]));
    assert_eq!(blobs(&host), 0, "and its bytes are gone");
    let health = host.get("/tts/health").await.ok();
    assert_eq!(
        (&health["service"], &health["status"]),
        (&json!("tts"), &json!("healthy"))
    );
    host.stop().await;
}

/// Files that the service has stored.
pub(crate) fn blobs(host: &TestHost) -> usize {
    fn files(folder: &std::path::Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return 0;
        };
        let count = |path: std::path::PathBuf| if path.is_dir() { files(&path) } else { 1 };
        entries.map(|entry| count(entry.unwrap().path())).sum()
    }
    files(&host.folder().join("blobs/tts"))
}

#[tokio::test]
async fn every_format_is_as_long_as_it_says() {
    let host = TestHost::start().await;
    let text = "It is late. The library closes at nine, and the last train leaves soon after that.";
    for format in ["mp3", "ogg", "wav"] {
        for voice in ["kal16", "kal"] {
            let body = json!({ "text": text, "voice_id": voice, "output_format": format });
            let spoken = host.post("/synthesize", body).await.ok();
            let bytes = content(&host, &spoken).await;
            check_against_ffmpeg(&bytes, format, &spoken);
            let rate = if voice == "kal" { 8_000 } else { 16_000 };
            assert_eq!(spoken["sample_rate"], rate);
            if format == "wav" {
                let seconds = (bytes.len() - 44) as f64 / 2.0 / f64::from(rate);
                assert!((seconds - spoken["duration"].as_f64().unwrap()).abs() < 0.001);
            }
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn bytes_come_in_parts() {
    let host = TestHost::start().await;
    let spoken = host
        .post("/synthesize", asked("alice", "Hello."))
        .await
        .ok();
    let whole = content(&host, &spoken).await;
    let path = format!("/audio/{}/content", id(&spoken));
    let part = async |method: Method, headers: &[(&'static str, &str)]| {
        let request = headers
            .iter()
            .fold(host.request(method, &path), |request, (name, value)| {
                request.header(*name, *value)
            });
        request.send().await.unwrap()
    };
    let full = part(Method::GET, &[]).await;
    assert_eq!(full.headers()["content-type"], "audio/mpeg");
    assert_eq!(full.headers()["accept-ranges"], "bytes");
    let tag = full.headers()["etag"].to_str().unwrap().to_owned();

    let some = part(Method::GET, &[("range", "bytes=10-19"), ("if-range", &tag)]).await;
    assert_eq!(some.status(), StatusCode::PARTIAL_CONTENT);
    let range = format!("bytes 10-19/{}", whole.len());
    assert_eq!(some.headers()["content-range"], range.as_str());
    assert_eq!(some.bytes().await.unwrap()[..], whole[10..20]);
    let last = part(Method::GET, &[("range", "bytes=-5")]).await;
    assert_eq!(last.bytes().await.unwrap()[..], whole[whole.len() - 5..]);
    let other = part(
        Method::GET,
        &[("range", "bytes=0-1"), ("if-range", "\"other\"")],
    )
    .await;
    assert_eq!(
        (other.status(), other.bytes().await.unwrap().len()),
        (StatusCode::OK, whole.len())
    );

    let none = part(Method::GET, &[("range", "bytes=99999999-")]).await;
    assert_eq!(none.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let size = format!("bytes */{}", whole.len());
    assert_eq!(none.headers()["content-range"], size.as_str());
    let head = part(Method::HEAD, &[]).await;
    assert_eq!(
        head.headers()["content-length"],
        whole.len().to_string().as_str()
    );
    let known = part(Method::GET, &[("if-none-match", &tag)]).await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    host.stop().await;
}

#[tokio::test]
async fn what_is_shared_stays_until_its_last_owner_deletes_it() {
    let host = TestHost::start().await;
    let text = "Both of us want to hear this.";
    let alice = host.post("/synthesize", asked("alice", text)).await.ok();
    let bob = host.post("/synthesize", asked("bob", text)).await.ok();
    assert_eq!(
        (&alice["cached"], &bob["cached"]),
        (&json!(false), &json!(true))
    );
    assert_ne!(alice["audio_id"], bob["audio_id"]);
    assert_eq!(alice["duration"], bob["duration"]);
    assert_eq!(blobs(&host), 1);

    let path = |user: &str, audio: &Value| format!("/audio/{}?user_id={user}", id(audio));
    let stolen = host.get(&path("alice", &bob)).await;
    assert_eq!(stolen.code(), (404, "AUDIO_NOT_FOUND"));
    host.send(host.request(Method::DELETE, &path("alice", &alice)))
        .await
        .ok();
    assert_eq!(host.get(&path("bob", &bob)).await.ok()["text"], text);
    assert!(!content(&host, &bob).await.is_empty());
    host.send(host.request(Method::DELETE, &path("bob", &bob)))
        .await
        .ok();
    assert_eq!(blobs(&host), 0);
    // The cache remembers what is gone: it is made again, and said to be.
    let again = host.post("/synthesize", asked("bob", text)).await.ok();
    assert_eq!(again["cached"], false);
    assert!(!content(&host, &again).await.is_empty());
    host.stop().await;
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_has_it_made() {
    let host = TestHost::start().await;
    let text = "A sentence that takes a moment to say. ".repeat(100);
    let ask = |user: usize| host.post("/synthesize", asked(&format!("user-{user}"), &text));
    let answers = futures::future::join_all((0..12).map(ask)).await;
    let bodies: Vec<_> = answers.into_iter().map(Answer::ok).collect();
    let made = bodies.iter().filter(|body| body["cached"] == false).count();
    assert_eq!(made, 1);
    assert_eq!(blobs(&host), 1);
    let ids: std::collections::BTreeSet<_> = bodies.iter().map(id).collect();
    assert_eq!(ids.len(), 12);
    host.stop().await;
}

#[tokio::test]
async fn without_its_cache_it_speaks_all_the_same() {
    let host = TestHost::with("components", |config| {
        config.backends.redis = Some(backend::redis::Config {
            host: "127.0.0.1".into(),
            port: 9,
            database: 0,
            username: None,
            password: None,
        });
    })
    .await;
    for cached in [false, true] {
        let spoken = host.post("/synthesize", example()).await.ok();
        assert_eq!(spoken["cached"], cached);
    }
    host.stop().await;
}

#[tokio::test]
async fn what_cannot_be_spoken_is_refused_by_its_code() {
    let host = TestHost::start().await;
    let ssml = |text: &str| json!({ "text": text, "text_type": "ssml" });
    for (body, expected) in [
        (json!({ "text": "" }), (400, "VALIDATION_ERROR")),
        (json!({}), (400, "VALIDATION_ERROR")),
        (
            json!({ "text": "a", "output_format": "opus" }),
            (400, "UNSUPPORTED_FORMAT"),
        ),
        (
            json!({ "text": "a", "voice_id": "Nobody" }),
            (400, "UNKNOWN_VOICE"),
        ),
        (
            json!({ "text": "a", "voice_id": "Vicki" }),
            (400, "UNSUPPORTED_LANGUAGE"),
        ),
        (
            json!({ "text": "a", "sample_rate": 44_100 }),
            (400, "UNSUPPORTED_SAMPLE_RATE"),
        ),
        (
            json!({ "text": "a", "sample_rate": 1 }),
            (400, "UNSUPPORTED_SAMPLE_RATE"),
        ),
        (
            json!({ "text": "a".repeat(100_001) }),
            (413, "TEXT_TOO_LONG"),
        ),
        // What the voice makes a breath of.
        (json!({ "text": "🎉 🎂" }), (422, "NOTHING_TO_SAY")),
        (json!({ "text": "日本語" }), (422, "NOTHING_TO_SAY")),
        (json!({ "text": "... --- !?" }), (422, "NOTHING_TO_SAY")),
        (ssml("<speak>a"), (400, "INVALID_SSML")),
        (
            ssml("<speak><prosody rate='900%'>a</prosody></speak>"),
            (400, "INVALID_SSML"),
        ),
        (
            ssml("<speak><audio src='x'/>a</speak>"),
            (400, "INVALID_SSML"),
        ),
        (
            ssml("<speak>a<break time='11s'/></speak>"),
            (400, "INVALID_SSML"),
        ),
        // Polly has it, the host's own voice does not.
        (
            ssml("<speak><emphasis>a</emphasis></speak>"),
            (400, "UNSUPPORTED_SSML"),
        ),
    ] {
        let refused = host.post("/synthesize", body.clone()).await;
        assert_eq!(refused.code(), expected, "{body}");
    }
    assert_eq!(
        host.sql("select count(*)::text from tts.renditions").await,
        ["0"]
    );
    let rate = json!({ "text": "a", "sample_rate": 44_100, "voice_id": "kal" });
    let refused = host.post("/synthesize", rate).await.body;
    assert_eq!(refused["details"]["sample_rates"], json!([8_000]));
    assert!(refused["error"].as_str().unwrap().contains("8000"));
    let fine = ssml("<speak><p>Salt &amp; pepper.</p><break time='1s'/>And more.</speak>");
    host.post("/synthesize", fine).await.ok();
    host.stop().await;
}

#[tokio::test]
async fn an_address_is_a_path_or_under_the_public_one_and_never_what_a_client_says() {
    let host = TestHost::start().await;
    let request = host.request(Method::POST, "/synthesize").json(&example());
    let spoken = host.send(request.header("host", "localhost:9")).await.ok();
    assert_eq!(
        spoken["s3_url"],
        format!("/audio/{}/content", id(&spoken)).as_str()
    );
    let host = host
        .restart_changed(|config| {
            let settings = std::mem::take(&mut config.settings);
            let public = "https://learn.example.org/api/";
            config.settings = settings.with("LECTERN_PUBLIC_URL", public);
        })
        .await;
    let found = host.get(&format!("/audio/{}", id(&spoken))).await.ok();
    let expected = format!(
        "https://learn.example.org/api/audio/{}/content",
        id(&spoken)
    );
    assert_eq!(found["s3_url"], expected.as_str());
    host.stop().await;
}

#[tokio::test]
async fn voices_are_those_that_are_there() {
    let host = TestHost::start().await;
    let all = host.get("/voices").await.ok();
    let ids = |body: &Value| -> Vec<String> {
        let voices = body["voices"].as_array().unwrap().iter();
        voices
            .map(|voice| voice["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&all), ["kal16", "kal"]);
    assert_eq!(all["voices"][0]["gender"], "Male");
    assert_eq!(
        ids(&host.get("/voices?language_code=en-us").await.ok()),
        ["kal16", "kal"]
    );
    assert_eq!(
        ids(&host.get("/voices?language_code=de-DE").await.ok()),
        [""; 0]
    );
    host.stop().await;
}

#[tokio::test]
async fn marks_say_when_each_word_is_said() {
    let host = TestHost::start().await;
    let text = "Grüße from here. It is late.";
    let body = json!({ "text": text, "speech_marks": ["word"], "output_format": "wav" });
    let spoken = host.post("/synthesize", body).await.ok();
    let words = spoken["speech_marks"].as_array().unwrap();
    let value = |mark: &Value| mark["value"].as_str().unwrap().to_owned();
    let values: Vec<_> = words.iter().map(value).collect();
    assert_eq!(values, ["Grüße", "from", "here.", "It", "is", "late."]);
    for mark in words {
        let at = |member: &str| usize::try_from(mark[member].as_u64().unwrap()).unwrap();
        assert_eq!(text[at("start")..at("end")], value(mark));
        assert!(mark["time"].as_f64().unwrap() / 1_000.0 < spoken["duration"].as_f64().unwrap());
    }
    let path = format!("/audio/{}/marks", id(&spoken));
    let all = host.get(&path).await.ok();
    assert_eq!(all["speech_marks"].as_array().unwrap().len(), 8, "{all}");
    let sentences = host.get(&format!("{path}?types=sentence")).await.ok();
    assert_eq!(value(&sentences["speech_marks"][1]), "It is late.");
    let refused = host.get(&format!("{path}?types=viseme")).await;
    assert_eq!(refused.code(), (400, "VALIDATION_ERROR"));
    host.stop().await;
}

#[tokio::test]
async fn a_request_that_is_repeated_speaks_once() {
    let host = TestHost::start().await;
    let send = async |key: &str, body: &Value| {
        let request = host.request(Method::POST, "/synthesize").json(body);
        host.send(request.header("idempotency-key", key)).await
    };
    let first = send("one", &example()).await.ok();
    let again = send("one", &example()).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.ok(), first);
    let other = send("one", &asked("user-123", "Something else.")).await;
    assert_eq!(other.code(), (422, "IDEMPOTENCY_KEY_REUSED"));
    let listed = host.get("/audio?user_id=user-123").await.ok();
    assert_eq!(listed["audio"].as_array().unwrap().len(), 1);
    host.stop().await;
}
