//! Quizzes and submissions in PostgreSQL.

use guest::identity::{Owner, User};
use guest::postgres::{self, Row};
use guest::{Problem, events, params, timestamp};
use serde_json::{Value, json};

use super::generate::Quiz;
use crate::question::Kind;

fn missing() -> Problem {
    Problem::not_found("QUIZ_NOT_FOUND", "there is no such quiz")
}

/// A question with its key, for marking.
pub(super) struct Keyed {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) options: Vec<String>,
    pub(super) answer: String,
    pub(super) explanation: String,
    pub(super) source: Value,
}

/// A quiz with its key.
pub(super) struct KeyedQuiz {
    pub(super) user_id: String,
    pub(super) questions: Vec<Keyed>,
}

/// A submission that is marked.
pub(super) struct Submission {
    pub(super) id: String,
    pub(super) quiz_id: String,
    pub(super) tenant: String,
    pub(super) user_id: String,
    pub(super) answers: Value,
    pub(super) score: u32,
}

/// The quiz, its questions and `quiz.generated`, which does not have the key.
pub(super) async fn insert(quiz: &Quiz, user: &User) -> Result<(), Problem> {
    let tx = postgres::begin().await?;
    let count = u32::try_from(quiz.questions.len()).unwrap_or(u32::MAX);
    postgres::execute_in(
        &tx,
        "insert into quizzes (quiz_id, document_id, tenant, user_id, num_questions, difficulty, quiz_type, engine) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            &quiz.id,
            &quiz.document_id,
            &user.tenant,
            &user.id,
            count,
            quiz.difficulty.as_str(),
            quiz.kind.as_str(),
            &quiz.engine,
        ],
    )
    .await?;
    let rows: Vec<Value> = quiz
        .questions
        .iter()
        .enumerate()
        .map(|(at, question)| {
            json!({
                "question_id": format!("{}:q{}", quiz.id, at + 1),
                "question": question.stem,
                "options": question.options,
                "correct_answer": question.answer,
                "question_type": question.kind,
                "ordinal": at + 1,
                "explanation": question.explanation,
                "source": {
                    "document_id": quiz.document_id,
                    "page": question.source.page,
                    "start": question.source.start,
                    "end": question.source.end,
                    "quote": question.source.quote,
                },
            })
        })
        .collect();
    postgres::execute_in(
        &tx,
        "insert into quiz_questions (quiz_id, question_id, question, options, correct_answer, question_type, \
         ordinal, explanation, source) select $1, r.* from jsonb_to_recordset($2::jsonb) as r(question_id text, \
         question text, options jsonb, correct_answer text, question_type text, ordinal integer, \
         explanation text, source jsonb)",
        params![&quiz.id, json!(rows)],
    )
    .await?;
    let payload = json!({
        "schema_version": 1,
        "quiz_id": quiz.id,
        "document_id": quiz.document_id,
        "tenant": user.tenant,
        "user_id": user.id,
        "num_questions": count,
        "difficulty": quiz.difficulty,
        "quiz_type": quiz.kind,
        "engine": quiz.engine,
        "created_at": timestamp::now(),
    });
    events::publish_in(&tx, "quiz.generated", &quiz.id, &payload).await?;
    postgres::commit(tx).await
}

/// The contract's body. The statement does not read the key.
pub(super) async fn public(id: &str, owner: &Owner) -> Result<Value, Problem> {
    let quiz = postgres::fetch_optional(
        "select document_id, created_at, engine from quizzes \
         where quiz_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone()],
    );
    let mut quiz = quiz.await?.ok_or_else(missing)?;
    let rows = postgres::fetch(
        "select ordinal, question, options, question_type from quiz_questions where quiz_id = $1 order by ordinal",
        params![id],
    );
    let question = |mut row: Row| {
        json!({
            "question_id": format!("q{}", row.int(0)),
            "question": row.text(1),
            "options": serde_json::from_str::<Value>(&row.text(2)).unwrap_or_default(),
            "type": row.text(3),
        })
    };
    let questions: Vec<Value> = rows.await?.into_iter().map(question).collect();
    Ok(json!({
        "quiz_id": id,
        "document_id": quiz.text(0),
        "total_questions": questions.len(),
        "questions": questions,
        "created_at": quiz.timestamp(1),
        "engine": quiz.text(2),
    }))
}

/// For marking only.
pub(super) async fn keyed(id: &str, owner: &Owner) -> Result<KeyedQuiz, Problem> {
    let quiz = postgres::fetch_optional(
        "select user_id from quizzes where quiz_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone()],
    );
    let mut quiz = quiz.await?.ok_or_else(missing)?;
    let rows = postgres::fetch(
        "select ordinal, question_type, options, correct_answer, explanation, source from quiz_questions \
         where quiz_id = $1 order by ordinal",
        params![id],
    );
    let question = |mut row: Row| {
        Some(Keyed {
            id: format!("q{}", row.int(0)),
            kind: Kind::parse(&row.text(1))?,
            options: serde_json::from_str(&row.text(2)).ok()?,
            answer: row.text(3),
            explanation: row.text(4),
            source: serde_json::from_str(&row.text(5)).unwrap_or_default(),
        })
    };
    let questions: Option<Vec<Keyed>> = rows.await?.into_iter().map(question).collect();
    Ok(KeyedQuiz {
        user_id: quiz.text(0),
        questions: questions.ok_or_else(Problem::internal)?,
    })
}

/// Each submission stands for itself, and is never changed.
pub(super) async fn submit(submission: &Submission) -> Result<(), Problem> {
    postgres::execute(
        "insert into quiz_submissions (submission_id, quiz_id, tenant, user_id, answers, score) \
         values ($1, $2, $3, $4, $5, $6)",
        params![
            &submission.id,
            &submission.quiz_id,
            &submission.tenant,
            &submission.user_id,
            submission.answers.clone(),
            submission.score,
        ],
    )
    .await?;
    Ok(())
}

/// The contract's list, newest first.
pub(super) async fn history(user: &User) -> Result<Vec<Value>, Problem> {
    let rows = postgres::fetch(
        "select s.quiz_id, q.document_id, s.score, s.submitted_at, s.submission_id \
         from quiz_submissions s join quizzes q using (quiz_id) where s.tenant = $1 and s.user_id = $2 \
         order by s.submitted_at desc, s.submission_id limit 1000",
        params![&user.tenant, &user.id],
    );
    let item = |mut row: Row| {
        json!({
            "quiz_id": row.text(0),
            "document_id": row.text(1),
            "score": row.int(2),
            "submitted_at": row.timestamp(3),
            "submission_id": row.text(4),
        })
    };
    Ok(rows.await?.into_iter().map(item).collect())
}
