//! Sentences: UAX #29 (https://www.unicode.org/reports/tr29/), mended where a text is wrapped into
//! lines and where a full stop ends an abbreviation.

use unicode_segmentation::UnicodeSegmentation;

use crate::prose::ends;
use crate::terms::is_cjk;

/// A sentence without the space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence<'a> {
    /// Bytes before it in its source.
    pub offset: usize,
    /// The source's own letters, line breaks among them.
    pub text: &'a str,
}

/// A longer one is cut at a space: a table or a text without full stops is no sentence.
const MAX_CHARACTERS: usize = 1_000;

/// What stands before a full stop that ends no sentence, in lower case.
const ABBREVIATIONS: &[&str] = &[
    "abb", "al", "approx", "art", "bzw", "ca", "cf", "ch", "chap", "co", "corp", "dept", "dr",
    "ed", "eds", "eg", "e.g", "eq", "eqs", "est", "etc", "evtl", "fig", "figs", "ggf", "gov", "hr",
    "hrsg", "i.e", "ie", "inc", "jr", "kap", "ltd", "max", "min", "mr", "mrs", "ms", "nr", "no",
    "nos", "p", "pp", "prof", "ref", "refs", "rev", "s", "sec", "sect", "sog", "sr", "st", "str",
    "tab", "u.a", "usw", "v", "vgl", "vol", "vols", "vs", "z.b", "d.h",
];

/// Of a heading's line.
const HEADING_WORDS: usize = 10;
const HEADING_CHARACTERS: usize = 80;
/// Of one without a number, which might be a name at the end of a line.
const TITLE_WORDS: usize = 6;
/// How no heading ends.
const GOES_ON: [char; 12] = [
    '.', ',', ';', '?', '!', '-', '–', '(', '。', '，', '！', '？',
];
/// What a numbered part of a book is called.
const DIVISIONS: &[&str] = &[
    "chapter",
    "section",
    "part",
    "unit",
    "lesson",
    "kapitel",
    "abschnitt",
    "teil",
    "chapitre",
    "capítulo",
    "capitolo",
];
/// Words that no heading ends with: the line was wrapped behind one.
const LINKS: &[&str] = &[
    "a", "an", "the", "of", "in", "on", "at", "by", "to", "for", "from", "with", "and", "or", "as",
    "is", "are", "was", "were", "der", "die", "das", "den", "dem", "des", "ein", "eine", "und",
    "von", "mit", "im", "in", "zu", "ist", "le", "la", "les", "de", "du", "et", "el", "y", "e",
];

/// The sentences of a text. A blank line ends one, and so does the line of a heading; any other line break
/// within a paragraph is a space.
pub fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut found = Vec::new();
    for (offset, paragraph) in paragraphs(text) {
        in_paragraph(offset, paragraph, &mut found);
    }
    found
}

/// Runs of lines between blank ones, and headings by themselves.
fn paragraphs(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut start, mut at) = (Vec::new(), None, 0);
    let mut before = "";
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let after = lines.peek().map_or("", |after| after.trim());
        if line.trim().is_empty() {
            found.extend(start.take().map(|start| (start, &text[start..at])));
        } else if is_heading_line(before, line.trim(), after) {
            found.extend(start.take().map(|start| (start, &text[start..at])));
            found.push((at, line));
        } else if start.is_none() {
            start = Some(at);
        }
        (before, at) = (line.trim(), at + line.len());
    }
    found.extend(start.map(|start| (start, &text[start..])));
    found
}

