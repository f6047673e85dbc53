//! Multiple choice from a document alone: a sentence with a gap, and distractors of the same class
//! from the same document.

use std::collections::HashSet;

use corpus::definitions;
use corpus::terms::fold;

use crate::calendar::siblings;
use crate::grammar::Forms;
use crate::material::{Fact, Material};
use crate::names;
use crate::phrases;
use crate::question::{Difficulty, Kind, Question};
use crate::shuffle::Rng;
use crate::slots::{self, Slot};
use crate::things::{Class, Thing, places, value};
use crate::words::find_words;

/// What stands for the gap.
pub const GAP: &str = "_____";
const DISTRACTORS: usize = 3;

/// A question from the fact, where it has something to ask for that is not `used`, folded, and three
/// good distractors.
pub fn question(
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    used: &HashSet<String>,
    rng: &mut Rng,
) -> Option<Question> {
    candidates(fact, material, difficulty)
        .into_iter()
        .filter(|(thing, _)| !used.contains(&fold(&thing.text)))
        .find_map(|(thing, at)| {
            let answer = &fact.text[at..at + thing.text.len()];
            let distractors = distractors(thing, at, fact, material, difficulty, rng)?;
            let mut options: Vec<String> = distractors
                .into_iter()
                .map(|text| like(answer, &text, thing.class))
                .collect();
            options.push(answer.to_owned());
            let stem = format!(
                "{}{GAP}{}",
                &fact.text[..at],
                &fact.text[at + answer.len()..]
            );
            // The key must not stand elsewhere in the sentence.
            if find_words(&stem, answer).is_some() {
                return None;
            }
            Some(Question {
                stem,
                options,
                answer: answer.to_owned(),
                kind: Kind::MultipleChoice,
                rubric: vec![],
                explanation: phrases::the_document_says(
                    &fact.text,
                    phrases::Language::of(&material.tokenizer),
                ),
                source: fact.source.clone(),
            })
        })
}

/// The fact's things and where they stand, those first that the notes name, unless it is to be hard, and
/// that the difficulty asks for; what the whole document is about comes last.
pub fn candidates<'a>(
    fact: &Fact,
    material: &'a Material,
    difficulty: Difficulty,
) -> Vec<(&'a Thing, usize)> {
    let found = material
        .things
        .iter()
        .filter_map(|thing| Some((thing, thing.asked(&fact.text)?)));
    let mut found: Vec<_> = found.collect();
    // Longer first: "cell membrane" before "cell".
    found.sort_by_key(|(thing, _)| std::cmp::Reverse(thing.text.split_whitespace().count()));
    match difficulty {
        Difficulty::Easy => {
            // What a definition defines, else what is named often.
            let defined = definitions::parts(&fact.text, &material.tokenizer);
            let defined = defined.map(|(term, _)| fold(term)).unwrap_or_default();
            found.sort_by_key(|(thing, _)| {
                let is_defined = fold(&thing.text) == defined;
                let is_figure = matches!(thing.class, Class::Year | Class::Number);
                (!is_defined, is_figure, std::cmp::Reverse(thing.count))
            });
        }
        Difficulty::Medium => {}
        Difficulty::Hard => {
            found.sort_by_key(|(thing, _)| {
                (
                    !matches!(thing.class, Class::Year | Class::Number),
                    thing.count,
                )
            });
        }
    }
    if difficulty != Difficulty::Hard {
        found.sort_by_key(|(thing, _)| !thing.noted);
    }
    found.sort_by_key(|(thing, _)| thing.common);
    found
}

/// Things to be taken for the answer, which stands at `at`: of its class, about as long, not in the
/// sentence, none part of another. Hard ones are the nearest, easy ones the farthest.
pub fn distractors(
    answer: &Thing,
    at: usize,
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    rng: &mut Rng,
) -> Option<Vec<String>> {
    match answer.class {
        Class::Number => return numbers(&answer.text, &fact.text, rng),
        Class::Month | Class::Day => return dates(&answer.text, &fact.text, rng),
        _ => {}
    }
    let mut pool = pool(answer, at, fact, material);
    match difficulty {
        Difficulty::Easy => {
            pool.sort_by_key(|thing| std::cmp::Reverse(distance(thing, answer)));
        }
        Difficulty::Medium => rng.shuffle(&mut pool),
        Difficulty::Hard => pool.sort_by_key(|thing| distance(thing, answer)),
    }
    // As many words as the answer, as long as there are such.
    pool.sort_by_key(|thing| thing.class != answer.class);
    let mut chosen: Vec<String> = Vec::new();
    for thing in pool {
        let text = fold(&thing.text);
        if chosen
            .iter()
            .all(|other| !fold(other).contains(&text) && !text.contains(&fold(other)))
        {
            chosen.push(thing.text.clone());
        }
        if chosen.len() == DISTRACTORS {
            return Some(chosen);
        }
    }
    if answer.class == Class::Year {
        years(&answer.text, rng)
    } else {
        None
    }
}

