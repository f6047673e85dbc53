//! The engines of speech, transcription and OCR as they are: what the host says, said on.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use guest::Problem;
use guest::bindings::capabilities::lectern::platform::{ocr, speech, transcription};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/probe/voices", get(voices))
        .route("/probe/speak/{voice}", post(speak))
        .route("/probe/marks/{voice}", post(marks))
        .route("/probe/transcribe/{job}/{key}", post(transcribe))
        .route("/probe/transcribe/{job}", get(transcript))
        .route("/probe/recognize", post(recognize))
        .route("/probe/ocr/{job}/{key}", post(start_ocr))
        .route("/probe/ocr/{job}", get(poll_ocr))
}

fn shown<T, E: std::fmt::Debug>(answer: Result<T, E>, show: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(answer) => show(answer),
        Err(error) => format!("{error:?}"),
    }
}

async fn voices() -> String {
    let ids = |voices: Vec<speech::Voice>| {
        let ids: Vec<_> = voices.into_iter().map(|voice| voice.id).collect();
        ids.join(" ")
    };
    shown(speech::voices(None).await, ids)
}

fn request(voice: String, text: String) -> speech::Request {
    let ssml = text.starts_with('<');
    speech::Request {
        input: match ssml {
            true => speech::Input::Ssml(text),
            false => speech::Input::Text(text),
        },
        voice,
        engine: None,
        format: speech::Format::Pcm,
        sample_rate: None,
    }
}

/// The rate, the bytes of audio, and how it ended.
async fn speak(Path(voice): Path<String>, text: String) -> String {
    let (about, mut data, ended) = match speech::synthesize(request(voice, text)).await {
        Ok(spoken) => spoken,
        Err(error) => return format!("{error:?}"),
    };
    let mut size = 0;
    while data.next().await.is_some() {
        size += 1;
    }
    format!("{} {size} {:?}", about.sample_rate, ended.await)
}

async fn marks(Path(voice): Path<String>, text: String) -> String {
    let kinds = vec![speech::MarkKind::Sentence; 3];
    let values = |marks: Vec<speech::Mark>| {
        let values: Vec<_> = marks.into_iter().map(|mark| mark.value).collect();
        values.join("|")
    };
    shown(speech::marks(request(voice, text), kinds).await, values)
}

async fn transcribe(Path((job, key)): Path<(String, String)>) -> String {
    let request = transcription::Request {
        audio: key,
        format: transcription::MediaFormat::Wav,
        language_code: Some("en-US".into()),
        speakers: None,
        vocabulary: vec![],
        duration_ms: None,
    };
    shown(transcription::start(job, request).await, |()| {
        "started".into()
    })
}

async fn transcript(Path(job): Path<String>) -> String {
    shown(transcription::poll(job).await, |state| match state {
        transcription::State::Running => "running".into(),
        transcription::State::Done(transcript) => format!("done: {}", transcript.text),
        transcription::State::Failed(failure) => format!("failed: {}", failure.reason),
    })
}

async fn recognize(body: Body) -> Result<String, Problem> {
    let image = axum::body::to_bytes(body, 16 << 20).await;
    let image = image.map_err(|_| Problem::validation("the image is too large"))?;
    let texts = |lines: Vec<ocr::Line>| {
        let texts: Vec<_> = lines.into_iter().map(|line| line.text).collect();
        texts.join("|")
    };
    let lines = ocr::recognize(image.into(), vec!["en".into()]).await;
    Ok(shown(lines, texts))
}

async fn start_ocr(Path((job, key)): Path<(String, String)>) -> String {
    shown(ocr::start(job, key, vec![1, 2], vec![]).await, |()| {
        "started".into()
    })
}

async fn poll_ocr(Path(job): Path<String>) -> String {
    shown(ocr::poll(job).await, |state| match state {
        ocr::State::Running => "running".into(),
        ocr::State::Done(found) => format!("done: {} {:?}", found.pages.len(), found.failed),
        ocr::State::Failed(reason) => format!("failed: {reason}"),
    })
}
