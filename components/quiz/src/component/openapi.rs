//! The shapes of answers, for the document: each is written where it is made.

#![expect(dead_code, reason = "described, and written elsewhere")]

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use crate::memory::{Phase, Rating};
use crate::question::{Difficulty, Kind, PublicQuestion, QuizType, Source};

/// A quiz, without its key.
#[derive(ToSchema)]
pub(super) struct Quiz {
    quiz_id: String,
    /// The first of them.
    document_id: String,
    document_ids: Vec<String>,
    questions: Vec<PublicQuestion>,
    total_questions: u32,
    /// How many were asked for.
    requested: u32,
    warnings: Vec<QuizWarning>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The model, or `local-extractive`.
    engine: String,
    difficulty: Difficulty,
    quiz_type: QuizType,
}

/// What a quiz is short of.
#[derive(ToSchema)]
pub(super) struct QuizWarning {
    /// `FEWER_QUESTIONS`.
    code: String,
    message: String,
}

/// A page of quizzes.
#[derive(ToSchema)]
pub(super) struct Quizzes {
    quizzes: Vec<Listed>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = ListedQuiz)]
pub(super) struct Listed {
    quiz_id: String,
    document_id: String,
    document_ids: Vec<String>,
    total_questions: u32,
    difficulty: Difficulty,
    quiz_type: QuizType,
    engine: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// What answers are worth.
#[derive(ToSchema)]
pub(super) struct Submission {
    submission_id: String,
    quiz_id: String,
    /// Percent, rounded.
    #[schema(maximum = 100)]
    score: u32,
    total_questions: u32,
    correct_answers: u32,
    /// Answers that a person has to mark.
    needs_review: u32,
    results: Vec<AnswerResult>,
    #[schema(format = DateTime)]
    submitted_at: String,
    /// From 1.
    #[schema(minimum = 1)]
    attempt: u32,
    /// Counts for neither analytics nor review: the key was known.
    practice: bool,
}

/// What an answer is worth.
#[derive(ToSchema)]
pub(super) struct AnswerResult {
    question_id: String,
    correct: bool,
    /// As it was given; `null` where it was not.
    user_answer: Value,
    correct_answer: String,
    /// 0 to 1.
    points: f64,
    needs_review: bool,
    /// Who marked it.
    #[schema(required)]
    graded_by: Option<String>,
    explanation: String,
    source: Source,
}

/// A page of submissions.
#[derive(ToSchema)]
#[schema(as = QuizHistory)]
pub(super) struct History {
    quizzes: Vec<Submitted>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct Submitted {
    quiz_id: String,
    document_id: String,
    #[schema(maximum = 100)]
    score: u32,
    #[schema(format = DateTime)]
    submitted_at: String,
    submission_id: String,
    needs_review: u32,
    #[schema(minimum = 1)]
    attempt: u32,
    practice: bool,
}

/// What a user knows.
#[derive(ToSchema)]
pub(super) struct Analytics {
    /// Answers that are marked.
    answered: u32,
    /// Points of an answer on average, 0 to 1.
    accuracy: f64,
    needs_review: u32,
    by_document: Vec<ByDocument>,
    by_topic: Vec<ByTopic>,
    by_type: Vec<ByType>,
    by_difficulty: Vec<ByDifficulty>,
    weakest_topics: Vec<ByTopic>,
    over_time: Vec<ByDay>,
}

#[derive(ToSchema)]
pub(super) struct ByDocument {
    document_id: String,
    answered: u32,
    accuracy: f64,
}

#[derive(ToSchema)]
pub(super) struct ByTopic {
    topic: String,
    answered: u32,
    accuracy: f64,
}

#[derive(ToSchema)]
pub(super) struct ByType {
    r#type: Kind,
    answered: u32,
    accuracy: f64,
}

#[derive(ToSchema)]
pub(super) struct ByDifficulty {
    difficulty: Difficulty,
    answered: u32,
    accuracy: f64,
}

#[derive(ToSchema)]
pub(super) struct ByDay {
    #[schema(format = Date)]
    date: String,
    answered: u32,
    accuracy: f64,
}

/// A page of cards that are due.
#[derive(ToSchema)]
#[schema(as = DueCards)]
pub(super) struct Due {
    /// All that are due.
    due_count: u32,
    cards: Vec<DueCard>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A card to be asked now.
#[derive(ToSchema)]
pub(super) struct DueCard {
    #[schema(inline)]
    #[serde(flatten)]
    card: Card,
    /// Seconds until it would come again, by how well it was known.
    intervals: BTreeMap<String, u64>,
}

/// A question that is asked again.
#[derive(ToSchema)]
pub(super) struct Card {
    card_id: String,
    quiz_id: String,
    document_id: String,
    topic: String,
    r#type: Kind,
    question: String,
    options: Vec<String>,
    answer: String,
    explanation: String,
    source: Source,
    schedule: Schedule,
}

/// When a card is asked again, and why.
#[derive(ToSchema)]
pub(super) struct Schedule {
    phase: Phase,
    #[schema(format = DateTime)]
    due: String,
    #[schema(required, format = DateTime)]
    last_review: Option<String>,
    interval_days: i64,
    /// Days until it is still known with a probability of 0.9.
    stability: f64,
    /// 1 to 10; 0 where it was never asked.
    difficulty: f64,
    reps: u32,
    lapses: u32,
}

/// A card that was asked.
#[derive(ToSchema)]
#[schema(as = ReviewedCard)]
pub(super) struct Reviewed {
    card_id: String,
    correct_answer: String,
    explanation: String,
    source: Source,
    /// Of an answer, as the next three.
    #[schema(nullable = false)]
    correct: Option<bool>,
    #[schema(nullable = false)]
    points: Option<f64>,
    #[schema(nullable = false)]
    needs_review: Option<bool>,
    graded_by: Option<String>,
    /// `null` where nobody can say what the answer is worth: nothing is learnt from it.
    #[schema(required)]
    rating: Option<Rating>,
    schedule: Schedule,
    /// Seconds until it would come again, by how well it was known.
    intervals: BTreeMap<String, u64>,
}

/// All cards.
#[derive(ToSchema)]
pub(super) struct Cards {
    cards: Vec<Card>,
}
