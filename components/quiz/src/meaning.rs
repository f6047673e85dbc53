//! What an answer in words is worth, as far as that can be said without understanding it.
//!
//! | key | sure |
//! |---|---|
//! | any | nothing, "I don't know", or the question's own words: 0; the key, letter case, spaces and final stop apart: 1 |
//! | a number | that number alone, rounded as the key is: 1; another: 0 |
//! | one to three words | the same stems in their order, or a slip of the pen: 1; a part of the key and nothing else: its share |
//! | more | F1 of the stems from 0.6, four fifths of them in the key's order: 0.75, or 1 where four fifths of the key's are there |
//!
//! All else is unsure, and so is any answer that denies or turns round where the key does not, or says
//! much besides: half as many words again, or a word or two of its own.

use std::collections::HashSet;

use corpus::terms::{Tokenizer, fold};

use crate::grade::normal;
use crate::support::{ORDER, common, contrasts};

/// What can be said of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It is worth so many points, 0 to 1.
    Sure(f64),
    /// Only somebody who understands it can say.
    Unsure,
}

/// A key of more words is a statement, not a name.
const NAME_WORDS: usize = 3;
/// A key of so many stems may be told with two words of one's own, a shorter one with one.
const OWN_WORDS_FROM: usize = 6;
/// Characters of the key for each slip of the pen.
const PER_SLIP: usize = 5;
/// In a shorter word, one letter for another makes another word: photon, proton.
const SUBSTITUTION: usize = 8;

/// Nothing was said.
const NOTHING: &[&str] = &[
    "i don't know",
    "i don’t know",
    "i do not know",
    "don't know",
    "dont know",
    "idk",
    "no idea",
    "not sure",
    "none",
    "n/a",
    "weiß nicht",
    "weiss nicht",
    "ich weiß nicht",
    "ich weiß es nicht",
    "ich weiss es nicht",
    "keine ahnung",
    "je ne sais pas",
    "no lo sé",
    "no sé",
];

const DENIALS: &[&str] = &[
    "not", "no", "never", "cannot", "without", "nor", "neither", "isn't", "aren't", "doesn't",
    "don't", "can't", "nicht", "kein", "keine", "keinen", "keiner", "nie", "ohne", "ne", "pas",
    "jamais", "sans", "nunca", "sin",
];

/// What `given` is worth where `key` is right and `stem` was asked.
pub fn judge(key: &str, stem: &str, given: &str, tokenizer: &Tokenizer) -> Verdict {
    let said = normal(given);
    if !said.contains(char::is_alphanumeric) || NOTHING.contains(&said.as_str()) {
        return Verdict::Sure(0.0);
    }
    if said == normal(key) {
        return Verdict::Sure(1.0);
    }
    if let Some(verdict) = as_number(key, given) {
        return verdict;
    }
    let stems = |text: &str| -> HashSet<String> { tokenizer.tokens(text).into_iter().collect() };
    let (key_stems, said_stems) = (tokenizer.tokens(key), tokenizer.tokens(given));
    let (wanted, found) = (stems(key), stems(given));
    // Words that the question has show no knowledge.
    let asked = stems(stem);
    if found.iter().all(|word| asked.contains(word)) && !found.is_superset(&wanted) {
        return Verdict::Sure(0.0);
    }
    if denies(given) != denies(key)
        || contrasts(given) != contrasts(key)
        || is_shuffled(&key_stems, &said_stems)
        || says_more(key, given, wanted.len(), found.difference(&wanted).count())
    {
        return Verdict::Unsure;
    }
    if key.split_whitespace().count() <= NAME_WORDS {
        as_name(key, given, &wanted, &found)
    } else {
        as_statement(&wanted, &found)
    }
}

/// Whether the words that both have stand in another order: a salad of the key's words says nothing.
fn is_shuffled(key: &[String], said: &[String]) -> bool {
    let both = said.iter().filter(|word| key.contains(word)).count();
    (common(key, said) as f64) < ORDER * both as f64
}

/// Whether the answer adds something: what that is, its words do not tell. One or two words of a name
/// that is spelt wrong are no addition.
fn says_more(key: &str, given: &str, wanted: usize, added: usize) -> bool {
    let count = |text: &str| text.split_whitespace().count();
    let own = if wanted < OWN_WORDS_FROM { 1 } else { 2 };
    added > own || count(given) * 2 > (count(key) * 3).max(2 * NAME_WORDS)
}

