//! Cards in PostgreSQL: answered questions, and when to ask them again.

use guest::identity::{Owner, User};
use guest::page::{Cursor, Page};
use guest::postgres::{self, Row, Transaction};
use guest::{Problem, params, timestamp};
use serde_json::{Value, json};

use super::store::json_of;
use super::submissions::Submission;
use crate::grade::Asked;
use crate::memory::{Memory, Rating};
use crate::question::Kind;

/// Cards that one answer of the database holds.
const BATCH: u32 = 500;
/// Reviews of a card that are counted again for a late mark: a learner decides how many there are.
const LOGGED: u32 = 1_000;

/// A card, and whose it is.
pub(super) struct Card {
    pub(super) id: String,
    pub(super) user: User,
    pub(super) quiz_id: String,
    pub(super) document_id: String,
    pub(super) topic: String,
    pub(super) asked: Asked,
    pub(super) explanation: String,
    pub(super) source: Value,
    pub(super) memory: Memory,
}

impl Card {
    /// With its key: the learner saw it with the results that made it a card.
    pub(super) fn body(&self) -> Value {
        json!({
            "card_id": self.id,
            "quiz_id": self.quiz_id,
            "document_id": self.document_id,
            "topic": self.topic,
            "type": self.asked.kind,
            "question": self.asked.stem,
            "options": self.asked.options,
            "answer": self.asked.answer,
            "explanation": self.explanation,
            "source": self.source,
            "schedule": schedule(&self.memory),
        })
    }
}

/// How well a card is known, and when it comes next.
pub(super) fn schedule(memory: &Memory) -> Value {
    let last = (memory.reps > 0).then(|| timestamp::format(memory.last_review));
    json!({
        "phase": memory.phase,
        "due": timestamp::format(memory.due),
        "last_review": last,
        "interval_days": memory.interval_days(),
        "stability": memory.stability,
        "difficulty": memory.difficulty,
        "reps": memory.reps,
        "lapses": memory.lapses,
    })
}

/// Seconds until the card would come again, by how well it was known.
pub(super) fn intervals(memory: &Memory, now: i64) -> Value {
    let until = |rating: Rating| (memory.after(now, rating).due - now).max(0) / 1_000_000;
    let pairs = Rating::ALL.map(|rating| (rating.as_str().to_owned(), json!(until(rating))));
    Value::Object(pairs.into_iter().collect())
}

/// A time that a card was asked.
pub(super) struct Review {
    /// In microseconds.
    pub(super) at: i64,
    pub(super) rating: Rating,
    /// The submission whose answer it was; none for an answer to the card itself.
    pub(super) submission_id: Option<String>,
}

/// The card of a quiz's question, which a client calls `q1`.
pub(super) fn id(quiz_id: &str, question: &str) -> String {
    format!("{quiz_id}.{question}")
}

/// The questions of a quiz's first submission as cards. What waits for a person was not asked yet.
pub(super) async fn learn(tx: &Transaction, submission: &Submission<'_>) -> Result<(), Problem> {
    let now = timestamp::microseconds();
    let (mut rows, mut reviews) = (Vec::new(), Vec::new());
    for (question, marked) in submission.quiz.questions.iter().zip(&submission.marks) {
        let id = id(&submission.quiz.id, &question.id());
        let mut memory = Memory {
            due: now,
            ..Memory::default()
        };
        if !marked.mark.needs_review {
            let rating = Rating::of_points(marked.mark.points);
            memory = memory.after(now, rating);
            reviews.push(json!({ "card_id": id, "rating": rating }));
        }
        rows.push(json!({
            "card_id": id,
            "document_id": question.document_id(),
            "topic": question.topic,
            "question_type": question.asked.kind,
            "question": question.asked.stem,
            "options": question.asked.options,
            "correct_answer": question.asked.answer,
            "rubric": question.asked.rubric,
            "explanation": question.explanation,
            "source": question.source,
            "memory": memory,
            "due": memory.due,
        }));
    }
    let user = &submission.quiz.user;
    postgres::execute_in(
        tx,
        "insert into review_cards (tenant, user_id, quiz_id, card_id, document_id, topic, question_type, question, \
         options, correct_answer, rubric, explanation, source, memory, due) select $1, $2, $3, r.card_id, \
         r.document_id, r.topic, r.question_type, r.question, r.options, r.correct_answer, r.rubric, \
         r.explanation, r.source, r.memory, to_timestamp(r.due / 1000000.0) from jsonb_to_recordset($4::jsonb) as \
         r(card_id text, document_id text, topic text, question_type text, question text, options jsonb, \
         correct_answer text, rubric jsonb, explanation text, source jsonb, memory jsonb, due bigint)",
        params![&user.tenant, &user.id, &submission.quiz.id, json!(rows)],
    )
    .await?;
    postgres::execute_in(
        tx,
        "insert into card_reviews (card_id, reviewed_at, rating, submission_id) select r.card_id, $2::timestamptz, r.rating, $3 \
         from jsonb_to_recordset($1::jsonb) as r(card_id text, rating text)",
        params![json!(reviews), postgres::Value::Timestamp(now), &submission.id],
    )
    .await?;
    Ok(())
}

