//! The transcription client against a server that behaves as real ones do.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend::jobs::Room;
use backend::openai_transcription::{Config, OpenAiTranscription};
use bytes::Bytes;
use capability::transcription::contract::{self, ended, english};
use capability::transcription::{Cause, MediaFormat, Request, State, Transcription};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::engine_command::dropped;
use crate::shelf::{Shelf, key, wav};

/// What a server was sent, as text.
type Sent = Arc<Mutex<Vec<String>>>;

/// Answers each request by what it was sent.
async fn serve(answer: fn(&str) -> (u16, &'static str)) -> (Config, Sent) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let sent = Sent::default();
    let keep = sent.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let keep = keep.clone();
            let service = service_fn(move |request: hyper::Request<Incoming>| {
                let keep = keep.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let auth = head.headers.get("authorization");
                    let auth = auth.map_or("none", |value| value.to_str().unwrap());
                    let text = String::from_utf8_lossy(&body);
                    let text = format!("{} {auth}\n{text}", head.uri);
                    let (status, answer) = answer(&text);
                    keep.lock().unwrap().push(text);
                    let response = hyper::Response::builder().status(status);
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(answer))).unwrap())
                }
            });
            tokio::spawn(async move {
                let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let config = Config {
        base_url,
        key: Some("secret".to_owned().into()),
        model: "whisper-1".into(),
        room: Room {
            places: 2,
            queue: 2,
        },
        timeout: Duration::from_secs(30),
    };
    (config, sent)
}

async fn transcribe(config: Config, change: impl FnOnce(&mut Request)) -> State {
    let shelf = Shelf::new().await;
    let mut request = english(&shelf.put("a", wav(16_000, &[7; 3_200])).await);
    change(&mut request);
    let engine = OpenAiTranscription::new(config, shelf.blobs.clone()).unwrap();
    engine.start("a", &request).await.unwrap();
    ended(&engine, "a").await
}

const TIMED: &str = r#"{"language":"english","text":"Hello there.","words":[
    {"word":"Hello","start":0.0,"end":0.4},{"word":"there","start":0.5,"end":0.9}]}"#;

#[tokio::test]
async fn a_server_keeps_the_contract() {
    let (config, _) = serve(|_| (200, TIMED)).await;
    let shelf = Shelf::new().await;
    let spoken = shelf.put("a", wav(16_000, &[7; 3_200])).await;
    let engine = OpenAiTranscription::new(config, shelf.blobs.clone()).unwrap();
    contract::all(&engine, &spoken, &key("missing")).await;
}

#[tokio::test]
async fn the_recording_goes_with_all_that_is_known_of_it() {
    let (config, sent) = serve(|_| (200, TIMED)).await;
    assert!(!format!("{config:?}").contains("secret"));
    let state = transcribe(config, |request| {
        request.vocabulary = vec!["Mitochondrion".into(), "Ribosome".into()];
    })
    .await;
    assert!(matches!(state, State::Done(_)), "{state:?}");
    let sent = sent.lock().unwrap();
    let [sent] = &sent[..] else {
        panic!("asked {} times", sent.len());
    };
    for part in [
        "/v1/audio/transcriptions Bearer secret",
        "name=\"model\"\r\n\r\nwhisper-1",
        "name=\"language\"\r\n\r\nen",
        "name=\"prompt\"\r\n\r\nMitochondrion, Ribosome",
        "name=\"response_format\"\r\n\r\nverbose_json",
        "filename=\"audio.wav\"",
        "WAVEfmt",
    ] {
        assert!(sent.contains(part), "{part}");
    }
}

