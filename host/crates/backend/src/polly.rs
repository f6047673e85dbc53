//! Speech by Amazon Polly. <https://docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html>

mod known;

use std::sync::Arc;
use std::time::Duration;

use self::known::Known;
use crate::aws::{Aws, Failure, chain};
use crate::flite::OF_SSML;
use async_trait::async_trait;
use aws_sdk_polly::Client;
use aws_sdk_polly::config::Builder;
use aws_sdk_polly::config::http::HttpResponse;
use aws_sdk_polly::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_polly::operation::synthesize_speech::SynthesizeSpeechOutput;
use aws_sdk_polly::operation::synthesize_speech::builders::SynthesizeSpeechFluentBuilder;
use aws_sdk_polly::primitives::ByteStream;
use aws_sdk_polly::types::{self, OutputFormat, SpeechMarkType, TextType, VoiceId};
use capability::speech::{
    Audio, AudioStream, EngineKind, Error, Format, Gender, Input, Mark, MarkKind, Request, Speech,
    Voice,
};
use futures::{StreamExt, stream};
use serde::Deserialize;

/// How long nobody asks for the list of voices again.
const VOICES_LAST: Duration = Duration::from_secs(3_600);
/// Characters that one call speaks, without tags.
const MAX_BILLED: u32 = 3_000;
/// Characters that one call takes, with tags.
const MAX_TOTAL: usize = 6_000;
/// Of marks, which take about 80 bytes a word.
const MAX_MARKS: usize = 8 << 20;
const CODED_RATES: &[u32] = &[8_000, 16_000, 22_050, 24_000, 44_100, 48_000];
const PCM_RATES: &[u32] = &[8_000, 16_000];

/// Amazon Polly.
pub struct Polly {
    client: Client,
    voices: Known<Vec<Voice>>,
}

impl Polly {
    /// Asks nobody yet.
    pub fn new(aws: &Aws) -> Self {
        Self {
            client: Client::from_conf(
                Builder::from(&aws.sdk)
                    .interceptor(aws.calls.clone())
                    .build(),
            ),
            voices: Known::new(VOICES_LAST),
        }
    }

    /// Asks for the list of voices again after so long.
    pub fn listing_every(mut self, lasts: Duration) -> Self {
        self.voices = Known::new(lasts);
        self
    }

    async fn listed(&self) -> Result<Arc<Vec<Voice>>, Error> {
        self.voices.get(self.list()).await
    }

    async fn list(&self) -> Result<Vec<Voice>, Error> {
        let mut voices = vec![];
        let mut token = None;
        loop {
            let asked = self.client.describe_voices().set_next_token(token);
            let page = asked.send().await.map_err(|e| failed(&e))?;
            voices.extend(page.voices().iter().filter_map(voice));
            token = page.next_token;
            if token.is_none() {
                return Ok(voices);
            }
        }
    }

    /// The one asked for, or the voice's best.
    async fn engine(&self, request: &Request) -> Result<EngineKind, Error> {
        let voices = self.listed().await?;
        let voice = voices.iter().find(|voice| voice.id == request.voice);
        let voice = voice.ok_or_else(|| Error::Invalid("there is no such voice".into()))?;
        match request.engine {
            None => voice.engines.first().copied(),
            Some(engine) => voice.engines.contains(&engine).then_some(engine),
        }
        .ok_or_else(|| Error::Invalid("the voice does not have that engine".into()))
    }

    fn call(&self, request: &Request, engine: EngineKind) -> SynthesizeSpeechFluentBuilder {
        let (text, kind) = match &request.input {
            Input::Text(text) => (text, TextType::Text),
            Input::Ssml(ssml) => (ssml, TextType::Ssml),
        };
        self.client
            .synthesize_speech()
            .text(text)
            .text_type(kind)
            .voice_id(VoiceId::from(request.voice.as_str()))
            .set_engine(engine_name(engine))
    }
}