const COLUMNS: &str = "card_id, user_id, quiz_id, document_id, topic, question_type, question, options, \
                       correct_answer, rubric, explanation, source, memory";

fn card(mut row: Row, tenant: &str) -> Option<Card> {
    let source = json_of(&row.text(11));
    Some(Card {
        id: row.text(0),
        user: User {
            tenant: tenant.to_owned(),
            id: row.text(1),
        },
        quiz_id: row.text(2),
        document_id: row.text(3),
        topic: row.text(4),
        asked: Asked {
            kind: Kind::parse(&row.text(5))?,
            stem: row.text(6),
            options: serde_json::from_str(&row.text(7)).unwrap_or_default(),
            answer: row.text(8),
            rubric: serde_json::from_str(&row.text(9)).unwrap_or_default(),
            quote: source["quote"].as_str().unwrap_or_default().to_owned(),
        },
        explanation: row.text(10),
        source,
        memory: serde_json::from_str(&row.text(12)).unwrap_or_default(),
    })
}

/// A page of the cards that are due, those first that have waited longest, and how many there are.
pub(super) async fn due(owner: &Owner, page: &Page) -> Result<(i64, Vec<(Cursor, Card)>), Problem> {
    let after = page.after.as_ref();
    let statement = format!(
        "select {COLUMNS} from review_cards where tenant = $1 and ($2::text is null or user_id = $2) \
         and due <= now() and ($3::timestamptz is null or (due, card_id) > ($3, $4)) \
         order by due, card_id limit $5"
    );
    let rows = postgres::fetch(
        &statement,
        params![
            &owner.tenant,
            owner.user.clone(),
            after.map(|after| postgres::Value::Timestamp(after.at)),
            after.map(|after| after.id.clone()),
            page.rows()
        ],
    );
    let cards = rows.await?.into_iter().filter_map(|row| {
        let card = card(row, &owner.tenant)?;
        let cursor = Cursor {
            at: card.memory.due,
            id: card.id.clone(),
        };
        Some((cursor, card))
    });
    let cards = cards.collect();
    let count = postgres::fetch_optional(
        "select count(*) from review_cards where tenant = $1 and ($2::text is null or user_id = $2) \
         and due <= now()",
        params![&owner.tenant, owner.user.clone()],
    );
    let count = count.await?.map_or(0, |row| row.int(0));
    Ok((count, cards))
}

/// A card of the owner's.
pub(super) async fn find(id: &str, owner: &Owner) -> Result<Card, Problem> {
    let statement = format!(
        "select {COLUMNS} from review_cards where card_id = $1 and tenant = $2 \
         and ($3::text is null or user_id = $3)"
    );
    let row = postgres::fetch_optional(&statement, params![id, &owner.tenant, owner.user.clone()]);
    let found = row.await?.and_then(|row| card(row, &owner.tenant));
    found.ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::not_found("CARD_NOT_FOUND", "there is no such card")
}

