//! `/v1/audio/transcriptions`: the recording goes on to `POST /transcribe` as it comes, and the answer
//! waits for the job's end.

mod form;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use eventsource_stream::Eventsource;
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use self::form::{Format, Wanted};
use super::problem::{OpenAiError, Refusal};
use super::{Caller, whole};
use crate::dispatch::paced;

/// How long a client waits for the end; the job goes on after it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pieces of the recording between the client and the component.
const IN_FLIGHT: usize = 4;

/// A recording. What takes no part in the transcript, as `temperature` and `prompt`, is ignored.
#[derive(ToSchema)]
#[schema(as = OpenAiRecording)]
#[expect(dead_code, reason = "described, and read as it comes")]
struct Recording {
    #[schema(content_media_type = "application/octet-stream")]
    file: String,
    /// Any: there is one engine.
    #[schema(nullable = false)]
    model: Option<String>,
    /// As in `en`; found by the engine when absent.
    #[schema(nullable = false, max_length = 35)]
    language: Option<String>,
    /// `json` when absent.
    #[schema(nullable = false, pattern = "^(json|text|srt|verbose_json|vtt)$")]
    response_format: Option<String>,
    /// `word` or `segment`, of `verbose_json`.
    #[schema(nullable = false, rename = "timestamp_granularities[]")]
    timestamp_granularities: Option<Vec<String>>,
}

/// What was said.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiTranscription)]
struct Transcription {
    text: String,
}

/// What was said, and when.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiVerboseTranscription)]
struct Verbose {
    /// `transcribe`.
    task: &'static str,
    language: String,
    /// Seconds.
    duration: f64,
    text: String,
    /// Where `timestamp_granularities[]` is not `word` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    segments: Option<Vec<Segment>>,
    /// Where `timestamp_granularities[]` has `word`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    words: Option<Vec<Word>>,
}

/// As the subtitles have it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = OpenAiSegment)]
struct Segment {
    id: usize,
    /// Seconds.
    start: f64,
    /// Seconds.
    end: f64,
    text: String,
}

/// A word.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiWord)]
struct Word {
    word: String,
    /// Seconds.
    start: f64,
    /// Seconds.
    end: f64,
}

/// Transcribes a recording.
///
/// The answer comes with the end of the transcription; one that takes more than two minutes goes on, and the
/// error says where it will be.
#[utoipa::path(
    post,
    path = "/v1/audio/transcriptions",
    operation_id = "openai_transcriptions",
    tag = "openai",
    request_body(content = Recording, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "What was said", content(
            (Either = "application/json"),
            (String = "text/plain"),
            (String = "application/x-subrip"),
            (String = "text/vtt"),
        )),
        (status = 415, description = "`UNSUPPORTED_MEDIA_TYPE`", body = OpenAiError),
        (status = 422, description = "The recording cannot be transcribed, or has no times", body = OpenAiError),
        (status = 502, description = "`ENGINE_REFUSED`, `ENGINE_ACCESS_DENIED`", body = OpenAiError),
        (status = 501, description = "`ENGINE_NOT_CONFIGURED`", body = OpenAiError),
        (status = 504, description = "`TRANSCRIPTION_PROCESSING`", body = OpenAiError),
        (status = 507, description = "`STORAGE_FULL`", body = OpenAiError),
    ),
)]
pub(in crate::gateway) async fn transcribe(
    caller: &Caller<'_>,
    mut request: Request,
) -> Result<Response, Refusal> {
    // The gateway counts it, to the component's own limit.
    DefaultBodyLimit::disable().apply(&mut request);
    let (head, body) = request.into_parts();
    let (body, coming) = paced(body);
    let form = Multipart::from_request(Request::from_parts(head, body), &()).await;
    let form = form.map_err(|e| Refusal::invalid(Some("file"), e.body_text()))?;
    let (wanted, submitted) = match submit(caller, form).await {
        Err(_) if coming.has_stalled() => return Err(Refusal::Stalled),
        submitted => submitted?,
    };
    let job = submitted["job_id"].as_str().ok_or_else(Refusal::broken)?;
    let transcription = settled(caller, job).await?;
    let answer = answer(caller, &wanted, job, &transcription).await;
    answer.map_err(|refusal| refusal.of_job(job))
}

/// One of the two.
#[derive(ToSchema)]
#[schema(as = OpenAiTranscriptionAnswer)]
#[serde(untagged)]
#[expect(dead_code, reason = "described")]
enum Either {
    Verbose(Verbose),
    Json(Transcription),
}

async fn submit(caller: &Caller<'_>, form: Multipart) -> Result<(Wanted, Value), Refusal> {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let (sender, mut receiver) = mpsc::channel(IN_FLIGHT);
    let body = Body::from_stream(futures::stream::poll_fn(move |cx| receiver.poll_recv(cx)));
    let kind = format!("multipart/form-data; boundary={boundary}");
    let asked = async {
        let accept = "application/json";
        let asked = caller.ask(Method::POST, "/transcribe", Some(&kind), accept, body);
        let answer = whole(asked.await?).await?;
        serde_json::from_slice(&answer).map_err(|_| Refusal::broken())
    };
    let mut feeding = std::pin::pin!(form::feed(form, &boundary, sender));
    let mut asked = std::pin::pin!(asked);
    let (fed, submitted) = tokio::select! {
        // The client's own mistake comes before what was made of it.
        biased;
        fed = &mut feeding => (fed, asked.await),
        // Who is refused is not read any further.
        submitted = &mut asked => {
            let submitted: Value = submitted?;
            (feeding.await, Ok(submitted))
        }
    };
    match (fed, submitted) {
        (Err(Some(refusal)), _) | (_, Err(refusal)) => Err(refusal),
        (Ok(wanted), Ok(submitted)) => Ok((wanted, submitted)),
        (Err(None), Ok(_)) => Err(Refusal::broken()),
    }
}

