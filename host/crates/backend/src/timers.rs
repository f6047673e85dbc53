//! When timers are due, and which of the hosts calls: kept in PostgreSQL, so that one does, and a
//! call that its host's end cut off is made again.

use std::time::Duration;

use capability::events::Error;
use sqlx::{Connection, PgConnection, PgPool, Row};
use time::OffsetDateTime;

use crate::outbox::failed;

/// Whoever holds this advisory lock leads: "timers" in ASCII.
const LEAD: i64 = 0x74_69_6d_65_72_73;

/// A session that does not answer within is given up.
const PING: Duration = Duration::from_secs(5);

/// A timer of a component's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// Its name.
    pub component: String,
    /// The timer's.
    pub name: String,
    /// From one call to the next.
    pub every: Duration,
}

/// A call that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The component's name.
    pub component: String,
    /// The timer's.
    pub name: String,
    /// Since when.
    pub at: OffsetDateTime,
}

/// All hosts' timers.
pub struct Timers {
    pool: PgPool,
    /// The lock's connection, while this host leads: the lock ends with it.
    lead: Option<PgConnection>,
}

impl Timers {
    /// In that database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, lead: None }
    }

    /// Whether this host is the one that calls; becomes it where nobody is.
    pub async fn lead(&mut self) -> Result<bool, Error> {
        if let Some(connection) = &mut self.lead {
            // Where packets vanish, the server's own keepalive ends the session and the lock.
            let answer = tokio::time::timeout(PING, connection.ping()).await;
            if matches!(answer, Ok(Ok(()))) {
                return Ok(true);
            }
            self.lead = None;
        }
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let leads: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(LEAD)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if leads {
            self.lead = Some(connection.detach());
        }
        Ok(leads)
    }

    /// Makes new timers due after their time, and changed ones no later than that.
    pub async fn keep(&self, timers: &[Timer]) -> Result<(), Error> {
        let column = |of: fn(&Timer) -> String| timers.iter().map(of).collect::<Vec<_>>();
        let every = |timer: &Timer| i64::try_from(timer.every.as_millis()).unwrap_or(i64::MAX);
        sqlx::query(
            "insert into lectern.timers (component, name, every_ms, due_at) \
             select component, name, every, now() + make_interval(secs => every / 1000.0) \
             from unnest($1::text[], $2::text[], $3::bigint[]) wanted (component, name, every) \
             on conflict (component, name) do update set \
             every_ms = excluded.every_ms, due_at = least(timers.due_at, excluded.due_at) \
             where timers.every_ms <> excluded.every_ms",
        )
        .bind(column(|timer| timer.component.clone()))
        .bind(column(|timer| timer.name.clone()))
        .bind(timers.iter().map(every).collect::<Vec<_>>())
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// What is to be called now.
    pub async fn due(&self) -> Result<Vec<Due>, Error> {
        let rows = sqlx::query(
            "select component, name, due_at from lectern.timers where due_at <= now() order by due_at",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        let due = |row: sqlx::postgres::PgRow| Due {
            component: row.get("component"),
            name: row.get("name"),
            at: row.get("due_at"),
        };
        Ok(rows.into_iter().map(due).collect())
    }

    /// Answers the means to say, later and from elsewhere, that a call has ended.
    pub fn ended(&self) -> Ended {
        Ended(self.pool.clone())
    }
}

/// Moves timers on.
#[derive(Clone)]
pub struct Ended(PgPool);

impl Ended {
    /// The call has ended, well or with that error: it is due again after its time, and calls that were
    /// missed meanwhile are not made up for.
    pub async fn record(&self, due: &Due, error: Option<&str>) -> Result<(), Error> {
        sqlx::query(
            "update lectern.timers set error = $3, due_at = now() + make_interval(secs => every_ms / 1000.0) \
             where component = $1 and name = $2",
        )
        .bind(&due.component)
        .bind(&due.name)
        .bind(error)
        .execute(&self.0)
        .await
        .map_err(failed)?;
        Ok(())
    }
}