/// Whether the text says that something is not so.
pub(crate) fn denies(text: &str) -> bool {
    let folded = fold(text);
    let mut words = folded.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.any(|word| DENIALS.contains(&word))
}

/// The numbers in a text, each with its decimals. What separates thousands is told from a decimal sign
/// by the three digits behind it.
fn numbers(text: &str) -> Vec<(f64, usize)> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | '’');
    let folded = fold(text);
    let runs = folded.split(|c: char| !is_part(c));
    runs.filter_map(|run| number(run.trim_matches(|c: char| !c.is_ascii_digit())))
        .collect()
}

fn number(run: &str) -> Option<(f64, usize)> {
    let mut parts = run.split(|c: char| !c.is_ascii_digit());
    let mut whole = parts.next()?.to_owned();
    let rest: Vec<&str> = parts.collect();
    let (last, groups) = match rest.split_last() {
        None => return Some((whole.parse().ok()?, 0)),
        Some(split) => split,
    };
    if !groups.iter().all(|group| group.len() == 3) {
        return None;
    }
    whole.extend(groups.iter().copied());
    if last.len() == 3 && whole.len() <= 3 + 3 * groups.len() && whole != "0" {
        whole.push_str(last);
        return Some((whole.parse().ok()?, 0));
    }
    Some((format!("{whole}.{last}").parse().ok()?, last.len()))
}

/// Where the key is a number.
fn as_number(key: &str, given: &str) -> Option<Verdict> {
    let bare = key.trim();
    if !bare.starts_with(|c: char| c.is_ascii_digit()) || bare.contains(char::is_whitespace) {
        return None;
    }
    let [(wanted, decimals)] = numbers(key)[..] else {
        return None;
    };
    let found = numbers(given);
    let scale = 10f64.powi(i32::try_from(decimals).unwrap_or(0));
    let same = |value: f64| (value * scale).round() == (wanted * scale).round();
    Some(match found[..] {
        // It may be written out.
        [] => Verdict::Unsure,
        [(value, _)] if same(value) && !denies(given) => Verdict::Sure(1.0),
        _ if found.iter().any(|(value, _)| same(*value)) => Verdict::Unsure,
        _ => Verdict::Sure(0.0),
    })
}

fn as_name(key: &str, given: &str, wanted: &HashSet<String>, found: &HashSet<String>) -> Verdict {
    if !wanted.is_empty() && (wanted == found || is_slip(&normal(key), &normal(given))) {
        return Verdict::Sure(1.0);
    }
    let common = wanted.intersection(found).count();
    if common > 0 && common == found.len() {
        return Verdict::Sure(quarters(common as f64 / wanted.len() as f64));
    }
    Verdict::Unsure
}

/// Whether the answer is the key with a letter wrong here and there.
fn is_slip(key: &str, given: &str) -> bool {
    let (length, given_length) = (key.chars().count(), given.chars().count());
    let slips = strsim::osa_distance(key, given);
    let substituted = length == given_length && strsim::levenshtein(key, given) == slips;
    key.chars().next() == given.chars().next()
        && slips <= length / PER_SLIP
        && !key.contains(|c: char| c.is_ascii_digit())
        && (!substituted || length >= SUBSTITUTION)
}

fn as_statement(wanted: &HashSet<String>, found: &HashSet<String>) -> Verdict {
    let common = wanted.intersection(found).count() as f64;
    let f1 = 2.0 * common / (wanted.len() + found.len()).max(1) as f64;
    if f1 < 0.6 {
        return Verdict::Unsure;
    }
    let recall = common / wanted.len().max(1) as f64;
    Verdict::Sure(if recall >= 0.8 { 1.0 } else { 0.75 })
}