fn pool<'a>(answer: &Thing, at: usize, fact: &Fact, material: &'a Material) -> Vec<&'a Thing> {
    let tokens = |text: &str| material.tokenizer.tokens(text);
    let stems = tokens(&answer.text);
    let behind = fact.text[..at].split_whitespace().next_back();
    let before = behind.map(fold);
    // "a" and "an" would tell.
    let article = before.is_some_and(|word| matches!(word.as_str(), "a" | "an"));
    let sounds = |text: &str| fold(text).starts_with(['a', 'e', 'i', 'o', 'u']);
    // A place for a person, or a person for a program, is absurd: a name must have stood in such a
    // place of a sentence.
    let places = places(&fact.text, at, &answer.text);
    let is_name = matches!(answer.class, Class::Name(_) | Class::Acronym);
    let is_term = matches!(answer.class, Class::Term(_));
    let (left, right) = (&fact.text[..at], &fact.text[at + answer.text.len()..]);
    let gap = slots::slots(left, right, &material.tokenizer);
    let fits = |thing: &&Thing| {
        thing.class.stands_for(answer.class)
            && (!is_name || is_alike(thing, answer, &places))
            && (!is_term || thing.kind == answer.kind && can_fill(thing, answer, &gap))
            && thing.forms.stands_for(answer.forms, behind)
            && (answer.forms == Forms::ANY
                || thing.text.ends_with('n') == answer.text.ends_with('n'))
            && is_about_as_long(&thing.text, &answer.text)
            && looks_plural(&thing.text) == looks_plural(&answer.text)
            && (!article || sounds(&thing.text) == sounds(&answer.text))
            && find_words(&fold(&fact.text), &fold(&thing.text)).is_none()
            && tokens(&thing.text).iter().all(|stem| !stems.contains(stem))
    };
    material.things.iter().filter(fits).collect()
}

/// By its last letters: "cells", and not "nucleus", "mitosis", "process".
fn looks_plural(text: &str) -> bool {
    text.ends_with('s')
        && !["ss", "us", "is"]
            .iter()
            .any(|ending| text.ends_with(ending))
}

/// Whether a term goes with the words around the gap, and names what happens where the answer does.
fn can_fill(thing: &Thing, answer: &Thing, gap: &[Slot]) -> bool {
    slots::happens(&thing.text) == slots::happens(&answer.text)
        && slots::agree(&thing.slots, &answer.slots)
        && slots::fill(gap, &thing.slots)
}

/// Whether both names name the same kind of thing; where that is not known of both, whether one has stood
/// in such a place of a sentence as the other does.
fn is_alike(thing: &Thing, answer: &Thing, places: &[String]) -> bool {
    match (thing.kind, answer.kind) {
        (names::Kind::Unknown, names::Kind::Unknown) => thing.fits(places),
        (names::Kind::Unknown, _) | (_, names::Kind::Unknown) => false,
        (kind, other) => kind == other,
    }
}

/// Others of the same calendar.
fn dates(text: &str, sentence: &str, rng: &mut Rng) -> Option<Vec<String>> {
    let mut others: Vec<String> = siblings(text, sentence)
        .iter()
        .filter(|other| **other != text && find_words(sentence, other).is_none())
        .map(|other| (*other).to_owned())
        .collect();
    rng.shuffle(&mut others);
    others.truncate(DISTRACTORS);
    (others.len() == DISTRACTORS).then_some(others)
}

/// How unlike two things are.
fn distance(thing: &Thing, answer: &Thing) -> u32 {
    match (value(&thing.text), value(&answer.text)) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "years, clamped by `as`"
        )]
        (Some(a), Some(b)) => (a - b).abs() as u32,
        _ => thing.count.abs_diff(answer.count),
    }
}

