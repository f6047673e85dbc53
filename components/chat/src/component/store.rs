//! Questions and answers in PostgreSQL.

use axum::http::StatusCode;
use axum::response::Response;
use guest::idempotency::{Claim, Key, fingerprint};
use guest::identity::User;
use guest::postgres::{self, Row, Transaction};
use guest::uuid::Uuid;
use guest::{Problem, events, llm, params, timestamp};
use serde_json::{Value, json};

use super::answer::Answer;
use super::turn::ROUTE;
use crate::citation::Source;
use crate::prompt::{Said, Speaker};
use crate::title;

/// The row of the session that its owner calls `$1`; an administrator finds the one whose id that is first.
/// `$2` is the tenant, `$3` the user where there is one. By the name first (`offset 0` keeps what is outside
/// from being looked for inside): of a table that it knows nothing of yet, PostgreSQL takes the owner for the
/// rarer, and reads all that the owner has for each question.
pub(super) const OWN_SESSION: &str = "(select session_id from ( \
     select session_id, name, tenant, user_id from chat_sessions where session_id = $1 and name is null \
     union all select session_id, name, tenant, user_id from chat_sessions where name = $1 offset 0) called \
     where tenant = $2 and ($3::text is null or user_id = $3) order by name nulls first limit 1)";

/// There is none of that id, or it is somebody else's.
pub(super) fn missing() -> Problem {
    Problem::not_found("SESSION_NOT_FOUND", "there is no such session")
}

/// An answer that is stored, and the contract's response.
pub(super) struct Stored {
    pub(super) message_id: String,
    pub(super) timestamp: String,
    pub(super) response: Response,
}

/// A question's id, whose it is, and what it is about.
pub(super) struct Question<'a> {
    pub(super) id: &'a str,
    /// As its owner calls it.
    pub(super) session: &'a str,
    pub(super) user: &'a User,
    pub(super) sources: &'a [Source],
}

/// What was said before a question.
pub(super) struct Earlier {
    pub(super) said: Vec<Said>,
    /// Documents that the messages among it are about.
    documents: Vec<String>,
    /// The question's place in its session.
    ordinal: i64,
    /// The session's row.
    session: String,
}

/// The id of the question that comes with this key, where `asked` is the request's fingerprint. Whoever repeats
/// a request that was killed finds the question that it had stored; a key that is used again for another
/// question, or after its question was answered, asks another one.
pub(super) async fn question_id(key: &Key, user: &User, asked: &str) -> Result<Uuid, Problem> {
    let Some(key) = &key.0 else {
        return Ok(Uuid::new_v4());
    };
    let parts = [
        user.tenant.as_bytes(),
        user.id.as_bytes(),
        ROUTE.as_bytes(),
        key.as_bytes(),
        asked.as_bytes(),
    ];
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, fingerprint(&parts).as_bytes());
    let answered = postgres::fetch_optional(
        "select 1 from chat_messages q join chat_messages a on a.session_id = q.session_id and a.turn = q.ordinal \
         where q.message_id = $1",
        params![id.to_string()],
    );
    Ok(answered.await?.map_or(id, |_| Uuid::new_v4()))
}

/// Stores the question, once, in a new session where there is none; answers what was said before.
pub(super) async fn ask(question: &Question<'_>, message: &str) -> Result<Earlier, Problem> {
    let (session, user) = (question.session, question.user);
    let tx = postgres::begin().await?;
    let documents = ids(question.sources);
    hold(&tx, &documents).await?;
    let row = match touch(&tx, session, user).await? {
        Some(row) => row,
        None => make_session(&tx, session, user, message).await?,
    };
    let stored = Message {
        id: question.id,
        role: "user",
        content: message,
        answer: None,
        turn: None,
        sources: &documents,
    };
    let place = Place {
        row: &row,
        name: session,
    };
    let ordinal = insert(&tx, place, user, &stored).await?;
    let said = postgres::fetch_in(&tx, EARLIER, params![&row, ordinal]).await?;
    postgres::commit(tx).await?;
    Ok(earlier(said, ordinal, row))
}

/// The row of the user's session of that name, where there is one; locked, so that two questions in it come one
/// after the other.
async fn touch(tx: &Transaction, name: &str, user: &User) -> Result<Option<String>, Problem> {
    let statement = format!(
        "update chat_sessions set updated_at = now() where session_id = {OWN_SESSION} returning session_id"
    );
    let values = params![name, &user.tenant, &user.id];
    let found = postgres::fetch_in(tx, &statement, values).await?;
    Ok(found.into_iter().next().map(|mut row| row.text(0)))
}

