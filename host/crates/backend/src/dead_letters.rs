//! Events that nobody could handle, in PostgreSQL: kept for a while, so that an operator can look at them.

use capability::events::Error;
use sqlx::PgPool;

use crate::outbox::failed;

/// Rows that one statement deletes: more would hold up those who write.
const BATCH: i64 = 10_000;

/// Those of all databases.
#[derive(Clone)]
pub struct DeadLetters {
    pools: Vec<PgPool>,
    days: u32,
}

impl DeadLetters {
    /// Kept for so many days.
    pub fn new(pools: Vec<PgPool>, days: u32) -> Self {
        Self { pools, days }
    }

    /// Deletes those that are older; answers how many.
    pub async fn forget(&self) -> Result<u64, Error> {
        let mut gone = 0;
        for pool in &self.pools {
            loop {
                let some = self.forget_some(pool).await?;
                gone += some;
                if some < BATCH.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(gone)
    }

    async fn forget_some(&self, pool: &PgPool) -> Result<u64, Error> {
        let deleted = sqlx::query(
            "delete from lectern.dead_letters where (consumer, event_id) in (\
             select consumer, event_id from lectern.dead_letters \
             where died_at < now() - make_interval(days => $1) limit $2)",
        )
        .bind(i32::try_from(self.days).unwrap_or(i32::MAX))
        .bind(BATCH)
        .execute(pool)
        .await
        .map_err(failed)?;
        Ok(deleted.rows_affected())
    }
}
