//! What was said in a session. PostgreSQL writes the JSON, and the cache keeps it as it is sent: a thousand
//! messages go through here as one string, packed for who takes it so.

use std::io::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join;
use guest::idempotency::fingerprint;
use guest::identity::Owner;
use guest::postgres::{self, Row};
use guest::{Problem, cache, params};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::store::{OWN_SESSION, missing};

/// Messages of one answer at most.
const MOST: u32 = 1_000;
/// A history that nobody reads leaves the cache.
const CACHED: Duration = Duration::from_secs(3_600);

/// A message as JSON, of the table `m`.
const MESSAGE: &str = "case when m.role = 'user' then json_build_object('message_id', m.message_id, \
     'role', m.role, 'content', m.content, 'timestamp', to_char(m.timestamp at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')) \
     else json_build_object('message_id', m.message_id, 'role', m.role, 'content', m.content, \
     'timestamp', to_char(m.timestamp at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'engine', m.engine, \
     'citations', m.citations, 'partial', m.partial, 'finish', m.finish, 'grounded', m.grounded, 'omitted', m.omitted) end";

/// Which part of a history is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(super) struct Part {
    /// Messages, 1 to 1,000; all of those by default.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<u32>,
    /// Those before it.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// A session, as far as its history wants to know.
pub(super) struct Session {
    /// As its owner calls it.
    id: String,
    row: String,
    tenant: String,
    user: String,
    latest: i64,
    changes: i64,
    /// Its own, or what its first message makes of it.
    pub(super) title: String,
}

impl Session {
    /// Where it is the owner's.
    pub(super) async fn find(id: &str, owner: &Owner) -> Result<Self, Problem> {
        let statement = format!(
            "select s.tenant, s.user_id, s.changes, coalesce(s.title, ''), coalesce((select max(ordinal) \
             from chat_messages m where m.session_id = s.session_id), 0), s.session_id \
             from chat_sessions s where s.session_id = {OWN_SESSION}"
        );
        let found =
            postgres::fetch_optional(&statement, params![id, &owner.tenant, owner.user.clone()]);
        let mut row = found.await?.ok_or_else(missing)?;
        Ok(Self {
            id: id.to_owned(),
            tenant: row.text(0),
            user: row.text(1),
            changes: row.int(2),
            title: row.text(3),
            latest: row.int(4),
            row: row.text(5),
        })
    }

    fn key(&self, coding: Coding) -> String {
        key(&self.tenant, &self.user, &self.id, coding)
    }

    /// Between two changes a session is always the same.
    fn stamp(&self) -> String {
        format!("\n{}:{}", self.latest, self.changes)
    }
}

fn key(tenant: &str, user: &str, session: &str, coding: Coding) -> String {
    let parts = [tenant.as_bytes(), user.as_bytes(), session.as_bytes()];
    format!("{}:{}", coding.prefix(), fingerprint(&parts))
}

/// Forgets what is cached of a session.
pub(super) async fn forget(tenant: &str, user: &str, session: &str) {
    for coding in [Coding::Plain, Coding::Gzip] {
        cache::forget(&key(tenant, user, session, coding)).await;
    }
}

/// How a body is sent: RFC 9110, section 8.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
}

impl Coding {
    fn prefix(self) -> &'static str {
        match self {
            Self::Plain => "history",
            Self::Gzip => "history.gz",
        }
    }

    /// Once for all who read it until it changes, so well rather than fast.
    fn apply(self, body: String) -> Vec<u8> {
        match self {
            Self::Plain => body.into_bytes(),
            Self::Gzip => {
                let mut packed = GzEncoder::new(Vec::new(), Compression::default());
                // Writing to memory cannot fail.
                let _ = packed.write_all(body.as_bytes());
                packed.finish().unwrap_or_default()
            }
        }
    }
}

