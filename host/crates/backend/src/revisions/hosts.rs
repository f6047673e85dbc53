//! Which hosts there are, and what each runs.

use sqlx::Row;
use time::OffsetDateTime;

use super::{Error, RevisionStore};

/// A host that was not heard of for so long is not alive, in seconds.
const SILENCE: f64 = 15.0;

/// What a host says of itself.
#[derive(Clone, Debug)]
pub struct HostReport {
    /// Its id; the same as long as the process lives.
    pub host: String,
    /// Of the program.
    pub version: String,
    /// Where its gateway listens.
    pub listen: String,
    /// When the process began.
    pub started_at: OffsetDateTime,
    /// By component: its generation, its revisions, and what holds it back.
    pub components: serde_json::Value,
}

/// A host as the others see it.
#[derive(Clone, Debug)]
pub struct HostState {
    /// What it said last.
    pub report: HostReport,
    /// When.
    pub seen_at: OffsetDateTime,
    /// Whether that was a moment ago, by the database's clock.
    pub alive: bool,
}

impl RevisionStore {
    /// Stores what the host says, and forgets hosts that have been silent for a day.
    pub async fn report(&self, report: &HostReport) -> Result<(), Error> {
        sqlx::query(
            "insert into lectern.hosts (host, version, listen, started_at, components) \
             values ($1, $2, $3, $4, $5) on conflict (host) do update \
             set components = excluded.components, seen_at = now()",
        )
        .bind(&report.host)
        .bind(&report.version)
        .bind(&report.listen)
        .bind(report.started_at)
        .bind(&report.components)
        .execute(&self.pool)
        .await?;
        sqlx::query("delete from lectern.hosts where seen_at < now() - interval '1 day'")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The host ends in order.
    pub async fn leave(&self, host: &str) -> Result<(), Error> {
        sqlx::query("delete from lectern.hosts where host = $1")
            .bind(host)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// All hosts, the living and those that fell silent within a day.
    pub async fn hosts(&self) -> Result<Vec<HostState>, Error> {
        let rows = sqlx::query(
            "select *, seen_at > now() - make_interval(secs => $1) as alive from lectern.hosts order by started_at, host",
        )
        .bind(SILENCE)
        .fetch_all(&self.pool)
        .await?;
        let state = |row: &sqlx::postgres::PgRow| {
            Ok(HostState {
                report: HostReport {
                    host: row.try_get("host")?,
                    version: row.try_get("version")?,
                    listen: row.try_get("listen")?,
                    started_at: row.try_get("started_at")?,
                    components: row.try_get("components")?,
                },
                seen_at: row.try_get("seen_at")?,
                alive: row.try_get("alive")?,
            })
        };
        rows.iter().map(state).collect()
    }
}