/// Makes the user's session of that name, unless another question has meanwhile. Whether somebody else has a
/// session of that name makes no difference that can be seen.
async fn make_session(
    tx: &Transaction,
    name: &str,
    user: &User,
    message: &str,
) -> Result<String, Problem> {
    let parts = [user.tenant.as_bytes(), user.id.as_bytes(), name.as_bytes()];
    // Two first questions in one session make one. No index can see to that, as a migration adds none that
    // refuses rows.
    postgres::lock_in(tx, &fingerprint(&parts)).await?;
    let make = format!(
        "insert into chat_sessions (session_id, name, tenant, user_id, title) \
         select case when other then $5::text else $1::text end, case when other then $1::text end, \
         $2::text, $3::text, $4::text \
         from (select exists (select from chat_sessions where session_id = $1) as other) o \
         where {OWN_SESSION} is null on conflict do nothing"
    );
    // Twice, as somebody else may make one of that name in this very moment.
    for _ in 0..2 {
        // What others could foretell, they could take first, and keep the user out of it.
        let own = Uuid::new_v4().to_string();
        let values = params![name, &user.tenant, &user.id, title::of(message), own];
        postgres::execute_in(tx, &make, values).await?;
        if let Some(row) = touch(tx, name, user).await? {
            return Ok(row);
        }
    }
    Err(Problem::internal())
}

/// The answered turns before a question, each answer behind its question. An answer of a revision that
/// knew no turns is behind what it answers.
const EARLIER: &str = "select role, content, sources from ( \
     select m.role, m.content, m.sources, coalesce(m.turn, m.ordinal) as turn, m.ordinal from chat_messages m \
     where m.session_id = $1 and coalesce(m.turn, m.ordinal) < $2 and (m.role = 'assistant' or exists (\
         select from chat_messages a where a.session_id = m.session_id and a.role = 'assistant' \
         and (a.turn = m.ordinal or a.turn is null and a.ordinal > m.ordinal))) \
     order by 4 desc, 5 desc limit 200) latest order by turn, ordinal";

fn ids(sources: &[Source]) -> Vec<&String> {
    let ids = sources.iter().filter_map(|source| source.id.as_ref());
    ids.collect()
}

fn earlier(rows: Vec<Row>, ordinal: i64, session: String) -> Earlier {
    let mut earlier = Earlier {
        session,
        said: Vec::new(),
        documents: Vec::new(),
        ordinal,
    };
    for mut row in rows {
        let of: Vec<String> = serde_json::from_str(&row.text(2)).unwrap_or_default();
        for document in of {
            if !earlier.documents.contains(&document) {
                earlier.documents.push(document);
            }
        }
        earlier.said.push(said_by(row));
    }
    earlier
}

fn said_by(mut row: Row) -> Said {
    let by = if row.text(0) == "user" {
        Speaker::User
    } else {
        Speaker::Assistant
    };
    Said {
        by,
        content: row.text(1),
    }
}

/// Stores the answer, unless its session or one of its documents was deleted while it was written. What a
/// model says, it may have from earlier answers: their documents are this one's too.
pub(super) async fn answered(
    claim: &Claim,
    question: &Question<'_>,
    earlier: &Earlier,
    answer: &Answer,
) -> Result<Stored, Problem> {
    let (session, user) = (question.session, question.user);
    let tx = postgres::begin().await?;
    let mut ids = ids(question.sources);
    if answer.engine != llm::LOCAL_ENGINE {
        let more = earlier.documents.iter().filter(|id| !ids.contains(id));
        let more: Vec<&String> = more.collect();
        ids.extend(more);
    }
    still_there(&tx, &earlier.session, &ids).await?;
    let message_id = Uuid::new_v4().to_string();
    let message = Message {
        id: &message_id,
        role: "assistant",
        content: &answer.text,
        answer: Some(answer),
        turn: Some(earlier.ordinal),
        sources: &ids,
    };
    let place = Place {
        row: &earlier.session,
        name: session,
    };
    insert(&tx, place, user, &message).await?;
    let timestamp = timestamp::now();
    let body = body(Some((session, &message_id)), answer, &timestamp);
    let response = claim.answer_in(&tx, StatusCode::OK, None, &body).await?;
    postgres::commit(tx).await?;
    Ok(Stored {
        message_id,
        timestamp,
        response,
    })
}

