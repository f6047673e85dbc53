//! Quizzes in PostgreSQL.

use guest::identity::{Owner, User};
use guest::page::{Cursor, Page};
use guest::postgres::{self, Row, Transaction};
use guest::{Problem, events, params, timestamp};
use serde_json::{Value, json};

use super::generate::Quiz;
use crate::grade::Asked;
use crate::question::Kind;
use crate::request::warnings;

pub(super) fn missing() -> Problem {
    Problem::not_found("QUIZ_NOT_FOUND", "there is no such quiz")
}

/// A question with its key, for marking.
pub(super) struct Keyed {
    pub(super) number: u32,
    pub(super) asked: Asked,
    pub(super) explanation: String,
    pub(super) topic: String,
    pub(super) source: Value,
}

impl Keyed {
    /// As a client names it.
    pub(super) fn id(&self) -> String {
        format!("q{}", self.number)
    }

    /// The document that it is about.
    pub(super) fn document_id(&self) -> &str {
        self.source["document_id"].as_str().unwrap_or_default()
    }
}

/// A quiz with its key.
pub(super) struct KeyedQuiz {
    pub(super) id: String,
    pub(super) user: User,
    pub(super) difficulty: String,
    pub(super) questions: Vec<Keyed>,
}

/// The quiz, its questions and `quiz.generated`, which does not have the key. Whether it is stored: an id
/// that is taken stays whose it is.
pub(super) async fn insert(
    tx: &Transaction,
    quiz: &Quiz,
    user: &User,
    request_id: Option<&str>,
) -> Result<bool, Problem> {
    hold(tx, quiz).await?;
    let order = &quiz.order;
    let count = u32::try_from(quiz.questions.len()).unwrap_or(u32::MAX);
    let stored = postgres::execute_in(
        tx,
        "insert into quizzes (quiz_id, document_id, document_ids, tenant, user_id, num_questions, difficulty, \
         quiz_type, engine, requested) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
        params![
            &quiz.id,
            order.documents.first().cloned(),
            json!(order.documents),
            &user.tenant,
            &user.id,
            count,
            order.difficulty.as_str(),
            order.quiz_type.as_str(),
            &quiz.engine,
            u32::try_from(order.count).unwrap_or(u32::MAX),
        ],
    );
    if stored.await? == 0 {
        return Ok(false);
    }
    insert_questions(tx, quiz).await?;
    let mut payload = json!({
        "schema_version": 1,
        "status": "completed",
        "quiz_id": quiz.id,
        "document_id": order.documents.first(),
        "document_ids": order.documents,
        "tenant": user.tenant,
        "user_id": user.id,
        "num_questions": count,
        "requested": order.count,
        "warnings": warnings(quiz.questions.len(), order.count),
        "difficulty": order.difficulty,
        "quiz_type": order.quiz_type,
        "engine": quiz.engine,
        "created_at": timestamp::now(),
    });
    if let Some(request_id) = request_id {
        payload["request_id"] = json!(request_id);
    }
    events::publish_in(tx, "quiz.generated", &quiz.id, &payload).await?;
    Ok(true)
}

/// Keeps the documents from being deleted until the quiz is stored, and with it what is then to be
/// deleted.
async fn hold(tx: &Transaction, quiz: &Quiz) -> Result<(), Problem> {
    let documents = &quiz.order.documents;
    let held = postgres::fetch_in(
        tx,
        "select document_id from shelf where status <> 'deleted' \
         and document_id in (select jsonb_array_elements_text($1::jsonb)) order by document_id for share",
        params![json!(documents)],
    );
    if held.await?.len() == documents.len() {
        Ok(())
    } else {
        Err(Problem::not_found(
            "DOCUMENT_NOT_FOUND",
            "there is no such document",
        ))
    }
}

async fn insert_questions(tx: &Transaction, quiz: &Quiz) -> Result<(), Problem> {
    let row = |(at, (question, topic)): (usize, &(crate::question::Question, String))| {
        json!({
            "question_id": format!("{}:q{}", quiz.id, at + 1),
            "question": question.stem,
            "options": question.options,
            "correct_answer": question.answer,
            "question_type": question.kind,
            "ordinal": at + 1,
            "explanation": question.explanation,
            "rubric": question.rubric,
            "topic": topic,
            "source": question.source,
        })
    };
    let rows: Vec<Value> = quiz.questions.iter().enumerate().map(row).collect();
    postgres::execute_in(
        tx,
        "insert into quiz_questions (quiz_id, question_id, question, options, correct_answer, question_type, \
         ordinal, explanation, rubric, topic, source) select $1, r.* from jsonb_to_recordset($2::jsonb) as \
         r(question_id text, question text, options jsonb, correct_answer text, question_type text, \
         ordinal integer, explanation text, rubric jsonb, topic text, source jsonb)",
        params![&quiz.id, json!(rows)],
    )
    .await?;
    Ok(())
}

/// The contract's body. The statement does not read the key.
pub(super) async fn public(id: &str, owner: &Owner) -> Result<Value, Problem> {
    let quiz = postgres::fetch_optional(
        "select document_id, document_ids, created_at, engine, difficulty, quiz_type, requested from quizzes \
         where quiz_id = $1 and deleted_at is null and tenant = $2 and ($3::text is null or user_id = $3)",
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
            "options": json_of(&row.text(2)),
            "type": row.text(3),
        })
    };
    let questions: Vec<Value> = rows.await?.into_iter().map(question).collect();
    let document_id = quiz.text(0);
    // An old row does not say.
    let requested = (quiz.count(6) as usize).max(questions.len());
    Ok(json!({
        "quiz_id": id,
        "document_ids": documents(&document_id, &quiz.text(1)),
        "document_id": document_id,
        "total_questions": questions.len(),
        "requested": requested,
        "warnings": warnings(questions.len(), requested),
        "questions": questions,
        "created_at": quiz.timestamp(2),
        "engine": quiz.text(3),
        "difficulty": quiz.text(4),
        "quiz_type": quiz.text(5),
    }))
}

