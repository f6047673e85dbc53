//! A text that is longer than what an engine takes at once, in pieces: cut where a sentence ends, or a
//! clause, a word, a character, and never inside a tag. What is open where a piece ends is closed, and
//! opened again in the next.

use std::collections::BTreeSet;
use std::ops::Range;

use corpus::sentence::sentences;
use unicode_segmentation::UnicodeSegmentation;

use crate::pace;

/// Characters of what is never cut by a limit of thousands: longer words are cut here.
const LONGEST: usize = 100;

/// What one call of an engine takes, in characters.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Without tags.
    pub spoken: usize,
    /// With them.
    pub total: usize,
    /// As long as it may take to say, as far as [`pace`] can tell. A single unit may take longer.
    pub milliseconds: u64,
}

/// How good it is to cut after something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// After an opening tag.
    Never,
    /// In the middle of a word.
    Character,
    /// Between words.
    Word,
    /// After a comma, a break.
    Clause,
    /// Between sentences.
    Sentence,
}

/// What a unit is, for the tags that are open behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spoken as it is.
    Text,
    /// A tag that opens.
    Open,
    /// A tag that closes.
    Close,
    /// An element that is taken whole.
    Element,
}

/// What is never cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Bytes of the input.
    pub source: Range<usize>,
    /// Characters that are spoken.
    pub spoken: usize,
    /// How long that takes, rather too long than too short.
    pub milliseconds: u64,
    /// What it is.
    pub kind: Kind,
    /// Whether to cut behind it.
    pub after: Cut,
}

/// What is spoken at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// For the engine.
    pub input: String,
    /// Bytes of the source.
    pub span: Range<usize>,
    /// How long it takes to say, rather too long than too short.
    pub milliseconds: u64,
    /// From that byte of it on, it is the source from that byte on.
    runs: Vec<(usize, usize)>,
}

/// An element that no engine takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Chunk {
    /// Where that byte stands in the source.
    pub fn source(&self, at: usize) -> usize {
        let after = self.runs.partition_point(|(from, _)| *from <= at);
        let run = after.checked_sub(1).and_then(|run| self.runs.get(run));
        run.map_or(0, |(from, source)| source + (at - from))
    }
}

/// The units of a text without tags.
pub fn text(text: &str) -> Vec<Unit> {
    words(text, 0)
}

/// The units of a stretch that begins at `base` in its source.
pub fn words(text: &str, base: usize) -> Vec<Unit> {
    let ends = sentence_ends(text);
    let mut units = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (at, piece) in pieces(text) {
        let end = at + piece.len();
        length += piece.chars().count();
        let is_before_space = text[end..].starts_with(char::is_whitespace);
        let is_space = piece.ends_with(char::is_whitespace);
        if length < LONGEST && (is_before_space || !is_space && !ends.contains(&end)) {
            continue;
        }
        units.push(unit(text, start..end, base, &ends));
        (start, length) = (end, 0);
    }
    if start < text.len() {
        units.push(unit(text, start..text.len(), base, &ends));
    }
    units
}

/// Words and what is between them; a word without an end as its graphemes.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_word_bound_indices().flat_map(|(at, piece)| {
        let is_long = piece.chars().count() >= LONGEST;
        let whole = (!is_long).then_some((at, piece));
        let parts = is_long.then(|| graphemes(at, piece)).into_iter().flatten();
        whole.into_iter().chain(parts)
    })
}

/// A grapheme without an end as its characters.
fn graphemes(base: usize, word: &str) -> impl Iterator<Item = (usize, &str)> {
    word.grapheme_indices(true).flat_map(move |(at, grapheme)| {
        let step = match grapheme.chars().count() < LONGEST {
            true => grapheme.len().max(1),
            false => 1,
        };
        let starts = (0..grapheme.len())
            .filter(move |from| grapheme.is_char_boundary(*from) && (step == 1 || *from == 0));
        starts.map(move |from| {
            let rest = &grapheme[from..];
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let length = if step == 1 { first } else { grapheme.len() };
            (base + at + from, &rest[..length])
        })
    })
}

