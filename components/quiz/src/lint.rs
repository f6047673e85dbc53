//! What every question must pass, whoever made it. A question that fails is dropped, never mended: a
//! mended key is a guess.

use std::collections::HashSet;

use corpus::Passage;
use corpus::terms::fold;

use crate::kinds;
use crate::question::{Kind, Question};
use crate::support::Support;
use crate::text::Text;
use crate::true_false;

/// Why a question is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Not four options, not True and False, or options where the learner writes.
    OptionCount,
    /// Two options say the same.
    OptionsRepeat,
    /// The key is no option.
    KeyMissing,
    /// The key is longer than every other option by more than a quarter.
    KeyStandsOut,
    /// One option is a part of another.
    OptionWithinOption,
    /// All, none, both of the above.
    AboveOption,
    /// The key stands in the question.
    KeyInStem,
    /// The document does not say what is quoted.
    SourceMissing,
    /// What is quoted does not say what the key claims, or says as much of another option.
    Unsupported,
    /// Empty, or too long.
    Size,
    /// Options of another kind than the key's: a number among words, a place among persons.
    KindsMixed,
    /// Characters that hide or reorder text.
    Invisible,
}

const MAX_STEM: usize = 1_000;
const MAX_OPTION: usize = 300;
/// Of a model answer: more is an essay.
const MAX_ANSWER: usize = 600;
const MAX_RUBRIC: usize = 8;
/// A longer key stands out among letters.
const LETTERS: usize = 4;
/// Below it, a quarter is a letter or two.
const SHORT: usize = 8;

/// The first defect, if there is one.
pub fn lint(question: &Question, texts: &[Text]) -> Result<(), Defect> {
    sizes(question)?;
    options(question)?;
    match question.kind {
        Kind::MultipleChoice => {
            multiple_choice(question)?;
            if kinds::are_mixed(question, texts) {
                return Err(Defect::KindsMixed);
            }
        }
        Kind::ShortAnswer => short_answer(question)?,
        Kind::TrueFalse => {}
    }
    let passage = said_in(question, texts).ok_or(Defect::SourceMissing)?;
    if Support::new(passage, &question.source.quote).supports(question) {
        Ok(())
    } else {
        Err(Defect::Unsupported)
    }
}

/// The passage that has the quote where it is said to be.
fn said_in<'a>(question: &Question, texts: &'a [Text]) -> Option<&'a Passage> {
    let source = &question.source;
    let quote = folded(&source.quote);
    let of_document = texts
        .iter()
        .filter(|text| text.document_id == source.document_id)
        .flat_map(|text| &text.passages);
    let mut there = of_document.filter(|passage| {
        passage.page == source.page && passage.start <= source.start && source.end <= passage.end
    });
    there.find(|passage| !quote.is_empty() && folded(&passage.text).contains(&quote))
}

fn short_answer(question: &Question) -> Result<(), Defect> {
    let fits = |text: &str, most| (1..=most).contains(&text.trim().chars().count());
    if !fits(&question.answer, MAX_ANSWER)
        || question.rubric.len() > MAX_RUBRIC
        || !question.rubric.iter().all(|point| fits(point, MAX_OPTION))
    {
        return Err(Defect::Size);
    }
    if question.answer.contains(hides) {
        return Err(Defect::Invisible);
    }
    if words(&folded(&question.stem)).contains(&words(&folded(&question.answer))) {
        return Err(Defect::KeyInStem);
    }
    Ok(())
}

