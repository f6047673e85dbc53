//! `POST /synthesize` and `audio.generation.requested`: what they say, checked.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::chunk::{self, Unit};
use crate::format::Format;
use crate::marks;
use crate::refusal::Refusal;
use crate::ssml;
use crate::voice::{Engine, Wish};

/// Characters that are spoken, at most: what Polly takes as one task.
pub const MAX_SPOKEN: usize = 100_000;
/// Characters with tags.
const MAX_TOTAL: usize = 200_000;
/// Of a voice's, an engine's or a language's name, in bytes.
const MAX_NAME: usize = 64;
/// Hertz that the host asks an engine for; which of them a voice has, the engine says.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=192_000;

/// What is said, and how. Unknown members are ignored.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct Synthesize {
    /// What is said: 100,000 characters at most, without tags; more is a 413.
    #[schema(min_length = 1)]
    pub text: String,
    /// `text`, or `ssml`; the first when absent.
    #[schema(pattern = "^(text|ssml)$")]
    pub text_type: Option<String>,
    /// As `GET /voices` lists them.
    #[schema(min_length = 1, max_length = 64)]
    pub voice_id: Option<String>,
    /// BCP 47, as in `en-US`.
    #[schema(min_length = 1, max_length = 64)]
    pub language_code: Option<String>,
    /// `mp3`, `ogg` or `wav`; `mp3` when absent.
    #[schema(pattern = "^(mp3|ogg|ogg_vorbis|wav)$")]
    pub output_format: Option<String>,
    /// `generative`, `long-form`, `neural`, `standard` or `local`; the voice's best when absent.
    #[schema(pattern = "^(generative|long-form|neural|standard|local)$")]
    pub engine: Option<String>,
    /// Hertz; the engine's own when absent. A number, or Polly's string.
    #[schema(value_type = Option<SampleRate>)]
    pub sample_rate: Option<Value>,
    /// `sentence`, `word`, or both, to be answered with the audio.
    #[serde(default)]
    #[schema(required = false)]
    pub speech_marks: Vec<String>,
    /// Whose; the token's subject when absent.
    pub user_id: Option<String>,
}

/// A number, or Polly's string of one.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "described, and read by `rate`")]
enum SampleRate {
    Number(u32),
    Text(String),
}

/// A request that can be spoken, if there is a voice for it.
#[derive(Clone, Debug)]
pub struct Order {
    /// What is said.
    pub text: String,
    /// Whether it has tags.
    pub is_ssml: bool,
    /// What is never cut of it.
    pub units: Vec<Unit>,
    /// Who is to say it.
    pub voice: Option<String>,
    /// In what language.
    pub language: Option<String>,
    /// With what.
    pub engine: Option<Engine>,
    /// How it is coded.
    pub format: Format,
    /// Hertz.
    pub rate: Option<u32>,
    /// Which marks are wanted with it.
    pub marks: Vec<marks::Kind>,
}

impl Order {
    /// What it says of the voice.
    pub fn wish(&self) -> Wish<'_> {
        Wish {
            voice: self.voice.as_deref(),
            language: self.language.as_deref(),
            engine: self.engine,
        }
    }

    /// `ssml` or `text`.
    pub fn text_type(&self) -> &'static str {
        if self.is_ssml { "ssml" } else { "text" }
    }
}

impl Synthesize {
    /// The request, where it can be spoken.
    pub fn check(self) -> Result<Order, Refusal> {
        let format = match self.output_format.as_deref() {
            None => Format::Mp3,
            Some(name) => Format::parse(name).ok_or_else(|| {
                let why = "`output_format` is `mp3`, `ogg` or `wav`";
                Refusal::new("UNSUPPORTED_FORMAT", why)
            })?,
        };
        let engine = self.engine.as_deref().map(|name| {
            let why = "`engine` is `generative`, `long-form`, `neural`, `standard` or `local`";
            Engine::parse(name).ok_or_else(|| Refusal::new("UNSUPPORTED_ENGINE", why))
        });
        let is_ssml = match self.text_type.as_deref() {
            None | Some("text") => false,
            Some("ssml") => true,
            Some(_) => return Err(Refusal::invalid("`text_type` is `text` or `ssml`")),
        };
        Ok(Order {
            voice: name(self.voice_id, "voice_id")?,
            language: name(self.language_code, "language_code")?,
            engine: engine.transpose()?,
            rate: rate(self.sample_rate.as_ref())?,
            marks: kinds(&self.speech_marks)?,
            units: units(&self.text, is_ssml)?,
            text: self.text,
            is_ssml,
            format,
        })
    }
}

fn name(name: Option<String>, member: &str) -> Result<Option<String>, Refusal> {
    match name {
        Some(name)
            if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) =>
        {
            let why = format!("`{member}` has 1 to {MAX_NAME} bytes without control characters");
            Err(Refusal::invalid(why))
        }
        name => Ok(name),
    }
}

fn rate(rate: Option<&Value>) -> Result<Option<u32>, Refusal> {
    let parsed = match rate {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(digits)) => digits.parse().ok(),
        Some(number) => number.as_u64().and_then(|rate| u32::try_from(rate).ok()),
    };
    let why = "`sample_rate` is a number of hertz from 1000 to 192000";
    let rate = parsed.filter(|rate| RATES.contains(rate));
    rate.map(Some)
        .ok_or_else(|| Refusal::new("UNSUPPORTED_SAMPLE_RATE", why))
}

