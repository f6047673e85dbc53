//! What is spoken, in pieces that are short enough to be spoken at once.

use std::ops::Range;
use std::time::Duration;

use flite_rs::text::{Token, sentences};

use super::ssml::{Part, Stretch};

/// Bytes of the input.
pub(super) type Span = Range<usize>;

/// What is synthesised at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Speech {
        text: String,
        /// Where it begins a sentence, that sentence.
        sentence: Option<Span>,
        /// The words of `text`.
        words: Vec<Span>,
    },
    Silence(Duration),
}

/// Of a sentence without an end, and of a word without one: the engine's work grows faster than its
/// text.
const WORDS: usize = 60;
const WORD: usize = 200;

/// The part's sentences, cut where they are too long.
pub(super) fn pieces(part: Part) -> Vec<Piece> {
    match part {
        Part::Silence(time) => vec![Piece::Silence(time)],
        Part::Speech(stretch) => {
            let mut at = 0;
            let mut all = Vec::new();
            for tokens in sentences(&stretch.text) {
                let words: Vec<Span> = tokens.iter().map(|token| word(token, &mut at)).collect();
                all.extend(sentence(&stretch, &words));
            }
            all
        }
    }
}

/// The token's place in the text, which `at` has been read up to.
fn word(token: &Token, at: &mut usize) -> Span {
    let start = *at + token.whitespace.len();
    let end = start + token.prepunctuation.len() + token.name.len() + token.punctuation.len();
    *at = end;
    start..end
}

fn sentence(stretch: &Stretch, words: &[Span]) -> Vec<Piece> {
    let mut all = Vec::new();
    let mut rest = words;
    while let Some(first) = rest.first() {
        let short = rest.iter().take(WORDS).take_while(|w| w.len() <= WORD);
        let taken = match short.count() {
            0 => {
                all.extend(long_word(stretch, first));
                1
            }
            count => {
                all.push(piece(stretch, &rest[..count]));
                count
            }
        };
        rest = &rest[taken..];
    }
    let whole = words.first().zip(words.last());
    let whole = whole.map(|(first, last)| stretch.source(first.start..last.end));
    if let Some(Piece::Speech { sentence, .. }) = all.first_mut() {
        *sentence = whole;
    }
    all
}

fn piece(stretch: &Stretch, words: &[Span]) -> Piece {
    let (start, end) = (words[0].start, words[words.len() - 1].end);
    Piece::Speech {
        text: stretch.text[start..end].to_owned(),
        sentence: None,
        words: words.iter().map(|w| stretch.source(w.clone())).collect(),
    }
}

fn long_word(stretch: &Stretch, word: &Span) -> Vec<Piece> {
    let (mut all, mut rest) = (Vec::new(), &stretch.text[word.clone()]);
    while !rest.is_empty() {
        let (text, after) = rest.split_at(rest.floor_char_boundary(WORD));
        rest = after;
        let words = match all.is_empty() {
            true => vec![stretch.source(word.clone())],
            false => vec![],
        };
        all.push(Piece::Speech {
            text: text.to_owned(),
            sentence: None,
            words,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(String, bool)> {
        let all = pieces(Part::Speech(Stretch::plain(text)));
        let part = |piece| match piece {
            Piece::Speech { text, sentence, .. } => (text, sentence.is_some()),
            Piece::Silence(_) => panic!("silence"),
        };
        all.into_iter().map(part).collect()
    }

    #[test]
    fn a_sentence_is_a_piece() {
        let expected = [
            ("One (1) is odd.".to_owned(), true),
            ("Two is not!".into(), true),
        ];
        assert_eq!(texts("  One (1) is odd.  Two is not! \n"), expected);
        assert_eq!(texts(" \n"), []);
    }

    #[test]
    fn a_sentence_without_an_end_is_cut_between_words() {
        let all = texts(&"word ".repeat(130));
        let lengths: Vec<_> = all
            .iter()
            .map(|(text, begins)| (text.len(), *begins))
            .collect();
        assert_eq!(lengths, [(299, true), (299, false), (49, false)]);
    }

    #[test]
    fn a_word_without_an_end_is_cut_between_characters() {
        let all = texts(&format!("a {} b", "ä".repeat(150)));
        let lengths: Vec<_> = all
            .iter()
            .map(|(text, begins)| (text.len(), *begins))
            .collect();
        assert_eq!(lengths, [(1, true), (200, false), (100, false), (1, false)]);
    }
}