/// [`None`] for a voice of engines that are not known here.
fn voice(voice: &types::Voice) -> Option<Voice> {
    let mut engines: Vec<_> = voice.supported_engines().iter().filter_map(kind).collect();
    engines.sort_unstable();
    let id = voice.id()?.as_str().to_owned();
    (!engines.is_empty()).then(|| Voice {
        name: voice.name().unwrap_or(&id).to_owned(),
        language_code: voice
            .language_code()
            .map(|code| code.as_str().to_owned())
            .unwrap_or_default(),
        gender: match voice.gender() {
            Some(types::Gender::Female) => Gender::Female,
            Some(types::Gender::Male) => Gender::Male,
            _ => Gender::Neutral,
        },
        engines,
        id,
    })
}

fn kind(engine: &types::Engine) -> Option<EngineKind> {
    match engine {
        types::Engine::Generative => Some(EngineKind::Generative),
        types::Engine::LongForm => Some(EngineKind::LongForm),
        types::Engine::Neural => Some(EngineKind::Neural),
        types::Engine::Standard => Some(EngineKind::Standard),
        _ => None,
    }
}

/// [`None`] for what is not Polly's, which no voice of Polly's has.
fn engine_name(engine: EngineKind) -> Option<types::Engine> {
    match engine {
        EngineKind::Generative => Some(types::Engine::Generative),
        EngineKind::LongForm => Some(types::Engine::LongForm),
        EngineKind::Neural => Some(types::Engine::Neural),
        EngineKind::Standard => Some(types::Engine::Standard),
        EngineKind::Local => None,
    }
}

/// The one asked for where Polly has it, or Polly's default.
fn rate(request: &Request, engine: EngineKind) -> Result<u32, Error> {
    let (rates, default) = match (request.format, engine) {
        (Format::Pcm, _) => (PCM_RATES, 16_000),
        (_, EngineKind::Standard) => (CODED_RATES, 22_050),
        _ => (CODED_RATES, 24_000),
    };
    let rate = request.sample_rate.unwrap_or(default);
    if rates.contains(&rate) {
        return Ok(rate);
    }
    Err(Error::UnsupportedSampleRate {
        rates: rates.to_vec(),
    })
}

fn check_length(input: &Input) -> Result<(), Error> {
    let too_long = |limit| Err(Error::TooLong { limit });
    match (input, input.as_str().chars().count()) {
        (Input::Text(_), length) if length > MAX_BILLED as usize => too_long(MAX_BILLED),
        (Input::Ssml(_), length) if length > MAX_TOTAL => too_long(MAX_TOTAL as u32),
        _ => Ok(()),
    }
}

fn audio_stream(body: ByteStream) -> AudioStream {
    let chunks = stream::try_unfold(body, |mut body| async move {
        match body.next().await {
            None => Ok(None),
            Some(Ok(chunk)) => Ok(Some((chunk, body))),
            Some(Err(e)) => Err(Error::Unavailable(chain(&e))),
        }
    });
    chunks.boxed()
}

#[async_trait]
impl Speech for Polly {
    async fn voices(&self, language_code: Option<&str>) -> Result<Vec<Voice>, Error> {
        let voices = self.listed().await?;
        let fits = |voice: &&Voice| language_code.is_none_or(|code| voice.language_code == code);
        Ok(voices.iter().filter(fits).cloned().collect())
    }

    async fn synthesize(&self, request: &Request) -> Result<Audio, Error> {
        check_length(&request.input)?;
        let engine = self.engine(request).await?;
        let sample_rate = rate(request, engine)?;
        let format = match request.format {
            Format::Mp3 => OutputFormat::Mp3,
            Format::OggVorbis => OutputFormat::OggVorbis,
            Format::Pcm => OutputFormat::Pcm,
        };
        let call = self.call(request, engine).output_format(format);
        let spoken = call.sample_rate(sample_rate.to_string()).send().await;
        let SynthesizeSpeechOutput {
            audio_stream: body,
            request_characters,
            ..
        } = spoken.map_err(|e| failed(&e))?;
        Ok(Audio {
            engine,
            format: request.format,
            sample_rate,
            billed_characters: u32::try_from(request_characters).unwrap_or(0),
            data: audio_stream(body),
        })
    }

