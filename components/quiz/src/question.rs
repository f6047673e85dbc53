//! A question with its key, and without.

use serde::{Deserialize, Serialize};

/// What kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Four options, one of them right.
    MultipleChoice,
    /// `True` or `False`.
    TrueFalse,
}

impl Kind {
    /// As in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MultipleChoice => "multiple_choice",
            Self::TrueFalse => "true_false",
        }
    }

    /// The reverse of [`Kind::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::MultipleChoice, Self::TrueFalse]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// How hard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// Frequent terms, distant distractors.
    Easy,
    /// In between.
    #[default]
    Medium,
    /// Rare terms and numbers, near distractors.
    Hard,
}

impl Difficulty {
    /// As in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
        }
    }
}

/// Where the document says it. Offsets in Unicode scalar values into the document's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The page's number.
    pub page: u32,
    /// Of the quote's first character.
    pub start: u32,
    /// Behind its last one.
    pub end: u32,
    /// The document's own words.
    pub quote: String,
}

/// A question with its key. It cannot be serialised: what goes out before a submission is a
/// [`PublicQuestion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub stem: String,
    /// In the order they are shown.
    pub options: Vec<String>,
    /// One of the options.
    pub answer: String,
    /// What kind.
    pub kind: Kind,
    /// Why the answer is right.
    pub explanation: String,
    /// Where the document says it.
    pub source: Source,
}

/// A question as the contract shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicQuestion {
    /// `q1`, `q2`…
    pub question_id: String,
    /// What is asked.
    pub question: String,
    /// In the order they are shown.
    pub options: Vec<String>,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: Kind,
}

impl Question {
    /// Without the key, and without what gives it away.
    pub fn public(&self, place: usize) -> PublicQuestion {
        PublicQuestion {
            question_id: format!("q{}", place + 1),
            question: self.stem.clone(),
            options: self.options.clone(),
            kind: self.kind,
        }
    }
}
