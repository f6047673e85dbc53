//! Polly: `SynthesizeSpeech` and `DescribeVoices`.
//! <https://docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html>

mod audio;
mod marks;
mod ssml;
mod voices;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Deserialize;
use serde_json::json;

use crate::refusal::Refusal;
use crate::{World, serve};
use ssml::Run;
use voices::{VOICES, Voice};

/// Characters that are paid for.
const MAX_BILLED: usize = 3_000;
/// Characters with tags.
const MAX_TOTAL: usize = 6_000;
/// Milliseconds: "The output audio stream (synthesis) is limited to 10 minutes. After this is reached, any
/// remaining speech is cut off."
const MAX_SPOKEN: usize = 600_000;
/// Voices in one answer, so that a client must ask again.
const VOICES_A_PAGE: usize = 15;
/// What is sent at once.
const CHUNK: usize = 8 << 10;

const MP3_RATES: &[u32] = &[8_000, 16_000, 22_050, 24_000, 44_100, 48_000];
const PCM_RATES: &[u32] = &[8_000, 16_000];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    text: String,
    voice_id: String,
    output_format: String,
    #[serde(default = "standard")]
    engine: String,
    text_type: Option<String>,
    sample_rate: Option<String>,
    #[serde(default)]
    speech_mark_types: Vec<String>,
    #[serde(default)]
    lexicon_names: Vec<String>,
}

fn standard() -> String {
    "standard".into()
}

fn invalid_member(value: &str, member: &str, set: &str) -> Refusal {
    Refusal::caller(
        "ValidationException",
        format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy \
             constraint: Member must satisfy enum value set: [{set}]"
        ),
    )
}

impl Request {
    fn voice(&self) -> Result<&'static Voice, Refusal> {
        let voice = VOICES.iter().find(|voice| voice.id == self.voice_id);
        let voice = voice.ok_or_else(|| {
            let ids: Vec<_> = VOICES.iter().map(|voice| voice.id).collect();
            invalid_member(&self.voice_id, "voiceId", &ids.join(", "))
        })?;
        let known = ["generative", "long-form", "neural", "standard"];
        if !known.contains(&self.engine.as_str()) {
            return Err(invalid_member(&self.engine, "engine", &known.join(", ")));
        }
        if !voice.engines.contains(&self.engine.as_str()) {
            let message = format!(
                "This voice does not support the selected engine: {}",
                self.engine
            );
            return Err(Refusal::caller("EngineNotSupportedException", message));
        }
        Ok(voice)
    }

    /// Hertz, where the format has any.
    fn rate(&self) -> Result<u32, Refusal> {
        let best = if self.engine == "standard" {
            22_050
        } else {
            24_000
        };
        let (rates, default) = match self.output_format.as_str() {
            "mp3" | "ogg_vorbis" => (MP3_RATES, best),
            "pcm" => (PCM_RATES, 16_000),
            "json" => return Ok(best),
            other => {
                let set = "mp3, ogg_vorbis, pcm, json";
                return Err(invalid_member(other, "outputFormat", set));
            }
        };
        let asked = match &self.sample_rate {
            None => Some(default),
            Some(rate) => rate.parse().ok(),
        };
        asked
            .filter(|rate| rates.contains(rate))
            .ok_or_else(|| Refusal::caller("InvalidSampleRateException", "Invalid sample rate"))
    }

    fn runs(&self) -> Result<Vec<Run<'_>>, Refusal> {
        if self.text_type.as_deref() == Some("ssml") {
            return ssml::runs(&self.text, &self.engine);
        }
        Ok(vec![Run {
            start: 0,
            text: &self.text,
            slowness: 1.0,
            pause: 0,
        }])
    }

    fn check_marks(&self) -> Result<(), Refusal> {
        let wants_json = self.output_format == "json";
        if wants_json == self.speech_mark_types.is_empty() {
            let message = "Speech marks are only supported for json output format";
            let code = "MarksNotSupportedForFormatException";
            return Err(Refusal::caller(code, message));
        }
        let of_ssml = self.speech_mark_types.iter().any(|kind| kind == "ssml");
        if of_ssml && self.text_type.as_deref() != Some("ssml") {
            let code = "SsmlMarksNotSupportedForTextTypeException";
            return Err(Refusal::caller(code, "SSML marks need SSML"));
        }
        // Speech marks "are available when using neural, long-form, or standard" engines.
        if wants_json && self.engine == "generative" {
            let message = "Speech marks are not supported for the generative engine";
            return Err(Refusal::caller("EngineNotSupportedException", message));
        }
        Ok(())
    }
}

/// `POST /v1/speech`.
pub(crate) fn speak(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let request: Request = serve::parsed(body)?;
    request.voice()?;
    let rate = request.rate()?;
    if !request.lexicon_names.is_empty() {
        return Err(Refusal::not_found("LexiconNotFoundException", "No lexicon"));
    }
    request.check_marks()?;
    let runs = request.runs()?;
    let billed: usize = runs.iter().map(|run| run.text.chars().count()).sum();
    if billed > MAX_BILLED || request.text.chars().count() > MAX_TOTAL {
        let message = "Maximum text length has been exceeded";
        return Err(Refusal::caller("TextLengthExceededException", message));
    }
    let voice = world.knobs.settings().voice;
    let takes: usize = runs.iter().map(|run| run.milliseconds(voice)).sum();
    let milliseconds = takes.min(MAX_SPOKEN);
    let (kind, bytes) = match request.output_format.as_str() {
        "mp3" => ("audio/mpeg", audio::mp3(milliseconds, rate)),
        "ogg_vorbis" => ("audio/ogg", audio::ogg(milliseconds, rate)),
        "pcm" => ("audio/pcm", audio::pcm(milliseconds, rate)),
        _ => (
            "application/x-json-stream",
            marks::lines(&runs, &request.speech_mark_types, voice),
        ),
    };
    Ok(streamed(kind, billed, bytes))
}

/// In chunks, as Polly's own.
fn streamed(kind: &'static str, billed: usize, bytes: Vec<u8>) -> Response {
    let chunks: Vec<_> = bytes
        .chunks(CHUNK)
        .map(|chunk| Ok::<_, std::convert::Infallible>(chunk.to_vec()))
        .collect();
    let headers = [
        (header::CONTENT_TYPE.as_str(), kind.to_owned()),
        ("x-amzn-requestcharacters", billed.to_string()),
    ];
    let body = Body::from_stream(futures::stream::iter(chunks));
    (headers, body).into_response()
}

/// `GET /v1/voices`.
pub(crate) fn voices(query: &str) -> Result<Response, Refusal> {
    let asked = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    };
    let from = match asked("NextToken") {
        None => 0,
        Some(token) => token
            .parse()
            .map_err(|_| Refusal::caller("InvalidNextTokenException", "Invalid NextToken"))?,
    };
    let fits = |voice: &&Voice| {
        asked("LanguageCode").is_none_or(|code| voice.language == code)
            && asked("Engine").is_none_or(|engine| voice.engines.contains(&engine))
    };
    let all: Vec<_> = VOICES.iter().filter(fits).collect();
    let page: Vec<_> = all.iter().skip(from).take(VOICES_A_PAGE).collect();
    let until = from + page.len();
    let next = (until < all.len()).then(|| until.to_string());
    let page: Vec<_> = page.iter().map(|voice| voice.json()).collect();
    Ok(serve::json(&json!({"Voices": page, "NextToken": next})))
}
