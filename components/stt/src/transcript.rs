//! What an engine heard, made fit to keep: an engine's words are a stranger's too.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Of a text, in bytes: four hours of speech are a tenth of it.
const MAX_TEXT: usize = 4 << 20;
/// Four hours of the fastest speech; their times in JSON fit one read of the database.
const MAX_WORDS: usize = 60_000;
/// Of one word with its punctuation, in bytes.
const MAX_WORD: usize = 100;

/// A spoken word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Word {
    /// As written.
    pub text: String,
    /// Milliseconds from the beginning.
    pub start_ms: u32,
    /// Milliseconds from the beginning.
    pub end_ms: u32,
    /// 0 to 1, where the engine says.
    pub confidence: Option<f64>,
    /// As in `spk_0`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speaker: Option<String>,
    /// What follows without a space.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub punctuation: String,
}

/// What was said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    /// Empty where nothing is said.
    pub text: String,
    /// The mean over words, 0 to 1, where the engine says.
    pub confidence: Option<f64>,
    /// As asked for, or as found.
    pub language_code: Option<String>,
    /// In order; empty where the engine has no times.
    pub words: Vec<Word>,
    /// Which engine.
    pub engine: String,
}

/// What a reader of the transcript should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The recording ends before its file says it does.
    Truncated,
    /// There is no sound in it: no engine was asked.
    Silence,
    /// The engine heard nobody speak.
    NoSpeech,
    /// Speakers were asked for, and the engine does not tell them apart.
    NoSpeakers,
    /// The engine has no times, so there are no subtitles.
    NoTimes,
    /// Longer than what is kept.
    Cut,
}

impl Warning {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Truncated => "AUDIO_TRUNCATED",
            Self::Silence => "SILENCE",
            Self::NoSpeech => "NO_SPEECH",
            Self::NoSpeakers => "SPEAKERS_NOT_TOLD_APART",
            Self::NoTimes => "NO_WORD_TIMES",
            Self::Cut => "TRANSCRIPT_CUT",
        }
    }
}

impl Transcript {
    /// Fit to keep: in order, in bounds, without U+0000, and written from its words where an engine gave
    /// these alone; with what its reader should know.
    pub fn settled(mut self, wants_speakers: bool) -> (Self, Vec<Warning>) {
        let mut warnings = vec![];
        if self.words.len() > MAX_WORDS || self.text.len() > MAX_TEXT {
            warnings.push(Warning::Cut);
        }
        self.words.truncate(MAX_WORDS);
        let words = std::mem::take(&mut self.words);
        self.words = words.into_iter().filter_map(settled_word).collect();
        self.words.sort_by_key(|word| word.start_ms);
        self.text = plain(&self.text);
        if self.text.is_empty() {
            self.text = written(&self.words);
        }
        self.text.truncate(self.text.floor_char_boundary(MAX_TEXT));
        self.engine = clipped(&plain(&self.engine));
        self.language_code = self.language_code.map(|code| clipped(&plain(&code)));
        // Of nothing there is nothing to be sure of.
        let sure = self.confidence.filter(|_| !self.text.is_empty());
        self.confidence = sure.filter(|sure| (0.0..=1.0).contains(sure));
        if self.text.is_empty() {
            if !self.engine.is_empty() {
                warnings.push(Warning::NoSpeech);
            }
        } else {
            if self.words.is_empty() {
                warnings.push(Warning::NoTimes);
            }
            if wants_speakers && self.words.iter().all(|word| word.speaker.is_none()) {
                warnings.push(Warning::NoSpeakers);
            }
        }
        (self, warnings)
    }
}

/// As engines tell it, in the four decimals that are kept.
pub fn confidence(told: f32) -> f64 {
    (f64::from(told) * 10_000.0).round() / 10_000.0
}

fn settled_word(word: Word) -> Option<Word> {
    let text = clipped(&plain(&word.text));
    (!text.is_empty()).then(|| Word {
        text,
        start_ms: word.start_ms,
        end_ms: word.end_ms.max(word.start_ms),
        confidence: word.confidence.filter(|sure| (0.0..=1.0).contains(sure)),
        speaker: word.speaker.map(|speaker| clipped(&plain(&speaker))),
        punctuation: clipped(&plain(&word.punctuation)),
    })
}

/// Without what a database does not hold.
fn plain(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

fn clipped(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_WORD)].to_owned()
}

/// The words as a text: a space before each, but for scripts that are written without.
pub fn written(words: &[Word]) -> String {
    let mut text = String::new();
    for word in words {
        let joined = text.chars().next_back().is_some_and(is_unspaced)
            && word.text.chars().next().is_some_and(is_unspaced);
        if !text.is_empty() && !joined {
            text.push(' ');
        }
        text.push_str(&word.text);
        text.push_str(&word.punctuation);
    }
    text
}

/// Chinese, Japanese, Thai, Lao, Khmer, Burmese, and the punctuation of the first two.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{3000}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{FF00}'..='\u{FF9F}' | '\u{20000}'..='\u{2FFFF}')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn word(text: &str, start_ms: u32, punctuation: &str) -> Word {
        Word {
            text: text.to_owned(),
            start_ms,
            end_ms: start_ms + 300,
            confidence: Some(0.5),
            speaker: None,
            punctuation: punctuation.to_owned(),
        }
    }

    #[test]
    fn words_are_written_with_the_spaces_of_their_script() {
        let english = [
            word("Hello", 0, ","),
            word("you", 400, "."),
            word("Yes", 800, "?"),
        ];
        assert_eq!(written(&english), "Hello, you. Yes?");
        let chinese = [
            word("你好", 0, "，"),
            word("世界", 400, "。"),
            word("OK", 900, ""),
        ];
        assert_eq!(written(&chinese), "你好，世界。 OK");
    }

    #[test]
    fn an_engine_s_words_are_put_in_order_and_in_bounds() {
        let transcript = Transcript {
            words: vec![word("b\0", 900, ""), word("a", 100, ","), word(" ", 0, "")],
            confidence: Some(7.0),
            ..Transcript::default()
        };
        let (settled, warnings) = transcript.settled(true);
        assert_eq!(settled.text, "a, b");
        assert_eq!(settled.confidence, None);
        assert_eq!(warnings, [Warning::NoSpeakers]);
        let long = Transcript {
            text: "é".repeat(3 << 20),
            ..Transcript::default()
        };
        let (long, warnings) = long.settled(false);
        assert!(long.text.len() <= MAX_TEXT);
        assert_eq!(warnings, [Warning::Cut, Warning::NoTimes]);
    }

    #[test]
    fn nothing_said_is_nothing_to_be_sure_of() {
        let silent = Transcript {
            text: " \n".into(),
            confidence: Some(0.9),
            ..Transcript::default()
        };
        let (settled, warnings) = silent.settled(true);
        assert_eq!((settled.text.as_str(), settled.confidence), ("", None));
        assert_eq!(warnings, [], "no engine was asked");
        let unheard = Transcript {
            engine: "whisper-1".into(),
            ..Transcript::default()
        };
        assert_eq!(unheard.settled(false).1, [Warning::NoSpeech]);
    }
}