fn folded(text: &str) -> String {
    fold(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sizes(question: &Question) -> Result<(), Defect> {
    let fits = |text: &str, most| (1..=most).contains(&text.trim().chars().count());
    if !fits(&question.stem, MAX_STEM)
        || !question
            .options
            .iter()
            .all(|option| fits(option, MAX_OPTION))
    {
        return Err(Defect::Size);
    }
    if question.stem.contains(hides) || question.options.iter().any(|option| option.contains(hides))
    {
        return Err(Defect::Invisible);
    }
    Ok(())
}

fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

/// The words alone, with a space around each.
fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}

fn options(question: &Question) -> Result<(), Defect> {
    let counted = match question.kind {
        Kind::MultipleChoice => question.options.len() == 4,
        Kind::TrueFalse => question.options == true_false::OPTIONS,
        Kind::ShortAnswer => question.options.is_empty(),
    };
    if !counted {
        return Err(Defect::OptionCount);
    }
    if question.kind == Kind::ShortAnswer {
        return Ok(());
    }
    let distinct: HashSet<String> = question
        .options
        .iter()
        .map(|option| folded(option))
        .collect();
    if distinct.len() != question.options.len() {
        return Err(Defect::OptionsRepeat);
    }
    if question.options.contains(&question.answer) {
        Ok(())
    } else {
        Err(Defect::KeyMissing)
    }
}

fn multiple_choice(question: &Question) -> Result<(), Defect> {
    let options: Vec<String> = question
        .options
        .iter()
        .map(|option| folded(option))
        .collect();
    let answer = folded(&question.answer);
    let length = |text: &str| text.chars().count();
    let next = options
        .iter()
        .filter(|option| **option != answer)
        .map(|option| length(option))
        .max()
        .unwrap_or(0);
    let own = length(&answer);
    let is_longer = own > SHORT && own * 4 > next * 5 && own - next > 3;
    if is_longer || own > LETTERS && own > next * 3 {
        return Err(Defect::KeyStandsOut);
    }
    let above = ["of the above", "of these", "der genannten", "all of them"];
    if options
        .iter()
        .any(|option| above.iter().any(|above| option.contains(above)))
    {
        return Err(Defect::AboveOption);
    }
    let within = |a: &String, b: &String| a != b && words(b).contains(&words(a));
    if options.iter().any(|a| options.iter().any(|b| within(a, b))) {
        return Err(Defect::OptionWithinOption);
    }
    if words(&folded(&question.stem)).contains(&words(&answer)) {
        return Err(Defect::KeyInStem);
    }
    Ok(())
}

/// Whether two stems ask the same: four fifths of their words are common (Jaccard).
pub fn is_duplicate(a: &str, b: &str) -> bool {
    let words = |text: &str| -> HashSet<String> {
        folded(text).split(' ').map(ToOwned::to_owned).collect()
    };
    let (a, b) = (words(a), words(b));
    let common = a.intersection(&b).count();
    common * 10 > (a.len() + b.len() - common) * 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Source;

    const TEXT: &str = "The cell membrane controls what\nenters the cell.";

    fn texts() -> Vec<Text> {
        let passage = corpus::Passage {
            ordinal: 0,
            page: 3,
            start: 0,
            end: 48,
            text: TEXT.into(),
        };
        vec![Text {
            document_id: "d".into(),
            passages: vec![passage],
            terms: vec![],
        }]
    }

    fn question(stem: &str, options: &[&str], answer: &str) -> Question {
        let quote = "The cell membrane controls what enters the cell.".to_owned();
        Question {
            stem: stem.into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            answer: answer.into(),
            kind: Kind::MultipleChoice,
            rubric: vec![],
            explanation: String::new(),
            source: Source {
                document_id: "d".into(),
                page: 3,
                start: 0,
                end: 48,
                quote,
            },
        }
    }

    fn defect(stem: &str, options: &[&str], answer: &str) -> Option<Defect> {
        lint(&question(stem, options, answer), &texts()).err()
    }

    #[test]
    fn a_sound_question_passes() {
        assert_eq!(
            defect(
                "What controls it?",
                &["membrane", "nucleus", "wall", "ribosome"],
                "membrane"
            ),
            None
        );
    }

    #[test]
    fn defects_are_found() {
        let four = ["membrane", "nucleus", "wall", "ribosome"];
        assert_eq!(defect("?", &four[..3], "wall"), Some(Defect::OptionCount));
        assert_eq!(
            defect("?", &["wall", "Wall ", "a", "b"], "a"),
            Some(Defect::OptionsRepeat)
        );
        assert_eq!(defect("?", &four, "door"), Some(Defect::KeyMissing));
        assert_eq!(
            defect(
                "?",
                &["the semi-permeable outer membrane", "wall", "sap", "gel"],
                "the semi-permeable outer membrane"
            ),
            Some(Defect::KeyStandsOut)
        );
        assert_eq!(
            defect("?", &["cell", "cell wall", "sap", "gel"], "gel"),
            Some(Defect::OptionWithinOption)
        );
        assert_eq!(
            defect(
                "?",
                &["All of the above", "wall", "sap", "gelatine"],
                "wall"
            ),
            Some(Defect::AboveOption)
        );
        assert_eq!(
            defect("Is it the wall?", &four, "wall"),
            Some(Defect::KeyInStem)
        );
        for other in ["46", "in 1769", "July", "6 July"] {
            let options = ["wall", "nucleus", other, "gel"];
            assert_eq!(defect("?", &options, "wall"), Some(Defect::KindsMixed));
        }
        assert_eq!(defect("", &four, "wall"), Some(Defect::Size));
        assert_eq!(defect("a\u{202E}b", &four, "wall"), Some(Defect::Invisible));
        let mut elsewhere = question("?", &four, "wall");
        elsewhere.source.page = 4;
        assert_eq!(lint(&elsewhere, &texts()), Err(Defect::SourceMissing));
        let mut another = question("?", &four, "wall");
        another.source.document_id = "e".into();
        assert_eq!(lint(&another, &texts()), Err(Defect::SourceMissing));
    }

    #[test]
    fn a_short_answer_has_a_model_answer_that_the_question_does_not_give_away() {
        let short = |stem: &str, options: &[&str], answer: &str| {
            let mut question = question(stem, options, answer);
            question.kind = Kind::ShortAnswer;
            lint(&question, &texts()).err()
        };
        assert_eq!(short("What does it control?", &[], "what enters"), None);
        assert_eq!(short("?", &["a"], "a"), Some(Defect::OptionCount));
        assert_eq!(short("?", &[], " "), Some(Defect::Size));
        assert_eq!(short("?", &[], &"x ".repeat(400)), Some(Defect::Size));
        assert_eq!(short("?", &[], "a\u{200B}b"), Some(Defect::Invisible));
        assert_eq!(
            short("Is it the wall?", &[], "the wall"),
            Some(Defect::KeyInStem)
        );
    }

    #[test]
    fn stems_that_ask_the_same_are_duplicates() {
        assert!(is_duplicate(
            "What controls what enters the cell?",
            "what  controls what enters the CELL?"
        ));
        assert!(!is_duplicate(
            "What controls what enters the cell?",
            "Where is energy released?"
        ));
    }
}
