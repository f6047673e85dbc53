//! `/v1/audio/speech`, and what there is to speak with.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::problem::{OpenAiError, Refusal};
use super::{Caller, parsed};

/// OpenAI's voices, by voices that Polly has, or a local voice stands in for.
const VOICES: [(&str, &str); 13] = [
    ("alloy", "Joanna"),
    ("ash", "Matthew"),
    ("ballad", "Brian"),
    ("cedar", "Matthew"),
    ("coral", "Salli"),
    ("echo", "Joey"),
    ("fable", "Amy"),
    ("marin", "Joanna"),
    ("nova", "Kendra"),
    ("onyx", "Matthew"),
    ("sage", "Kimberly"),
    ("shimmer", "Emma"),
    ("verse", "Joey"),
];
/// Polly's slowest and fastest, as parts of its usual speed.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.25..=2.0;
/// Hertz of the samples that `pcm` is made of; the most that both engines give as samples.
const RATE: u32 = 16_000;
/// Bytes before the samples (`tts`'s WAV has no other chunks).
const WAV_HEADER: usize = 44;

/// What is said, and by whom. Unknown members are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = OpenAiSpeech)]
pub(in crate::gateway) struct Speech {
    /// Any: there is one engine.
    #[expect(dead_code, reason = "clients must say one")]
    model: Option<String>,
    /// 1 to 100,000 characters.
    #[schema(min_length = 1)]
    input: String,
    /// One of OpenAI's, or as `GET /v1/audio/voices` lists them; `alloy` when absent.
    voice: Option<Voice>,
    /// `mp3` when absent. `pcm` is 24 kHz, 16 bits, one channel.
    #[schema(pattern = "^(mp3|wav|ogg|pcm)$")]
    response_format: Option<String>,
    /// 1 when absent; 0.25 to 2 where Polly speaks.
    speed: Option<f64>,
    /// `audio`.
    #[schema(pattern = "^audio$")]
    stream_format: Option<String>,
    /// Whose it is, in development mode.
    user: Option<String>,
}

/// A name, or an object with an `id`.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = OpenAiVoiceChoice)]
enum Voice {
    Name(String),
    Object { id: String },
}

/// Speaks a text.
///
/// The answer is the audio itself, while it is spoken.
#[utoipa::path(
    post,
    path = "/v1/audio/speech",
    operation_id = "openai_speech",
    tag = "openai",
    request_body(content = Speech),
    responses(
        (status = 200, description = "The audio", content(
            (Binary = "audio/mpeg"), (Binary = "audio/wav"), (Binary = "audio/ogg"), (Binary = "audio/pcm"),
        )),
        (status = 422, description = "`NOTHING_TO_SAY`", body = OpenAiError),
        (status = 502, description = "`UPSTREAM_ERROR`", body = OpenAiError),
    ),
)]
pub(in crate::gateway) async fn speak(
    caller: &Caller<'_>,
    request: Request,
) -> Result<Response, Refusal> {
    let wanted: Speech = parsed(caller, request).await?;
    let format = wanted.format()?;
    let order = wanted.order(caller, format)?;
    let accept = match format {
        Format::Mp3 => "audio/mpeg",
        Format::Ogg => "audio/ogg",
        Format::Wav | Format::Pcm => "audio/wav",
    };
    let body = Body::from(order.to_string());
    let kind = Some("application/json");
    let answer = caller
        .ask(Method::POST, "/synthesize", kind, accept, body)
        .await?;
    Ok(match format {
        Format::Pcm => bare(answer),
        _ => answer,
    })
}

/// Bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "described")]
struct Binary(Vec<u8>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Mp3,
    Ogg,
    Wav,
    Pcm,
}