fn is_about_as_long(text: &str, answer: &str) -> bool {
    let (a, b) = (text.chars().count(), answer.chars().count());
    // The key must not be the longest by more than a quarter; nor the shortest by much.
    a * 5 >= b * 3 && a * 2 <= b * 5
}

/// 10 to 50 % away, as precise, in the same form, none that the sentence has.
fn numbers(text: &str, sentence: &str, rng: &mut Rng) -> Option<Vec<String>> {
    let number = value(text).filter(|&number| number >= 2.0)?;
    let decimals = text.split_once('.').map_or(0, |(_, after)| after.len());
    let mut shifts = vec![-0.5, -0.4, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3, 0.4, 0.5];
    rng.shuffle(&mut shifts);
    let mut chosen: Vec<String> = Vec::new();
    for shift in shifts {
        let near = written(number * (1.0 + shift), decimals, text.contains(','));
        if near != text
            && value(&near).is_some_and(|v| v > 0.0)
            && no_part(&near, text)
            && find_words(sentence, &near).is_none()
            && chosen.iter().all(|other| no_part(&near, other))
        {
            chosen.push(near);
        }
        if chosen.len() == DISTRACTORS {
            return Some(chosen);
        }
    }
    None
}

fn no_part(a: &str, b: &str) -> bool {
    !a.contains(b) && !b.contains(a)
}

/// As the document writes it: round where the number is.
fn written(number: f64, decimals: usize, commas: bool) -> String {
    let plain = format!("{number:.decimals$}");
    if !commas {
        return plain;
    }
    let (whole, rest) = plain
        .split_once('.')
        .map_or((plain.as_str(), String::new()), |(w, r)| {
            (w, format!(".{r}"))
        });
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &rest
}

/// Years nearby, where the document has too few.
fn years(text: &str, rng: &mut Rng) -> Option<Vec<String>> {
    let year: i32 = text.parse().ok()?;
    let mut shifts = vec![-21, -12, -7, -4, 5, 9, 14, 22];
    rng.shuffle(&mut shifts);
    Some(
        shifts
            .into_iter()
            .take(DISTRACTORS)
            .map(|shift| (year + shift).to_string())
            .collect(),
    )
}

/// A term begins as the answer does: a capital would give it away. Names stay as they are.
fn like(answer: &str, text: &str, class: Class) -> String {
    if !matches!(class, Class::Term(_)) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    match (answer.chars().next(), letters.next()) {
        (Some(a), Some(first)) if a.is_uppercase() && first.is_lowercase() => {
            first.to_uppercase().chain(letters).collect()
        }
        (Some(a), Some(first))
            if a.is_lowercase()
                && first.is_uppercase()
                && !text.chars().skip(1).any(char::is_uppercase) =>
        {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_near_and_written_alike() {
        let near = numbers("25,000", "", &mut Rng::new(1)).unwrap();
        for number in &near {
            let number = value(number).unwrap();
            assert!(
                (12_500.0..=37_500.0).contains(&number) && (number - 25_000.0).abs() >= 2_499.0
            );
        }
        assert!(near.iter().all(|number| number.contains(',')), "{near:?}");
        assert_eq!(numbers("1", "", &mut Rng::new(1)), None);
    }

    #[test]
    fn an_option_begins_as_the_answer_does() {
        let term = Class::Term(1);
        assert_eq!(like("Mitosis", "meiosis", term), "Meiosis");
        assert_eq!(like("mitosis", "Meiosis", term), "meiosis");
        assert_eq!(like("mitosis", "ATP", term), "ATP");
        assert_eq!(like("x", "Über", term), "über");
        assert_eq!(like("x", "Paris", Class::Name(1)), "Paris");
    }

    #[test]
    fn a_month_stands_among_months_and_a_number_not_beside_itself() {
        let sentence = "It was released on July 6th and mended in June.";
        let months = dates("July", sentence, &mut Rng::new(1)).unwrap();
        assert!(
            months
                .iter()
                .all(|month| siblings("July", "").contains(&month.as_str())
                    && month != "July"
                    && month != "June"),
            "{months:?}"
        );
        for seed in 0..20 {
            let near = numbers("5", "Between release 5 and release 6.", &mut Rng::new(seed));
            assert!(near.is_none_or(|near| !near.contains(&"6".to_owned())));
        }
    }
}
