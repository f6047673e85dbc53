//! Subtitles: SubRip and WebVTT of words and their times.
//! <https://www.w3.org/TR/webvtt1/>; lengths by BBC's and Netflix' guidelines.

use std::fmt::Write as _;

use crate::transcript::{Word, written};

/// Characters of a line.
const LINE: usize = 42;
/// Lines of one cue.
const LINES: usize = 2;
/// A cue lasts so long at most, in milliseconds.
const LONGEST: u32 = 7_000;
/// And so long at least, where the next one lets it.
const SHORTEST: u32 = 1_000;
/// A silence so long ends a cue.
const GAP: u32 = 1_500;

/// How they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// SubRip.
    Srt,
    /// WebVTT.
    Vtt,
}

impl Format {
    /// `srt` or `vtt`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "srt" => Some(Self::Srt),
            "vtt" => Some(Self::Vtt),
            _ => None,
        }
    }

    /// For `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
        }
    }
}

/// What is shown at once.
#[derive(Debug, PartialEq)]
struct Cue {
    start_ms: u32,
    end_ms: u32,
    lines: Vec<String>,
    speaker: Option<String>,
}

/// A whole file.
pub fn write(words: &[Word], format: Format) -> String {
    let mut file = match format {
        Format::Srt => String::new(),
        Format::Vtt => "WEBVTT\n\n".to_owned(),
    };
    for (at, cue) in cues(words).iter().enumerate() {
        let (start, end) = (time(cue.start_ms, format), time(cue.end_ms, format));
        let text: Vec<_> = cue.lines.iter().map(|line| escaped(line, format)).collect();
        let text = text.join("\n");
        // Writing to a string cannot fail.
        let _ = match (format, &cue.speaker) {
            (Format::Srt, _) => write!(file, "{}\n{start} --> {end}\n{text}\n\n", at + 1),
            (Format::Vtt, None) => write!(file, "{start} --> {end}\n{text}\n\n"),
            (Format::Vtt, Some(speaker)) => {
                let speaker = escaped(speaker, format);
                write!(file, "{start} --> {end}\n<v {speaker}>{text}\n\n")
            }
        };
    }
    file
}

fn cues(words: &[Word]) -> Vec<Cue> {
    let mut cues: Vec<Cue> = vec![];
    let mut from = 0;
    for at in 1..=words.len() {
        if at < words.len() && fits(&words[from..=at]) {
            continue;
        }
        cues.push(cue(&words[from..at], words.get(at)));
        from = at;
    }
    cues
}

/// Whether the last of these words is still of the cue that the others make.
fn fits(words: &[Word]) -> bool {
    let [first, .., before, last] = words else {
        // One word and the next.
        return words
            .windows(2)
            .all(|pair| follows(&pair[0], &pair[0], &pair[1]))
            && wrapped(words).is_some();
    };
    follows(first, before, last) && wrapped(words).is_some()
}

fn follows(first: &Word, before: &Word, word: &Word) -> bool {
    let ends_sentence = before
        .punctuation
        .ends_with(['.', '?', '!', '。', '？', '！', '…']);
    let lasts = word.end_ms.saturating_sub(first.start_ms);
    let silence = word.start_ms.saturating_sub(before.end_ms);
    // A sentence of a word or two need not stand alone.
    let is_whole = ends_sentence && before.end_ms.saturating_sub(first.start_ms) >= SHORTEST;
    !is_whole && lasts <= LONGEST && silence < GAP && word.speaker == before.speaker
}

fn cue(words: &[Word], next: Option<&Word>) -> Cue {
    let start_ms = words.first().map_or(0, |word| word.start_ms);
    let spoken = words
        .iter()
        .map(|word| word.end_ms)
        .max()
        .unwrap_or_default();
    let next = next.map_or(u32::MAX, |word| word.start_ms);
    let longest = start_ms.saturating_add(LONGEST);
    let shown = spoken.max(start_ms.saturating_add(SHORTEST));
    Cue {
        start_ms,
        // None overlaps the next; none ends before it has begun.
        end_ms: shown.min(next).min(longest).max(start_ms.saturating_add(1)),
        lines: wrapped(words).unwrap_or_else(|| broken(&written(words))),
        speaker: words.first().and_then(|word| word.speaker.clone()),
    }
}