impl Speech {
    fn format(&self) -> Result<Format, Refusal> {
        if self
            .stream_format
            .as_deref()
            .is_some_and(|how| how != "audio")
        {
            let why = "`stream_format` is `audio`: the audio is sent while it is spoken";
            return Err(Refusal::invalid(Some("stream_format"), why));
        }
        Ok(match self.response_format.as_deref() {
            None | Some("mp3") => Format::Mp3,
            Some("ogg") => Format::Ogg,
            Some("wav") => Format::Wav,
            Some("pcm") => Format::Pcm,
            Some(_) => {
                let why = "`response_format` is `mp3`, `wav`, `ogg` or `pcm`";
                return Err(Refusal::invalid(Some("response_format"), why));
            }
        })
    }

    /// As `POST /synthesize` wants it.
    fn order(&self, caller: &Caller<'_>, format: Format) -> Result<Value, Refusal> {
        let mut order = json!({
            "text": self.input,
            "voice_id": self.voice(),
            "output_format": match format {
                Format::Mp3 => "mp3",
                Format::Ogg => "ogg",
                Format::Wav | Format::Pcm => "wav",
            },
        });
        if let Some(user) = caller.user(self.user.as_deref()) {
            order["user_id"] = json!(user);
        }
        if format == Format::Pcm {
            order["sample_rate"] = json!(RATE);
        }
        if let Some(speed) = self.speed.filter(|speed| *speed != 1.0) {
            if !caller.gateway.platform.has_speeds() {
                let why = "the host's own voice has one speed: 1";
                return Err(Refusal::invalid(Some("speed"), why));
            }
            if !SPEEDS.contains(&speed) {
                let why = "`speed` is from 0.25 to 2";
                return Err(Refusal::invalid(Some("speed"), why));
            }
            let percent = (speed * 100.0).round();
            let text = escaped(&self.input);
            order["text"] = json!(format!(
                "<speak><prosody rate=\"{percent}%\">{text}</prosody></speak>"
            ));
            order["text_type"] = json!("ssml");
        }
        Ok(order)
    }

    /// One of OpenAI's is always the same of ours.
    fn voice(&self) -> &str {
        let name = match &self.voice {
            None => "alloy",
            Some(Voice::Name(name) | Voice::Object { id: name }) => name,
        };
        let known = VOICES.iter().find(|(openai, _)| *openai == name);
        known.map_or(name, |(_, ours)| ours)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The samples alone, at the rate that OpenAI's clients play them: 24 kHz.
fn bare(answer: Response) -> Response {
    let mut resampler = Resampler::default();
    let samples = answer.into_body().into_data_stream();
    let samples = samples.map(Some).chain(futures::stream::iter([None]));
    let body = samples.map(move |chunk| match chunk {
        Some(chunk) => chunk.map(|chunk| resampler.push(&chunk)),
        None => Ok(resampler.end()),
    });
    let kind = HeaderValue::from_static("audio/pcm");
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
}

/// From WAV at 16 kHz to samples at 24 kHz: of two samples three, on the lines between them.
#[derive(Default)]
struct Resampler {
    /// Bytes of the header that have come.
    header: usize,
    left: BytesMut,
    /// The last sample that is used up; none before the first.
    last: Option<i32>,
}

impl Resampler {
    fn push(&mut self, chunk: &[u8]) -> Bytes {
        let skipped = (WAV_HEADER - self.header).min(chunk.len());
        self.header += skipped;
        self.left.extend_from_slice(&chunk[skipped..]);
        let mut out = Vec::with_capacity(self.left.len() * 3 / 2 + 6);
        if self.last.is_none() && self.left.len() >= 2 {
            self.last = Some(sample(&self.left.split_to(2)));
        }
        while let Some(a) = self.last.filter(|_| self.left.len() >= 4) {
            let pair = self.left.split_to(4);
            let (b, c) = (sample(&pair[..2]), sample(&pair[2..]));
            for value in [a, (a + 2 * b) / 3, (2 * b + c) / 3] {
                // Between two samples of 16 bits.
                out.extend_from_slice(&(value as i16).to_le_bytes());
            }
            self.last = Some(c);
        }
        out.into()
    }

    /// What is left: a sample, or two.
    fn end(&mut self) -> Bytes {
        let mut out = Vec::new();
        if let Some(last) = self.last.take() {
            out.extend_from_slice(&(last as i16).to_le_bytes());
            out.extend_from_slice(self.left.get(..2).unwrap_or_default());
        }
        out.into()
    }
}

fn sample(bytes: &[u8]) -> i32 {
    let bytes = bytes.first_chunk().copied().unwrap_or_default();
    i16::from_le_bytes(bytes).into()
}

/// The voices that there are, OpenAI's names for some among them.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiVoices)]
pub(in crate::gateway) struct Voices {
    voices: Vec<Named>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiVoice)]
struct Named {
    id: String,
    name: String,
}

/// The voices that there are.
///
/// OpenAI's names among them, which stand for some of ours.
#[utoipa::path(
    get,
    path = "/v1/audio/voices",
    operation_id = "openai_voices",
    tag = "openai",
    responses(
        (status = 200, description = "The voices", body = Voices),
        (status = 502, description = "`UPSTREAM_ERROR`", body = OpenAiError),
    ),
)]
pub(in crate::gateway) async fn voices(caller: &Caller<'_>) -> Result<Response, Refusal> {
    let ours = caller.json(Method::GET, "/voices", None).await?;
    let text = |voice: &Value, member: &str| voice[member].as_str().unwrap_or_default().to_owned();
    let ours = ours["voices"].as_array().into_iter().flatten();
    let ours = ours.map(|voice| Named {
        id: text(voice, "id"),
        name: text(voice, "name"),
    });
    let openai = VOICES.iter().map(|(name, _)| Named {
        id: (*name).to_owned(),
        name: (*name).to_owned(),
    });
    let voices = openai.chain(ours).collect();
    Ok(axum::Json(Voices { voices }).into_response())
}

