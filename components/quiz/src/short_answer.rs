//! Short answers from a document alone: what a term means, where a sentence says so, or what stands in
//! a sentence's gap.

use std::collections::HashSet;

use corpus::definitions;
use corpus::terms::fold;

use crate::cloze::{GAP, candidates};
use crate::material::{Fact, Material};
use crate::phrases;
use crate::question::{Difficulty, Kind, Question};
use crate::words::find_words;

/// Of a definition, in words: fewer say nothing, more are no short answer.
const DEFINITION: std::ops::RangeInclusive<usize> = 3..=30;

/// A question from the fact that asks for something not `used`, folded, and what that is. An easy one
/// asks for a word rather than for a definition.
pub fn question(
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    used: &HashSet<String>,
) -> Option<(Question, String)> {
    let gap = || gap(fact, material, difficulty, used);
    let meaning = || meaning(fact, material, used);
    match difficulty {
        Difficulty::Easy => gap().or_else(meaning),
        Difficulty::Medium | Difficulty::Hard => meaning().or_else(gap),
    }
}

fn meaning(fact: &Fact, material: &Material, used: &HashSet<String>) -> Option<(Question, String)> {
    let (term, said) = definitions::parts(&fact.text, &material.tokenizer)?;
    let key = fold(term);
    let tells = DEFINITION.contains(&said.split_whitespace().count())
        && find_words(&fold(said), &key).is_none()
        && !used.contains(&key);
    let stem = phrases::what_is(term, phrases::Language::of(&material.tokenizer));
    tells.then(|| (made(fact, material, stem, said), key))
}

fn gap(
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    used: &HashSet<String>,
) -> Option<(Question, String)> {
    let found = candidates(fact, material, difficulty);
    let fits = |(thing, _): &(&crate::things::Thing, usize)| {
        !thing.common && !used.contains(&fold(&thing.text))
    };
    found.into_iter().filter(fits).find_map(|(thing, at)| {
        let answer = &fact.text[at..at + thing.text.len()];
        let (before, after) = (&fact.text[..at], &fact.text[at + answer.len()..]);
        let gapped = format!("{before}{GAP}{after}");
        // What stands elsewhere in the sentence need not be known.
        if find_words(&gapped, answer).is_some() {
            return None;
        }
        let stem = phrases::fill_gap(&gapped, phrases::Language::of(&material.tokenizer));
        Some((made(fact, material, stem, answer), fold(&thing.text)))
    })
}

fn made(fact: &Fact, material: &Material, stem: String, answer: &str) -> Question {
    Question {
        stem,
        options: vec![],
        answer: answer.to_owned(),
        rubric: vec![],
        kind: Kind::ShortAnswer,
        explanation: phrases::the_document_says(
            &fact.text,
            phrases::Language::of(&material.tokenizer),
        ),
        source: fact.source.clone(),
    }
}
