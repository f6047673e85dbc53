//! What kind of answer a question wants, and whether a sentence has one: who led it is answered by a
//! name, how many by a number.

use crate::denial::numerals;
use crate::terms::fold;

/// What a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Somebody.
    Person,
    /// A year.
    Year,
    /// So many, so long.
    Amount,
    /// What letters stand for.
    Expansion,
    /// Nothing that can be told by its looks.
    Anything,
}

/// Of a sentence that lacks what is asked for: so little that no threshold is met.
const LACKING: f32 = 0.3;

const PERSONS: &[&str] = &[
    "who", "whom", "whose", "wer", "wem", "wen", "wessen", "qui", "quién",
];
const YEARS: &[&str] = &[
    "what year",
    "which year",
    "what date",
    "which date",
    "welchem jahr",
    "quelle année",
    "qué año",
];
const AMOUNTS: &[&str] = &[
    "how many",
    "how much",
    "how large",
    "how big",
    "how old",
    "how far",
    "how high",
    "how tall",
    "how deep",
    "how thick",
    "how heavy",
    "how fast",
    "wie viele",
    "wie viel",
    "wie alt",
    "wie groß",
    "wie hoch",
    "wie weit",
    "combien",
    "cuántos",
    "cuántas",
    "cuánto",
];
const EXPANSIONS: &[&str] = &[
    "stand for",
    "stands for",
    "short for",
    "steht für",
    "wofür steht",
];
/// Amounts that are no number.
const FEW: &[&str] = &[
    "one", "single", "once", "no", "none", "only", "dozen", "dozens", "quarter", "third", "tenth",
    "several", "many", "few", "all", "each", "every", "double", "ein", "eine", "einen", "einzige",
    "einmal", "kein", "keine", "dutzend", "viertel", "drittel", "mehrere", "viele", "jede",
];
/// Words of a question before the one that asks, as in "by how much".
const BEFORE: usize = 3;

impl Expected {
    /// Of a question in English, German, French or Spanish; [`Expected::Anything`] of others.
    pub(crate) fn of(question: &str) -> Self {
        let folded = fold(question);
        let begins = |phrases: &[&str]| {
            phrases.iter().any(|phrase| {
                let before = folded.split(phrase).next().unwrap_or_default();
                is_phrase(&folded, phrase) && before.split_whitespace().count() < BEFORE
            })
        };
        let has = |phrases: &[&str]| phrases.iter().any(|phrase| is_phrase(&folded, phrase));
        match () {
            () if has(EXPANSIONS) => Self::Expansion,
            () if begins(YEARS) => Self::Year,
            () if begins(AMOUNTS) => Self::Amount,
            () if begins(PERSONS) => Self::Person,
            () => Self::Anything,
        }
    }

    /// 1 where the sentence has what is asked for, or where that cannot be told.
    pub(crate) fn fit(self, question: &str, sentence: &str, capitals: bool) -> f32 {
        let has = match self {
            Self::Person => !capitals || names(sentence, question) || has_role(sentence, question),
            Self::Year => sentence.contains(|c: char| c.is_numeric()),
            Self::Amount => has_amount(sentence),
            Self::Expansion => expands(sentence, question),
            Self::Anything => true,
        };
        if has { 1.0 } else { LACKING }
    }
}

fn is_phrase(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        !text[..at].ends_with(char::is_alphanumeric)
            && !text[at + phrase.len()..].starts_with(char::is_alphanumeric)
    })
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// Whether the sentence has a name that the question does not have. Its first word has a capital anyway;
/// before a small word it may be one.
fn names(sentence: &str, question: &str) -> bool {
    let asked = fold(question);
    let words: Vec<&str> = sentence.split_whitespace().map(bare).collect();
    let is_name = |word: &str| {
        word.chars().count() > 1
            && word.starts_with(char::is_uppercase)
            && word.chars().skip(1).any(char::is_lowercase)
            && !is_phrase(&asked, &fold(word))
    };
    let is_pronoun = |word: &str| ["He", "She", "They", "Er", "Sie", "Il", "Elle"].contains(&word);
    let mut words = words.iter();
    words.next().is_some_and(|first| is_pronoun(first)) || words.any(|word| is_name(word))
}

/// Whether the sentence begins with somebody by their role, as in "The tenant pays …".
fn has_role(sentence: &str, question: &str) -> bool {
    let (asked, folded) = (fold(question), fold(sentence));
    let mut words = folded.split_whitespace().map(bare);
    let begins = words.next().is_some_and(|word| {
        [
            "the", "a", "an", "every", "each", "all", "any", "either", "both",
        ]
        .contains(&word)
    });
    begins && words.next().is_some_and(|role| !is_phrase(&asked, role))
}

fn has_amount(sentence: &str) -> bool {
    let folded = fold(sentence);
    sentence.contains(|c: char| c.is_numeric())
        || !numerals(sentence).is_empty()
        || folded
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| FEW.contains(&word))
}

/// Whether the sentence says in brackets or by "stands for" what letters of the question mean.
fn expands(sentence: &str, question: &str) -> bool {
    let is_short = |word: &&str| {
        word.chars().count() > 1 && word.chars().filter(|c| c.is_uppercase()).count() > 1
    };
    let folded = fold(sentence);
    let mut asked = question.split_whitespace().map(bare).filter(is_short);
    EXPANSIONS.iter().any(|phrase| is_phrase(&folded, phrase))
        || asked.any(|short| {
            [
                format!("({short})"),
                format!(", {short})"),
                format!("{short} ("),
            ]
            .iter()
            .any(|written| sentence.contains(written.as_str()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_what_it_wants() {
        for (question, expected) in [
            ("Who led the project?", Expected::Person),
            ("To whom was it let?", Expected::Person),
            ("In what year did it begin?", Expected::Year),
            ("By how much was it trimmed?", Expected::Amount),
            ("Wie viele Zellen hat ein Mensch?", Expected::Amount),
            ("What does UTF stand for?", Expected::Expansion),
            ("What is the whole of it?", Expected::Anything),
            ("Which man said who it was?", Expected::Anything),
        ] {
            assert_eq!(Expected::of(question), expected, "{question}");
        }
    }

    #[test]
    fn a_sentence_lacks_what_is_asked_for() {
        for (question, sentence, fits) in [
            ("Who wrote SQLite?", "SQLite assumes what it wrote.", false),
            ("Who wrote SQLite?", "It was written by Richard Hipp.", true),
            ("Who wrote it?", "He wrote it in a week.", true),
            ("How many are there?", "There are some nerves in it.", false),
            ("How many are there?", "There are twelve nerves.", true),
            ("How many are there?", "There can only be one.", true),
            (
                "What does WAL stand for?",
                "Write-Ahead Logging (WAL) is old.",
                true,
            ),
            ("What does WAL stand for?", "Using WAL is fast.", false),
        ] {
            let fit = Expected::of(question).fit(question, sentence, true);
            assert_eq!(fit == 1.0, fits, "{question} {sentence}");
        }
    }
}
