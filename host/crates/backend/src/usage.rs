//! What users have used, in PostgreSQL: one statement a call, right across hosts and after a restart.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use capability::usage::{Budgets, Error, Kind, Refusal, Room, Subject, Usage};
use sqlx::PgPool;
use time::{OffsetDateTime, Time};
use tokio_util::task::AbortOnDropHandle;

/// Of days that are over, one is kept: for who asks at midnight.
const SWEEP: Duration = Duration::from_secs(3_600);

/// The day that a kind is counted in at that time, as SQL.
macro_rules! day {
    ($at:literal) => {
        concat!(
            "case when $3 = 'storage_bytes' then '-infinity'::date else (",
            $at,
            " at time zone 'utc')::date end"
        )
    };
}

/// The day that a kind is counted in now, as SQL.
const DAY: &str = day!("now()");

/// All users' usage.
pub struct PgUsage {
    pool: PgPool,
    budgets: Budgets,
    /// As in [`Kind::ALL`].
    refusals: [AtomicU64; 4],
    _sweeping: AbortOnDropHandle<()>,
}

impl PgUsage {
    /// In that database, for those budgets. Wants a Tokio runtime.
    pub fn new(pool: PgPool, budgets: Budgets) -> Self {
        let swept = pool.clone();
        let sweeping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                sweep(&swept).await;
            }
        });
        Self {
            pool,
            budgets,
            refusals: Default::default(),
            _sweeping: AbortOnDropHandle::new(sweeping),
        }
    }

    /// More than PostgreSQL counts is without end.
    fn limit(&self, kind: Kind) -> i64 {
        self.budgets.of(kind).map_or(i64::MAX, signed)
    }

    fn counts(&self) -> impl Iterator<Item = (Kind, &AtomicU64)> {
        Kind::ALL.into_iter().zip(&self.refusals)
    }

    async fn over(&self, who: &Subject, kind: Kind) -> Error {
        if let Some((_, count)) = self.counts().find(|(of, _)| *of == kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let used = self.used(who).await.unwrap_or_default();
        let used = used.iter().find(|(of, _)| *of == kind);
        Error::Over(Refusal {
            kind,
            limit: self.budgets.of(kind).unwrap_or_default(),
            used: used.map_or(0, |(_, amount)| *amount),
            resets_in: kind.is_daily().then(until_midnight),
        })
    }
}

async fn sweep(pool: &PgPool) {
    for statement in [
        "delete from lectern.usage where day between '0001-01-01' and (now() at time zone 'utc')::date - 2",
        "delete from lectern.held where day between '0001-01-01' and (now() at time zone 'utc')::date - 2",
    ] {
        if let Err(error) = sqlx::query(statement).execute(pool).await {
            tracing::warn!(%error, "the usage of days that are over is not deleted");
        }
    }
}