pub(super) fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// All documents of a quiz; an old row has its first one alone.
fn documents(first: &str, all: &str) -> Value {
    match json_of(all) {
        Value::Array(all) if !all.is_empty() => Value::Array(all),
        _ => json!([first]),
    }
}

/// The owner's quizzes, newest first.
pub(super) async fn list(owner: &Owner, page: &Page) -> Result<Vec<(Cursor, Value)>, Problem> {
    let after = page.after.as_ref();
    let rows = postgres::fetch(
        "select quiz_id, document_id, document_ids, num_questions, difficulty, quiz_type, engine, created_at, \
         (extract(epoch from created_at) * 1000000)::bigint from quizzes \
         where deleted_at is null and tenant = $1 and ($2::text is null or user_id = $2) \
         and ($3::timestamptz is null or (created_at, quiz_id) < ($3, $4)) \
         order by created_at desc, quiz_id desc limit $5",
        params![
            &owner.tenant,
            owner.user.clone(),
            after.map(|after| postgres::Value::Timestamp(after.at)),
            after.map(|after| after.id.clone()),
            page.rows()
        ],
    );
    let item = |mut row: Row| {
        let (id, document_id) = (row.text(0), row.text(1));
        let cursor = Cursor {
            at: row.int(8),
            id: id.clone(),
        };
        let item = json!({
            "quiz_id": id,
            "document_ids": documents(&document_id, &row.text(2)),
            "document_id": document_id,
            "total_questions": row.int(3),
            "difficulty": row.text(4),
            "quiz_type": row.text(5),
            "engine": row.text(6),
            "created_at": row.timestamp(7),
        });
        (cursor, item)
    };
    Ok(rows.await?.into_iter().map(item).collect())
}

/// For marking only.
pub(super) async fn keyed(id: &str, owner: &Owner) -> Result<KeyedQuiz, Problem> {
    let quiz = postgres::fetch_optional(
        "select user_id, difficulty from quizzes where quiz_id = $1 and deleted_at is null and tenant = $2 \
         and ($3::text is null or user_id = $3)",
        params![id, &owner.tenant, owner.user.clone()],
    );
    let mut quiz = quiz.await?.ok_or_else(missing)?;
    let rows = postgres::fetch(
        "select ordinal, question_type, question, options, correct_answer, rubric, explanation, topic, source \
         from quiz_questions where quiz_id = $1 order by ordinal",
        params![id],
    );
    let question = |mut row: Row| {
        let source = json_of(&row.text(8));
        Some(Keyed {
            number: row.count(0),
            asked: Asked {
                kind: Kind::parse(&row.text(1))?,
                stem: row.text(2),
                options: serde_json::from_str(&row.text(3)).ok()?,
                answer: row.text(4),
                rubric: serde_json::from_str(&row.text(5)).unwrap_or_default(),
                quote: source["quote"].as_str().unwrap_or_default().to_owned(),
            },
            explanation: row.text(6),
            topic: row.text(7),
            source,
        })
    };
    let questions: Option<Vec<Keyed>> = rows.await?.into_iter().map(question).collect();
    Ok(KeyedQuiz {
        id: id.to_owned(),
        user: User {
            tenant: owner.tenant.clone(),
            id: quiz.text(0),
        },
        difficulty: quiz.text(1),
        questions: questions.ok_or_else(Problem::internal)?,
    })
}

/// What is derived from a document's text goes with it: quizzes, cards, answers; of submissions their
/// score stays.
pub(super) async fn forget(tx: &Transaction, document_id: &str) -> Result<(), Problem> {
    let gone = postgres::fetch_in(
        tx,
        "update quizzes set deleted_at = now(), document_ids = '[]' where deleted_at is null \
         and (document_id = $1 or document_ids @> to_jsonb($1::text)) returning quiz_id",
        params![document_id],
    );
    let gone: Vec<String> = gone.await?.into_iter().map(|mut row| row.text(0)).collect();
    // The cards tell which reviews are kept under an Idempotency-Key.
    let cards = postgres::fetch_in(
        tx,
        "delete from review_cards where quiz_id in (select jsonb_array_elements_text($1::jsonb)) returning card_id",
        params![json!(gone)],
    );
    let cards: Vec<String> = cards
        .await?
        .into_iter()
        .map(|mut row| row.text(0))
        .collect();
    postgres::execute_in(
        tx,
        "delete from idempotency where body->>'card_id' in (select jsonb_array_elements_text($1::jsonb))",
        params![json!(cards)],
    )
    .await?;
    for statement in [
        "delete from quiz_questions where quiz_id in (select jsonb_array_elements_text($1::jsonb))",
        "delete from quiz_answers where quiz_id in (select jsonb_array_elements_text($1::jsonb))",
        "update quiz_submissions set answers = '{}', results = '[]', needs_review = 0 \
         where quiz_id in (select jsonb_array_elements_text($1::jsonb))",
        // What else was answered under one.
        "delete from idempotency where body->>'quiz_id' in (select jsonb_array_elements_text($1::jsonb))",
    ] {
        postgres::execute_in(tx, statement, params![json!(gone)]).await?;
    }
    Ok(())
}
