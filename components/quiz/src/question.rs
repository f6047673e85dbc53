//! A question with its key, and without.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Four options, one of them right.
    MultipleChoice,
    /// `True` or `False`.
    TrueFalse,
    /// Some words of the learner's own.
    ShortAnswer,
}

impl Kind {
    /// As in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MultipleChoice => "multiple_choice",
            Self::TrueFalse => "true_false",
            Self::ShortAnswer => "short_answer",
        }
    }

    /// The reverse of [`Kind::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::MultipleChoice, Self::TrueFalse, Self::ShortAnswer]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// What kinds of questions a quiz has. `mixed` is ours: the contract has the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuizType {
    /// Of that kind alone.
    #[default]
    MultipleChoice,
    /// Of that kind alone.
    TrueFalse,
    /// Of that kind alone.
    ShortAnswer,
    /// A third of each kind.
    Mixed,
}

impl QuizType {
    /// The kinds, in the order in which they get what cannot be divided.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::MultipleChoice => &[Kind::MultipleChoice],
            Self::TrueFalse => &[Kind::TrueFalse],
            Self::ShortAnswer => &[Kind::ShortAnswer],
            Self::Mixed => &[Kind::MultipleChoice, Kind::ShortAnswer, Kind::TrueFalse],
        }
    }

    /// As in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MultipleChoice => "multiple_choice",
            Self::TrueFalse => "true_false",
            Self::ShortAnswer => "short_answer",
            Self::Mixed => "mixed",
        }
    }

    /// The reverse of [`QuizType::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::MultipleChoice,
            Self::TrueFalse,
            Self::ShortAnswer,
            Self::Mixed,
        ]
        .into_iter()
        .find(|quiz_type| quiz_type.as_str() == word)
    }

    /// Of `count` questions, those of each kind.
    pub fn shares(self, count: usize) -> Vec<(Kind, usize)> {
        let kinds = self.kinds();
        let share = |at: usize| count / kinds.len() + usize::from(at < count % kinds.len());
        let with_share = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| (*kind, share(at)));
        with_share.filter(|(_, share)| *share > 0).collect()
    }
}

/// How hard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// Where a document says it. Offsets in Unicode scalar values into the document's text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Which document.
    pub document_id: String,
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
    /// In the order they are shown; none where the learner writes.
    pub options: Vec<String>,
    /// One of the options, or a model answer.
    pub answer: String,
    /// What an answer in words must say to be right; may be empty.
    pub rubric: Vec<String>,
    /// What kind.
    pub kind: Kind,
    /// Why the answer is right.
    pub explanation: String,
    /// Where the document says it.
    pub source: Source,
}

/// A question as the contract shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
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