/// The words in two lines at most, the second the longer one; `None` where they do not fit.
fn wrapped(words: &[Word]) -> Option<Vec<String>> {
    let length = |text: &str| text.chars().count();
    let whole = written(words);
    if length(&whole) <= LINE {
        return Some(vec![whole]);
    }
    let halves = (1..words.len()).map(|at| [written(&words[..at]), written(&words[at..])]);
    let fitting = halves.filter(|halves| halves.iter().all(|line| length(line) <= LINE));
    let best = fitting.min_by_key(|[first, second]| length(first).abs_diff(length(second)));
    best.map(Vec::from)
}

/// A word that is longer than a line.
fn broken(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let lines = characters.chunks(LINE).take(LINES);
    lines.map(|line| line.iter().collect()).collect()
}

fn time(ms: u32, format: Format) -> String {
    let (seconds, rest) = (ms / 1_000, ms % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let point = match format {
        Format::Srt => ',',
        Format::Vtt => '.',
    };
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}")
}

/// No word is markup, ends a cue or begins another.
fn escaped(line: &str, format: Format) -> String {
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match format {
        Format::Vtt => line
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        // SubRip has no escapes: what would be a tag is written otherwise.
        Format::Srt => line.replace('<', "‹").replace('>', "›"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transcript::tests::word;

    #[test]
    fn a_sentence_is_a_cue() {
        let words = [
            word("Good", 0, ""),
            word("morning", 400, ","),
            word("everybody", 900, "."),
            word("Today", 1_400, ""),
            word("cells", 3_661_800, "."),
        ];
        assert_eq!(
            write(&words, Format::Srt),
            "1\n00:00:00,000 --> 00:00:01,200\nGood morning, everybody.\n\n\
             2\n00:00:01,400 --> 00:00:02,400\nToday\n\n\
             3\n01:01:01,800 --> 01:01:02,800\ncells.\n\n"
        );
        assert!(
            write(&words, Format::Vtt).starts_with(
                "WEBVTT\n\n00:00:00.000 --> 00:00:01.200\nGood morning, everybody.\n\n"
            )
        );
        assert_eq!(write(&[], Format::Vtt), "WEBVTT\n\n");
    }

    #[test]
    fn another_speaker_is_another_cue() {
        let mut words = [word("Yes", 0, ""), word("No", 300, "")];
        words[0].speaker = Some("spk_0".into());
        words[1].speaker = Some("spk_1".into());
        let file = write(&words, Format::Vtt);
        assert!(
            file.contains("<v spk_0>Yes\n\n") && file.contains("<v spk_1>No\n\n"),
            "{file}"
        );
    }

    #[test]
    fn a_word_is_never_markup() {
        let words = [word("<i>a</i>", 0, ""), word("-->\n\nb", 200, "&")];
        assert!(write(&words, Format::Vtt).contains("&lt;i&gt;a&lt;/i&gt; --&gt;  b&amp;\n"));
        assert!(write(&words, Format::Srt).contains("‹i›a‹/i› --›  b&\n"));
    }

    proptest! {
        #[test]
        fn cues_are_short_in_order_and_lose_no_word(
            spoken in prop::collection::vec(("[a-zé]{1,20}", 0_u32..3_000, 0_u32..9_000, 0..12), 0..200),
        ) {
            let mut at = 0;
            let words: Vec<Word> = spoken
                .iter()
                .map(|(text, gap, lasts, mark)| {
                    at += gap;
                    let mut word = word(text, at, if *mark == 0 { "." } else { "" });
                    word.end_ms = at + lasts;
                    word
                })
                .collect();
            let cues = cues(&words);
            for pair in cues.windows(2) {
                prop_assert!(pair[0].start_ms <= pair[1].start_ms);
            }
            let mut shown = String::new();
            for cue in &cues {
                prop_assert!(cue.lines.len() <= LINES);
                prop_assert!(cue.lines.iter().all(|line| line.chars().count() <= LINE));
                prop_assert!(cue.start_ms < cue.end_ms && cue.end_ms - cue.start_ms <= LONGEST);
                shown.extend(cue.lines.concat().chars().filter(|c| *c != ' '));
            }
            let said: String = written(&words).chars().filter(|c| *c != ' ').collect();
            prop_assert_eq!(shown, said);
        }
    }
}
