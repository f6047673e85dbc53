//! Recordings that are none, or not what they seem.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use super::{engine, form, id, tone, wav};
use crate::harness::TestHost;

const M4A: &[u8] = include_bytes!("../../../../components/stt/src/probe/samples/tone.m4a");
const FLAC: &[u8] = include_bytes!("../../../../components/stt/src/probe/samples/tone.flac");

#[tokio::test]
async fn what_is_no_recording_is_refused_by_its_own_code() {
    let host = TestHost::start().await;
    let mut of_three = tone();
    of_three[22] = 3;
    let mut broken = tone();
    broken[24..28].fill(0);
    for (file, status, code) in [
        (vec![], 422, "EMPTY_AUDIO"),
        (
            b"%PDF-1.7 and what follows".to_vec(),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            b"a text, and no sound at all".to_vec(),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (wav(499, 0.5), 422, "AUDIO_TOO_SHORT"),
        (of_three, 422, "TOO_MANY_CHANNELS"),
        (broken, 422, "CORRUPT_AUDIO"),
        (tone()[..20].to_vec(), 422, "CORRUPT_AUDIO"),
        (M4A[..M4A.len() / 2].to_vec(), 422, "CORRUPT_AUDIO"),
        (FLAC[..60].to_vec(), 422, "CORRUPT_AUDIO"),
        (
            b"OggS and nothing that follows from it".to_vec(),
            422,
            "CORRUPT_AUDIO",
        ),
    ] {
        let refused = host.transcribe(file, "a.mp3", &[]).await;
        assert_eq!(refused.code(), (status, code));
    }
    for fields in [
        [("language_code", "english")],
        [("language_code", "--help")],
        [("speakers", "1")],
        [("speakers", "many")],
        [("vocabulary", "a\u{7}b")],
        [("user_id", "")],
    ] {
        let refused = host.transcribe(tone(), "a.wav", &fields).await;
        assert_eq!(refused.code(), (400, "VALIDATION_ERROR"), "{fields:?}");
    }
    let two = form(tone(), "a.wav", &[]).part("file", Part::bytes(tone()).file_name("b.wav"));
    let two = host.request(Method::POST, "/transcribe").multipart(two);
    assert_eq!(host.send(two).await.code(), (400, "VALIDATION_ERROR"));
    let none = host
        .request(Method::POST, "/transcribe")
        .multipart(Form::new().text("a", "b"));
    assert_eq!(host.send(none).await.code(), (400, "VALIDATION_ERROR"));
    let no_form = host.post("/transcribe", json!({})).await;
    assert_eq!(no_form.code(), (400, "VALIDATION_ERROR"));
    let auto = [("language_code", "auto"), ("vocabulary", "Lectern")];
    let refused = host.transcribe(tone(), "a.wav", &auto).await;
    assert_eq!(refused.code(), (400, "VALIDATION_ERROR"));
    // Nothing of it was kept.
    assert_eq!(host.recordings(), 0);
    assert_eq!(
        host.sql("select count(*)::text from stt.transcription_jobs")
            .await,
        ["0"]
    );
    host.stop().await;
}

/// RIFF WAVE of 8 bits: a tone, or silence.
fn wav_of_8_bits(loudness: f64) -> Vec<u8> {
    let mut file = wav(0, 0.0);
    file[28..32].copy_from_slice(&16_000_u32.to_le_bytes());
    file[32..36].copy_from_slice(&[1, 0, 8, 0]);
    file[40..44].copy_from_slice(&16_000_u32.to_le_bytes());
    let sample = |at: u32| 128.0 + (f64::from(at) / 6.0).sin() * loudness * 127.0;
    file.extend((0..16_000).map(|at| sample(at) as u8));
    file
}

#[tokio::test]
async fn recordings_that_are_not_what_they_seem_have_typed_results() {
    if !crate::missing::has(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = TestHost::with("components", |config| {
        engine(config, folder.path(), "echo heard");
    })
    .await;
    let cut = |file: &[u8], missing: usize| file[..file.len() - missing].to_vec();
    let mut boasting = tone();
    boasting[40..44].copy_from_slice(&1_000_000_u32.to_le_bytes());
    for (name, file, extension, transcript, warnings) in [
        // As Safari has them, and other strangers.
        (
            "mp4 as.webm",
            M4A.to_vec(),
            "m4a",
            "heard",
            json!(["NO_WORD_TIMES"]),
        ),
        (
            "flac as.mp3",
            FLAC.to_vec(),
            "flac",
            "heard",
            json!(["NO_WORD_TIMES"]),
        ),
        (
            "8 bits.wav",
            wav_of_8_bits(0.5),
            "wav",
            "heard",
            json!(["NO_WORD_TIMES"]),
        ),
        (
            "8 silent bits.wav",
            wav_of_8_bits(0.0),
            "wav",
            "",
            json!(["SILENCE"]),
        ),
        (
            "cut.flac",
            cut(FLAC, 2_000),
            "flac",
            "heard",
            json!(["AUDIO_TRUNCATED", "NO_WORD_TIMES"]),
        ),
        (
            "cut.wav",
            cut(&tone(), 20_000),
            "wav",
            "heard",
            json!(["AUDIO_TRUNCATED", "NO_WORD_TIMES"]),
        ),
        (
            "boasting.wav",
            boasting,
            "wav",
            "heard",
            json!(["AUDIO_TRUNCATED", "NO_WORD_TIMES"]),
        ),
    ] {
        let taken = host.transcribe(file, name, &[]).await;
        assert_eq!(taken.status, 202, "{name}: {}", taken.body);
        let key = taken.body["s3_key"].as_str().unwrap().to_owned();
        assert!(key.ends_with(&format!(".{extension}")), "{name}: {key}");
        let done = host.transcribed(&id(&taken.body)).await;
        assert_eq!(done["status"], "completed", "{name}: {done}");
        assert_eq!(done["transcript"], transcript, "{name}");
        assert_eq!(done["warnings"], warnings, "{name}");
        let seconds = done["duration"].as_f64().unwrap();
        assert!((0.5..=2.5).contains(&seconds), "{name}: {seconds} s");
    }
    host.stop().await;
}