/// Where sentences end, but for a last one without a full stop: what follows may be the rest of it.
fn sentence_ends(text: &str) -> BTreeSet<usize> {
    let all = sentences(text);
    let ends = all.iter().map(|s| (s.offset + s.text.len(), s.text));
    let ended = |text: &str| {
        let text = text.trim_end_matches(['"', '\'', ')', ']', '\u{201D}', '\u{2019}', '\u{BB}']);
        text.ends_with([
            '.', '!', '?', '\u{2026}', '\u{3002}', '\u{FF01}', '\u{FF1F}',
        ])
    };
    let last = text.trim_end().len();
    let kept = ends.filter(|(end, text)| *end < last || ended(text));
    kept.map(|(end, _)| end).collect()
}

fn unit(text: &str, range: Range<usize>, base: usize, ends: &BTreeSet<usize>) -> Unit {
    let words = &text[range.clone()];
    let trimmed = words.trim_end();
    let after = if ends.contains(&(range.start + trimmed.len())) {
        Cut::Sentence
    } else if trimmed.len() == words.len() {
        Cut::Character
    } else if trimmed.ends_with([',', ';', ':', ')', '\u{2013}', '\u{2014}']) {
        Cut::Clause
    } else {
        Cut::Word
    };
    Unit {
        source: base + range.start..base + range.end,
        spoken: words.chars().count(),
        milliseconds: pace::text(words),
        kind: Kind::Text,
        after,
    }
}

/// The units in chunks that an engine takes, without those that say nothing.
pub fn cut(source: &str, units: &[Unit], limit: Limit) -> Result<Vec<Chunk>, TooLong> {
    cut_on(source, Vec::new(), units, limit)
}

/// Shorter chunks that say the same; a single one where there is nowhere to cut.
pub fn shortened(source: &str, units: &[Unit], chunk: &Chunk) -> Vec<Chunk> {
    let limit = Limit {
        spoken: usize::MAX,
        total: usize::MAX,
        milliseconds: chunk.milliseconds / 2,
    };
    let (open, own) = spanned(units, &chunk.span);
    cut_on(source, open, own, limit).unwrap_or_default()
}

/// The chunks that were cut so, by their spans.
pub fn cut_at(source: &str, units: &[Unit], spans: &[Range<usize>]) -> Vec<Chunk> {
    let chunk = |span| {
        let (mut open, own) = spanned(units, span);
        chunk(source, &mut open, own)
    };
    spans.iter().filter_map(chunk).collect()
}

/// The units of those bytes, and the tags that are open before them.
fn spanned<'a>(units: &'a [Unit], span: &Range<usize>) -> (Vec<&'a Unit>, &'a [Unit]) {
    let from = units.partition_point(|unit| unit.source.start < span.start);
    let (before, own) = units.split_at(from);
    let mut open = Vec::new();
    before.iter().for_each(|unit| follow(&mut open, unit));
    let until = own.partition_point(|unit| unit.source.start < span.end);
    (open, &own[..until])
}

fn cut_on<'a>(
    source: &str,
    mut open: Vec<&'a Unit>,
    units: &'a [Unit],
    limit: Limit,
) -> Result<Vec<Chunk>, TooLong> {
    let (mut chunks, mut rest) = (Vec::new(), units);
    while !rest.is_empty() {
        let taken = fitting(source, &open, rest, limit);
        if taken == 0 {
            return Err(TooLong);
        }
        let (now, later) = rest.split_at(taken);
        chunks.extend(chunk(source, &mut open, now));
        rest = later;
    }
    Ok(chunks)
}

