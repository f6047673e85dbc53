//! What takes longer to say than Polly speaks at once: it leaves off after ten minutes, and does not say so.

use reqwest::Method;
use serde_json::{Value, json};

use super::amazon::{SPEAK, with_polly};
use super::ear::check_against_ffmpeg;
use super::{content, id};
use crate::harness::TestHost;

/// As long as one call takes, by its characters.
fn text() -> String {
    "Plants make sugar, and the light of the sun drives it. ".repeat(50)
}

fn body(text: &str, kind: &str, format: &str) -> Value {
    json!({
        "text": text, "text_type": kind, "voice_id": "Joanna", "engine": "neural",
        "output_format": format, "user_id": "alice",
    })
}

async fn check_length(host: &TestHost, spoken: &Value, seconds: f64) {
    let off = spoken["duration"].as_f64().unwrap() - seconds;
    assert!(off.abs() < 1.0, "{off} s");
    let format = spoken["format"].as_str().unwrap();
    check_against_ffmpeg(&content(host, spoken).await, format, spoken);
}

#[tokio::test]
async fn a_slow_voice_says_all_of_it() {
    let (fake, host) = with_polly().await;
    // Five times slower than anybody expects: 825 s.
    fake.speak_at(300);
    for format in ["wav", "mp3"] {
        let before = fake.calls(SPEAK);
        let spoken = host
            .post("/synthesize", body(&text(), "text", format))
            .await;
        let spoken = spoken.ok();
        assert_eq!(fake.calls(SPEAK) - before, 3, "one in vain, and two");
        check_length(&host, &spoken, 825.0).await;
        // Of what was spoken, as it was cut.
        let path = format!("/audio/{}/marks?types=sentence", id(&spoken));
        let marks = host.get(&path).await.ok();
        let marks = marks["speech_marks"].as_array().unwrap();
        assert_eq!(marks.len(), 50);
        for (at, mark) in marks.iter().enumerate() {
            assert_eq!(mark["start"], at * 55, "{mark}");
            let off = mark["time"].as_f64().unwrap() - at as f64 * 55.0 * 300.0;
            assert!(off.abs() < 200.0, "{format} {at}: {off}");
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn pauses_and_slow_speech_are_cut_before_they_are_spoken() {
    let (fake, host) = with_polly().await;
    let slow = format!(
        "<speak><prosody rate=\"20%\">{}</prosody></speak>",
        &text()[..40 * 55]
    );
    let pauses = format!(
        "<speak>Wait.{}Now.</speak>",
        "<break time=\"10s\"/>".repeat(61)
    );
    for (ssml, seconds) in [(slow, 660.0), (pauses, 610.54)] {
        let before = fake.calls(SPEAK);
        let spoken = host
            .post("/synthesize", body(&ssml, "ssml", "wav"))
            .await
            .ok();
        check_length(&host, &spoken, seconds).await;
        // Each call once: none was in vain.
        let starts = host
            .sql("select chunk_starts::text from tts.renditions order by made_at desc limit 1")
            .await;
        let starts: Vec<u64> = serde_json::from_str(&starts[0]).unwrap();
        assert_eq!(fake.calls(SPEAK) - before, starts.len());
        assert!(starts.len() > 1);
    }
    host.stop().await;
}

#[tokio::test]
async fn what_no_call_can_say_is_refused_and_what_is_heard_of_it_breaks_off() {
    let (fake, host) = with_polly().await;
    fake.speak_at(300);
    let request = host.request(Method::POST, "/synthesize");
    let request = request.json(&body(&text(), "text", "mp3"));
    let heard = request.header("accept", "audio/mpeg").send().await.unwrap();
    let path = heard.headers()["location"].to_str().unwrap().to_owned();
    assert!(heard.bytes().await.is_err());
    let failed = host.get(&path).await.ok();
    assert_eq!(
        (&failed["status"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("TEXT_TOO_LONG"))
    );
    // One element, which nobody can cut.
    fake.speak_at(10_000);
    let name = format!("<speak><sub alias=\"x\">{}</sub></speak>", "a".repeat(70));
    let refused = host.post("/synthesize", body(&name, "ssml", "mp3")).await;
    assert_eq!(refused.code(), (413, "TEXT_TOO_LONG"));
    host.stop().await;
}
