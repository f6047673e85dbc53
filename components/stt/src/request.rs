//! What a transcription may be asked for.

/// Without another word, English.
pub const DEFAULT_LANGUAGE: &str = "en-US";
/// Left to the engine to find.
pub const AUTO: &str = "auto";
/// Of a language's code: RFC 5646's advice.
const MAX_LANGUAGE: usize = 35;
/// Transcribe's limit of a vocabulary, in bytes; the host's too.
pub const MAX_VOCABULARY: usize = 50 << 10;
/// Of one phrase, in bytes: Transcribe's.
const MAX_PHRASE: usize = 256;
/// Transcribe's.
const SPEAKERS: std::ops::RangeInclusive<u32> = 2..=30;

/// How a recording is to be transcribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// BCP 47, or [`AUTO`].
    pub language_code: String,
    /// Tell so many speakers apart.
    pub speakers: Option<u32>,
    /// Words to expect.
    pub vocabulary: Vec<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            language_code: DEFAULT_LANGUAGE.to_owned(),
            speakers: None,
            vocabulary: vec![],
        }
    }
}

impl Wanted {
    /// What cannot be, as a sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.language_code == AUTO && !self.vocabulary.is_empty() {
            return Err("`vocabulary` needs a `language_code` that its words are of");
        }
        let bytes: usize = self.vocabulary.iter().map(|phrase| phrase.len() + 1).sum();
        if bytes > MAX_VOCABULARY {
            return Err("`vocabulary` has more than 51,200 bytes");
        }
        Ok(())
    }

    /// For an engine: `None` where it is to find it.
    pub fn language(&self) -> Option<&str> {
        (self.language_code != AUTO).then_some(self.language_code.as_str())
    }
}

/// `en-US`, `de`, `zh-Hans-CN`, or `auto`; the default for nothing.
pub fn language(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(DEFAULT_LANGUAGE.to_owned());
    }
    if text.eq_ignore_ascii_case(AUTO) {
        return Ok(AUTO.to_owned());
    }
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    let is_language =
        (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic());
    let is_part = |part: &str| {
        (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if is_language && text.len() <= MAX_LANGUAGE && parts.all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("`language_code` is such as `en-US`, or `auto`")
    }
}

/// 2 to 30; nothing for nothing.
pub fn speakers(text: &str) -> Result<Option<u32>, &'static str> {
    match text.trim() {
        "" => Ok(None),
        text => match text.parse() {
            Ok(count) if SPEAKERS.contains(&count) => Ok(Some(count)),
            _ => Err("`speakers` is a number from 2 to 30"),
        },
    }
}

/// Phrases, by commas or lines.
pub fn vocabulary(text: &str) -> Result<Vec<String>, &'static str> {
    let phrases = text.split([',', '\n', '\r']).map(str::trim);
    let phrases: Vec<String> = phrases
        .filter(|phrase| !phrase.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    let fine =
        |phrase: &String| phrase.len() <= MAX_PHRASE && !phrase.chars().any(char::is_control);
    if phrases.iter().all(fine) {
        Ok(phrases)
    } else {
        Err("a phrase of `vocabulary` has 1 to 256 bytes without control characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_code_or_found() {
        for (text, code) in [
            ("", "en-US"),
            (" de ", "de"),
            ("zh-Hans-CN", "zh-Hans-CN"),
            ("AUTO", "auto"),
        ] {
            assert_eq!(language(text).as_deref(), Ok(code));
        }
        for bad in [
            "e",
            "english",
            "--help",
            "en_US",
            "en-",
            "en-US;x",
            &"en-US".repeat(9),
        ] {
            assert!(language(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn speakers_are_two_to_thirty() {
        assert_eq!(speakers(""), Ok(None));
        assert_eq!(speakers("2"), Ok(Some(2)));
        for bad in ["1", "31", "two", "-3", "2.5"] {
            assert!(speakers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_vocabulary_is_phrases_of_a_language() {
        let phrases = vocabulary("Lectern, spaced repetition,\n ,FSRS").unwrap();
        assert_eq!(phrases, ["Lectern", "spaced repetition", "FSRS"]);
        assert!(vocabulary("a\0b").is_err());
        assert!(vocabulary(&"x".repeat(257)).is_err());
        let mut wanted = Wanted {
            vocabulary: phrases,
            ..Wanted::default()
        };
        assert_eq!(wanted.check(), Ok(()));
        wanted.language_code = AUTO.to_owned();
        assert!(wanted.check().is_err());
        wanted = Wanted {
            vocabulary: vec!["x".repeat(256); 250],
            ..Wanted::default()
        };
        assert!(wanted.check().is_err());
    }
}
