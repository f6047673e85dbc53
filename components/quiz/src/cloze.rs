//! Multiple choice from a document alone: a sentence with a gap, and distractors of the same class
//! from the same document.

use corpus::terms::fold;

use crate::material::{Class, Fact, Material, Thing, find_words, value};
use crate::question::{Difficulty, Kind, Question};
use crate::shuffle::Rng;

/// What stands for the gap.
pub const GAP: &str = "_____";
const DISTRACTORS: usize = 3;

/// A question from the fact, where it has something to ask for and three good distractors.
pub fn question(
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    rng: &mut Rng,
) -> Option<Question> {
    candidates(fact, material, difficulty)
        .into_iter()
        .find_map(|(thing, at)| {
            let answer = &fact.text[at..at + thing.text.len()];
            let distractors = distractors(thing, fact, material, difficulty, rng)?;
            let mut options: Vec<String> = distractors
                .into_iter()
                .map(|text| like(answer, &text))
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
                explanation: format!("The document says: “{}”", fact.text),
                source: fact.source.clone(),
            })
        })
}

/// The fact's things, those first that the difficulty asks for.
fn candidates<'a>(
    fact: &Fact,
    material: &'a Material,
    difficulty: Difficulty,
) -> Vec<(&'a Thing, usize)> {
    let found = material
        .things
        .iter()
        .filter_map(|thing| Some((thing, find_words(&fact.text, &thing.text)?)));
    let mut found: Vec<_> = found.collect();
    // Longer first: "cell membrane" before "cell".
    found.sort_by_key(|(thing, _)| std::cmp::Reverse(thing.text.split_whitespace().count()));
    match difficulty {
        Difficulty::Easy => found.sort_by_key(|(thing, _)| std::cmp::Reverse(thing.count)),
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
    found
}

/// Things to be taken for the answer: of its class, about as long, not in the sentence, none part of
/// another. Hard ones are the nearest, easy ones the most frequent.
pub fn distractors(
    answer: &Thing,
    fact: &Fact,
    material: &Material,
    difficulty: Difficulty,
    rng: &mut Rng,
) -> Option<Vec<String>> {
    if answer.class == Class::Number {
        return numbers(&answer.text, rng);
    }
    let stems = material.tokenizer.tokens(&answer.text);
    let mut pool: Vec<&Thing> = material
        .things
        .iter()
        .filter(|thing| {
            thing.class == answer.class && find_words(&fact.text, &thing.text).is_none()
        })
        .filter(|thing| is_about_as_long(&thing.text, &answer.text))
        .filter(|thing| thing.text.ends_with('s') == answer.text.ends_with('s'))
        .filter(|thing| {
            material
                .tokenizer
                .tokens(&thing.text)
                .iter()
                .all(|stem| !stems.contains(stem))
        })
        .collect();
    match difficulty {
        Difficulty::Easy => {}
        Difficulty::Medium => rng.shuffle(&mut pool),
        Difficulty::Hard => pool.sort_by_key(|thing| distance(thing, answer)),
    }
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

/// 10 to 50 % away, as precise, in the same form.
fn numbers(text: &str, rng: &mut Rng) -> Option<Vec<String>> {
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

/// Begins as the answer does: a capital would give it away.
fn like(answer: &str, text: &str) -> String {
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
        let near = numbers("25,000", &mut Rng::new(1)).unwrap();
        for number in &near {
            let number = value(number).unwrap();
            assert!(
                (12_500.0..=37_500.0).contains(&number) && (number - 25_000.0).abs() >= 2_499.0
            );
        }
        assert!(near.iter().all(|number| number.contains(',')), "{near:?}");
        assert_eq!(numbers("1", &mut Rng::new(1)), None);
    }

    #[test]
    fn an_option_begins_as_the_answer_does() {
        assert_eq!(like("Mitosis", "meiosis"), "Meiosis");
        assert_eq!(like("mitosis", "Meiosis"), "meiosis");
        assert_eq!(like("mitosis", "ATP"), "ATP");
        assert_eq!(like("x", "Über"), "über");
    }
}
