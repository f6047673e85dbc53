//! The transcription client against a server that behaves as real ones do.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend::jobs::Room;
use backend::openai_transcription::{Config, OpenAiTranscription};
use bytes::Bytes;
use capability::transcription::contract::{self, ended, english};
use capability::transcription::{Request, State, Transcription};
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
    for (answer, reason) in [
        ((|_| (401, "{}")) as fn(&str) -> _, "refuses the key"),
        (|_| (413, "{}"), "larger"),
        (|_| (404, "<html>"), "status 404"),
        (|_| (200, "{\"no\":1}"), "no transcript"),
    ] {
        let (config, _) = serve(answer).await;
        let State::Failed(told) = transcribe(config, |_| {}).await else {
            panic!("it did not fail");
        };
        assert!(told.contains(reason), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
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