fn quarters(points: f64) -> f64 {
    (points * 4.0).round() / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::samples::BIOLOGY;

    fn judged(key: &str, given: &str) -> Verdict {
        judge(key, "What is it?", given, &Tokenizer::detect(BIOLOGY))
    }

    #[test]
    fn a_name_is_known_by_its_letters() {
        for (key, given, points) in [
            ("cytoplasm", "Cytoplasm.", 1.0),
            ("cytoplasm", "the cytoplasm", 1.0),
            ("cytoplasm", "cytoplasma", 1.0),
            ("cytoplasm", "ctyoplasm", 1.0),
            ("chloroplast", "Chloroplasts", 1.0),
            ("cell membrane", "membrane", 0.5),
            ("cytoplasm", "", 0.0),
            ("cytoplasm", "...", 0.0),
            ("cytoplasm", "I don't know.", 0.0),
            ("cytoplasm", "Keine Ahnung", 0.0),
        ] {
            assert_eq!(judged(key, given), Verdict::Sure(points), "{given}");
        }
    }

    #[test]
    fn what_may_be_another_thing_is_unsure() {
        for (key, given) in [
            ("mitosis", "meiosis"),
            ("proton", "photon"),
            ("aerobic", "anaerobic"),
            ("cytoplasm", "the jelly inside"),
            ("cytoplasm", "not the cytoplasm"),
            ("nucleus", "membrane, nucleus, wall, cytoplasm"),
        ] {
            assert_eq!(judged(key, given), Verdict::Unsure, "{key} {given}");
        }
    }

    #[test]
    fn a_number_is_known_by_its_value() {
        for (key, given, verdict) in [
            ("25,000", "25000", Verdict::Sure(1.0)),
            ("25,000", "about 25.000 people", Verdict::Sure(1.0)),
            ("1769", "in 1769", Verdict::Sure(1.0)),
            ("3.14", "3.1416", Verdict::Sure(1.0)),
            ("1769", "1770", Verdict::Sure(0.0)),
            ("1769", "1768 or 1769", Verdict::Unsure),
            ("1769", "not 1769", Verdict::Unsure),
            ("12", "twelve", Verdict::Unsure),
            ("46", "1,2,3,46", Verdict::Unsure),
        ] {
            assert_eq!(judged(key, given), verdict, "{key} {given}");
        }
    }

    #[test]
    fn a_statement_is_known_by_its_words() {
        let key = "a kind of cell division that produces two cells with the same chromosomes";
        for (given, verdict) in [
            (
                "Cell division producing two cells with the same chromosomes",
                Verdict::Sure(1.0),
            ),
            (
                "A division that produces two same cells",
                Verdict::Sure(0.75),
            ),
            ("How the body grows and repairs itself", Verdict::Unsure),
            (
                "a kind of cell division that does not produce two cells with the same chromosomes",
                Verdict::Unsure,
            ),
        ] {
            assert_eq!(judged(key, given), verdict, "{given}");
        }
    }

    #[test]
    fn a_salad_of_the_key_s_words_and_a_key_with_additions_are_unsure() {
        let key = "a kind of cell division that produces two cells with the same chromosomes";
        let reversed: Vec<&str> = key.split(' ').rev().collect();
        for given in [
            reversed.join(" "),
            format!("{key} and bananas grow on purple mountains"),
            format!("{key} {key}"),
            format!("{key} in dragons, unicorns, wizards"),
        ] {
            assert_eq!(judged(key, &given), Verdict::Unsure, "{given}");
        }
        assert_eq!(judged("cell membrane", "membrane cell"), Verdict::Unsure);
        assert_eq!(
            judged(
                "it opens the valve before the stroke",
                "it opens the valve after the stroke"
            ),
            Verdict::Unsure
        );
    }

    #[test]
    fn the_question_s_own_words_are_no_answer() {
        let tokenizer = Tokenizer::detect(BIOLOGY);
        let stem = "What belongs in the gap? Inside the cell membrane lies the _____.";
        assert_eq!(
            judge("cytoplasm", stem, "inside the cell membrane", &tokenizer),
            Verdict::Sure(0.0)
        );
    }

    #[test]
    fn any_answer_is_judged() {
        let mut rng = crate::shuffle::Rng::new(5);
        let pieces = [
            "1", ",", ".", "'", "cell", " ", "não", "細胞", "\u{202E}", "-", "٣", "e\u{301}", "0",
        ];
        for _ in 0..5_000 {
            let mut text = || -> String {
                (0..rng.below(8))
                    .map(|_| pieces[rng.below(pieces.len())])
                    .collect()
            };
            let (key, given) = (text(), text());
            if let Verdict::Sure(points) = judged(&key, &given) {
                assert!((0.0..=1.0).contains(&points), "{key} {given}");
            }
        }
    }
}
