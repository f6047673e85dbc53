//! Speech marks: one JSON object a line, whose offsets are BYTES in the input, tags included.
//! <https://docs.aws.amazon.com/polly/latest/dg/output.html>

use serde_json::{Value, json};

use super::ssml::Run;

/// A mark before it is written: its time, its rank among those of one time, its JSON.
type Mark = (usize, u8, Value);

pub(super) fn lines(runs: &[Run<'_>], kinds: &[String], voice: usize) -> Vec<u8> {
    let wants = |kind: &str| kinds.iter().any(|wanted| wanted == kind);
    let mut marks: Vec<Mark> = vec![];
    let mut passed = 0;
    for run in runs {
        let pace = Pace {
            begins: passed + run.pause,
            voice,
        };
        if wants("sentence") {
            marks.extend(pieces(run, pace, "sentence", 0, sentence_ends));
        }
        if wants("word") {
            marks.extend(pieces(run, pace, "word", 1, char_is_space));
        }
        passed += run.milliseconds(voice);
    }
    marks.sort_by_key(|(time, rank, _)| (*time, *rank));
    let lines = marks.iter().map(|(_, _, mark)| format!("{mark}\n"));
    lines.collect::<String>().into_bytes()
}

/// When a run begins, and milliseconds a character.
#[derive(Clone, Copy)]
struct Pace {
    begins: usize,
    voice: usize,
}

/// Whether a piece ends before the second character.
type Ends = fn(char, char) -> bool;

fn char_is_space(_: char, now: char) -> bool {
    now.is_whitespace()
}

fn sentence_ends(before: char, now: char) -> bool {
    ".!?".contains(before) && now.is_whitespace()
}

fn pieces(run: &Run<'_>, pace: Pace, kind: &str, rank: u8, ends: Ends) -> Vec<Mark> {
    let mut pieces = vec![];
    let (mut from, mut before) = (0, ' ');
    let whole = run.text.char_indices().chain([(run.text.len(), ' ')]);
    for (at, now) in whole {
        if at == run.text.len() || ends(before, now) {
            pieces.extend(mark(run, pace, (kind, rank), from..at));
            from = at;
        }
        before = now;
    }
    pieces
}

fn mark(
    run: &Run<'_>,
    pace: Pace,
    (kind, rank): (&str, u8),
    range: std::ops::Range<usize>,
) -> Option<Mark> {
    let piece = &run.text[range.clone()];
    let begin = piece.trim_start();
    let start = range.start + piece.len() - begin.len();
    let silent = |c: char| c.is_whitespace() || (kind == "word" && c.is_ascii_punctuation());
    let value = begin.trim_end_matches(silent);
    if value.is_empty() {
        return None;
    }
    let time = pace.begins + run.said(&run.text[..start], pace.voice);
    let start = run.start + start;
    let end = start + value.len();
    let mark = json!({"time": time, "type": kind, "start": start, "end": end, "value": value});
    Some((time, rank, mark))
}
