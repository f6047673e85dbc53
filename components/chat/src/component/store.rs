//! Sessions and messages in PostgreSQL.

use std::time::Duration;

use guest::identity::{Owner, User};
use guest::postgres::{self, Row, Transaction};
use guest::uuid::Uuid;
use guest::{Problem, cache, events, params, timestamp};
use serde_json::{Value, json};

use super::answer::Answer;
use crate::prompt::{Said, Speaker};

/// Messages of a session that are looked at.
const MOST: u32 = 1_000;
/// A history that nobody reads leaves the cache.
const CACHED: Duration = Duration::from_secs(3_600);

fn missing() -> Problem {
    Problem::not_found("SESSION_NOT_FOUND", "there is no such session")
}

/// Stores the question, in a new session where there is none; answers what was said before.
pub(super) async fn ask(session: &str, user: &User, message: &str) -> Result<Vec<Said>, Problem> {
    let tx = postgres::begin().await?;
    postgres::execute_in(
        &tx,
        "insert into chat_sessions (session_id, tenant, user_id) values ($1, $2, $3) on conflict do nothing",
        params![session, &user.tenant, &user.id],
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
        "select role, content from (select role, content, ordinal from chat_messages \
         where session_id = $1 order by ordinal desc limit 50) latest order by ordinal",
        params![session],
    )
    .await?;
    insert(&tx, session, user, "user", message, None).await?;
    postgres::commit(tx).await?;
    Ok(said.into_iter().map(said_by).collect())
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

/// Stores the answer.
pub(super) async fn answered(session: &str, user: &User, answer: &Answer) -> Result<(), Problem> {
    let tx = postgres::begin().await?;
    insert(&tx, session, user, "assistant", &answer.text, Some(answer)).await?;
    postgres::commit(tx).await
}

async fn insert(
    tx: &Transaction,
    session: &str,
    user: &User,
    role: &str,
    content: &str,
    answer: Option<&Answer>,
) -> Result<(), Problem> {
    let id = Uuid::new_v4().to_string();
    let engine = answer.map(|answer| answer.engine.clone());
    let citations = answer.map_or_else(|| json!([]), |answer| json!(answer.citations));
    postgres::execute_in(
        tx,
        "insert into chat_messages (message_id, session_id, role, content, engine, citations) \
         values ($1, $2, $3, $4, $5, $6)",
        params![&id, session, role, content, engine, citations],
    )
    .await?;
    let payload = json!({
        "schema_version": 1,
        "message_id": id,
        "session_id": session,
        "tenant": user.tenant,
        "user_id": user.id,
        "role": role,
        "content": content,
        "timestamp": timestamp::now(),
    });
    events::publish_in(tx, "chat.message", session, &payload).await
}

/// The contract's list of messages, in their order.
pub(super) async fn history(session: &str, owner: &Owner) -> Result<Vec<Value>, Problem> {
    let found = postgres::fetch_optional(
        "select coalesce((select max(ordinal) from chat_messages m where m.session_id = s.session_id), 0) \
         from chat_sessions s where session_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![session, &owner.tenant, owner.user.clone()],
    );
    let latest = found.await?.ok_or_else(missing)?.int(0);
    // Messages are never changed: a session up to one of them is always the same.
    let key = format!("history:{session}:{latest}");
    let cached = cache::get(&key).await;
    if let Ok(Some(messages)) = cached {
        return Ok(messages);
    }
    let rows = postgres::fetch(
        "select role, content, timestamp, engine, citations from (select * from chat_messages \
         where session_id = $1 and ordinal <= $3 order by ordinal desc limit $2) latest order by ordinal",
        params![session, MOST, latest],
    );
    let messages: Vec<_> = rows.await?.into_iter().map(message).collect();
    if cached.is_ok() {
        cache::set(&key, &messages, CACHED).await;
    }
    Ok(messages)
}

fn message(mut row: Row) -> Value {
    let mut message =
        json!({ "role": row.text(0), "content": row.text(1), "timestamp": row.timestamp(2) });
    if let Some(engine) = row.opt_text(3) {
        message["engine"] = json!(engine);
        message["citations"] = serde_json::from_str(&row.text(4)).unwrap_or_default();
    }
    message
}

/// The contract's list of sessions, the latest first.
pub(super) async fn sessions(user: &User) -> Result<Vec<Value>, Problem> {
    let rows = postgres::fetch(
        "select s.session_id, s.created_at, max(m.timestamp), count(m.message_id) \
         from chat_sessions s left join chat_messages m using (session_id) \
         where s.tenant = $1 and s.user_id = $2 \
         group by s.session_id order by s.updated_at desc, s.session_id limit 1000",
        params![&user.tenant, &user.id],
    );
    let session = |mut row: Row| {
        json!({
            "session_id": row.text(0),
            "created_at": row.timestamp(1),
            "last_message": row.opt_timestamp(2),
            "message_count": row.int(3),
        })
    };
    Ok(rows.await?.into_iter().map(session).collect())
}