/// Budgets begin anew at midnight UTC.
fn until_midnight() -> Duration {
    let now = OffsetDateTime::now_utc().time();
    let passed = now - Time::MIDNIGHT;
    let left = time::Duration::DAY - passed;
    Duration::from_secs(u64::try_from(left.whole_seconds()).unwrap_or_default() + 1)
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn away(error: sqlx::Error) -> Error {
    Error::Away(error.to_string())
}

#[async_trait]
impl Usage for PgUsage {
    async fn take(&self, who: &Subject, kind: Kind, amount: u64, room: Room) -> Result<(), Error> {
        let limit = self.limit(kind);
        // What must still fit.
        let least = match room {
            Room::ForAll => signed(amount),
            Room::ForAny => 1,
        };
        if least > limit {
            return Err(self.over(who, kind).await);
        }
        let statement = format!(
            "insert into lectern.usage as u (tenant, subject, kind, day, amount) \
             values ($1, $2, $3, {DAY}, $4) \
             on conflict (tenant, subject, kind, day) do update set amount = u.amount + $4 \
             where u.amount <= $5"
        );
        let taken = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&who.tenant)
            .bind(&who.user)
            .bind(kind.name())
            .bind(signed(amount))
            .bind(limit - least);
        match taken
            .execute(&self.pool)
            .await
            .map_err(away)?
            .rows_affected()
        {
            0 => Err(self.over(who, kind).await),
            _ => Ok(()),
        }
    }

    async fn check(&self, who: &Subject, kind: Kind, amount: u64) -> Result<(), Error> {
        let Some(limit) = self.budgets.of(kind) else {
            return Ok(());
        };
        let used = self.used(who).await?;
        let used = used.iter().find(|(of, _)| *of == kind);
        let used = used.map_or(0, |(_, amount)| *amount);
        match used.saturating_add(amount) > limit {
            true => Err(self.over(who, kind).await),
            false => Ok(()),
        }
    }

    async fn correct(
        &self,
        who: &Subject,
        kind: Kind,
        by: i64,
        ago: Duration,
    ) -> Result<(), Error> {
        let corrected = sqlx::query(concat!(
            "update lectern.usage set amount = greatest(0, amount + $4) \
             where tenant = $1 and subject = $2 and kind = $3 and day = ",
            day!("(now() - make_interval(secs => $5))")
        ))
        .bind(&who.tenant)
        .bind(&who.user)
        .bind(kind.name())
        .bind(by)
        .bind(ago.as_secs_f64());
        corrected.execute(&self.pool).await.map_err(away)?;
        Ok(())
    }

    async fn hold(&self, who: &Subject, kind: Kind, name: &str, amount: u64) -> Result<(), Error> {
        // The row of the name and the sum change together, or neither. Who comes second with the same name
        // waits for the first, and finds it held.
        let statement = format!(
            "with held as ( \
                 insert into lectern.held (name, tenant, subject, kind, day, amount) \
                 values ($6, $1, $2, $3, {DAY}, $4) on conflict (name) do nothing returning day \
             ) \
             insert into lectern.usage as u (tenant, subject, kind, day, amount) \
             select $1, $2, $3, day, $4 from held \
             on conflict (tenant, subject, kind, day) do update set amount = u.amount + $4 \
             returning amount <= $5"
        );
        let mut transaction = self.pool.begin().await.map_err(away)?;
        let fits = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(&who.tenant)
            .bind(&who.user)
            .bind(kind.name())
            .bind(signed(amount))
            .bind(self.limit(kind))
            .bind(name);
        let fits: Option<bool> = fits.fetch_optional(&mut *transaction).await.map_err(away)?;
        if fits == Some(false) {
            transaction.rollback().await.map_err(away)?;
            return Err(self.over(who, kind).await);
        }
        transaction.commit().await.map_err(away)
    }

    async fn release(&self, name: &str) -> Result<(), Error> {
        sqlx::query(
            "with released as (delete from lectern.held where name = $1 returning *) \
             update lectern.usage u set amount = greatest(0, u.amount - r.amount) from released r \
             where (u.tenant, u.subject, u.kind, u.day) = (r.tenant, r.subject, r.kind, r.day)",
        )
        .bind(name)
        .execute(&self.pool)
        .await
        .map_err(away)?;
        Ok(())
    }

    async fn rename(&self, name: &str, to: &str) -> Result<(), Error> {
        // Where nothing is held under the name, what lay under the other is gone all the same.
        self.release(to).await?;
        sqlx::query("update lectern.held set name = $2 where name = $1")
            .bind(name)
            .bind(to)
            .execute(&self.pool)
            .await
            .map_err(away)?;
        Ok(())
    }

    async fn used(&self, who: &Subject) -> Result<Vec<(Kind, u64)>, Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select kind, amount from lectern.usage where tenant = $1 and subject = $2 \
             and day in ('-infinity', (now() at time zone 'utc')::date)",
        )
        .bind(&who.tenant)
        .bind(&who.user)
        .fetch_all(&self.pool)
        .await
        .map_err(away)?;
        let of = |kind: &Kind| {
            let found = rows.iter().find(|(name, _)| name == kind.name());
            let amount = found.map_or(0, |(_, amount)| *amount);
            (*kind, u64::try_from(amount).unwrap_or_default())
        };
        Ok(Kind::ALL.iter().map(of).collect())
    }

    fn budgets(&self) -> Budgets {
        self.budgets
    }

    fn refusals(&self) -> Vec<(Kind, u64)> {
        let counts = self.counts();
        counts
            .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_within_a_day() {
        let left = until_midnight().as_secs();
        assert!((1..=86_401).contains(&left), "{left}");
    }
}