#[tokio::test]
async fn a_server_that_has_no_times_is_asked_without() {
    let (config, sent) = serve(|sent| match sent.contains("verbose_json") {
        true => (400, r#"{"error":{"message":"response_format"}}"#),
        false => (200, r#"{"text":"Hello there."}"#),
    })
    .await;
    let State::Done(transcript) = transcribe(config, |_| {}).await else {
        panic!("no transcript");
    };
    assert_eq!(
        (transcript.text.as_str(), transcript.words.len()),
        ("Hello there.", 0)
    );
    assert_eq!(sent.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refusal_is_the_reason_that_the_job_fails_for() {
    for (answer, cause, reason) in [
        (
            (|_| (401, "{}")) as fn(&str) -> _,
            Cause::AccessDenied,
            "refuses the key",
        ),
        (|_| (413, "{}"), Cause::Refused, "larger"),
        (|_| (404, "<html>"), Cause::Refused, "status 404"),
    ] {
        let (config, _) = serve(answer).await;
        let State::Failed(told) = transcribe(config, |_| {}).await else {
            panic!("it did not fail");
        };
        assert_eq!(told.cause, cause, "{told}");
        assert!(told.reason.contains(reason), "{told}");
        assert!(!told.reason.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_transcript_is_none() {
    for answer in [
        (|_| (200, "{\"no\":1}")) as fn(&str) -> _,
        (|_| (200, "<html>Welcome!</html>")),
        (|_| (200, "Hello there.")),
        (|_| (200, "")),
        (|_| (200, "{\"error\":{\"message\":\"busy\"}}")),
        // A tenth of a second was sent.
        (|_| {
            (
                200,
                r#"{"text":"a","words":[{"word":"a","start":70,"end":71}]}"#,
            )
        }),
    ] {
        let (config, _) = serve(answer).await;
        let state = transcribe(config, |request| request.duration_ms = Some(100)).await;
        let State::Failed(told) = state else {
            panic!("believed: {state:?}");
        };
        assert_eq!(told.cause, Cause::Answer, "{told}");
    }
}

/// What Whisper hears in silence.
const INVENTED: &str = r#"{"language":"english","duration":3.0,"text":" Thank you for watching!",
    "segments":[{"start":0.0,"end":3.0,"text":" Thank you for watching!","no_speech_prob":0.97,"avg_logprob":-0.4}],
    "words":[{"word":"Thank","start":0.0,"end":1.0},{"word":"you","start":1.0,"end":3.0}]}"#;

#[tokio::test]
async fn what_a_server_makes_up_over_silence_is_an_empty_transcript() {
    let (config, sent) = serve(|_| (200, INVENTED)).await;
    let State::Done(transcript) = transcribe(config, |_| {}).await else {
        panic!("no transcript");
    };
    assert_eq!((transcript.text.as_str(), transcript.words.len()), ("", 0));
    assert_eq!(transcript.language_code.as_deref(), Some("en-US"));
    let sent = sent.lock().unwrap();
    assert!(sent[0].contains("name=\"timestamp_granularities[]\"\r\n\r\nsegment"));
}

/// By ffmpeg, of that many seconds of what its filter makes.
fn encoded(filter: &str, extension: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("a.{extension}"));
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", filter])
        .arg(&file)
        .status();
    assert!(made.unwrap().success());
    std::fs::read(file).unwrap()
}

#[tokio::test]
async fn silence_in_any_format_is_not_sent() {
    if !crate::missing::has(&["ffmpeg"]) {
        return;
    }
    let (config, sent) = serve(|_| (200, TIMED)).await;
    let shelf = Shelf::new().await;
    let engine = OpenAiTranscription::new(config, shelf.blobs.clone()).unwrap();
    let silence = "anullsrc=r=16000:cl=mono:d=2";
    let heard = async |extension: &str, format, filter: &str| {
        let name = format!("{extension}.{}", filter.len());
        let audio = shelf.put(&name, encoded(filter, extension)).await;
        let request = Request {
            format,
            ..english(&audio)
        };
        engine.start(&name, &request).await.unwrap();
        match ended(&engine, &name).await {
            State::Done(transcript) => transcript.text,
            other => panic!("{other:?}"),
        }
    };
    for (extension, format) in [
        ("mp3", MediaFormat::Mp3),
        ("m4a", MediaFormat::M4a),
        ("ogg", MediaFormat::Ogg),
    ] {
        assert_eq!(heard(extension, format, silence).await, "", "{extension}");
    }
    assert_eq!(sent.lock().unwrap().len(), 0);
    let tone = "sine=frequency=440:duration=2";
    assert_eq!(heard("mp3", MediaFormat::Mp3, tone).await, "Hello there.");
    assert_eq!(sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_busy_or_away_drops_the_job_and_a_failed_one_runs_again() {
    // One job each, in turn.
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    const ANSWERS: [(u16, &str); 7] = [
        (503, "{}"),
        (500, "<html>"),
        (429, "{}"),
        (408, "{}"),
        (425, "{}"),
        (401, "{}"),
        (200, TIMED),
    ];
    let (config, _) = serve(|_| ANSWERS[ASKED.fetch_add(1, Ordering::SeqCst)]).await;
    let shelf = Shelf::new().await;
    let request = english(&shelf.put("a", wav(16_000, &[7; 3_200])).await);
    let engine = OpenAiTranscription::new(config.clone(), shelf.blobs.clone()).unwrap();
    for _ in 0..5 {
        engine.start("a", &request).await.unwrap();
        dropped(&engine, "a").await;
    }
    engine.start("a", &request).await.unwrap();
    let state = ended(&engine, "a").await;
    assert!(matches!(state, State::Failed(_)), "{state:?}");
    engine.start("a", &request).await.unwrap();
    let state = ended(&engine, "a").await;
    assert!(matches!(state, State::Done(_)), "{state:?}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let hanging = Config {
        base_url,
        timeout: Duration::from_millis(200),
        ..config
    };
    let engine = OpenAiTranscription::new(hanging, shelf.blobs.clone()).unwrap();
    engine.start("a", &request).await.unwrap();
    dropped(&engine, "a").await;
    drop(listener);
    engine.start("a", &request).await.unwrap();
    dropped(&engine, "a").await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left_alone_for_a_while() {
    let (config, sent) = serve(|_| (503, "busy")).await;
    let shelf = Shelf::new().await;
    let request = english(&shelf.put("a", wav(16_000, &[7; 3_200])).await);
    let engine = OpenAiTranscription::new(config, shelf.blobs.clone()).unwrap();
    for job in ["a", "b", "c", "d", "e"] {
        engine.start(job, &request).await.unwrap();
        dropped(&engine, job).await;
    }
    assert_eq!(sent.lock().unwrap().len(), 3);
}
