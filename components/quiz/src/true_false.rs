//! True or false from a document alone: a sentence as it stands, or with one thing swapped for
//! another of its class.

use crate::cloze::distractors;
use crate::material::{Fact, Material, find_words};
use crate::question::{Difficulty, Kind, Question};
use crate::shuffle::Rng;

/// The options, in their order.
pub const OPTIONS: [&str; 2] = ["True", "False"];

/// A question from the fact: true, or false where `truth` is not wanted and something can be swapped.
pub fn question(
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    truth: bool,
    rng: &mut Rng,
) -> Option<Question> {
    let (stem, answer) = if truth {
        (fact.text.clone(), "True")
    } else {
        (swapped(fact, material, difficulty, rng)?, "False")
    };
    Some(Question {
        stem,
        options: OPTIONS.map(ToOwned::to_owned).to_vec(),
        answer: answer.to_owned(),
        kind: Kind::TrueFalse,
        explanation: format!("The document says: “{}”", fact.text),
        source: fact.source.clone(),
    })
}

fn swapped(
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    rng: &mut Rng,
) -> Option<String> {
    material.things.iter().find_map(|thing| {
        let at = find_words(&fact.text, &thing.text)?;
        // Swapped at one place only, the sentence could still be true at the other.
        if find_words(&fact.text[at + thing.text.len()..], &thing.text).is_some() || at == 0 {
            return None;
        }
        let other = distractors(thing, fact, material, difficulty, rng)?
            .into_iter()
            .next()?;
        Some(format!(
            "{}{other}{}",
            &fact.text[..at],
            &fact.text[at + thing.text.len()..]
        ))
    })
}
