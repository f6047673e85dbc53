//! A host's life as other hosts see it: a session of the database, which ends with the host. What is in
//! hand bears the session's name, so no clock is asked whether its host still lives.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool, Row};
use time::OffsetDateTime;
use tokio::sync::Mutex;

/// A session that does not answer within is given up.
const PING: Duration = Duration::from_secs(5);

/// A PostgreSQL backend: a pid comes again, its start does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) pid: i32,
    pub(crate) since: OffsetDateTime,
}

/// One session, kept open.
pub(crate) struct Lease {
    pool: PgPool,
    held: Mutex<Option<(PgConnection, Session)>>,
}

impl Lease {
    /// Of that database.
    pub(crate) fn new(pool: PgPool) -> Self {
        let held = Mutex::new(None);
        Self { pool, held }
    }

    /// The session, another one where the connection broke.
    pub(crate) async fn session(&self) -> Result<Session, sqlx::Error> {
        let mut held = self.held.lock().await;
        if let Some((connection, session)) = held.as_mut() {
            let answer = tokio::time::timeout(PING, connection.ping()).await;
            if matches!(answer, Ok(Ok(()))) {
                return Ok(*session);
            }
            *held = None;
        }
        let mut connection = self.pool.acquire().await?.detach();
        let row = sqlx::query(
            "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()",
        )
        .fetch_one(&mut connection)
        .await?;
        let session = Session {
            pid: row.get("pid"),
            since: row.get("backend_start"),
        };
        *held = Some((connection, session));
        Ok(session)
    }
}
