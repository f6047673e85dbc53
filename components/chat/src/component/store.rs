//! Questions and answers in PostgreSQL.

use axum::http::StatusCode;
use axum::response::Response;
use guest::idempotency::Claim;
use guest::identity::User;
use guest::postgres::{self, Row, Transaction};
use guest::uuid::Uuid;
use guest::{Problem, events, llm, params, timestamp};
use serde_json::{Value, json};

use super::answer::Answer;
use crate::citation::Source;
use crate::prompt::{Said, Speaker};
use crate::title;

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

/// What was said before a question.
pub(super) struct Earlier {
    pub(super) said: Vec<Said>,
    /// Documents that the answers among it came from.
    pub(super) documents: Vec<String>,
}

/// Stores the question, in a new session where there is none; answers what was said before.
pub(super) async fn ask(
    session: &str,
    user: &User,
    message: &str,
    sources: &[Source],
) -> Result<Earlier, Problem> {
    let tx = postgres::begin().await?;
    let documents = ids(sources);
    hold(&tx, &documents).await?;
    postgres::execute_in(
        &tx,
        "insert into chat_sessions (session_id, tenant, user_id, title) values ($1, $2, $3, $4) on conflict do nothing",
        params![session, &user.tenant, &user.id, title::of(message)],
    )
    .await?;
    // Also serialises two questions in one session.
    let owned = postgres::execute_in(
        &tx,
        "update chat_sessions set updated_at = now() where session_id = $1 and tenant = $2 and user_id = $3",
        params![session, &user.tenant, &user.id],
    );
    if owned.await? == 0 {
        return Err(missing());
    }
    let said = postgres::fetch_in(
        &tx,
        "select role, content, case when role = 'assistant' then sources else '[]' end from ( \
         select role, content, sources, ordinal from chat_messages \
         where session_id = $1 order by ordinal desc limit 200) latest order by ordinal",
        params![session],
    )
    .await?;
    let question = Message {
        role: "user",
        content: message,
        answer: None,
        sources: &documents,
    };
    insert(&tx, session, user, &question).await?;
    postgres::commit(tx).await?;
    Ok(earlier(said))
}

fn ids(sources: &[Source]) -> Vec<&String> {
    let ids = sources.iter().filter_map(|source| source.id.as_ref());
    ids.collect()
}

fn earlier(rows: Vec<Row>) -> Earlier {
    let mut earlier = Earlier {
        said: Vec::new(),
        documents: Vec::new(),
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
    session: &str,
    user: &User,
    sources: &[Source],
    earlier: &[String],
    answer: &Answer,
) -> Result<Stored, Problem> {
    let tx = postgres::begin().await?;
    let mut ids = ids(sources);
    if answer.engine != llm::LOCAL_ENGINE {
        let more = earlier.iter().filter(|id| !ids.contains(id));
        let more: Vec<&String> = more.collect();
        ids.extend(more);
    }
    still_there(&tx, session, user, &ids).await?;
    let message = Message {
        role: "assistant",
        content: &answer.text,
        answer: Some(answer),
        sources: &ids,
    };
    let message_id = insert(&tx, session, user, &message).await?;
    let timestamp = timestamp::now();
    let body = json!({
        "session_id": session,
        "response": answer.text,
        "timestamp": timestamp,
        "message_id": message_id,
        "engine": answer.engine,
        "citations": answer.citations,
        "finish": answer.finish,
        "grounded": answer.grounded,
        "partial": answer.partial(),
    });
    let response = claim.answer_in(&tx, StatusCode::OK, None, &body).await?;
    postgres::commit(tx).await?;
    Ok(Stored {
        message_id,
        timestamp,
        response,
    })
}

async fn still_there(
    tx: &Transaction,
    session: &str,
    user: &User,
    documents: &[&String],
) -> Result<(), Problem> {
    hold(tx, documents).await?;
    let sessions = postgres::fetch_in(
        tx,
        "select 1 from chat_sessions where session_id = $1 and tenant = $2 and user_id = $3 for share",
        params![session, &user.tenant, &user.id],
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

struct Message<'a> {
    role: &'static str,
    content: &'a str,
    answer: Option<&'a Answer>,
    /// Documents that were asked, or that the answer may have its words from.
    sources: &'a [&'a String],
}

/// Answers the message's id.
async fn insert(
    tx: &Transaction,
    session: &str,
    user: &User,
    message: &Message<'_>,
) -> Result<String, Problem> {
    let id = Uuid::new_v4().to_string();
    let answer = message.answer;
    postgres::execute_in(
        tx,
        "insert into chat_messages (message_id, session_id, role, content, engine, citations, sources, partial, \
         finish, grounded) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            &id,
            session,
            message.role,
            message.content,
            answer.map(|answer| answer.engine.clone()),
            answer.map_or_else(|| json!([]), |answer| json!(answer.citations)),
            json!(message.sources),
            answer.is_some_and(Answer::partial),
            answer.map(|answer| answer.finish),
            answer.and_then(|answer| answer.grounded)
        ],
    )
    .await?;
    publish(tx, session, user, &id, message).await?;
    Ok(id)
}

async fn publish(
    tx: &Transaction,
    session: &str,
    user: &User,
    id: &str,
    message: &Message<'_>,
) -> Result<(), Problem> {
    let payload: Value = json!({
        "schema_version": 1,
        "message_id": id,
        "session_id": session,
        "tenant": user.tenant,
        "user_id": user.id,
        "role": message.role,
        "content": message.content,
        "timestamp": timestamp::now(),
    });
    events::publish_in(tx, "chat.message", session, &payload).await
}
