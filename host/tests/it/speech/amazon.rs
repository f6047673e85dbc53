//! Polly as its fake has it, and S3 where the servers run.

use aws_fake::{ACCESS_KEY_ID, Fake, REGION, SECRET_ACCESS_KEY, Trouble};
use backend::aws::{self, Keys};
use host::config::Config;
use host::config::backends::{Chosen, Speech};
use reqwest::Method;
use serde_json::{Value, json};

use super::ear::check_against_ffmpeg;
use super::{asked, blobs, content, example, id};
use crate::harness::TestHost;
use crate::services;

const SPEAK: &str = "SynthesizeSpeech";

async fn with_polly() -> (Fake, TestHost) {
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
    check_against_ffmpeg(&content(&host, &spoken).await, "mp3", &spoken["duration"]);
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

fn long(format: &str, engine: &str) -> Value {
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
        check_against_ffmpeg(&content(&host, &spoken).await, format, &spoken["duration"]);
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
    check_against_ffmpeg(&content(&host, &spoken).await, "mp3", &spoken["duration"]);
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
        check_against_ffmpeg(&content(&host, &spoken).await, "wav", &spoken["duration"]);
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
    check_against_ffmpeg(&bytes, "mp3", &spoken["duration"]);
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
