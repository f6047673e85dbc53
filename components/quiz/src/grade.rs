//! Marking answers.
//!
//! | kind | taken for the option |
//! |---|---|
//! | true_false | `true`, `True`, `T`, `yes`, `1`, JSON `true` → True; `false`, `F`, `no`, `0`, JSON `false` → False |
//! | multiple_choice | the option's text, whatever its letter case, spaces, compatibility forms or final full stop; else its letter (`A`…`D`, `b)`), or its number from 0 as a JSON number |
//!
//! Where the options are single letters or digits themselves, the text counts and a letter is text.

use corpus::terms::fold;
use serde_json::Value;

use crate::question::Kind;

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Whether it counts as correct.
    pub correct: bool,
    /// 0 to 1.
    pub points: f32,
}

/// An answer that is missing is wrong.
pub fn grade(kind: Kind, options: &[String], key: &str, given: Option<&Value>) -> Mark {
    let chosen = given.and_then(|given| match kind {
        Kind::TrueFalse => truth(given).map(ToOwned::to_owned),
        Kind::MultipleChoice => option(options, given),
    });
    let correct = chosen.as_deref() == Some(key);
    Mark {
        correct,
        points: if correct { 1.0 } else { 0.0 },
    }
}

/// 100 times the mean, rounded; 0 for none.
pub fn score(points: &[f32]) -> u32 {
    let mean = points.iter().sum::<f32>() / points.len().max(1) as f32;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 100"
    )]
    let score = (100.0 * mean).round().clamp(0.0, 100.0) as u32;
    score
}

fn normal(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    fold(&words.join(" "))
        .trim_end_matches(['.', '!', ';', ','])
        .to_owned()
}

fn truth(given: &Value) -> Option<&'static str> {
    let word = match given {
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => normal(text),
        _ => return None,
    };
    match word.as_str() {
        "true" | "t" | "yes" | "y" | "1" | "wahr" | "richtig" => Some("True"),
        "false" | "f" | "no" | "n" | "0" | "falsch" => Some("False"),
        _ => None,
    }
}

fn option(options: &[String], given: &Value) -> Option<String> {
    match given {
        Value::String(text) => by_text(options, text).or_else(|| by_letter(options, text)),
        Value::Number(number) => {
            let as_text = by_text(options, &number.to_string());
            as_text.or_else(|| {
                options
                    .get(usize::try_from(number.as_u64()?).ok()?)
                    .cloned()
            })
        }
        _ => None,
    }
}

fn by_text(options: &[String], text: &str) -> Option<String> {
    options
        .iter()
        .find(|option| normal(option) == normal(text))
        .cloned()
}

fn by_letter(options: &[String], text: &str) -> Option<String> {
    if options
        .iter()
        .any(|option| option.trim().chars().count() == 1)
    {
        return None;
    }
    let bare = text
        .trim()
        .trim_start_matches('(')
        .trim_end_matches([')', '.', ':']);
    let mut letters = bare.chars();
    let letter = letters
        .next()
        .filter(|_| letters.next().is_none())?
        .to_ascii_uppercase();
    let at = "ABCDEFGH".find(letter)?;
    options.get(at).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(texts: [&str; 4]) -> Vec<String> {
        texts.map(ToOwned::to_owned).to_vec()
    }

    #[test]
    fn the_ways_to_say_true_and_false_are_understood() {
        for (given, key) in [
            (json!("true"), "True"),
            (json!("T"), "True"),
            (json!(" TRUE. "), "True"),
            (json!(true), "True"),
            (json!(1), "True"),
            (json!("yes"), "True"),
            (json!("False"), "False"),
            (json!(0), "False"),
            (json!("ｆalse"), "False"),
        ] {
            assert!(
                grade(Kind::TrueFalse, &[], key, Some(&given)).correct,
                "{given}"
            );
        }
        for given in [
            json!("maybe"),
            json!(null),
            json!([true]),
            json!({}),
            json!(2),
        ] {
            assert!(
                !grade(Kind::TrueFalse, &[], "True", Some(&given)).correct,
                "{given}"
            );
        }
    }

    #[test]
    fn an_option_is_named_by_text_or_letter() {
        let four = options(["Cell wall", "Nucleus", "Membrane", "Sap"]);
        for given in [
            json!("membrane"),
            json!("C"),
            json!("c)"),
            json!("(C)"),
            json!("  Membrane."),
            json!(2),
        ] {
            assert!(
                grade(Kind::MultipleChoice, &four, "Membrane", Some(&given)).correct,
                "{given}"
            );
        }
        for given in [
            json!("B"),
            json!(""),
            json!("E"),
            json!(9),
            json!(-1),
            json!(1.5),
            json!(["C"]),
        ] {
            assert!(
                !grade(Kind::MultipleChoice, &four, "Membrane", Some(&given)).correct,
                "{given}"
            );
        }
        assert!(!grade(Kind::MultipleChoice, &four, "Membrane", None).correct);
    }

    #[test]
    fn letters_that_are_options_are_text() {
        let letters = options(["B", "A", "D", "C"]);
        assert!(grade(Kind::MultipleChoice, &letters, "B", Some(&json!("B"))).correct);
        assert!(!grade(Kind::MultipleChoice, &letters, "A", Some(&json!("B"))).correct);
        let numbers = options(["10", "2", "30", "40"]);
        assert!(grade(Kind::MultipleChoice, &numbers, "2", Some(&json!(2))).correct);
    }

    #[test]
    fn the_score_is_a_rounded_percentage() {
        assert_eq!(score(&[]), 0);
        assert_eq!(score(&[1.0, 1.0, 0.0]), 67);
        assert_eq!(score(&[1.0; 50]), 100);
    }
}
