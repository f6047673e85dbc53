//! Polly as its fake has it, and S3 where the servers run.

use std::time::Duration;

use aws_fake::{ACCESS_KEY_ID, Fake, REGION, SECRET_ACCESS_KEY, Trouble};
use backend::aws::{self, Keys};
use host::config::Config;
use host::config::backends::{Chosen, Speech};
use reqwest::Method;
use serde_json::{Value, json};

use super::ear::check_against_ffmpeg;
use super::{asked, blobs, content, example, id};
use crate::harness::{PATIENCE, TestHost};
use crate::services;

pub(super) const SPEAK: &str = "SynthesizeSpeech";

pub(super) async fn with_polly() -> (Fake, TestHost) {
    let fake = Fake::start().await.unwrap();
    let host = TestHost::with("components", |config| polly(config, fake.url())).await;
    (fake, host)
}

fn polly(config: &mut Config, url: &str) {
    config.backends.aws = aws::Config {
        endpoint_url: Some(url.to_owned()),
        keys: Some(Keys {
            access_key_id: ACCESS_KEY_ID.into(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned().into(),
            session_token: None,
        }),
        ..aws::Config::new(REGION)
    };
    config.backends.speech = Chosen {
        what: Speech::Polly,
        reason: "the test wants it".into(),
    };
}

#[tokio::test]
async fn where_polly_speaks_its_voices_are_its_own() {
    let (fake, host) = with_polly().await;
    let spoken = host.post("/synthesize", example()).await.ok();
    assert_eq!(
        (
            &spoken["voice_id"],
            &spoken["engine"],
            &spoken["sample_rate"]
        ),
        (&json!("Joanna"), &json!("generative"), &json!(24_000))
    );
    check_against_ffmpeg(&content(&host, &spoken).await, "mp3", &spoken);
    let voices = host.get("/voices?language_code=de-DE").await.ok();
    let vicki = &voices["voices"][0];
    assert_eq!(
        (&vicki["id"], &vicki["gender"]),
        (&json!("Vicki"), &json!("Female"))
    );
    let again = host.post("/synthesize", example()).await.ok();
    assert_eq!((&again["cached"], fake.calls(SPEAK)), (&json!(true), 1));
    for (body, code) in [
        (json!({ "text": "a", "voice_id": "kal16" }), "UNKNOWN_VOICE"),
        (
            json!({ "text": "a", "voice_id": "Joanna", "engine": "long-form" }),
            "UNSUPPORTED_ENGINE",
        ),
        (
            json!({ "text": "a", "voice_id": "Joanna", "language_code": "de-DE" }),
            "UNSUPPORTED_LANGUAGE",
        ),
    ] {
        assert_eq!(host.post("/synthesize", body).await.code(), (400, code));
    }
    assert_eq!(fake.calls(SPEAK), 1);
    host.stop().await;
}

#[tokio::test]
async fn what_was_spoken_is_found_by_a_new_host_while_polly_is_away() {
    let (fake, host) = with_polly().await;
    let spoken = host.post("/synthesize", example()).await.ok();
    fake.trouble("DescribeVoices", Trouble::Fail, 100);
    let host = host
        .restart_changed(|config| polly(config, fake.url()))
        .await;
    let again = host.post("/synthesize", example()).await.ok();
    assert_eq!(
        (&again["cached"], &again["voice_id"], fake.calls(SPEAK)),
        (&json!(true), &spoken["voice_id"], 1)
    );
    let voices = host.get("/voices?language_code=de-DE").await.ok();
    assert_eq!(voices["voices"][0]["id"], "Vicki");
    host.stop().await;
}

pub(super) fn long(format: &str, engine: &str) -> Value {
    let text = "Plants make sugar, and the light of the sun drives it. ".repeat(200);
    json!({ "text": text, "voice_id": "Joanna", "output_format": format, "engine": engine })
}

#[tokio::test]
async fn a_long_text_is_spoken_in_pieces_that_make_one_audio() {
    let (fake, host) = with_polly().await;
    for format in ["mp3", "ogg", "wav"] {
        let before = fake.calls(SPEAK);
        let spoken = host.post("/synthesize", long(format, "neural")).await.ok();
        // 11,000 characters, 3,000 at once.
        assert_eq!(fake.calls(SPEAK) - before, 4, "{format}");
        check_against_ffmpeg(&content(&host, &spoken).await, format, &spoken);
        let expected = 11_000.0 * 0.06;
        let off = spoken["duration"].as_f64().unwrap() - expected;
        assert!(off.abs() < 0.3, "{format}: {off}");

        let marks = host
            .get(&format!("/audio/{}/marks?types=sentence", id(&spoken)))
            .await
            .ok();
        let marks = marks["speech_marks"].as_array().unwrap();
        assert_eq!(marks.len(), 200);
        for (at, mark) in marks.iter().enumerate() {
            assert_eq!(mark["start"], at * 55, "{mark}");
            let off = mark["time"].as_f64().unwrap() - at as f64 * 55.0 * 60.0;
            // A piece of MP3 ends with a whole frame.
            assert!(off.abs() < 200.0, "{format} {at}: {off}");
        }
    }
    let generative = host
        .post("/synthesize", long("mp3", "generative"))
        .await
        .ok();
    let refused = host.get(&format!("/audio/{}/marks", id(&generative))).await;
    assert_eq!(refused.code(), (422, "MARKS_UNAVAILABLE"));
    host.stop().await;
}

#[tokio::test]
async fn pieces_are_asked_for_at_once_and_stay_in_their_order() {
    let (fake, host) = with_polly().await;
    fake.delay(Duration::from_millis(100));
    // Which comes first: those that were refused are asked for again, and come last.
    fake.trouble(SPEAK, Trouble::Throttle, 2);
    let spoken = host.post("/synthesize", long("wav", "neural")).await.ok();
    assert!((2..=4).contains(&fake.most_at_once(SPEAK)));
    let starts = host
        .sql("select chunk_starts::text from tts.renditions")
        .await;
    let starts: Vec<u64> = serde_json::from_str(&starts[0]).unwrap();
    // 2,970 characters each but the last, which has what is left of 11,000.
    assert_eq!(starts, [0, 178_200, 356_400, 534_600]);
    check_against_ffmpeg(&content(&host, &spoken).await, "wav", &spoken);
    host.stop().await;
}

#[tokio::test]
async fn what_is_deleted_while_it_is_made_stays_deleted() {
    let (fake, host) = with_polly().await;
    fake.delay(Duration::from_millis(500));
    let items = json!([{ "text": "To be forgotten.", "voice_id": "Joanna" }]);
    let batch = json!({ "items": items, "user_id": "alice" });
    let batch = host.post("/synthesize/batch", batch).await.body;
    let path = format!("/audio/{}", id(&batch["items"][0]));
    let begun = async {
        while fake.calls(SPEAK) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun)
        .await
        .expect("it is begun");
    host.delete(&path).await.ok();
    let handled = async {
        let waiting = "select count(*)::text from lectern.inbox where consumer = 'tts'";
        while host.sql(waiting).await != ["0"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, handled)
        .await
        .expect("it is handled");
    assert_eq!(fake.calls(SPEAK), 1);
    assert_eq!(host.get(&path).await.code(), (404, "AUDIO_NOT_FOUND"));
    let left = "select ((select count(*) from tts.audio) + count(*))::text from tts.renditions";
    assert_eq!(host.sql(left).await, ["0"]);
    assert_eq!(blobs(&host), 0);
    host.stop().await;
}

#[tokio::test]
async fn what_breaks_off_while_it_is_heard_is_said_to_have_failed() {
    let (fake, host) = with_polly().await;
    fake.trouble(SPEAK, Trouble::Cut, 1);
    let body = json!({ "text": "Half of this.", "voice_id": "Joanna", "user_id": "alice" });
    let listen = || {
        let request = host.request(Method::POST, "/synthesize").json(&body);
        let request = request.header("accept", "audio/mpeg");
        request.header("idempotency-key", "one").send()
    };
    let answer = listen().await.unwrap();
    let path = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(answer.bytes().await.is_err());
    let failed = host.get(&path).await.ok();
    assert_eq!(
        (&failed["status"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("SPEECH_UNAVAILABLE"))
    );
    let content = host.get(&format!("{path}/content")).await;
    assert_eq!(content.code(), (409, "AUDIO_FAILED"));
    assert_eq!(blobs(&host), 0);
    // The key is free again.
    let again = listen().await.unwrap();
    assert!(!again.headers().contains_key("idempotency-replayed"));
    assert!(!again.bytes().await.unwrap().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn every_engine_s_every_format_is_as_long_as_it_says() {
    let (_fake, host) = with_polly().await;
    for (voice, engine) in [
        ("Joanna", "generative"),
        ("Joanna", "neural"),
        ("Joanna", "standard"),
        ("Patrick", "long-form"),
    ] {
        for format in ["mp3", "ogg", "wav"] {
            let text = "It is late, and the last train leaves soon.";
            let body = json!({
                "text": text, "voice_id": voice, "engine": engine, "output_format": format
            });
            let spoken = host.post("/synthesize", body).await.ok();
            assert_eq!(
                (&spoken["engine"], &spoken["format"]),
                (&json!(engine), &json!(format))
            );
            check_against_ffmpeg(&content(&host, &spoken).await, format, &spoken);
        }
    }
    let rate =
        json!({ "text": "a", "voice_id": "Joanna", "output_format": "wav", "sample_rate": 24_000 });
    let refused = host.post("/synthesize", rate).await;
    assert_eq!(refused.code(), (400, "UNSUPPORTED_SAMPLE_RATE"));
    assert_eq!(
        refused.body["details"]["sample_rates"],
        json!([8_000, 16_000])
    );
    host.stop().await;
}

#[tokio::test]
async fn ssml_is_cut_between_its_tags() {
    let (fake, host) = with_polly().await;
    let sentence = "<s>Salt &amp; pepper are <sub alias=\"kept\">kpt</sub> here.</s>";
    let text = format!(
        "<speak><prosody rate=\"slow\">{}</prosody></speak>",
        sentence.repeat(150)
    );
    let body =
        json!({ "text": text, "text_type": "ssml", "voice_id": "Joanna", "engine": "neural" });
    let spoken = host.post("/synthesize", body).await.ok();
    assert!(fake.calls(SPEAK) >= 2);
    check_against_ffmpeg(&content(&host, &spoken).await, "mp3", &spoken);
    let marks = host
        .get(&format!("/audio/{}/marks?types=word", id(&spoken)))
        .await
        .ok();
    for mark in marks["speech_marks"].as_array().unwrap() {
        let at = |member: &str| usize::try_from(mark[member].as_u64().unwrap()).unwrap();
        assert_eq!(
            text[at("start")..at("end")],
            *mark["value"].as_str().unwrap()
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_said() {
    let (fake, host) = with_polly().await;
    // More than the SDK's own three attempts.
    for (trouble, times) in [
        (Trouble::Throttle, 5),
        (Trouble::Fail, 5),
        (Trouble::Lose, 4),
        (Trouble::Cut, 2),
    ] {
        fake.trouble(SPEAK, trouble, times);
        let text = format!("After {trouble:?}.");
        let body = json!({ "text": text, "voice_id": "Joanna", "output_format": "wav" });
        let spoken = host.post("/synthesize", body).await.ok();
        assert_eq!(spoken["cached"], false, "{trouble:?}");
        check_against_ffmpeg(&content(&host, &spoken).await, "wav", &spoken);
    }
    fake.trouble(SPEAK, Trouble::Throttle, 15);
    let refused = host.post("/synthesize", asked("alice", "Too much.")).await;
    assert_eq!(refused.code(), (503, "UPSTREAM_QUOTA"));
    assert!(refused.headers.contains_key("retry-after"));
    // Nothing of it is left, and nobody waits for it.
    assert_eq!(blobs(&host), 4);
    let spoken = host
        .post("/synthesize", asked("alice", "Too much."))
        .await
        .ok();
    assert_eq!(spoken["cached"], false);
    host.stop().await;
}

#[tokio::test]
async fn on_s3_an_address_is_minted_for_each_read() {
    let Some(endpoint) = services::wanted("AWS_ENDPOINT_URL_S3") else {
        return;
    };
    let setting = |name: &str| services::wanted(name).unwrap();
    let host = TestHost::with("components", |config| {
        config.backends.aws = aws::Config {
            endpoint_url: Some(endpoint),
            keys: Some(Keys {
                access_key_id: setting("AWS_ACCESS_KEY_ID"),
                secret_access_key: setting("AWS_SECRET_ACCESS_KEY").into(),
                session_token: None,
            }),
            ..aws::Config::new("us-east-1")
        };
        config.backends.has_s3_endpoint = true;
        let bucket = ("tts".to_owned(), setting("S3_BUCKET_DOCUMENTS"));
        config.backends.buckets.by_component = [bucket].into();
    })
    .await;
    let spoken = host.post("/synthesize", example()).await.ok();
    let url = spoken["s3_url"].as_str().unwrap();
    assert!(
        url.contains("X-Amz-Signature=") && url.contains(".mp3"),
        "{url}"
    );
    let bytes = content(&host, &spoken).await;
    check_against_ffmpeg(&bytes, "mp3", &spoken);
    let path = format!("/audio/{}", id(&spoken));
    let own = host
        .request(Method::GET, &format!("{path}/content"))
        .send()
        .await
        .unwrap();
    assert_eq!(own.bytes().await.unwrap(), bytes);
    let stored = host
        .sql("select count(*)::text from tts.audio a where a::text like '%Amz%'")
        .await;
    assert_eq!(stored, ["0"]);
    host.send(host.request(Method::DELETE, &path)).await.ok();
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);
    host.stop().await;
}