/// The contract's answer, as JSON: the latest messages in their order, and a cursor where there are
/// earlier ones.
pub(super) async fn read(
    id: &str,
    owner: &Owner,
    part: &Part,
    coding: Coding,
) -> Result<Bytes, Problem> {
    let (limit, before) = part.checked()?;
    if part.is_some() {
        let session = Session::find(id, owner).await?;
        let body = answer(&session, limit, before).await?;
        return Ok(coding.apply(body).into());
    }
    let (session, cached) = match &owner.user {
        Some(user) => {
            let key = key(&owner.tenant, user, id, coding);
            let (session, cached) = join(Session::find(id, owner), cache::get_bytes(&key)).await;
            (session?, cached)
        }
        // Of whom it is, the row says.
        None => {
            let session = Session::find(id, owner).await?;
            let cached = cache::get_bytes(&session.key(coding)).await;
            (session, cached)
        }
    };
    let stamp = session.stamp();
    let reachable = match cached {
        Ok(Some(mut cached)) if cached.ends_with(stamp.as_bytes()) => {
            // The stamp stands at the end, so that what is before it need not be moved.
            cached.truncate(cached.len() - stamp.len());
            return Ok(cached.into());
        }
        found => found.is_ok(),
    };
    let body = coding.apply(answer(&session, limit, None).await?);
    if reachable {
        let kept = [&body[..], stamp.as_bytes()].concat();
        cache::set_bytes(&session.key(coding), kept, CACHED).await;
    }
    Ok(body.into())
}

impl Part {
    /// Whether it is not all that there may be.
    fn is_some(&self) -> bool {
        self.limit.is_some() || self.cursor.is_some()
    }

    fn checked(&self) -> Result<(u32, Option<Place>), Problem> {
        let limit = self.limit.unwrap_or(MOST);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::validation(format!("`limit` is 1 to {MOST}")));
        }
        let none = || Problem::validation("`cursor` is none of this list's");
        let before = self.cursor.as_deref();
        let before = before.map(|cursor| place(cursor).ok_or_else(none));
        let before = before.transpose()?;
        Ok((limit, before))
    }
}

/// Where a message stands: its question's ordinal, and its own. An answer stands behind its question,
/// whatever was asked before it was given.
type Place = (i64, i64);

fn place(cursor: &str) -> Option<Place> {
    let (turn, ordinal) = cursor.split_once('.').unwrap_or((cursor, cursor));
    Some((turn.parse().ok()?, ordinal.parse().ok()?))
}

async fn answer(session: &Session, limit: u32, before: Option<Place>) -> Result<String, Problem> {
    let statement = format!(
        "with m as (select c.*, coalesce(c.turn, c.ordinal) as place from chat_messages c \
         where c.session_id = $1 and c.ordinal <= $2 and (coalesce(c.turn, c.ordinal), c.ordinal) < ($3, $5) \
         order by coalesce(c.turn, c.ordinal) desc, c.ordinal desc limit $4) \
         select coalesce((select json_agg({MESSAGE} order by m.place, m.ordinal) from m)::text, '[]'), \
         (select m.place from m order by m.place, m.ordinal limit 1), \
         (select m.ordinal from m order by m.place, m.ordinal limit 1), \
         (select min(ordinal) from chat_messages where session_id = $1)"
    );
    let (turn, ordinal) = before.unwrap_or((i64::MAX, i64::MAX));
    let rows = postgres::fetch_optional(
        &statement,
        params![&session.row, session.latest, turn, limit, ordinal],
    );
    let mut row = rows.await?.ok_or_else(Problem::internal)?;
    let messages = row.text(0);
    let next = match (row.opt_int(1), row.opt_int(2)) {
        (Some(turn), Some(first)) if first > row.int(3) => Some(format!("{turn}.{first}")),
        _ => None,
    };
    let (id, title) = (
        Value::from(session.id.as_str()),
        Value::from(session.title.as_str()),
    );
    let next = next.map_or(Value::Null, Value::from);
    Ok(format!(
        "{{\"session_id\":{id},\"title\":{title},\"messages\":{messages},\"next_cursor\":{next}}}"
    ))
}

/// All messages of a session, in their order.
pub(super) async fn all(session: &Session) -> Result<Vec<Value>, Problem> {
    let statement = format!(
        "select coalesce(m.turn, m.ordinal), m.ordinal, ({MESSAGE})::text from chat_messages m \
         where m.session_id = $1 and (coalesce(m.turn, m.ordinal), m.ordinal) > ($2, $3) \
         order by coalesce(m.turn, m.ordinal), m.ordinal limit $4"
    );
    let (mut all, mut from): (_, Place) = (Vec::new(), (0, 0));
    loop {
        let rows = postgres::fetch(&statement, params![&session.row, from.0, from.1, MOST]).await?;
        let Some(last) = rows.last().map(|row: &Row| (row.int(0), row.int(1))) else {
            return Ok(all);
        };
        from = last;
        let message = |mut row: Row| serde_json::from_str(&row.text(2)).ok();
        all.extend(rows.into_iter().filter_map(message));
    }
}
