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

/// The submission's questions as cards. One that is there is asked again only where it was due: a quiz
/// that is taken twice in a row is no proof of memory.
pub(super) async fn learn(tx: &Transaction, submission: &Submission<'_>) -> Result<(), Problem> {
    let now = timestamp::microseconds();
    let known = known(tx, &submission.quiz.id).await?;
    let mut rows = Vec::new();
    for (question, marked) in submission.quiz.questions.iter().zip(&submission.marks) {
        let id = format!("{}.{}", submission.quiz.id, question.id());
        let before = known.iter().find(|(other, _)| *other == id);
        let before = before.map_or_else(
            || Memory {
                due: now,
                ..Memory::default()
            },
            |(_, memory)| memory.clone(),
        );
        let memory = if marked.mark.needs_review || before.due > now {
            before
        } else {
            before.after(now, Rating::of_points(marked.mark.points))
        };
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
         correct_answer text, rubric jsonb, explanation text, source jsonb, memory jsonb, due bigint) \
         on conflict (card_id) do update set memory = excluded.memory, due = excluded.due",
        params![&user.tenant, &user.id, &submission.quiz.id, json!(rows)],
    )
    .await?;
    Ok(())
}

async fn known(tx: &Transaction, quiz_id: &str) -> Result<Vec<(String, Memory)>, Problem> {
    let rows = postgres::fetch_in(
        tx,
        "select card_id, memory from review_cards where quiz_id = $1 order by card_id for update",
        params![quiz_id],
    );
    let known = rows.await?.into_iter().map(|mut row| {
        let memory = serde_json::from_str(&row.text(1)).unwrap_or_default();
        (row.text(0), memory)
    });
    Ok(known.collect())
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
    let rows = postgres::fetch_in(
        tx,
        "select memory from review_cards where card_id = $1 for update",
        params![id],
    );
    let mut row = rows.await?.into_iter().next().ok_or_else(missing)?;
    let memory: Memory = serde_json::from_str(&row.text(0)).unwrap_or_default();
    let memory = memory.after(timestamp::microseconds(), rating);
    postgres::execute_in(
        tx,
        "update review_cards set memory = $2, due = $3 where card_id = $1",
        params![id, json!(memory), postgres::Value::Timestamp(memory.due)],
    )
    .await?;
    Ok(memory)
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
