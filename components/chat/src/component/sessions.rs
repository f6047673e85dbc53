//! Sessions: listed, searched, renamed, deleted.

use axum::response::Response;
use corpus::terms::is_cjk;
use guest::identity::{Owner, User};
use guest::page::{Cursor, Page};
use guest::postgres::{self, Row};
use guest::{Problem, params};
use serde_json::{Value, json};

use super::history;
use super::store::{OWN_SESSION, missing};
use crate::title;

/// Characters of a search.
const MAX_QUERY: usize = 200;

/// The contract's list of sessions, the latest first; with `q` those whose title or messages have the
/// words, with the place.
pub(super) async fn list(user: &User, page: &Page, q: Option<&str>) -> Result<Response, Problem> {
    let q = q.map(str::trim).filter(|q| !q.is_empty());
    if q.is_some_and(|q| q.chars().count() > MAX_QUERY || q.contains('\0')) {
        return Err(Problem::validation(format!(
            "`q` has at most {MAX_QUERY} characters, none of them U+0000"
        )));
    }
    let (at, id) = match &page.after {
        Some(Cursor { at, id }) => (*at, id.as_str()),
        None => (i64::MAX, ""),
    };
    let statement = q.map_or_else(
        || format!("select {COLUMNS} from chat_sessions s where {PAGE}"),
        search,
    );
    let mut values = params![&user.tenant, &user.id, at, id, page.rows()];
    values.extend(q.map(postgres::Value::from));
    let rows = postgres::fetch(&statement, values).await?;
    let searched = q.is_some();
    let sessions = rows.into_iter().map(|row| session(row, searched));
    Ok(page.answer("sessions", sessions.collect()))
}

fn search(q: &str) -> String {
    let hits = if q.chars().any(is_cjk) {
        BY_LETTERS
    } else {
        BY_WORDS
    };
    format!(
        "{hits}select {COLUMNS}, hits.snippet, hits.message_id \
         from chat_sessions s left join hits on hits.session_id = s.session_id \
         where (hits.message_id is not null or position(lower($6) in lower(coalesce(s.title, ''))) > 0) and {PAGE}"
    )
}

/// Of a session, as [`session`] reads them.
const COLUMNS: &str = "coalesce(s.name, s.session_id), s.created_at, \
     (select max(m.timestamp) from chat_messages m where m.session_id = s.session_id), \
     (select count(*) from chat_messages m where m.session_id = s.session_id), s.title, \
     (extract(epoch from s.updated_at) * 1000000)::bigint, s.session_id";
/// The user's, from a cursor on. Microseconds order as the timestamps do, and are exact in a cursor. As the index
/// `chat_sessions_by_owner` has them, so that a page is read from it and no more.
const PAGE: &str = "s.tenant = $1 and s.user_id = $2 \
     and (s.updated_at, s.session_id) < (case when $3 = 9223372036854775807 then timestamptz 'infinity' \
         else timestamptz 'epoch' + $3 * interval '1 microsecond' end, $4) \
     order by s.updated_at desc, s.session_id desc limit $5";

/// Messages by PostgreSQL's index, the last word by its beginning; titles by their letters.
const BY_WORDS: &str = "with asked as (select case when websearch_to_tsquery('simple', $6)::text like '%''' \
         then (websearch_to_tsquery('simple', $6)::text || ':*')::tsquery \
         else websearch_to_tsquery('simple', $6) end as query), \
     hits as (select distinct on (m.session_id) m.session_id, m.message_id, \
         ts_headline('simple', m.content, asked.query, 'StartSel=**, StopSel=**, MaxWords=30, MinWords=10') as snippet \
         from asked join chat_messages m on to_tsvector('simple', m.content) @@ asked.query \
         join chat_sessions o on o.session_id = m.session_id and o.tenant = $1 and o.user_id = $2 \
         order by m.session_id, ts_rank(to_tsvector('simple', m.content), asked.query) desc, m.ordinal) ";
/// Messages by their letters, as Chinese has no words that the index knows: all of the user's are read.
const BY_LETTERS: &str = "with hits as (select distinct on (m.session_id) m.session_id, m.message_id, \
         substr(m.content, greatest(position(lower($6) in lower(m.content)) - 60, 1), 160) as snippet \
         from chat_sessions o join chat_messages m on m.session_id = o.session_id \
         where o.tenant = $1 and o.user_id = $2 and position(lower($6) in lower(m.content)) > 0 \
         order by m.session_id, m.ordinal) ";

fn session(mut row: Row, searched: bool) -> (Cursor, Value) {
    let cursor = Cursor {
        at: row.int(5),
        id: row.text(6),
    };
    let mut session = json!({
        "session_id": row.text(0),
        "created_at": row.timestamp(1),
        "last_message": row.opt_timestamp(2),
        "message_count": row.int(3),
        "title": row.opt_text(4),
    });
    if searched {
        session["snippet"] = json!(row.opt_text(7));
        session["message_id"] = json!(row.opt_text(8));
    }
    (cursor, session)
}

/// Gives a session another title; answers the title as it is kept.
pub(super) async fn rename(id: &str, owner: &Owner, title: &str) -> Result<String, Problem> {
    let title = title.trim();
    if title.is_empty()
        || title.chars().count() > title::MOST
        || title.chars().any(char::is_control)
    {
        return Err(Problem::validation(format!(
            "`title` has 1 to {} characters, none of them control characters",
            title::MOST
        )));
    }
    let statement = format!(
        "update chat_sessions set title = $4, changes = changes + 1 where session_id = {OWN_SESSION} \
         returning tenant, user_id"
    );
    let renamed = postgres::fetch_optional(
        &statement,
        params![id, &owner.tenant, owner.user.clone(), title],
    );
    let mut row = renamed.await?.ok_or_else(missing)?;
    history::forget(&row.text(0), &row.text(1), id).await;
    Ok(title.to_owned())
}

/// Deletes a session, its messages, and what was kept to answer a request again.
pub(super) async fn delete(id: &str, owner: &Owner) -> Result<(), Problem> {
    let tx = postgres::begin().await?;
    let statement = format!(
        "delete from chat_sessions where session_id = {OWN_SESSION} returning tenant, user_id"
    );
    let deleted = postgres::fetch_in(
        &tx,
        &statement,
        params![id, &owner.tenant, owner.user.clone()],
    );
    let deleted = deleted.await?.into_iter().next();
    let mut row = deleted.ok_or_else(missing)?;
    let (tenant, user) = (row.text(0), row.text(1));
    postgres::execute_in(
        &tx,
        "delete from idempotency where tenant = $1 and user_id = $2 and route = '/chat' \
         and body ->> 'session_id' = $3",
        params![&tenant, &user, id],
    )
    .await?;
    postgres::commit(tx).await?;
    history::forget(&tenant, &user, id).await;
    Ok(())
}