/// `None` where the units say nothing. What is open behind them is open afterwards.
fn chunk<'a>(source: &str, open: &mut Vec<&'a Unit>, units: &'a [Unit]) -> Option<Chunk> {
    let (first, last) = (units.first()?, units.last()?);
    let mut chunk = Chunk {
        input: String::new(),
        span: first.source.start..last.source.end,
        milliseconds: units.iter().map(|unit| unit.milliseconds).sum(),
        runs: vec![],
    };
    open.iter().for_each(|unit| push(&mut chunk, source, unit));
    for unit in units {
        push(&mut chunk, source, unit);
        follow(open, unit);
    }
    for unit in open.iter().rev() {
        chunk.input.push_str(&closing(source, unit));
    }
    let says = units.iter().any(|unit| says_something(source, unit));
    says.then_some(chunk)
}

fn says_something(source: &str, unit: &Unit) -> bool {
    match unit.kind {
        Kind::Text => !text_of(source, unit).trim().is_empty(),
        Kind::Element => true,
        Kind::Open | Kind::Close => false,
    }
}

fn push(chunk: &mut Chunk, source: &str, unit: &Unit) {
    chunk.runs.push((chunk.input.len(), unit.source.start));
    chunk.input.push_str(text_of(source, unit));
}

fn text_of<'a>(source: &'a str, unit: &Unit) -> &'a str {
    source.get(unit.source.clone()).unwrap_or_default()
}

fn follow<'a>(open: &mut Vec<&'a Unit>, unit: &'a Unit) {
    match unit.kind {
        Kind::Open => open.push(unit),
        Kind::Close => {
            open.pop();
        }
        Kind::Text | Kind::Element => {}
    }
}

fn closing(source: &str, open: &Unit) -> String {
    let tag = text_of(source, open).trim_start_matches('<');
    let name = tag.split(|c: char| c.is_whitespace() || c == '>').next();
    format!("</{}>", name.unwrap_or_default())
}