/// The kinds of marks by their names, each once.
pub fn kinds(names: &[impl AsRef<str>]) -> Result<Vec<marks::Kind>, Refusal> {
    let parsed = names.iter().map(|name| marks::Kind::parse(name.as_ref()));
    let mut kinds = parsed
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Refusal::invalid("`speech_marks` are `sentence` and `word`"))?;
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

/// The text's units, where it is one that can be spoken.
pub fn units(text: &str, is_ssml: bool) -> Result<Vec<Unit>, Refusal> {
    let too_long = |most| Refusal::too_long(format!("`text` has {most} characters at most"));
    let length = text.chars().count();
    if length > MAX_TOTAL {
        return Err(too_long(MAX_SPOKEN));
    }
    let (units, spoken) = match is_ssml {
        false => (chunk::text(text), length),
        true => {
            let read = ssml::read(text).map_err(|why| Refusal::new("INVALID_SSML", why))?;
            (read.units, read.spoken)
        }
    };
    if spoken > MAX_SPOKEN {
        return Err(too_long(MAX_SPOKEN));
    }
    let says = |of: fn(char) -> bool| {
        let mut spoken = units.iter().filter(|unit| unit.spoken > 0);
        spoken.any(|unit| {
            text.get(unit.source.clone())
                .is_some_and(|t| t.contains(of))
        })
    };
    if !says(|c| !c.is_whitespace()) {
        return Err(Refusal::invalid("`text` says nothing"));
    }
    // What is left a voice may say or not: that is known to its engine.
    match says(|c| !is_pause(c)) {
        true => Ok(units),
        false => Err(Refusal::nothing_to_say()),
    }
}

/// What no voice makes more of than a pause: punctuation, and what cannot be seen. Signs such as `%` have
/// names.
fn is_pause(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || ".,;:!?'\"()[]{}-`\u{A1}\u{AB}\u{AD}\u{B7}\u{BB}\u{BF}\u{FEFF}".contains(c)
        || matches!(c, '\u{2000}'..='\u{206F}' | '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{301F}')
        || matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{FF01}' | '\u{FF08}'..='\u{FF09}' | '\u{FF0C}'..='\u{FF0E}')
        || matches!(c, '\u{FF1A}'..='\u{FF1B}' | '\u{FF1F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(body: &str) -> Result<Order, &'static str> {
        let request: Synthesize = serde_json::from_str(body).unwrap();
        request.check().map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_contract_s_example_is_fine() {
        let order = checked(
            r#"{"text":"Hello, this is a test.","voice_id":"Joanna","language_code":"en-US",
                "output_format":"mp3","user_id":"user-123"}"#,
        )
        .unwrap();
        assert_eq!(order.wish().voice, Some("Joanna"));
        assert_eq!(
            (order.format, order.rate, order.is_ssml),
            (Format::Mp3, None, false)
        );
        let order = checked(
            r#"{"text":"<speak>Hi</speak>","text_type":"ssml","output_format":"wav","sample_rate":"8000",
                "engine":"neural","speech_marks":["word","sentence","word"]}"#,
        )
        .unwrap();
        assert_eq!(
            (order.rate, order.engine),
            (Some(8_000), Some(Engine::Neural))
        );
        assert_eq!(order.marks, [marks::Kind::Sentence, marks::Kind::Word]);
    }

    #[test]
    fn what_cannot_be_spoken_is_refused_by_its_code() {
        for (body, code) in [
            (r#"{"text":""}"#, "VALIDATION_ERROR"),
            (r#"{"text":" \n\t"}"#, "VALIDATION_ERROR"),
            (r#"{"text":"a","text_type":"html"}"#, "VALIDATION_ERROR"),
            (r#"{"text":"a","voice_id":""}"#, "VALIDATION_ERROR"),
            (
                r#"{"text":"a","speech_marks":["viseme"]}"#,
                "VALIDATION_ERROR",
            ),
            (
                r#"{"text":"a","output_format":"aac"}"#,
                "UNSUPPORTED_FORMAT",
            ),
            (
                r#"{"text":"a","output_format":"opus"}"#,
                "UNSUPPORTED_FORMAT",
            ),
            (r#"{"text":"a","engine":"magic"}"#, "UNSUPPORTED_ENGINE"),
            (r#"{"text":"... -- !?"}"#, "NOTHING_TO_SAY"),
            (r#"{"text":"。！「」"}"#, "NOTHING_TO_SAY"),
            (
                r#"{"text":"<speak>…</speak>","text_type":"ssml"}"#,
                "NOTHING_TO_SAY",
            ),
            (
                r#"{"text":"a","sample_rate":999}"#,
                "UNSUPPORTED_SAMPLE_RATE",
            ),
            (
                r#"{"text":"a","sample_rate":-1}"#,
                "UNSUPPORTED_SAMPLE_RATE",
            ),
            (
                r#"{"text":"a","sample_rate":{}}"#,
                "UNSUPPORTED_SAMPLE_RATE",
            ),
            (r#"{"text":"<speak>","text_type":"ssml"}"#, "INVALID_SSML"),
            (
                r#"{"text":"<speak> <break/></speak>","text_type":"ssml"}"#,
                "VALIDATION_ERROR",
            ),
        ] {
            assert_eq!(checked(body).err(), Some(code), "{body}");
        }
        let long = |text: String| checked(&serde_json::json!({ "text": text }).to_string()).err();
        assert_eq!(long("a ".repeat(50_000)), None);
        assert_eq!(long("a ".repeat(50_001)), Some("TEXT_TOO_LONG"));
        assert_eq!(long("a".repeat(200_001)), Some("TEXT_TOO_LONG"));
    }
}
