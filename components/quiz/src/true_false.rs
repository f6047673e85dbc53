//! True or false from a document alone: a sentence as it stands, or with one thing swapped for
//! another of its class.

use std::collections::HashSet;

use corpus::terms::fold;

use crate::cloze::{candidates, distractors};
use crate::material::{Fact, Material};
use crate::phrases;
use crate::question::{Difficulty, Kind, Question};
use crate::shuffle::Rng;

/// The options, in their order.
pub const OPTIONS: [&str; 2] = ["True", "False"];

/// The fact as it stands.
pub fn truth(fact: &Fact, material: &Material) -> Question {
    made(fact, material, fact.text.clone(), OPTIONS[0])
}

/// The fact with something swapped that is not `used`, folded, and what that was.
pub fn falsehood(
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    used: &HashSet<String>,
    rng: &mut Rng,
) -> Option<(Question, String)> {
    candidates(fact, material, difficulty)
        .into_iter()
        .filter(|(thing, _)| !used.contains(&fold(&thing.text)))
        .find_map(|(thing, at)| {
            let after = &fact.text[at + thing.text.len()..];
            // Swapped at one place only, the sentence could still be true at the other.
            if thing.find(after).is_some() || at == 0 {
                return None;
            }
            let others = distractors(thing, at, fact, material, difficulty, rng)?;
            let stem = format!("{}{}{after}", &fact.text[..at], others.first()?);
            Some((made(fact, material, stem, OPTIONS[1]), fold(&thing.text)))
        })
}

fn made(fact: &Fact, material: &Material, stem: String, answer: &str) -> Question {
    Question {
        stem,
        options: OPTIONS.map(ToOwned::to_owned).to_vec(),
        answer: answer.to_owned(),
        kind: Kind::TrueFalse,
        rubric: vec![],
        explanation: phrases::the_document_says(
            &fact.text,
            phrases::Language::of(&material.tokenizer),
        ),
        source: fact.source.clone(),
    }
}
