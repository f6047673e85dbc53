//! Submissions in PostgreSQL: what was answered, what it is worth, what is known of it over time.

use axum::http::StatusCode;
use axum::response::Response;
use guest::idempotency::Claim;
use guest::identity::{Owner, User};
use guest::page::{Cursor, Page};
use guest::postgres::{self, Row, Transaction};
use guest::{Problem, params};
use serde_json::{Map, Value, json};

use super::cards;
use super::marking::Marked;
use super::store::{self, KeyedQuiz, json_of};
use crate::grade::{Mark, score};
use crate::memory::Rating;

/// The attempt that counts.
const FIRST: i64 = 1;
/// Who marked an answer that waited for somebody.
const PERSON: &str = "a person";

/// A submission that is marked.
pub(super) struct Submission<'a> {
    pub(super) id: String,
    pub(super) quiz: &'a KeyedQuiz,
    pub(super) answers: &'a Map<String, Value>,
    /// In the questions' order.
    pub(super) marks: Vec<Marked>,
    pub(super) submitted_at: String,
    /// From 1: which of the quiz's submissions it is.
    pub(super) attempt: i64,
}

impl Submission<'_> {
    fn results(&self) -> Vec<Value> {
        let pairs = self.quiz.questions.iter().zip(&self.marks);
        pairs
            .map(|(question, marked)| {
                let id = question.id();
                json!({
                    "correct": marked.mark.is_correct(),
                    "user_answer": self.answers.get(&id),
                    "question_id": id,
                    "correct_answer": question.asked.answer,
                    "points": marked.mark.points,
                    "needs_review": marked.mark.needs_review,
                    "graded_by": marked.by,
                    "explanation": question.explanation,
                    "source": question.source,
                })
            })
            .collect()
    }

    /// The contract's body.
    pub(super) fn body(&self) -> Value {
        let (id, quiz) = (&self.id, &self.quiz.id);
        answered(id, quiz, self.results(), &self.submitted_at, self.attempt)
    }

    /// Whether it tells what the learner knows: behind the first one, the key is known.
    pub(super) fn counts(&self) -> bool {
        self.attempt == FIRST
    }
}

/// The contract's body: the score of the results as they stand.
fn answered(
    id: &str,
    quiz_id: &str,
    results: Vec<Value>,
    submitted_at: &str,
    attempt: i64,
) -> Value {
    let count = |name: &str| results.iter().filter(|result| result[name] == true).count();
    json!({
        "submission_id": id,
        "quiz_id": quiz_id,
        "score": score(&points(&results)),
        "total_questions": results.len(),
        "correct_answers": count("correct"),
        "needs_review": count("needs_review"),
        "results": results,
        "submitted_at": submitted_at,
        "attempt": attempt,
        "practice": attempt > FIRST,
    })
}

fn points(results: &[Value]) -> Vec<f64> {
    let points = |result: &Value| result["points"].as_f64().unwrap_or_default();
    results.iter().map(points).collect()
}

/// Which submission the next one of the quiz is. The quiz is held: of two at once one is the first, and
/// where its document is being deleted, there is no quiz any more.
pub(super) async fn attempt(tx: &Transaction, quiz_id: &str) -> Result<i64, Problem> {
    let held = postgres::fetch_in(
        tx,
        "select quiz_id from quizzes where quiz_id = $1 and deleted_at is null for no key update",
        params![quiz_id],
    );
    if held.await?.is_empty() {
        return Err(store::missing());
    }
    let before = postgres::fetch_in(
        tx,
        "select count(*) from quiz_submissions where quiz_id = $1",
        params![quiz_id],
    );
    Ok(before.await?.first().map_or(0, |row| row.int(0)) + FIRST)
}

/// Each submission stands for itself, and the first one for what the learner knows.
pub(super) async fn insert(
    tx: &Transaction,
    submission: &Submission<'_>,
    body: &Value,
) -> Result<(), Problem> {
    let quiz = submission.quiz;
    postgres::execute_in(
        tx,
        "insert into quiz_submissions (submission_id, quiz_id, tenant, user_id, answers, score, results, \
         needs_review, attempt) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            &submission.id,
            &quiz.id,
            &quiz.user.tenant,
            &quiz.user.id,
            Value::Object(submission.answers.clone()),
            body["score"].as_i64(),
            body["results"].clone(),
            body["needs_review"].as_i64(),
            submission.attempt,
        ],
    )
    .await?;
    if submission.counts() {
        insert_answers(tx, submission).await?;
    }
    Ok(())
}

/// For the analytics.
async fn insert_answers(tx: &Transaction, submission: &Submission<'_>) -> Result<(), Problem> {
    let quiz = submission.quiz;
    let row = |(question, marked): (&store::Keyed, &Marked)| {
        json!({
            "ordinal": question.number,
            "document_id": question.document_id(),
            "topic": question.topic,
            "question_type": question.asked.kind,
            "points": marked.mark.points,
            "needs_review": marked.mark.needs_review,
        })
    };
    let rows: Vec<Value> = quiz
        .questions
        .iter()
        .zip(&submission.marks)
        .map(row)
        .collect();
    postgres::execute_in(
        tx,
        "insert into quiz_answers (submission_id, tenant, user_id, quiz_id, difficulty, ordinal, document_id, \
         topic, question_type, points, needs_review) select $1, $2, $3, $4, $5, r.* from \
         jsonb_to_recordset($6::jsonb) as r(ordinal integer, document_id text, topic text, question_type text, \
         points double precision, needs_review boolean)",
        params![
            &submission.id,
            &quiz.user.tenant,
            &quiz.user.id,
            &quiz.id,
            &quiz.difficulty,
            json!(rows)
        ],
    )
    .await?;
    Ok(())
}

