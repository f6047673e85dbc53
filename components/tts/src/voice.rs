//! Who speaks: the voice that is asked for, or on a machine without it the nearest there is, under its
//! own name.

use serde::{Deserialize, Serialize};

use crate::chunk::Limit;
use crate::refusal::Refusal;

/// Where neither voice nor language is named.
const DEFAULT_LANGUAGE: &str = "en-US";

/// What turns text into sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Engine {
    /// Polly's.
    Generative,
    /// Polly's.
    LongForm,
    /// Polly's.
    Neural,
    /// Polly's.
    Standard,
    /// The host's own.
    Local,
}

const ENGINES: [Engine; 5] = [
    Engine::Generative,
    Engine::LongForm,
    Engine::Neural,
    Engine::Standard,
    Engine::Local,
];

impl Engine {
    /// As Polly names its own.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generative => "generative",
            Self::LongForm => "long-form",
            Self::Neural => "neural",
            Self::Standard => "standard",
            Self::Local => "local",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        ENGINES.into_iter().find(|engine| engine.as_str() == name)
    }

    /// What it speaks at once. The host's own takes what a request may have.
    pub fn limit(self) -> Limit {
        match self {
            Self::Local => Limit {
                spoken: 100_000,
                total: 200_000,
                milliseconds: u64::MAX,
            },
            _ => Limit {
                spoken: 3_000,
                total: 6_000,
                // Two thirds of what it says at once, as nobody knows before how long that takes.
                milliseconds: 400_000,
            },
        }
    }
}

/// Whether a voice is spoken as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gender {
    /// The contract's `Female`.
    Female,
    /// The contract's `Male`.
    Male,
    /// Neither is said.
    Neutral,
}

impl Gender {
    /// As the contract has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Female => "Female",
            Self::Male => "Male",
            Self::Neutral => "Neutral",
        }
    }
}

/// A voice that is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// As a request names it.
    pub id: String,
    /// For people.
    pub name: String,
    /// BCP 47.
    pub language_code: String,
    /// As the engine says.
    pub gender: Gender,
    /// Best first.
    pub engines: Vec<Engine>,
}

impl Voice {
    /// Whether it is listed for that language: all countries of it where none is named.
    pub fn fits(&self, language: &str) -> bool {
        match language.contains(['-', '_']) {
            true => self.language_code.eq_ignore_ascii_case(language),
            false => self.speaks(language),
        }
    }

    fn speaks(&self, language: &str) -> bool {
        primary(&self.language_code).eq_ignore_ascii_case(primary(language))
    }
}

fn primary(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or_default()
}

/// What a request says of its voice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// By its id.
    pub voice: Option<&'a str>,
    /// BCP 47.
    pub language: Option<&'a str>,
    /// One of the voice's.
    pub engine: Option<Engine>,
}

/// The voice and the engine that speak. A voice of Polly's that this machine does not have is taken for
/// its language and gender, where only the host's own voices are configured.
pub fn choose<'a>(voices: &'a [Voice], wish: Wish<'_>) -> Result<(&'a Voice, Engine), Refusal> {
    let named = |id: &str| voices.iter().find(|voice| voice.id == id);
    let voice = match wish.voice {
        None => nearest(voices, wish.language.unwrap_or(DEFAULT_LANGUAGE), None)?,
        Some(id) => match named(id) {
            Some(voice) => spoken_in(voice, wish.language)?,
            None => stand_in(voices, id, wish.language)?,
        },
    };
    let engine = match wish.engine {
        // What is asked of a voice is not asked of who stands in for it.
        Some(engine) if wish.voice.is_none_or(|id| id == voice.id) => {
            let engine = voice.engines.iter().find(|has| **has == engine);
            engine.copied().ok_or_else(|| no_engine(voice))?
        }
        _ => *voice.engines.first().ok_or_else(|| no_engine(voice))?,
    };
    Ok((voice, engine))
}