/// Whether a line is a heading although no blank one follows: nothing goes on into it or out of it, and it
/// has a number or is much shorter than the line after it, as no line is that was wrapped.
fn is_heading_line(before: &str, line: &str, after: &str) -> bool {
    let (words, characters) = (line.split_whitespace().count(), line.chars().count());
    let may_begin = before.is_empty() || ends_a_line(before);
    let is_short = words <= HEADING_WORDS && characters <= HEADING_CHARACTERS;
    let goes_on = after.is_empty()
        || !after.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || is_cjk(c));
    if !may_begin || !is_short || goes_on || line.ends_with(GOES_ON) || is_link_word(line) {
        return false;
    }
    if is_numbered(line) {
        return true;
    }
    // A sentence that was wrapped before a name has words of its own in lower case.
    let is_title = |word: &str| word.starts_with(char::is_uppercase) || is_link_word(word);
    line.starts_with(char::is_uppercase)
        && line.split_whitespace().all(is_title)
        && !line.contains([',', '.', ':'])
        && words <= TITLE_WORDS
        && after.starts_with(char::is_uppercase)
        && characters * 2 < after.chars().count()
}

/// The end of a sentence, or a heading: what comes after begins anew.
fn ends_a_line(line: &str) -> bool {
    ends(line) || is_numbered(line) && line.split_whitespace().count() <= HEADING_WORDS
}

/// As "1. Title", "2.3 Title" or "Chapter 2"; an item of a list ends as a sentence does.
fn is_numbered(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let (Some(first), Some(second)) = (words.next(), words.next()) else {
        return false;
    };
    let is_number = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.len() <= 8
            && word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let is_section = is_number(first) && first.trim_end_matches('.').len() <= 6;
    let named = DIVISIONS.contains(&first.to_lowercase().as_str());
    (is_section && second.starts_with(char::is_uppercase))
        || (named && is_number(second.trim_end_matches([':', '.'])))
}

fn is_link_word(line: &str) -> bool {
    let last = line.split_whitespace().next_back().unwrap_or_default();
    LINKS.contains(&last.to_lowercase().as_str())
}

fn in_paragraph<'a>(offset: usize, paragraph: &'a str, found: &mut Vec<Sentence<'a>>) {
    // As many bytes, so that positions hold; the standard would end a sentence at each line.
    let unwrapped = paragraph.replace(['\n', '\r'], " ");
    let mut start = 0;
    for (at, piece) in unwrapped.split_sentence_bound_indices() {
        let end = at + piece.len();
        let last = end == unwrapped.len();
        if last || !ends_in_abbreviation(&unwrapped[start..end]) {
            push(offset + start, &paragraph[start..end], found);
            start = end;
        }
    }
}

fn ends_in_abbreviation(piece: &str) -> bool {
    let Some(before) = piece.trim_end().strip_suffix('.') else {
        return false;
    };
    let word = before
        .rsplit(|c: char| c.is_whitespace() || c == '(')
        .next()
        .unwrap_or_default();
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let is_number = !word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit());
    // A numbered item ("3. Mitosis"), when the number is all there is.
    (is_number && before.trim() == word)
        || is_initial
        || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

fn push<'a>(offset: usize, text: &'a str, found: &mut Vec<Sentence<'a>>) {
    let trimmed = text.trim_start();
    let mut offset = offset + text.len() - trimmed.len();
    let mut rest = trimmed.trim_end();
    while let Some((limit, _)) = rest.char_indices().nth(MAX_CHARACTERS) {
        let cut = rest[..limit]
            .rfind(char::is_whitespace)
            .filter(|&at| at > 0)
            .unwrap_or(limit);
        found.push(Sentence {
            offset,
            text: rest[..cut].trim_end(),
        });
        let tail = rest[cut..].trim_start();
        offset += rest.len() - tail.len();
        rest = tail;
    }
    if !rest.is_empty() {
        found.push(Sentence { offset, text: rest });
    }
}

/// A bullet is the list's, not the sentence's.
pub(crate) const BULLETS: [char; 5] = ['•', '◦', '▪', '‣', '·'];

/// What follows a hyphen that stands for a word to come, as in "pre- and postwar".
const CONJUNCTIONS: [&str; 12] = [
    "and", "or", "to", "nor", "und", "oder", "bis", "et", "ou", "y", "o", "e",
];