/// The contract's answer; `kept` is the session and the message that it is kept as.
pub(super) fn body(kept: Option<(&str, &str)>, answer: &Answer, timestamp: &str) -> Value {
    json!({
        "session_id": kept.map(|(session, _)| session),
        "response": answer.text,
        "timestamp": timestamp,
        "message_id": kept.map(|(_, message)| message),
        "engine": answer.engine,
        "citations": answer.citations,
        "finish": answer.finish,
        "grounded": answer.grounded,
        "omitted": answer.omitted,
        "partial": answer.partial(),
    })
}

async fn still_there(
    tx: &Transaction,
    session: &str,
    documents: &[&String],
) -> Result<(), Problem> {
    hold(tx, documents).await?;
    let sessions = postgres::fetch_in(
        tx,
        "select 1 from chat_sessions where session_id = $1 for share",
        params![session],
    );
    if sessions.await?.is_empty() {
        return Err(missing());
    }
    Ok(())
}

/// Keeps documents from being deleted until what is said of them is stored, and with it what is then to be
/// deleted. Before any session is touched: whoever deletes a document takes the two in this order.
async fn hold(tx: &Transaction, documents: &[&String]) -> Result<(), Problem> {
    if documents.is_empty() {
        return Ok(());
    }
    let left = postgres::fetch_in(
        tx,
        "select 1 from shelf where document_id in (select jsonb_array_elements_text($1::jsonb)) \
         and status <> 'deleted' order by document_id for share",
        params![json!(documents)],
    );
    if left.await?.len() < documents.len() {
        let why = "a document was deleted while the answer was written";
        return Err(Problem::not_found("DOCUMENT_NOT_FOUND", why));
    }
    Ok(())
}

/// A session's row, and as its owner calls it.
#[derive(Clone, Copy)]
struct Place<'a> {
    row: &'a str,
    name: &'a str,
}

struct Message<'a> {
    id: &'a str,
    role: &'static str,
    content: &'a str,
    answer: Option<&'a Answer>,
    /// An answer's: its question's ordinal.
    turn: Option<i64>,
    /// Documents that were asked, or that the answer may have its words from.
    sources: &'a [&'a String],
}

/// Answers the message's ordinal. What is there already is left as it is, and not published again.
async fn insert(
    tx: &Transaction,
    session: Place<'_>,
    user: &User,
    message: &Message<'_>,
) -> Result<i64, Problem> {
    let answer = message.answer;
    let stored = postgres::fetch_in(
        tx,
        "insert into chat_messages (message_id, session_id, role, content, engine, citations, sources, partial, \
         finish, grounded, omitted, turn) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         on conflict (message_id) do nothing returning ordinal",
        params![
            message.id,
            session.row,
            message.role,
            message.content,
            answer.map(|answer| answer.engine.clone()),
            answer.map_or_else(|| json!([]), |answer| json!(answer.citations)),
            json!(message.sources),
            answer.is_some_and(Answer::partial),
            answer.map(|answer| answer.finish),
            answer.and_then(|answer| answer.grounded),
            u32::try_from(answer.map_or(0, |answer| answer.omitted)).unwrap_or(u32::MAX),
            message.turn
        ],
    );
    if let Some(row) = stored.await?.into_iter().next() {
        publish(tx, session.name, user, message).await?;
        return Ok(row.int(0));
    }
    let there = postgres::fetch_in(
        tx,
        "select ordinal from chat_messages where message_id = $1 and session_id = $2",
        params![message.id, session.row],
    );
    // With that id in another session, it is another request's.
    let there = there.await?.into_iter().next();
    there.map(|row| row.int(0)).ok_or_else(missing)
}

/// Without the words of an answer from documents: they could not be had back when those are deleted.
async fn publish(
    tx: &Transaction,
    session: &str,
    user: &User,
    message: &Message<'_>,
) -> Result<(), Problem> {
    let mut payload: Value = json!({
        "schema_version": 1,
        "message_id": message.id,
        "session_id": session,
        "tenant": user.tenant,
        "user_id": user.id,
        "role": message.role,
        "timestamp": timestamp::now(),
    });
    if message.answer.is_none() || message.sources.is_empty() {
        payload["content"] = json!(message.content);
    }
    events::publish_in(tx, "chat.message", session, &payload).await
}