/// Keeps a card from being deleted with its document until what is said of it is stored.
pub(super) async fn hold(tx: &Transaction, id: &str) -> Result<(), Problem> {
    let held = postgres::fetch_in(
        tx,
        "select 1 from review_cards where card_id = $1 for share",
        params![id],
    );
    match held.await?.is_empty() {
        true => Err(missing()),
        false => Ok(()),
    }
}

/// What is remembered of a card after it was asked now.
pub(super) async fn review(tx: &Transaction, id: &str, rating: Rating) -> Result<Memory, Problem> {
    let before = known(tx, id).await?.ok_or_else(missing)?;
    let now = timestamp::microseconds();
    let asked = Review {
        at: now,
        rating,
        submission_id: None,
    };
    log(tx, id, &asked).await?;
    let memory = before.after(now, rating);
    remember(tx, id, &memory).await?;
    Ok(memory)
}

/// What a person says of the submission's answer takes the place of what was said of it before, at the
/// time it was given: what came later is counted from it.
pub(super) async fn remark(tx: &Transaction, id: &str, asked: &Review) -> Result<(), Problem> {
    let Some(before) = known(tx, id).await? else {
        return Ok(());
    };
    // Of reviews older than the log nothing is known but what they made of the memory: that stands.
    if before.reps > LOGGED || logged(tx, id).await?.len() != before.reps as usize {
        return Ok(());
    }
    log(tx, id, asked).await?;
    remember(tx, id, &Memory::replayed(logged(tx, id).await?)).await
}

/// The card's memory, kept from others.
async fn known(tx: &Transaction, id: &str) -> Result<Option<Memory>, Problem> {
    let rows = postgres::fetch_in(
        tx,
        "select memory from review_cards where card_id = $1 for update",
        params![id],
    );
    let memory = |mut row: Row| serde_json::from_str(&row.text(0)).unwrap_or_default();
    Ok(rows.await?.into_iter().next().map(memory))
}

async fn remember(tx: &Transaction, id: &str, memory: &Memory) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "update review_cards set memory = $2, due = $3 where card_id = $1",
        params![id, json!(memory), postgres::Value::Timestamp(memory.due)],
    )
    .await?;
    Ok(())
}

async fn log(tx: &Transaction, id: &str, asked: &Review) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "insert into card_reviews (card_id, reviewed_at, rating, submission_id) values ($1, $2, $3, $4) \
         on conflict (card_id, submission_id) do update set rating = excluded.rating",
        params![
            id,
            postgres::Value::Timestamp(asked.at),
            asked.rating.as_str(),
            asked.submission_id.clone()
        ],
    )
    .await?;
    Ok(())
}

async fn logged(tx: &Transaction, id: &str) -> Result<Vec<(i64, Rating)>, Problem> {
    let rows = postgres::fetch_in(
        tx,
        "select reviewed_at, rating from card_reviews where card_id = $1 order by reviewed_at",
        params![id],
    );
    let asked = |mut row: Row| Some((row.microseconds(0), Rating::parse(&row.text(1))?));
    Ok(rows.await?.into_iter().filter_map(asked).collect())
}

/// All cards of the user, a batch at a time.
pub(super) async fn each(user: &User, mut take: impl FnMut(&Card)) -> Result<(), Problem> {
    let statement = format!(
        "select {COLUMNS} from review_cards where tenant = $1 and user_id = $2 and card_id > $3 \
         order by card_id limit $4"
    );
    let mut after = String::new();
    loop {
        let rows = postgres::fetch(&statement, params![&user.tenant, &user.id, &after, BATCH]);
        let cards: Vec<Card> = rows
            .await?
            .into_iter()
            .filter_map(|row| card(row, &user.tenant))
            .collect();
        cards.iter().for_each(&mut take);
        match cards.last() {
            Some(last) if cards.len() == BATCH as usize => after.clone_from(&last.id),
            _ => return Ok(()),
        }
    }
}