/// A sentence for reading: wrapped lines joined, words divided at a line's end made whole, whether
/// the line's end is still there or the file's reader has made it a space.
pub fn unwrap_lines(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for word in text
        .trim_start()
        .trim_start_matches(BULLETS)
        .split_whitespace()
    {
        let divided = whole.ends_with('-')
            && whole.trim_end_matches('-').ends_with(char::is_lowercase)
            && word.starts_with(char::is_lowercase)
            && !CONJUNCTIONS.contains(&word);
        if divided {
            whole.pop();
        } else if !whole.is_empty() {
            whole.push(' ');
        }
        whole.push_str(word);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn texts(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|sentence| sentence.text)
            .collect()
    }

    #[test]
    fn a_sentence_ends_at_its_full_stop_and_not_at_an_abbreviation() {
        assert_eq!(
            texts("Cells grow. They divide!"),
            ["Cells grow.", "They divide!"]
        );
        assert_eq!(
            texts("See Fig. 3 and Dr. Who. Next."),
            ["See Fig. 3 and Dr. Who.", "Next."]
        );
        assert_eq!(
            texts("Many (e.g. Ants) live. So do J. S. Bach."),
            ["Many (e.g. Ants) live.", "So do J. S. Bach."]
        );
        assert_eq!(
            texts("Pi is 3.14 today. Yes."),
            ["Pi is 3.14 today.", "Yes."]
        );
        assert_eq!(
            texts("3. Mitosis begins. Then it ends."),
            ["3. Mitosis begins.", "Then it ends."]
        );
    }

    #[test]
    fn a_wrapped_line_is_a_space_and_a_blank_one_an_end() {
        assert_eq!(
            texts("Cells are\nsmall.\n\nHeading\n\nMore."),
            ["Cells are\nsmall.", "Heading", "More."]
        );
        assert_eq!(
            unwrap_lines("photo-\nsynthesis is\n  fine"),
            "photosynthesis is fine"
        );
        assert_eq!(
            unwrap_lines("the Franco-\nPrussian war"),
            "the Franco- Prussian war"
        );
    }

    #[test]
    fn a_heading_ends_at_its_line() {
        for (text, expected) in [
            (
                "1. Osmosis\nOsmosis is the movement of water.\n2. Diffusion\nDiffusion is slow.",
                &[
                    "1. Osmosis",
                    "Osmosis is the movement of water.",
                    "2. Diffusion",
                    "Diffusion is slow.",
                ][..],
            ),
            (
                "Chapter 2\nThe Cell\nThe cell is the smallest unit of all that lives.",
                &[
                    "Chapter 2",
                    "The Cell",
                    "The cell is the smallest unit of all that lives.",
                ],
            ),
            (
                "2.1 How Water Moves\nWater moves. It\nflows.",
                &["2.1 How Water Moves", "Water moves.", "It\nflows."],
            ),
        ] {
            assert_eq!(texts(text), expected);
        }
    }

    #[test]
    fn a_short_wrapped_line_is_no_heading() {
        for text in [
            "It was built by the engineer\nThomas Newcomen\nAnd James Watt, who made it better by far in the end.",
            "In the year of\nThe king who came from the far north there was a war.",
            "The pump was sold to\nManchester and to all the other towns of the north.",
            "They were born in May\n1769 in a town that nobody knows any more today.",
        ] {
            assert_eq!(texts(text), [text]);
        }
    }

    #[test]
    fn a_word_divided_in_a_line_that_is_no_more_is_whole_again() {
        assert_eq!(
            unwrap_lines("• It might auto- matically upgrade pre- and post-war systems."),
            "It might automatically upgrade pre- and post-war systems."
        );
    }

    #[test]
    fn chinese_sentences_end_without_spaces() {
        assert_eq!(
            texts("细胞很小。它们会分裂。"),
            ["细胞很小。", "它们会分裂。"]
        );
    }

    #[test]
    fn every_sentence_stands_where_it_says() {
        for text in samples::AWKWARD
            .iter()
            .chain(&[samples::BIOLOGY, samples::HISTORY])
        {
            for sentence in sentences(text) {
                assert_eq!(
                    &text[sentence.offset..][..sentence.text.len()],
                    sentence.text
                );
                assert!(
                    sentence.text.chars().count() <= MAX_CHARACTERS && !sentence.text.is_empty()
                );
            }
        }
    }
}
