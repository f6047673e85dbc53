//! An answer made of the document's own sentences.

use std::collections::HashSet;

use crate::document::{Passage, count};
use crate::search::Index;
use crate::sentence::{Sentence, sentences};

/// A sentence of the document. `start` and `end` are offsets in Unicode scalar values into the
/// document's text, end exclusive; `text` is exactly that slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    /// The page's number.
    pub page: u32,
    /// Of its first character.
    pub start: u32,
    /// Behind its last one.
    pub end: u32,
    /// The slice.
    pub text: String,
    /// Higher is better; comparable within an answer.
    pub score: f32,
}

/// Passages that are looked at.
const PASSAGES: usize = 8;
/// Sentences of an answer at most.
const SENTENCES: usize = 3;
/// Share of the question's words, by weight, that a sentence must have. Below it the document does
/// not speak of the question.
const THRESHOLD: f32 = 0.34;
/// A further sentence must be so close to the best.
const CLOSE: f32 = 0.75;

/// The one to three sentences that answer best, in the document's order; `None` where the document
/// does not speak of the question.
pub fn answer(question: &str, passages: &[Passage]) -> Option<Vec<Quote>> {
    let index = Index::new(passages);
    let hits = index.search(question, PASSAGES);
    let places: Vec<usize> = hits.iter().map(|hit| hit.passage).collect();
    let best = ranked(question, passages, &places, &index);
    let top = best.first().filter(|quote| quote.score >= THRESHOLD)?.score;
    let mut chosen: Vec<Quote> = best
        .into_iter()
        .take_while(|q| q.score >= top * CLOSE)
        .take(SENTENCES)
        .collect();
    chosen.sort_by_key(|quote| quote.start);
    Some(chosen)
}

/// The sentences of these passages that support the claim best, at most `limit`, best first.
pub fn support(claim: &str, passages: &[Passage], limit: usize) -> Vec<Quote> {
    let index = Index::new(passages);
    let places: Vec<usize> = (0..passages.len()).collect();
    let mut best = ranked(claim, passages, &places, &index);
    best.truncate(limit);
    best
}

/// The sentences that share words with the question, best first.
fn ranked(question: &str, passages: &[Passage], places: &[usize], index: &Index) -> Vec<Quote> {
    let wanted: HashSet<String> = index.tokenizer().tokens(question).into_iter().collect();
    let all: f32 = wanted.iter().map(|token| index.weight(token)).sum();
    let mut quotes: Vec<Quote> = Vec::new();
    for (rank, passage) in places
        .iter()
        .enumerate()
        .filter_map(|(rank, &at)| Some((rank, passages.get(at)?)))
    {
        for sentence in sentences(&passage.text) {
            let score = score(&sentence, &wanted, all, index) - rank as f32 * 0.005;
            let quote = quote(passage, &sentence, score);
            // Overlapping passages share sentences.
            if score > 0.05 && quotes.iter().all(|other| other.start != quote.start) {
                quotes.push(quote);
            }
        }
    }
    quotes.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.start.cmp(&b.start)));
    quotes
}

/// The share of the question's words by weight; a fragment, a heading or a monster counts less.
fn score(sentence: &Sentence<'_>, wanted: &HashSet<String>, all: f32, index: &Index) -> f32 {
    let words = sentence.text.split_whitespace().count();
    let tokens: HashSet<String> = index
        .tokenizer()
        .tokens(sentence.text)
        .into_iter()
        .collect();
    let covered: f32 = wanted
        .intersection(&tokens)
        .map(|token| index.weight(token))
        .sum();
    let spaced = words > 1 || sentence.text.is_ascii();
    let shape = match words {
        0..=4 if spaced => 0.5,
        61.. => 0.7,
        _ => 1.0,
    };
    let asks = if sentence.text.ends_with('?') {
        0.6
    } else {
        1.0
    };
    if all > 0.0 {
        covered / all * shape * asks
    } else {
        0.0
    }
}

fn quote(passage: &Passage, sentence: &Sentence<'_>, score: f32) -> Quote {
    let start = passage.start + count(&passage.text[..sentence.offset]);
    Quote {
        page: passage.page,
        start,
        end: start + count(sentence.text),
        text: sentence.text.to_owned(),
        score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Page};
    use crate::samples;

    fn document() -> Document {
        let texts = [samples::BIOLOGY, samples::HISTORY];
        Document {
            pages: texts
                .iter()
                .zip(1..)
                .map(|(t, number)| Page {
                    number,
                    text: (*t).to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn an_answer_quotes_the_sentence_that_says_it() {
        for (question, page, says) in [
            ("What does the cell membrane do?", 1, "controls what enters"),
            (
                "Where does aerobic respiration take place?",
                1,
                "respiration",
            ),
            (
                "When was the steam engine of James Watt patented?",
                2,
                "1769",
            ),
        ] {
            let quotes = answer(question, &document().passages()).unwrap();
            assert!(
                quotes
                    .iter()
                    .any(|q| q.page == page && q.text.contains(says)),
                "{question}: {quotes:?}"
            );
        }
    }

    #[test]
    fn what_the_document_does_not_say_has_no_answer() {
        for question in [
            "Who won the football world cup?",
            "quantum chromodynamics",
            "",
            "the of and",
        ] {
            assert_eq!(answer(question, &document().passages()), None, "{question}");
        }
        assert_eq!(answer("cell", &[]), None);
    }

    #[test]
    fn a_quote_is_exactly_its_slice_of_the_document() {
        let document = document();
        let text: Vec<char> = document.text().chars().collect();
        let quotes = answer("What does the cell membrane do?", &document.passages()).unwrap();
        let supported = support(
            "The steam engine drove factories and mills",
            &document.passages(),
            3,
        );
        assert!(!supported.is_empty());
        for quote in quotes.iter().chain(&supported) {
            let slice: String = text[quote.start as usize..quote.end as usize]
                .iter()
                .collect();
            assert_eq!(slice, quote.text);
        }
    }
}
