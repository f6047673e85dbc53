//! What a document offers to ask about: sentences that can stand alone, and the things in them that
//! can be gapped or swapped.

use std::collections::{HashMap, HashSet};

use corpus::notes::is_prose;
use corpus::rank::text_rank;
use corpus::sentence::{sentences, unwrap_lines};
use corpus::terms::{Tokenizer, fold};
use corpus::{Document, Page, Passage};

use crate::question::Source;

/// Sentences that are ranked; a longer document is sampled evenly.
const MOST: usize = 400;
/// Things that are told apart in one document.
const THINGS: usize = 300;

/// What class a thing is of; distractors are of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 1000 to 2100 without a unit.
    Year,
    /// Any other number.
    Number,
    /// Capitalised within sentences.
    Name,
    /// A key term of so many words.
    Term(usize),
}

/// Something in a sentence that can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    /// As the document writes it.
    pub text: String,
    /// What it is.
    pub class: Class,
    /// How often the document has it.
    pub count: u32,
}

/// A sentence to ask about.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its wrapped lines joined.
    pub text: String,
    /// Where it stands.
    pub source: Source,
    /// Higher tells more.
    pub rank: f32,
}

/// A document's facts and things.
pub struct Material {
    /// Best first.
    pub facts: Vec<Fact>,
    /// Most frequent first.
    pub things: Vec<Thing>,
    /// How the document's language forms words.
    pub tokenizer: Tokenizer,
}

/// A sentence that begins so leans on the one before.
const LEANING: &[&str] = &[
    "it",
    "its",
    "they",
    "their",
    "them",
    "this",
    "that",
    "these",
    "those",
    "he",
    "she",
    "his",
    "her",
    "such",
    "here",
    "there",
    "however",
    "therefore",
    "thus",
    "hence",
    "but",
    "and",
    "or",
    "so",
    "then",
    "also",
    "moreover",
    "furthermore",
    "otherwise",
    "instead",
    "finally",
    "consequently",
    "similarly",
    "another",
    "both",
    "we",
    "you",
    "i",
    "our",
    "your",
    "for",
    "as",
    "if",
    "when",
    "while",
    "because",
    "although",
    "note",
    "see",
    "let",
    "figure",
    "table",
    "in",
    "es",
    "sie",
    "er",
    "dies",
    "diese",
    "dieser",
    "dieses",
    "aber",
    "und",
    "dann",
    "daher",
    "wir",
    "man",
];

impl Material {
    /// `preferred` are terms that are known to matter, best first.
    pub fn new(passages: &[Passage], preferred: &[String]) -> Self {
        let sample: Vec<_> = passages
            .iter()
            .take(10)
            .map(|passage| passage.text.as_str())
            .collect();
        let tokenizer = Tokenizer::detect(&sample.join(" "));
        let facts = facts(passages, &tokenizer);
        let things = things(passages, preferred, &facts);
        Self {
            facts,
            things,
            tokenizer,
        }
    }
}

fn facts(passages: &[Passage], tokenizer: &Tokenizer) -> Vec<Fact> {
    let mut seen = HashSet::new();
    let mut all: Vec<Fact> = Vec::new();
    for passage in passages {
        for sentence in sentences(&passage.text) {
            let text = unwrap_lines(sentence.text);
            let words = text.split_whitespace().count();
            if (8..=32).contains(&words)
                && is_prose(&text)
                && stands_alone(&text)
                && seen.insert(fold(&text))
            {
                all.push(Fact {
                    text,
                    source: source(passage, sentence.offset, sentence.text),
                    rank: 0.0,
                });
            }
        }
    }
    let step = all.len().div_ceil(MOST).max(1);
    let mut facts: Vec<Fact> = all.into_iter().step_by(step).collect();
    let texts: Vec<&str> = facts.iter().map(|fact| fact.text.as_str()).collect();
    let ranks = text_rank(&texts, tokenizer);
    for (fact, rank) in facts.iter_mut().zip(ranks) {
        fact.rank = rank;
    }
    facts.sort_by(|a, b| {
        b.rank
            .total_cmp(&a.rank)
            .then(a.source.start.cmp(&b.source.start))
    });
    facts
}

fn stands_alone(text: &str) -> bool {
    let first = text
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .map(fold)
        .unwrap_or_default();
    !LEANING.contains(&first.as_str()) && !text.contains(['?', '"', '“', '=', '|', '{', '_'])
}

/// The sentence as a slice of the document.
fn source(passage: &Passage, offset: usize, quote: &str) -> Source {
    let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let start = passage.start + count(&passage.text[..offset]);
    Source {
        page: passage.page,
        start,
        end: start + count(quote),
        quote: quote.to_owned(),
    }
}

fn things(passages: &[Passage], preferred: &[String], facts: &[Fact]) -> Vec<Thing> {
    let pages = passages.iter().map(|passage| Page {
        number: passage.page,
        text: passage.text.clone(),
    });
    let document = Document {
        pages: pages.collect(),
    };
    let mut things: Vec<Thing> = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |thing: Thing| {
        if seen.insert(fold(&thing.text)) {
            things.push(thing);
        }
    };
    for name in names(facts) {
        add(name);
    }
    for number in numbers(facts) {
        add(number);
    }
    let terms = corpus::terms::key_terms(&document, 120);
    let known = preferred.iter().map(|text| (text.clone(), 3));
    for (text, count) in known.chain(terms.into_iter().map(|term| (term.text, term.count))) {
        let words = text.split_whitespace().count();
        if text.chars().count() >= 4 {
            add(Thing {
                text,
                class: Class::Term(words),
                count,
            });
        }
    }
    things.truncate(THINGS);
    things
}