/// How many units go into the next chunk.
fn fitting(source: &str, open: &[&Unit], rest: &[Unit], limit: Limit) -> usize {
    let length = |unit: &Unit| text_of(source, unit).chars().count();
    let ends = |unit: &Unit| closing(source, unit).chars().count();
    let (mut spoken, mut milliseconds, mut says) = (0, 0_u64, false);
    let mut total: usize = open.iter().map(|unit| length(unit) + ends(unit)).sum();
    let mut best = (Cut::Never, 0);
    for (at, unit) in rest.iter().enumerate() {
        spoken += unit.spoken;
        total += match unit.kind {
            Kind::Text | Kind::Element => length(unit),
            Kind::Open => length(unit) + ends(unit),
            // Counted where it opened.
            Kind::Close => 0,
        };
        milliseconds = milliseconds.saturating_add(unit.milliseconds);
        let is_said = says_something(source, unit);
        // What takes too long by itself is tried: that is an estimate.
        let is_late = milliseconds > limit.milliseconds && says && is_said;
        if spoken > limit.spoken || total > limit.total || is_late {
            return if best.0 == Cut::Never { at } else { best.1 };
        }
        says |= is_said;
        if unit.after >= best.0 {
            best = (unit.after, at + 1);
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunks(source: &str, most: usize) -> Vec<String> {
        let limit = Limit {
            spoken: most,
            total: 2 * most,
            milliseconds: u64::MAX,
        };
        let chunks = cut(source, &text(source), limit).unwrap();
        chunks.into_iter().map(|chunk| chunk.input).collect()
    }

    #[test]
    fn a_text_is_cut_where_it_pauses() {
        let text = "Dr. Smith slept. He woke, and then he rose early. Why?";
        assert_eq!(
            chunks(text, 36),
            [
                "Dr. Smith slept. ",
                "He woke, and then he rose early. ",
                "Why?"
            ]
        );
        assert_eq!(
            chunks("He woke, and then he rose early", 18),
            ["He woke, ", "and then he rose ", "early"]
        );
        assert_eq!(chunks(text, 1_000), [text]);
    }

    #[test]
    fn a_word_without_an_end_is_cut_between_characters() {
        let all = chunks(&"ä".repeat(450), 200);
        let lengths: Vec<_> = all.iter().map(|chunk| chunk.chars().count()).collect();
        assert_eq!(lengths, [200, 200, 50]);
        // A flag is two characters.
        let flags = chunks(&"\u{1F1E9}\u{1F1EA}".repeat(101), 101);
        assert!(flags.iter().all(|chunk| chunk.chars().count() % 2 == 0));
    }

    #[test]
    fn a_text_without_spaces_is_cut_between_sentences() {
        let text = "今日は晴れです。明日は雨です。";
        assert_eq!(chunks(text, 10), ["今日は晴れです。", "明日は雨です。"]);
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        assert_eq!(chunks(&" ".repeat(1_000), 200), [""; 0]);
        let text = format!("a{}b", " ".repeat(1_000));
        let said: Vec<_> = chunks(&text, 200)
            .iter()
            .map(|c| c.trim().to_owned())
            .collect();
        assert_eq!(said, ["a", "b"]);
    }

    #[test]
    fn a_place_in_a_chunk_is_one_in_the_source() {
        let source = "One is here. Two is there.";
        let limit = Limit {
            spoken: 15,
            total: 15,
            milliseconds: u64::MAX,
        };
        let chunks = cut(source, &text(source), limit).unwrap();
        let at = chunks[1].input.find("there").unwrap();
        assert_eq!(&source[chunks[1].source(at)..], "there.");
    }

    #[test]
    fn what_takes_long_to_say_is_cut_in_more() {
        // Polly leaves off after ten minutes: these take longer than as many letters.
        let numbers = "111 222 333 444, ".repeat(170);
        let chinese = "植物制造糖，阳光驱动它。".repeat(240);
        for text in [&numbers, &chinese] {
            let limit = crate::voice::Engine::Neural.limit();
            assert!(text.chars().count() < limit.spoken);
            let chunks = cut(text, &super::text(text), limit).unwrap();
            assert!(chunks.len() > 1, "{}", chunks.len());
            assert!(chunks.iter().all(|c| c.milliseconds <= limit.milliseconds));
            let all: String = chunks.iter().map(|chunk| chunk.input.as_str()).collect();
            assert_eq!(all, *text);
        }
    }

    #[test]
    fn a_chunk_is_shortened_until_there_is_nowhere_to_cut() {
        let text = "One is here, and two is there. Three is nowhere.";
        let units = super::text(text);
        let limit = crate::voice::Engine::Neural.limit();
        let mut rest = cut(text, &units, limit).unwrap();
        assert_eq!(rest.len(), 1);
        let (mut words, mut asked) = (vec![], 0);
        while let Some(chunk) = rest.pop() {
            asked += 1;
            let shorter = shortened(text, &units, &chunk);
            let all: String = shorter.iter().map(|chunk| chunk.input.as_str()).collect();
            assert_eq!(all, chunk.input);
            match shorter.len() {
                1 => words.push(chunk.input),
                _ => rest.extend(shorter.into_iter().rev()),
            }
        }
        assert_eq!(words.concat(), text);
        assert_eq!(words.len(), 10);
        assert!(asked < 30, "{asked}");
        let spans = [0..17, 17..text.len()];
        let again = cut_at(text, &units, &spans);
        assert_eq!(again[1].span, spans[1]);
        assert_eq!(again[1].input, "two is there. Three is nowhere.");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_limit_passed(text in "\\PC{0,300}|[a-c .,\n]{0,600}|[a\u{301}\u{302}]{0,400}") {
            let all = chunks(&text, 120);
            prop_assert!(all.iter().all(|chunk| chunk.chars().count() <= 120));
            let squeeze = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(squeeze(&all.concat()), squeeze(&text));
        }
    }
}
