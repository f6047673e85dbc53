//! What an answer in words is worth, as far as that can be said without understanding it.
//!
//! | key | sure |
//! |---|---|
//! | any | the key, or the question's sentence with it, letter case, spaces and final stop apart: 1; nothing, "I don't know", or the question's own words: 0 |
//! | a number | that number alone, rounded as the key is: 1; another: 0 |
//! | one to three words | the same stems in their order, or a slip of the pen: 1; half of the key or less and nothing else: its share |
//! | more | nearly the key's own words, see [`crate::wording`]: 1 |
//!
//! All else is unsure: whoever adds, leaves out, moves or denies something may have said another thing.

use std::collections::HashSet;

use corpus::denial::denies;
use corpus::terms::{Tokenizer, fold};

use crate::cloze::GAP;
use crate::grade::normal;
use crate::support::contrasts;
use crate::wording::{is_name, is_nearly};

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
/// Of a name, a larger share may be all that matters, or all but what does.
const MOST_OF_NAME: f64 = 0.5;
/// Words that may stand beside a number, as in "25,000 people".
const BESIDE_NUMBER: usize = 1;

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

/// What `given` is worth where `key` is right and `stem` was asked.
pub fn judge(key: &str, stem: &str, given: &str, tokenizer: &Tokenizer) -> Verdict {
    let said = normal(given);
    // Before all else: the key may be "none" itself.
    if !said.is_empty() && (said == normal(key) || fills_gap(key, stem, &said)) {
        return Verdict::Sure(1.0);
    }
    if !said.contains(char::is_alphanumeric) || NOTHING.contains(&said.as_str()) {
        return Verdict::Sure(0.0);
    }
    let stems = |text: &str| -> HashSet<String> { tokenizer.tokens(text).into_iter().collect() };
    let (wanted, found, asked) = (stems(key), stems(given), stems(stem));
    if let Some(verdict) = as_number(key, given) {
        let added = found.difference(&asked).filter(|word| !is_number(word));
        return match verdict {
            Verdict::Sure(points) if points > 0.0 && added.count() > BESIDE_NUMBER => {
                Verdict::Unsure
            }
            verdict => verdict,
        };
    }
    // Words that the question has show no knowledge.
    if found.iter().all(|word| asked.contains(word)) && !found.is_superset(&wanted) {
        return Verdict::Sure(0.0);
    }
    if denies(given) != denies(key)
        || contrasts(given) != contrasts(key)
        || count(given) * 2 > (count(key) * 3).max(2 * NAME_WORDS)
    {
        return Verdict::Unsure;
    }
    if count(key) <= NAME_WORDS {
        as_name(key, given, &wanted, &found, tokenizer)
    } else if is_nearly(key, stem, given, tokenizer) {
        Verdict::Sure(1.0)
    } else {
        Verdict::Unsure
    }
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

fn is_number(word: &str) -> bool {
    word.contains(|c: char| c.is_numeric())
}

/// Whether the answer is the question's sentence, or its end, with the key in the gap.
fn fills_gap(key: &str, stem: &str, said: &str) -> bool {
    stem.contains(GAP)
        && said.contains(&normal(key))
        && normal(&stem.replace(GAP, key)).ends_with(said)
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
        [(value, _)] if same(value) && is_plain(key, given) => Verdict::Sure(1.0),
        _ if found.iter().any(|(value, _)| same(*value)) => Verdict::Unsure,
        _ => Verdict::Sure(0.0),
    })
}

/// Whether nothing beside the number makes it another: "more than 12", "-12", "12 %".
fn is_plain(key: &str, given: &str) -> bool {
    let signs = |text: &str| {
        let signs = text.chars().filter(|c| "-−%<>~^/".contains(*c));
        signs.collect::<String>()
    };
    !denies(given) && contrasts(given) == contrasts(key) && signs(key) == signs(given)
}

fn as_name(
    key: &str,
    given: &str,
    wanted: &HashSet<String>,
    found: &HashSet<String>,
    tokenizer: &Tokenizer,
) -> Verdict {
    if is_name(key, given, tokenizer) {
        return Verdict::Sure(1.0);
    }
    let common = wanted.intersection(found).count();
    let share = common as f64 / wanted.len().max(1) as f64;
    if common > 0 && common == found.len() && share <= MOST_OF_NAME {
        return Verdict::Sure(quarters(share));
    }
    Verdict::Unsure
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
            ("cytoplasm", "none", 0.0),
        ] {
            assert_eq!(judged(key, given), Verdict::Sure(points), "{given}");
        }
    }

    #[test]
    fn what_says_nothing_elsewhere_is_right_where_it_is_the_key() {
        for (key, given) in [
            ("None", "none"),
            ("N/A", "n/a."),
            ("not sure", "Not sure"),
            ("±", "±"),
        ] {
            assert_eq!(judged(key, given), Verdict::Sure(1.0), "{given}");
        }
        let tokenizer = Tokenizer::detect(BIOLOGY);
        let stem = "What belongs in the gap? The witness was not _____.";
        let judged = |given| judge("sure", stem, given, &tokenizer);
        assert_eq!(judged("not sure"), Verdict::Sure(1.0));
        assert_eq!(judged("no idea"), Verdict::Sure(0.0));
        assert_eq!(judge("", stem, "", &tokenizer), Verdict::Sure(0.0));
    }

    #[test]
    fn what_may_be_another_thing_is_unsure() {
        for (key, given) in [
            ("mitosis", "meiosis"),
            ("proton", "photon"),
            ("aerobic", "anaerobic"),
            ("cytoplasm", "the jelly inside"),
            ("absorption", "adsorption"),
            ("sulphate", "sulphite"),
            ("hypothermia", "hyperthermia"),
            ("anaerobic cell respiration", "cell respiration"),
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
            ("1769", "before 1769", Verdict::Unsure),
            ("12", "-12", Verdict::Unsure),
            ("12", "12 %", Verdict::Unsure),
            ("12", "12 dragons and a purple mountain", Verdict::Unsure),
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
            ("A division that produces two same cells", Verdict::Unsure),
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
        let tokenizer = Tokenizer::detect(BIOLOGY);
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
            if let Verdict::Sure(points) = judge(&key, "What is it?", &given, &tokenizer) {
                assert!((0.0..=1.0).contains(&points), "{key} {given}");
            }
        }
    }
}