/// Runs of capitalised words that do not begin their sentence.
fn names(facts: &[Fact]) -> Vec<Thing> {
    let mut counts: HashMap<String, u32> = HashMap::new();
    for fact in facts {
        let mut run: Vec<&str> = Vec::new();
        for (at, word) in fact.text.split_whitespace().enumerate() {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            let is_name =
                at > 0 && bare.chars().count() >= 3 && bare.starts_with(char::is_uppercase);
            if is_name && bare.chars().all(char::is_alphabetic) {
                run.push(bare);
            }
            if !is_name || !word.ends_with(char::is_alphanumeric) {
                flush(&mut run, &mut counts);
            }
        }
        flush(&mut run, &mut counts);
    }
    // Where every noun has a capital, as in German, a capital says nothing.
    let words: usize = facts
        .iter()
        .map(|fact| fact.text.split_whitespace().count())
        .sum();
    let capitals: u32 = counts.values().sum();
    if capitals as usize * 6 > words {
        return vec![];
    }
    sorted(counts, |_| Class::Name)
}

fn flush(run: &mut Vec<&str>, counts: &mut HashMap<String, u32>) {
    if (1..=3).contains(&run.len()) {
        *counts.entry(run.join(" ")).or_default() += 1;
    }
    run.clear();
}

fn numbers(facts: &[Fact]) -> Vec<Thing> {
    let mut counts: HashMap<String, u32> = HashMap::new();
    for word in facts.iter().flat_map(|fact| fact.text.split_whitespace()) {
        let bare = word.trim_matches(|c: char| !c.is_ascii_digit());
        if value(bare).is_some() && word.chars().filter(|c| c.is_alphabetic()).count() == 0 {
            *counts.entry(bare.to_owned()).or_default() += 1;
        }
    }
    sorted(counts, |text| {
        if is_year(text) {
            Class::Year
        } else {
            Class::Number
        }
    })
}

/// The number that a word is: digits, with commas between thousands or one point.
pub fn value(word: &str) -> Option<f64> {
    let fits = !word.is_empty()
        && word.len() <= 12
        && word
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b',' || b == b'.');
    word.replace(',', "").parse().ok().filter(|_| fits)
}

fn is_year(text: &str) -> bool {
    text.len() == 4
        && text
            .parse::<u32>()
            .is_ok_and(|year| (1000..=2100).contains(&year))
}

fn sorted(counts: HashMap<String, u32>, class: impl Fn(&str) -> Class) -> Vec<Thing> {
    let mut things: Vec<Thing> = counts
        .into_iter()
        .map(|(text, count)| Thing {
            class: class(&text),
            text,
            count,
        })
        .collect();
    things.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
    things
}

/// Where `needle` stands in `text` as whole words, in bytes; letter case counts for nothing where it
/// does not change a length.
pub fn find_words(text: &str, needle: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric();
    text.char_indices().map(|(at, _)| at).find(|&at| {
        let Some(piece) = text.get(at..at + needle.len()) else { return false };
        (piece == needle || piece.to_lowercase() == needle.to_lowercase())
            && !text[..at].ends_with(is_word)
            && !text[at + needle.len()..].starts_with(is_word)
            // Not within a number: `30` in `1,300` or `3.30`.
            && !(needle.ends_with(|c: char| c.is_ascii_digit())
                && (text[..at].ends_with(['.', ',']) || text[at + needle.len()..].starts_with([',', '%'])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::samples;

    /// A document of the two samples, a page each.
    fn passages() -> Vec<Passage> {
        let pages = [samples::BIOLOGY, samples::HISTORY].iter().zip(1..);
        Document {
            pages: pages
                .map(|(text, number)| Page {
                    number,
                    text: (*text).to_owned(),
                })
                .collect(),
        }
        .passages()
    }

    #[test]
    fn facts_stand_alone_and_quote_the_document() {
        let material = Material::new(&passages(), &[]);
        assert!(material.facts.len() > 15);
        for fact in &material.facts {
            assert!(
                !fact.text.starts_with("It ") && !fact.text.contains('\n'),
                "{}",
                fact.text
            );
            assert_eq!(unwrap_lines(&fact.source.quote), fact.text);
        }
    }

    #[test]
    fn things_have_a_class() {
        let things = Material::new(&passages(), &[]).things;
        let class = |text: &str| {
            things
                .iter()
                .find(|thing| thing.text == text)
                .map(|thing| thing.class)
        };
        assert_eq!(class("1769"), Some(Class::Year));
        assert_eq!(class("25,000"), Some(Class::Number));
        assert_eq!(class("Manchester"), Some(Class::Name));
        assert_eq!(class("cell membrane"), Some(Class::Term(2)));
    }

    #[test]
    fn words_are_found_whole() {
        assert_eq!(find_words("subcells and cells", "cells"), Some(13));
        assert_eq!(find_words("Cells are", "cells"), Some(0));
        assert_eq!(find_words("about 1,300 men", "300"), None);
        assert_eq!(find_words("ünder", "nder"), None);
        assert_eq!(find_words("", "x"), None);
    }
}