fn no_engine(voice: &Voice) -> Refusal {
    let engines: Vec<_> = voice.engines.iter().map(|engine| engine.as_str()).collect();
    let (id, engines) = (&voice.id, engines.join(", "));
    Refusal::new(
        "UNSUPPORTED_ENGINE",
        format!("the voice {id} has: {engines}"),
    )
}

fn spoken_in<'a>(voice: &'a Voice, language: Option<&str>) -> Result<&'a Voice, Refusal> {
    if language.is_none_or(|language| voice.speaks(language)) {
        return Ok(voice);
    }
    let (id, language) = (&voice.id, &voice.language_code);
    let why = format!("the voice {id} speaks {language}");
    Err(Refusal::new("UNSUPPORTED_LANGUAGE", why))
}

fn stand_in<'a>(
    voices: &'a [Voice],
    id: &str,
    language: Option<&str>,
) -> Result<&'a Voice, Refusal> {
    let is_local = voices.iter().all(|voice| voice.engines == [Engine::Local]);
    let known = POLLY.iter().find(|(name, ..)| *name == id);
    let Some((_, gender, own)) = known.filter(|_| is_local) else {
        let why = "there is no such voice: `GET /voices` lists them";
        return Err(Refusal::new("UNKNOWN_VOICE", why));
    };
    nearest(voices, language.unwrap_or(own), Some(*gender))
}

/// In that language, if not of that country, and of that gender, if there is one.
fn nearest<'a>(
    voices: &'a [Voice],
    language: &str,
    gender: Option<Gender>,
) -> Result<&'a Voice, Refusal> {
    let fitting = voices.iter().filter(|voice| voice.speaks(language));
    let rank = |voice: &&Voice| {
        let is_country = voice.language_code.eq_ignore_ascii_case(language);
        let is_gender = gender.is_none_or(|gender| gender == voice.gender);
        // Of equals the first, which is the best.
        (!is_gender, !is_country)
    };
    fitting.min_by_key(rank).ok_or_else(|| {
        let mut known: Vec<_> = voices.iter().map(|v| v.language_code.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        let why = format!("there are voices for: {}", known.join(", "));
        Refusal::new("UNSUPPORTED_LANGUAGE", why)
    })
}

use Gender::{Female, Male};