/// A submission again, as it stands now.
pub(super) async fn find(id: &str, owner: &Owner) -> Result<Value, Problem> {
    let row = postgres::fetch_optional(
        "select s.quiz_id, s.results, s.submitted_at, s.attempt from quiz_submissions s \
         where s.submission_id = $1 and s.tenant = $2 and ($3::text is null or s.user_id = $3) \
         and s.results <> '[]'",
        params![id, &owner.tenant, owner.user.clone()],
    );
    row.await?
        .map(|mut row| shown(id, &mut row))
        .ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::not_found("SUBMISSION_NOT_FOUND", "there is no such submission")
}

fn shown(id: &str, row: &mut Row) -> Value {
    let results = match json_of(&row.text(1)) {
        Value::Array(results) => results,
        _ => vec![],
    };
    let (quiz_id, submitted_at) = (row.text(0), row.timestamp(2));
    answered(id, &quiz_id, results, &submitted_at, row.int(3))
}

/// What a person gives for answers that wait for one, or gave before; other marks stand.
pub(super) async fn mark(
    id: &str,
    owner: &Owner,
    marks: &[(String, Mark)],
    claim: &Claim,
) -> Result<Response, Problem> {
    let tx = postgres::begin().await?;
    let mut row = held(&tx, id, owner).await?;
    let mut body = shown(id, &mut row);
    let (quiz_id, attempt) = (body["quiz_id"].clone(), row.int(3));
    let quiz_id = quiz_id.as_str().unwrap_or_default();
    let results = body["results"].as_array_mut().ok_or_else(missing)?;
    for (question, mark) in marks {
        give(results, question, *mark)?;
        if attempt > FIRST {
            continue;
        }
        postgres::execute_in(
            &tx,
            "update quiz_answers set points = $3::text::double precision, needs_review = false \
             where submission_id = $1 and 'q' || ordinal = $2",
            params![id, question, mark.points.to_string()],
        )
        .await?;
        let asked = cards::Review {
            at: row.microseconds(2),
            rating: Rating::of_points(mark.points),
            submission_id: Some(id.to_owned()),
        };
        cards::remark(&tx, &cards::id(quiz_id, question), &asked).await?;
    }
    let results = std::mem::take(results);
    let body = answered(id, quiz_id, results, &row.timestamp(2), attempt);
    postgres::execute_in(
        &tx,
        "update quiz_submissions set results = $2, score = $3, \
         needs_review = $4 where submission_id = $1",
        params![
            id,
            body["results"].clone(),
            body["score"].as_i64(),
            body["needs_review"].as_i64()
        ],
    )
    .await?;
    let response = claim.answer_in(&tx, StatusCode::OK, None, &body).await?;
    postgres::commit(tx).await?;
    Ok(response)
}

/// The submission's row, kept from others, and before it the quiz: who deletes a document holds the quiz
/// first too.
async fn held(tx: &Transaction, id: &str, owner: &Owner) -> Result<Row, Problem> {
    let quiz = postgres::fetch_in(
        tx,
        "select quiz_id from quizzes where quiz_id = (select quiz_id from quiz_submissions \
         where submission_id = $1) and deleted_at is null for share",
        params![id],
    );
    if quiz.await?.is_empty() {
        return Err(missing());
    }
    let rows = postgres::fetch_in(
        tx,
        "select quiz_id, results, submitted_at, attempt from quiz_submissions where submission_id = $1 \
         and tenant = $2 and ($3::text is null or user_id = $3) and results <> '[]' for update",
        params![id, &owner.tenant, owner.user.clone()],
    );
    rows.await?.into_iter().next().ok_or_else(missing)
}

/// Gives a mark where a person has the say.
fn give(results: &mut [Value], question: &str, mark: Mark) -> Result<(), Problem> {
    let is_a_persons =
        |result: &Value| result["needs_review"] == true || result["graded_by"] == PERSON;
    let result = results
        .iter_mut()
        .find(|result| result["question_id"] == *question && is_a_persons(result));
    let Some(result) = result else {
        let why = "an answer that is marked does not change, unless a person marked it";
        return Err(Problem::conflict("ALREADY_MARKED", why));
    };
    result["points"] = json!(mark.points);
    result["correct"] = json!(mark.is_correct());
    result["needs_review"] = json!(false);
    result["graded_by"] = json!(PERSON);
    Ok(())
}

/// The contract's list, newest first.
pub(super) async fn history(user: &User, page: &Page) -> Result<Vec<(Cursor, Value)>, Problem> {
    let after = page.after.as_ref();
    let rows = postgres::fetch(
        "select s.quiz_id, q.document_id, s.score, s.submitted_at, s.submission_id, s.needs_review, \
         (extract(epoch from s.submitted_at) * 1000000)::bigint, s.attempt \
         from quiz_submissions s join quizzes q using (quiz_id) where s.tenant = $1 and s.user_id = $2 \
         and ($3::timestamptz is null or (s.submitted_at, s.submission_id) < ($3, $4)) \
         order by s.submitted_at desc, s.submission_id desc limit $5",
        params![
            &user.tenant,
            &user.id,
            after.map(|after| postgres::Value::Timestamp(after.at)),
            after.map(|after| after.id.clone()),
            page.rows()
        ],
    );
    let item = |mut row: Row| {
        let submission = row.text(4);
        let cursor = Cursor {
            at: row.int(6),
            id: submission.clone(),
        };
        let item = json!({
            "quiz_id": row.text(0),
            "document_id": row.text(1),
            "score": row.int(2),
            "submitted_at": row.timestamp(3),
            "submission_id": submission,
            "needs_review": row.int(5),
            "attempt": row.int(7),
            "practice": row.int(7) > FIRST,
        });
        (cursor, item)
    };
    Ok(rows.await?.into_iter().map(item).collect())
}
