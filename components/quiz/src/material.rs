//! What a document offers to ask about: sentences that can stand alone, and the things in them that
//! can be gapped or swapped.

use std::collections::HashSet;

use corpus::Passage;
use corpus::prose::{is_legal, is_prose};
use corpus::rank::text_rank;
use corpus::sentence::{sentences, unwrap_lines};
use corpus::terms::{Tokenizer, fold};

use crate::question::{Difficulty, Source};
use crate::text::Text;
use crate::things::{Class, Thing, things};

/// Sentences that are ranked; a longer document is sampled evenly.
const MOST: usize = 400;
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
    /// The terms of its notes are known to matter.
    pub fn new(text: &Text) -> Self {
        let passages = &text.passages;
        let sample: Vec<_> = passages
            .iter()
            .take(10)
            .map(|passage| passage.text.as_str())
            .collect();
        let tokenizer = Tokenizer::detect(&sample.join(" "));
        let mut facts = facts(text, &tokenizer);
        let things = things(text, &facts, &tokenizer);
        prefer_noted(&mut facts, &things);
        Self {
            facts,
            things,
            tokenizer,
        }
    }

    /// The facts in two parts, each best first: those to ask about before the others. Of an easy quiz
    /// these are the less demanding half, of a hard one the other.
    pub fn facts_for(&self, difficulty: Difficulty) -> [Vec<&Fact>; 2] {
        if difficulty == Difficulty::Medium {
            return [self.facts.iter().collect(), vec![]];
        }
        let mut by_demand: Vec<(u32, usize)> = self
            .facts
            .iter()
            .enumerate()
            .map(|(at, fact)| (self.demand(fact), at))
            .collect();
        by_demand.sort_unstable();
        let easier = by_demand.iter().take(self.facts.len().div_ceil(2));
        let easier: HashSet<usize> = easier.map(|(_, at)| *at).collect();
        let (mut first, mut rest) = (vec![], vec![]);
        for (at, fact) in self.facts.iter().enumerate() {
            let suits = easier.contains(&at) == (difficulty == Difficulty::Easy);
            if suits { &mut first } else { &mut rest }.push(fact);
        }
        [first, rest]
    }

    /// How much the fact asks of who reads it: numbers and rare things, and many words.
    fn demand(&self, fact: &Fact) -> u32 {
        let things = self
            .things
            .iter()
            .filter(|thing| thing.find(&fact.text).is_some());
        let weigh = |thing: &Thing| match thing.class {
            Class::Year | Class::Number => 6,
            _ if thing.count <= 1 => 3,
            _ => 0,
        };
        let words = fact.text.split_whitespace().count();
        things.map(weigh).sum::<u32>() + u32::try_from(words).unwrap_or(u32::MAX / 2) / 2
    }
}

/// What is said of a term that the notes name comes before what is said of others.
fn prefer_noted(facts: &mut [Fact], things: &[Thing]) {
    let noted: Vec<&Thing> = things
        .iter()
        .filter(|thing| thing.noted && !thing.common)
        .collect();
    let is_noted = |fact: &Fact| noted.iter().any(|thing| thing.find(&fact.text).is_some());
    facts.sort_by_cached_key(|fact| !is_noted(fact));
}

fn facts(document: &Text, tokenizer: &Tokenizer) -> Vec<Fact> {
    let mut seen = HashSet::new();
    let mut all: Vec<Fact> = Vec::new();
    let passages = document.passages.iter();
    for passage in passages.filter(|passage| !is_licence(passage)) {
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
                    source: source(
                        &document.document_id,
                        passage,
                        sentence.offset,
                        sentence.text,
                    ),
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

/// A passage with two sentences of a licence is of a licence.
fn is_licence(passage: &Passage) -> bool {
    let legal = |text: &str| is_legal(&unwrap_lines(text));
    let found = sentences(&passage.text).into_iter();
    found.filter(|sentence| legal(sentence.text)).count() >= 2
}

fn stands_alone(text: &str) -> bool {
    let first = text
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .map(fold)
        .unwrap_or_default();
    // "Usage: ...", "G. Preserve ...": a label or an item's letter, not a word.
    let label = text
        .split_whitespace()
        .next()
        .is_some_and(|word| word.ends_with([':', '.']));
    !label
        && !LEANING.contains(&first.as_str())
        && !text.contains([
            '?', '"', '“', '=', '|', '{', '_', '[', ']', '<', '>', '\\', '$', '*', '#', ':',
        ])
}

/// The sentence as a slice of the document.
pub(crate) fn source(document_id: &str, passage: &Passage, offset: usize, quote: &str) -> Source {
    let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let start = passage.start + count(&passage.text[..offset]);
    Source {
        document_id: document_id.to_owned(),
        page: passage.page,
        start,
        end: start + count(quote),
        quote: quote.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::things::Class;
    use corpus::{Document, Page, samples};

    /// A document of the two samples, a page each.
    fn text(pages: &[&str]) -> Text {
        let pages = pages.iter().zip(1..).map(|(text, number)| Page {
            number,
            text: (*text).to_owned(),
        });
        let document = Document {
            pages: pages.collect(),
        };
        Text {
            passages: document.passages(),
            ..Text::default()
        }
    }

    fn material() -> Material {
        Material::new(&text(&[samples::BIOLOGY, samples::HISTORY]))
    }

    #[test]
    fn facts_stand_alone_and_quote_the_document() {
        let material = material();
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
    fn a_licence_and_a_label_are_no_facts() {
        let licence = "Copyright c 2000-2022 by the R Core Team and many other people of Vienna. \
                    Usage: the program takes a file and writes another file to the disk. \
                    The program takes a file and writes another file to the disk.";
        let facts = Material::new(&text(&[licence])).facts;
        assert_eq!(facts.len(), 1, "{facts:?}");
        assert!(facts[0].text.starts_with("The program"));
    }

    #[test]
    fn things_have_a_class() {
        let things = material().things;
        let class = |text: &str| {
            things
                .iter()
                .find(|thing| thing.text == text)
                .map(|thing| thing.class)
        };
        assert_eq!(class("1769"), Some(Class::Year));
        assert_eq!(class("25,000"), Some(Class::Number));
        assert_eq!(class("Manchester"), Some(Class::Name(1)));
        assert_eq!(class("cell membrane"), Some(Class::Term(2)));
    }
}