/// Polly's voices, for where Polly is not.
/// <https://docs.aws.amazon.com/polly/latest/dg/available-voices.html>
#[rustfmt::skip]
const POLLY: &[(&str, Gender, &str)] = &[
    ("Joanna", Female, "en-US"), ("Matthew", Male, "en-US"), ("Joey", Male, "en-US"),
    ("Salli", Female, "en-US"), ("Ivy", Female, "en-US"), ("Justin", Male, "en-US"),
    ("Kendra", Female, "en-US"), ("Kimberly", Female, "en-US"), ("Kevin", Male, "en-US"),
    ("Ruth", Female, "en-US"), ("Stephen", Male, "en-US"), ("Danielle", Female, "en-US"),
    ("Gregory", Male, "en-US"), ("Patrick", Male, "en-US"), ("Amy", Female, "en-GB"),
    ("Brian", Male, "en-GB"), ("Emma", Female, "en-GB"), ("Arthur", Male, "en-GB"),
    ("Geraint", Male, "en-GB-WLS"), ("Olivia", Female, "en-AU"), ("Nicole", Female, "en-AU"),
    ("Russell", Male, "en-AU"), ("Aditi", Female, "en-IN"), ("Vicki", Female, "de-DE"),
    ("Marlene", Female, "de-DE"), ("Hans", Male, "de-DE"), ("Daniel", Male, "de-DE"),
    ("Lea", Female, "fr-FR"), ("Celine", Female, "fr-FR"), ("Mathieu", Male, "fr-FR"),
    ("Lucia", Female, "es-ES"), ("Enrique", Male, "es-ES"), ("Lupe", Female, "es-US"),
    ("Bianca", Female, "it-IT"), ("Giorgio", Male, "it-IT"), ("Camila", Female, "pt-BR"),
    ("Takumi", Male, "ja-JP"), ("Mizuki", Female, "ja-JP"), ("Seoyeon", Female, "ko-KR"),
    ("Zhiyu", Female, "cmn-CN"), ("Tatyana", Female, "ru-RU"), ("Maxim", Male, "ru-RU"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(id: &str, language: &str, gender: Gender, engines: &[Engine]) -> Voice {
        Voice {
            id: id.into(),
            name: id.into(),
            language_code: language.into(),
            gender,
            engines: engines.to_vec(),
        }
    }

    fn local() -> Vec<Voice> {
        vec![
            voice("kal16", "en-US", Male, &[Engine::Local]),
            voice("slt", "en-US", Female, &[Engine::Local]),
        ]
    }

    fn polly() -> Vec<Voice> {
        vec![
            voice(
                "Joanna",
                "en-US",
                Female,
                &[Engine::Neural, Engine::Standard],
            ),
            voice("Vicki", "de-DE", Female, &[Engine::Neural]),
        ]
    }

    fn chosen(voices: &[Voice], wish: Wish<'_>) -> Result<(String, Engine), &'static str> {
        let choice = choose(voices, wish).map_err(|refusal| refusal.code);
        choice.map(|(voice, engine)| (voice.id.clone(), engine))
    }

    fn wish<'a>(
        voice: impl Into<Option<&'a str>>,
        language: impl Into<Option<&'a str>>,
    ) -> Wish<'a> {
        Wish {
            voice: voice.into(),
            language: language.into(),
            engine: None,
        }
    }

    #[test]
    fn a_voice_that_is_there_speaks_with_its_best_engine() {
        let polly = polly();
        let neural = Ok(("Joanna".into(), Engine::Neural));
        assert_eq!(chosen(&polly, wish("Joanna", None)), neural);
        assert_eq!(chosen(&polly, wish("Joanna", "en-GB")), neural);
        assert_eq!(chosen(&polly, wish(None, None)), neural);
        assert_eq!(
            chosen(&polly, wish(None, "de")),
            Ok(("Vicki".into(), Engine::Neural))
        );
        let standard = Wish {
            engine: Some(Engine::Standard),
            ..wish("Joanna", None)
        };
        assert_eq!(
            chosen(&polly, standard),
            Ok(("Joanna".into(), Engine::Standard))
        );
    }

    #[test]
    fn on_a_machine_without_polly_its_voices_are_stood_in_for() {
        let local = local();
        for (id, stands_in) in [("Joanna", "slt"), ("Matthew", "kal16"), ("Amy", "slt")] {
            let wish = Wish {
                engine: Some(Engine::Neural),
                ..wish(id, None)
            };
            assert_eq!(chosen(&local, wish), Ok((stands_in.into(), Engine::Local)));
        }
        assert_eq!(
            chosen(&local[..1], wish("Joanna", "en-US")),
            Ok(("kal16".into(), Engine::Local))
        );
    }

    #[test]
    fn what_is_not_there_is_said() {
        for (voices, wish, code) in [
            (local(), wish("Nobody", None), "UNKNOWN_VOICE"),
            (local(), wish("Vicki", None), "UNSUPPORTED_LANGUAGE"),
            (local(), wish("kal16", "de-DE"), "UNSUPPORTED_LANGUAGE"),
            (local(), wish(None, "fr-FR"), "UNSUPPORTED_LANGUAGE"),
            (polly(), wish("Amy", None), "UNKNOWN_VOICE"),
            (polly(), wish("kal16", None), "UNKNOWN_VOICE"),
            (vec![], wish(None, None), "UNSUPPORTED_LANGUAGE"),
        ] {
            assert_eq!(chosen(&voices, wish), Err(code));
        }
        let generative = Wish {
            engine: Some(Engine::Generative),
            ..wish("Joanna", None)
        };
        assert_eq!(chosen(&polly(), generative), Err("UNSUPPORTED_ENGINE"));
    }
}
