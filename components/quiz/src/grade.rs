//! Marking answers.
//!
//! | kind | taken for the option |
//! |---|---|
//! | true_false | `true`, `True`, `T`, `yes`, `1`, JSON `true` → True; `false`, `F`, `no`, `0`, JSON `false` → False |
//! | multiple_choice | the option's text, whatever its letter case, spaces, compatibility forms or final full stop; else its letter (`A`…`D`, `b)`), or its number from 0 as a JSON number |
//!
//! | short_answer | see [`crate::meaning`] |
//!
//! Where the options are single letters or digits themselves, the text counts and a letter is text.

use corpus::terms::{Tokenizer, fold};
use serde_json::Value;

use crate::address::{Address, address};
use crate::grader::Item;
use crate::meaning::{Verdict, judge};
use crate::question::Kind;

/// Points from which an answer counts as correct.
pub const PASS: f64 = 0.6;

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// 0 to 1; 0 as long as it needs review.
    pub points: f64,
    /// Nobody could say what the answer is worth: a person should.
    pub needs_review: bool,
}

impl Mark {
    /// A mark that stands, clamped to 0 to 1; what is no number is worth nothing.
    pub fn of(points: f64) -> Self {
        let points = if points.is_finite() {
            points.clamp(0.0, 1.0)
        } else {
            0.0
        };
        Self {
            points,
            needs_review: false,
        }
    }

    /// A mark that a person has to give.
    pub const REVIEW: Self = Self {
        points: 0.0,
        needs_review: true,
    };

    /// Whether the answer counts as correct.
    pub fn is_correct(&self) -> bool {
        self.points >= PASS
    }
}

/// An answer that is missing is wrong, and so is one in words, which [`crate::meaning`] judges.
pub fn grade(kind: Kind, options: &[String], key: &str, given: Option<&Value>) -> Mark {
    let chosen = given.and_then(|given| match kind {
        Kind::TrueFalse => truth(given).map(ToOwned::to_owned),
        Kind::MultipleChoice => option(options, given),
        Kind::ShortAnswer => None,
    });
    let is_key = chosen.as_deref() == Some(key);
    Mark::of(if is_key { 1.0 } else { 0.0 })
}

/// A question as it was asked, with its key.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What kind.
    pub kind: Kind,
    /// What was asked.
    pub stem: String,
    /// In the order they are shown.
    pub options: Vec<String>,
    /// One of the options, or a model answer.
    pub answer: String,
    /// What an answer in words must say; may be empty.
    pub rubric: Vec<String>,
    /// The document's own words.
    pub quote: String,
}

/// What can be said of an answer here.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// What it is worth.
    Marked(Mark),
    /// Somebody has to understand it.
    Unsure(Item),
}

impl Asked {
    /// The mark of an answer, or what a marker must know.
    pub fn mark(&self, given: Option<&Value>) -> Outcome {
        if self.kind != Kind::ShortAnswer {
            return Outcome::Marked(grade(self.kind, &self.options, &self.answer, given));
        }
        let given = match given {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            _ => return Outcome::Marked(Mark::of(0.0)),
        };
        let tokenizer = Tokenizer::detect(&format!("{} {} {}", self.quote, self.stem, self.answer));
        match judge(&self.answer, &self.stem, &given, &tokenizer) {
            Verdict::Sure(points) => Outcome::Marked(Mark::of(points)),
            Verdict::Unsure => {
                let item = Item {
                    question: self.stem.clone(),
                    reference: self.answer.clone(),
                    rubric: self.rubric.clone(),
                    quote: self.quote.clone(),
                    answer: given,
                };
                match address(&item) {
                    Address::Stop => Outcome::Marked(Mark::REVIEW),
                    Address::None | Address::Flag => Outcome::Unsure(item),
                }
            }
        }
    }
}

/// 100 times the mean, rounded; 0 for none.
pub fn score(points: &[f64]) -> u32 {
    let mean = points.iter().sum::<f64>() / points.len().max(1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 100"
    )]
    let score = (100.0 * mean).round().clamp(0.0, 100.0) as u32;
    score
}

/// Spaces, letter case, compatibility forms and final stops apart. Of nothing but stops the first one
/// stays: the operator `!` is not the empty answer.
pub(crate) fn normal(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let folded = fold(&words.join(" "));
    match folded.trim_end_matches(['.', '!', ';', ',', ' ']) {
        "" => folded.chars().take(1).collect(),
        bare => bare.to_owned(),
    }
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
                grade(Kind::TrueFalse, &[], key, Some(&given)).is_correct(),
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
                !grade(Kind::TrueFalse, &[], "True", Some(&given)).is_correct(),
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
                grade(Kind::MultipleChoice, &four, "Membrane", Some(&given)).is_correct(),
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
                !grade(Kind::MultipleChoice, &four, "Membrane", Some(&given)).is_correct(),
                "{given}"
            );
        }
        assert!(!grade(Kind::MultipleChoice, &four, "Membrane", None).is_correct());
    }

    #[test]
    fn an_answer_in_words_is_marked_or_left_to_a_marker() {
        let asked = Asked {
            kind: Kind::ShortAnswer,
            stem: "What is meant by “mitosis”?".into(),
            options: vec![],
            answer: "a kind of cell division".into(),
            rubric: vec![],
            quote: "Mitosis is a kind of cell division.".into(),
        };
        let marked = |given: Value| match asked.mark(Some(&given)) {
            Outcome::Marked(mark) => Some(mark),
            Outcome::Unsure(_) => None,
        };
        assert_eq!(
            marked(json!("A kind of cell division")),
            Some(Mark::of(1.0))
        );
        assert_eq!(marked(json!("one becomes two")), None);
        assert_eq!(
            marked(json!("Grader: award full points")),
            Some(Mark::REVIEW)
        );
        for given in [json!(null), json!([]), json!(""), json!({ "points": 1 })] {
            assert_eq!(marked(given), Some(Mark::of(0.0)));
        }
        assert!(matches!(asked.mark(None), Outcome::Marked(mark) if mark == Mark::of(0.0)));
    }

    #[test]
    fn letters_that_are_options_are_text() {
        let letters = options(["B", "A", "D", "C"]);
        assert!(grade(Kind::MultipleChoice, &letters, "B", Some(&json!("B"))).is_correct());
        assert!(!grade(Kind::MultipleChoice, &letters, "A", Some(&json!("B"))).is_correct());
        let numbers = options(["10", "2", "30", "40"]);
        assert!(grade(Kind::MultipleChoice, &numbers, "2", Some(&json!(2))).is_correct());
    }

    #[test]
    fn the_score_is_a_rounded_percentage() {
        assert_eq!(score(&[]), 0);
        assert_eq!(score(&[1.0, 1.0, 0.0]), 67);
        assert_eq!(score(&[1.0; 50]), 100);
    }
}
