//! Sentences: UAX #29 (https://www.unicode.org/reports/tr29/), mended where a text is wrapped into
//! lines and where a full stop ends an abbreviation.

use unicode_segmentation::UnicodeSegmentation;

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

/// The sentences of a text. A blank line ends one; a line break within a paragraph is a space.
pub fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut found = Vec::new();
    for (offset, paragraph) in paragraphs(text) {
        in_paragraph(offset, paragraph, &mut found);
    }
    found
}

/// Runs of lines between blank ones.
fn paragraphs(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut start, mut at) = (Vec::new(), None, 0);
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            found.extend(start.take().map(|start| (start, &text[start..at])));
        } else if start.is_none() {
            start = Some(at);
        }
        at += line.len();
    }
    found.extend(start.map(|start| (start, &text[start..])));
    found
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