/// What clients choose speech and transcription by.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiAudioModels)]
pub(in crate::gateway) struct AudioModels {
    models: Vec<AudioModel>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiAudioModel)]
struct AudioModel {
    id: &'static str,
}

/// What clients choose speech and transcription by: any will do.
#[utoipa::path(
    get,
    path = "/v1/audio/models",
    operation_id = "openai_audio_models",
    tag = "openai",
    responses((status = 200, description = "The models", body = AudioModels)),
)]
pub(in crate::gateway) fn models() -> Response {
    let models = ["lectern-tts", "lectern-stt"].map(|id| AudioModel { id });
    axum::Json(AudioModels {
        models: models.into(),
    })
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resampled(samples: &[i16], cut: usize) -> Vec<i16> {
        let mut wav = vec![7; WAV_HEADER];
        wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        let mut resampler = Resampler::default();
        let mut out: Vec<u8> = wav
            .chunks(cut)
            .flat_map(|chunk| resampler.push(chunk))
            .collect();
        out.extend(resampler.end());
        out.chunks(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect()
    }

    #[test]
    fn samples_are_half_as_many_more_however_they_come() {
        let line: Vec<i16> = (0..301).map(|at| at * 30).collect();
        let whole = resampled(&line, 4_096);
        assert_eq!(whole.len(), 451);
        for (at, sample) in whole.iter().enumerate() {
            assert_eq!(i32::from(*sample), at as i32 * 20, "{at}");
        }
        for cut in [1, 2, 3, 7, 45] {
            assert_eq!(resampled(&line, cut), whole, "{cut}");
        }
    }

    #[test]
    fn the_loudest_samples_stay_within_16_bits() {
        let loud = [i16::MAX, i16::MIN, i16::MAX, i16::MAX, i16::MIN, i16::MIN];
        let out = resampled(&loud, 5);
        assert_eq!((out[0], out.len()), (i16::MAX, 8));
        assert!(resampled(&[], 5).is_empty());
        assert_eq!(resampled(&[5], 5), [5]);
    }
}
