//! Of what kind an option is: a number among words, or a place among persons, is seen through.

use crate::calendar::is_in_calendar;
use crate::names::{Kind, Votes};
use crate::question::Question;
use crate::text::Text;
use crate::words::occurrences;

/// Words of a date: "on 6 July 1769".
const DATE: usize = 4;
/// Words of a name.
const NAME: usize = 3;
/// Passages that are looked at for what a name names.
const EVIDENCE: usize = 400;

/// What an option is by its looks.
#[derive(PartialEq, Eq)]
enum Looks {
    Number,
    Date,
    Words,
}

/// "1769", "in 1769" and "46 chromosomes" are numbers, "Python 3" is a name.
fn kind_of(option: &str) -> Looks {
    let bare =
        |word: &str| -> String { word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned() };
    let words: Vec<String> = option.split_whitespace().map(bare).collect();
    let is_number = |word: &String| word.starts_with(|c: char| c.is_numeric());
    if words.iter().any(|word| is_in_calendar(word)) && words.len() <= DATE {
        return Looks::Date;
    }
    let is_small = |word: &String| word.chars().all(char::is_lowercase);
    if words.iter().any(is_number) && words.iter().all(|word| is_number(word) || is_small(word)) {
        Looks::Number
    } else {
        Looks::Words
    }
}

/// Whether an option is of another kind than the key, as far as its looks and the documents show.
pub fn are_mixed(question: &Question, texts: &[Text]) -> bool {
    let looks = kind_of(&question.answer);
    if question
        .options
        .iter()
        .any(|option| kind_of(option) != looks)
    {
        return true;
    }
    let is_name = |option: &String| {
        let mut words = option.split_whitespace();
        words.clone().count() <= NAME && words.all(|word| word.starts_with(char::is_uppercase))
    };
    if looks != Looks::Words || !question.options.iter().all(is_name) {
        return false;
    }
    let of = |option: &str| named(option, &question.source.document_id, texts);
    let key = of(&question.answer);
    let is_other = |kind: Kind| kind != Kind::Unknown && kind != key;
    key != Kind::Unknown && question.options.iter().any(|option| is_other(of(option)))
}

/// What a name names in the document.
fn named(name: &str, document_id: &str, texts: &[Text]) -> Kind {
    let mut votes = Votes::default();
    let of_document = texts.iter().filter(|text| text.document_id == document_id);
    let passages = of_document.flat_map(|text| &text.passages);
    for passage in passages.take(EVIDENCE) {
        for at in occurrences(&passage.text, name) {
            let before = passage.text[..at].split_whitespace().next_back();
            let after = passage.text[at + name.len()..].split_whitespace();
            votes.count(before, &after.take(2).collect::<Vec<_>>());
        }
    }
    votes.kind(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::{Kind as Of, Source};
    use corpus::Passage;

    fn mixed(options: [&str; 4]) -> bool {
        let text = "Then Watt found it. It was built by Newcomen in Paris, and he lived in Leeds. \
                    The cell of Herschel was sold to Bath.";
        let passage = Passage {
            ordinal: 0,
            page: 1,
            start: 0,
            end: 0,
            text: text.into(),
        };
        let question = Question {
            stem: "Who?".into(),
            options: options.map(ToOwned::to_owned).to_vec(),
            answer: options[0].to_owned(),
            rubric: vec![],
            kind: Of::MultipleChoice,
            explanation: String::new(),
            source: Source {
                document_id: "d".into(),
                ..Source::default()
            },
        };
        let text = Text {
            document_id: "d".into(),
            passages: vec![passage],
            terms: vec![],
        };
        are_mixed(&question, &[text])
    }

    #[test]
    fn kinds_do_not_stand_among_others() {
        for options in [
            ["Watt", "Newcomen", "Paris", "Herschel"],
            ["Paris", "Leeds", "Watt", "Berlin"],
            ["coal", "iron", "1769", "steam"],
            ["coal", "iron", "in 1769", "steam"],
            ["1769", "1770", "1771", "coal"],
            ["July", "May", "June", "coal"],
        ] {
            assert!(mixed(options), "{options:?}");
        }
        for options in [
            ["Watt", "Newcomen", "Kepler", "Herschel"],
            ["Paris", "Leeds", "Rome", "Berlin"],
            ["coal", "iron", "water", "steam"],
            ["in 1769", "in 1770", "1771", "1772"],
            ["6 July", "7 July", "June 8", "May"],
            ["Python 3", "Rust", "C", "Go"],
        ] {
            assert!(!mixed(options), "{options:?}");
        }
    }
}