/// The transcription, once it has ended well. The recording is taken by now: who is refused something that is
/// asked about it would send it again, and pay twice.
async fn settled(caller: &Caller<'_>, job: &str) -> Result<Value, Refusal> {
    let path = format!("/transcription/{job}");
    // Whether it has ended is asked afterwards: the events only say when to ask.
    let _ = tokio::time::timeout(PATIENCE, ended(caller, &path)).await;
    let transcription = caller.json(Method::GET, &path, None).await;
    let transcription = transcription.unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match transcription["status"].as_str() {
        Some("completed") => Ok(transcription),
        Some("failed") => Err(Refusal::NotTranscribed {
            code: text(&transcription["failure"]["code"]),
            message: text(&transcription["failure"]["error"]),
        }),
        _ => Err(Refusal::Pending {
            job: job.to_owned(),
        }),
    }
}

async fn ended(caller: &Caller<'_>, path: &str) -> Result<(), Refusal> {
    let path = format!("{path}/events");
    let accept = "text/event-stream";
    let answer = caller
        .ask(Method::GET, &path, None, accept, Body::empty())
        .await?;
    let mut events = answer.into_body().into_data_stream().eventsource();
    while let Some(Ok(event)) = events.next().await {
        if event.event != "processing" {
            break;
        }
    }
    Ok(())
}

async fn answer(
    caller: &Caller<'_>,
    wanted: &Wanted,
    job: &str,
    transcription: &Value,
) -> Result<Response, Refusal> {
    let text = transcription["transcript"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Ok(match wanted.format {
        Format::Json => axum::Json(Transcription { text }).into_response(),
        Format::Text => {
            let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            (kind, format!("{text}\n")).into_response()
        }
        Format::Srt => subtitles(caller, job, "srt").await?,
        Format::Vtt => subtitles(caller, job, "vtt").await?,
        Format::Verbose => {
            let segments = match wanted.segments() {
                true => Some(segments(caller, job, transcription).await?),
                false => None,
            };
            axum::Json(verbose(transcription, text, segments, wanted.words())).into_response()
        }
    })
}

async fn subtitles(caller: &Caller<'_>, job: &str, format: &str) -> Result<Response, Refusal> {
    let path = format!("/transcription/{job}/subtitles?format={format}");
    caller
        .ask(Method::GET, &path, None, "*/*", Body::empty())
        .await
}

fn seconds(ms: &Value) -> f64 {
    ms.as_f64().unwrap_or_default() / 1_000.0
}

fn verbose(
    transcription: &Value,
    text: String,
    segments: Option<Vec<Segment>>,
    wants_words: bool,
) -> Verbose {
    let words = transcription["words"].as_array().into_iter().flatten();
    let words = words.map(|word| Word {
        word: word["text"].as_str().unwrap_or_default().to_owned(),
        start: seconds(&word["start_ms"]),
        end: seconds(&word["end_ms"]),
    });
    let language = transcription["language_code"].as_str().unwrap_or_default();
    Verbose {
        task: "transcribe",
        language: language.to_owned(),
        duration: transcription["duration"].as_f64().unwrap_or_default(),
        text,
        segments,
        words: wants_words.then(|| words.collect()),
    }
}

/// As the subtitles have them; where the engine has no times, all of it as one.
async fn segments(
    caller: &Caller<'_>,
    job: &str,
    transcription: &Value,
) -> Result<Vec<Segment>, Refusal> {
    let has_times = transcription["words"]
        .as_array()
        .is_some_and(|words| !words.is_empty());
    let text = transcription["transcript"].as_str().unwrap_or_default();
    if has_times {
        let file = whole(subtitles(caller, job, "vtt").await?).await?;
        return Ok(cues(&String::from_utf8_lossy(&file)));
    }
    let all = Segment {
        id: 0,
        start: 0.0,
        end: transcription["duration"].as_f64().unwrap_or_default(),
        text: text.to_owned(),
    };
    Ok((!text.is_empty()).then_some(all).into_iter().collect())
}

/// The cues of a WebVTT file (<https://www.w3.org/TR/webvtt1/>) that is our own.
fn cues(file: &str) -> Vec<Segment> {
    let blocks = file.split("\n\n").filter_map(|block| {
        let (head, text) = block.split_once('\n')?;
        // A cue may have a name before its times.
        let (head, text) = match head.contains("-->") {
            true => (head, text),
            false => text.split_once('\n')?,
        };
        let (start, end) = head.split_once("-->")?;
        Some((moment(start)?, moment(end)?, text.trim().replace('\n', " ")))
    });
    let segments = blocks.enumerate().map(|(id, (start, end, text))| Segment {
        id,
        start,
        end,
        text,
    });
    segments.collect()
}

/// `00:01:02.500`, or without hours.
fn moment(text: &str) -> Option<f64> {
    let text = text.split_whitespace().next()?;
    text.split(':').try_fold(0.0, |sum, part| {
        Some(sum * 60.0 + part.parse::<f64>().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_of_subtitles_are_segments() {
        let file = "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nHello,\nyou.\n\n\
            2\n01:00:00.000 --> 01:00:01.250 line:0\nYes?\n";
        let segment = |id, start, end, text: &str| Segment {
            id,
            start,
            end,
            text: text.into(),
        };
        assert_eq!(
            cues(file),
            [
                segment(0, 0.5, 2.0, "Hello, you."),
                segment(1, 3_600.0, 3_601.25, "Yes?")
            ]
        );
        assert_eq!(cues("WEBVTT\n\n"), []);
    }
}