    /// The generative engine has none, so a request without an engine has none either where that is
    /// the voice's best: marks of another engine's reading would not fit the audio.
    async fn marks(&self, request: &Request, kinds: &[MarkKind]) -> Result<Vec<Mark>, Error> {
        check_length(&request.input)?;
        let engine = self.engine(request).await?;
        if engine == EngineKind::Generative {
            let why = "the generative engine does not tell when it says what";
            return Err(Error::Invalid(why.into()));
        }
        if kinds.is_empty() {
            return Ok(vec![]);
        }
        let kinds = kinds.iter().map(|kind| match kind {
            MarkKind::Sentence => SpeechMarkType::Sentence,
            MarkKind::Word => SpeechMarkType::Word,
        });
        let call = self.call(request, engine).output_format(OutputFormat::Json);
        let call = call.set_speech_mark_types(Some(kinds.collect()));
        let told = call.send().await.map_err(|e| failed(&e))?;
        parse(&read(audio_stream(told.audio_stream)).await?)
    }
}

async fn read(mut data: AudioStream) -> Result<Vec<u8>, Error> {
    let mut whole = vec![];
    while let Some(chunk) = data.next().await {
        whole.extend_from_slice(&chunk?);
        if whole.len() > MAX_MARKS {
            return Err(Error::Unavailable("too many speech marks".into()));
        }
    }
    Ok(whole)
}

#[derive(Deserialize)]
struct Line {
    time: u32,
    #[serde(rename = "type")]
    kind: String,
    /// Visemes have none.
    #[serde(default)]
    start: u32,
    #[serde(default)]
    end: u32,
    value: String,
}

/// One JSON object a line.
fn parse(lines: &[u8]) -> Result<Vec<Mark>, Error> {
    let lines = serde_json::Deserializer::from_slice(lines).into_iter::<Line>();
    let marks = lines.filter_map(|line| line.map(mark).transpose());
    let unreadable = |_| Error::Unavailable("Polly's speech marks cannot be read".into());
    marks.collect::<Result<_, _>>().map_err(unreadable)
}

fn mark(line: Line) -> Option<Mark> {
    let kind = match line.kind.as_str() {
        "sentence" => MarkKind::Sentence,
        "word" => MarkKind::Word,
        _ => return None,
    };
    Some(Mark {
        kind,
        at_ms: line.time,
        start: line.start,
        end: line.end,
        value: line.value,
    })
}

fn failed<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    Failure::of(error).into()
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Timeout,
            Failure::Unreachable(why) => Self::Unavailable(why),
            Failure::NoCredentials(why) | Failure::Refused(why) => Self::AccessDenied(why),
            Failure::Throttled => Self::QuotaExceeded,
            Failure::Service { code, .. } if code == "TextLengthExceededException" => {
                Self::TooLong { limit: MAX_BILLED }
            }
            Failure::Service {
                status: 500..,
                code,
                ..
            } => Self::Unavailable(code),
            Failure::Service { code, message, .. } if code == "InvalidSsmlException" => {
                Self::Invalid(format!("{OF_SSML}{message}"))
            }
            Failure::Service { message, .. } => Self::Invalid(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_other_kinds_are_left_out_and_rubbish_is_told() {
        let lines = b"{\"time\":0,\"type\":\"viseme\",\"value\":\"p\"}\n\
                      {\"time\":6,\"type\":\"word\",\"start\":0,\"end\":3,\"value\":\"Mary\"}\n";
        let marks = parse(lines).unwrap();
        assert_eq!((marks.len(), marks[0].at_ms), (1, 6));
        assert!(matches!(parse(b"<html>"), Err(Error::Unavailable(_))));
        assert_eq!(parse(b""), Ok(vec![]));
    }

    #[test]
    fn rates_are_those_of_the_format() {
        let mut request = Request {
            input: Input::Text("a".into()),
            voice: "Joanna".into(),
            engine: None,
            format: Format::Pcm,
            sample_rate: None,
        };
        assert_eq!(rate(&request, EngineKind::Neural), Ok(16_000));
        request.sample_rate = Some(24_000);
        let refused = rate(&request, EngineKind::Neural);
        let rates = vec![8_000, 16_000];
        assert_eq!(refused, Err(Error::UnsupportedSampleRate { rates }));
        request.format = Format::Mp3;
        assert_eq!(rate(&request, EngineKind::Neural), Ok(24_000));
        request.sample_rate = None;
        assert_eq!(rate(&request, EngineKind::Standard), Ok(22_050));
    }
}
