//! Webhooks and what they are told, in PostgreSQL: so that nothing is forgotten when a host ends, and each
//! delivery is made by one host at a time.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use time::OffsetDateTime;
use uuid::Uuid;

/// Of those that are over, so many are kept of a webhook.
const KEPT: i64 = 50;
/// Of one webhook, so many may wait; what comes then is not told.
const MOST_WAITING: i64 = 1_000;
/// A server that does not answer rests as long as it has not, within these.
const SHORTEST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// An attempt takes less: after that, whoever made it is gone.
const LEASE: Duration = Duration::from_secs(60);

/// What a webhook is still to be told.
macro_rules! waiting {
    () => {
        "(select count(*) from lectern.webhook_deliveries d \
         where d.webhook = webhooks.id and d.due_at is not null)"
    };
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
#[error("the webhooks cannot be reached: {0}")]
pub struct Error(#[from] sqlx::Error);

/// Whose a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Empty for those without.
    pub tenant: String,
    /// Unique within the tenant.
    pub user: String,
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its name.
    pub id: Uuid,
    /// Where it is told.
    pub url: String,
    /// Of what.
    pub events: Vec<String>,
    /// Of its secret.
    pub fingerprint: Vec<u8>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Since when, and why, it is told nothing.
    pub disabled: Option<(OffsetDateTime, String)>,
}

/// What a webhook was told, or is to be.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event's id.
    pub message: Uuid,
    /// Its topic.
    pub event: String,
    /// When it came.
    pub created_at: OffsetDateTime,
    /// How often it was tried.
    pub attempts: i32,
    /// Of the last answer.
    pub status: Option<i32>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was taken.
    pub delivered_at: Option<OffsetDateTime>,
    /// When it is tried next; `None` when it is over.
    pub due_at: Option<OffsetDateTime>,
}

/// An attempt that is this host's to make.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Whom to tell.
    pub webhook: Uuid,
    /// Which event.
    pub message: Uuid,
    /// What.
    pub body: String,
    /// Where.
    pub url: String,
    /// Of the secret that signs.
    pub fingerprint: Vec<u8>,
    /// This one with it.
    pub attempts: u32,
    /// Since it came.
    pub age: Duration,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Taken, with that status.
    Taken(u16),
    /// To be tried again after so long.
    Again {
        /// From now.
        after: Duration,
        /// Of the answer, where there was one.
        status: Option<u16>,
        /// Why it was not taken.
        error: String,
        /// Whether it is about the server: then it is told nothing else either for a while.
        is_away: bool,
    },
    /// Not to be tried again.
    GivenUp(Option<u16>, String),
    /// Nor is anything else: who listens there wants no more.
    Unwanted(u16),
}

/// All hosts' webhooks.
#[derive(Clone)]
pub struct Webhooks {
    pool: PgPool,
}

impl Webhooks {
    /// In that database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Stores one, unless its owner has `most` already; whether it did.
    pub async fn create(&self, owner: &Owner, webhook: &Webhook, most: i64) -> Result<bool, Error> {
        let mut transaction = self.pool.begin().await?;
        // One at a time of an owner's, else two would count the same.
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1 || chr(31) || $2, 7))")
            .bind(&owner.tenant)
            .bind(&owner.user)
            .execute(&mut *transaction)
            .await?;
        let stored = sqlx::query(
            "insert into lectern.webhooks (id, tenant, user_id, url, events, fingerprint, created_at) \
             select $1, $2, $3, $4, $5, $6, $7 where $8 > \
             (select count(*) from lectern.webhooks where tenant = $2 and user_id = $3) on conflict (id) do nothing",
        )
        .bind(webhook.id)
        .bind(&owner.tenant)
        .bind(&owner.user)
        .bind(&webhook.url)
        .bind(&webhook.events)
        .bind(&webhook.fingerprint)
        .bind(webhook.created_at)
        .bind(most)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(stored.rows_affected() > 0)
    }

    /// An owner's, the oldest first.
    pub async fn list(&self, owner: &Owner) -> Result<Vec<Webhook>, Error> {
        let rows = sqlx::query(
            "select * from lectern.webhooks where tenant = $1 and user_id = $2 order by created_at, id",
        )
        .bind(&owner.tenant)
        .bind(&owner.user)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(webhook).collect())
    }

    /// One of an owner's.
    pub async fn find(&self, owner: &Owner, id: Uuid) -> Result<Option<Webhook>, Error> {
        let row = sqlx::query(
            "select * from lectern.webhooks where tenant = $1 and user_id = $2 and id = $3",
        )
        .bind(&owner.tenant)
        .bind(&owner.user)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.as_ref().map(webhook))
    }

    /// Deletes one of an owner's, and what it was to be told; whether there was one.
    pub async fn delete(&self, owner: &Owner, id: Uuid) -> Result<bool, Error> {
        let deleted = sqlx::query(
            "delete from lectern.webhooks where tenant = $1 and user_id = $2 and id = $3",
        )
        .bind(&owner.tenant)
        .bind(&owner.user)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// What a webhook was told and is to be, the newest first.
    pub async fn deliveries(&self, id: Uuid) -> Result<Vec<Delivery>, Error> {
        let rows = sqlx::query(
            "select * from lectern.webhook_deliveries where webhook = $1 \
             order by created_at desc, message limit $2",
        )
        .bind(id)
        .bind(KEPT)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(delivery).collect())
    }

    /// Has every webhook of the owner told that wants to be. A second time it does nothing.
    pub async fn tell(
        &self,
        owner: &Owner,
        message: Uuid,
        event: &str,
        body: &str,
    ) -> Result<u64, Error> {
        let told = sqlx::query(concat!(
            "insert into lectern.webhook_deliveries (webhook, message, event, body) \
             select id, $3, $4, $5 from lectern.webhooks \
             where tenant = $1 and user_id = $2 and $4 = any(events) and disabled_at is null \
             and ",
            waiting!(),
            " < $6 on conflict do nothing",
        ))
        .bind(&owner.tenant)
        .bind(&owner.user)
        .bind(message)
        .bind(event)
        .bind(body)
        .bind(MOST_WAITING)
        .execute(&self.pool)
        .await?;
        Ok(told.rows_affected())
    }

    /// Has that webhook told, whatever it wants to be told of; answers whether, as so many may wait already.
    pub async fn tell_one(
        &self,
        id: Uuid,
        message: Uuid,
        event: &str,
        body: &str,
    ) -> Result<bool, Error> {
        let told = sqlx::query(concat!(
            "insert into lectern.webhook_deliveries (webhook, message, event, body) \
             select id, $2, $3, $4 from lectern.webhooks where id = $1 \
             and ",
            waiting!(),
            " < $5 on conflict do nothing",
        ))
        .bind(id)
        .bind(message)
        .bind(event)
        .bind(body)
        .bind(MOST_WAITING)
        .execute(&self.pool)
        .await?;
        Ok(told.rows_affected() > 0)
    }

    /// Attempts to be made now, one for a webhook, `most` of them, none for those that are `busy`. Until
    /// they end, or their host has, no other host makes them.
    pub async fn claim(&self, busy: &[Uuid], most: i64) -> Result<Vec<Attempt>, Error> {
        let rows = sqlx::query(
            "with due as ( \
                 select distinct on (d.webhook) d.webhook, d.message \
                 from lectern.webhook_deliveries d join lectern.webhooks w on w.id = d.webhook \
                 where d.due_at <= now() and w.disabled_at is null and d.webhook <> all($1) \
                 and coalesce(w.rests_until, '-infinity') <= now() \
                 order by d.webhook, d.due_at \
             ), taken as ( \
                 select d.webhook, d.message from lectern.webhook_deliveries d join due using (webhook, message) \
                 where d.due_at <= now() order by d.due_at limit $2 for update of d skip locked \
             ) \
             update lectern.webhook_deliveries d \
             set attempts = attempts + 1, due_at = now() + make_interval(secs => $3) \
             from taken, lectern.webhooks w \
             where d.webhook = taken.webhook and d.message = taken.message and w.id = d.webhook \
             returning d.webhook, d.message, d.body, d.attempts, w.url, w.fingerprint, \
                 extract(epoch from now() - d.created_at)::float8 as age",
        )
        .bind(busy)
        .bind(most)
        .bind(LEASE.as_secs_f64())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(attempt).collect())
    }

    /// What came of an attempt. One that is given up disables a webhook to which nothing has come through
    /// for `patience`.
    pub async fn ended(
        &self,
        attempt: &Attempt,
        ended: &Ended,
        patience: Duration,
    ) -> Result<(), Error> {
        let (status, error, again, is_away) = match ended {
            Ended::Taken(status) => (Some(*status), None, None, false),
            Ended::Again {
                after,
                status,
                error,
                is_away,
            } => (*status, Some(error.as_str()), Some(*after), *is_away),
            Ended::GivenUp(status, error) => (*status, Some(error.as_str()), None, false),
            Ended::Unwanted(status) => (Some(*status), Some("it wants no more"), None, false),
        };
        let is_taken = matches!(ended, Ended::Taken(_));
        let mut transaction = self.pool.begin().await?;
        // First, as a deletion does: in the other order the two would wait for each other.
        sqlx::query(
            "update lectern.webhooks set \
             failing_since = case when $2 then null else coalesce(failing_since, now()) end, \
             rests_until = case when $7 then now() + least(make_interval(secs => $8), \
                 greatest(make_interval(secs => $9), now() - failing_since)) end, \
             disabled_at = case when $3 or $4 and failing_since < now() - make_interval(secs => $5) \
                 then now() else disabled_at end, \
             disabled_because = case when $3 or $4 and failing_since < now() - make_interval(secs => $5) \
                 then $6 else disabled_because end \
             where id = $1",
        )
        .bind(attempt.webhook)
        .bind(is_taken)
        .bind(matches!(ended, Ended::Unwanted(_)))
        .bind(matches!(ended, Ended::GivenUp(..)))
        .bind(patience.as_secs_f64())
        .bind(error)
        .bind(is_away)
        .bind(LONGEST_REST.as_secs_f64())
        .bind(SHORTEST_REST.as_secs_f64())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "update lectern.webhook_deliveries set status = $3, error = $4, \
             due_at = now() + make_interval(secs => $5), \
             delivered_at = case when $6 then now() end where webhook = $1 and message = $2",
        )
        .bind(attempt.webhook)
        .bind(attempt.message)
        .bind(status.map(i32::from))
        .bind(error)
        .bind(again.map(|after| after.as_secs_f64()))
        .bind(is_taken)
        .execute(&mut *transaction)
        .await?;
        if again.is_none() {
            // What a webhook that is disabled was still to be told is over too.
            sqlx::query(
                "update lectern.webhook_deliveries set due_at = null where webhook = $1 and due_at is not null \
                 and exists (select from lectern.webhooks where id = $1 and disabled_at is not null)",
            )
            .bind(attempt.webhook)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "delete from lectern.webhook_deliveries where webhook = $1 and due_at is null and message in \
                 (select message from lectern.webhook_deliveries where webhook = $1 and due_at is null \
                  order by created_at desc, message offset $2)",
            )
            .bind(attempt.webhook)
            .bind(KEPT)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn webhook(row: &PgRow) -> Webhook {
    let disabled_at: Option<OffsetDateTime> = row.get("disabled_at");
    let because: Option<String> = row.get("disabled_because");
    Webhook {
        id: row.get("id"),
        url: row.get("url"),
        events: row.get("events"),
        fingerprint: row.get("fingerprint"),
        created_at: row.get("created_at"),
        disabled: disabled_at.map(|at| (at, because.unwrap_or_default())),
    }
}

fn delivery(row: &PgRow) -> Delivery {
    Delivery {
        message: row.get("message"),
        event: row.get("event"),
        created_at: row.get("created_at"),
        attempts: row.get("attempts"),
        status: row.get("status"),
        error: row.get("error"),
        delivered_at: row.get("delivered_at"),
        due_at: row.get("due_at"),
    }
}

fn attempt(row: &PgRow) -> Attempt {
    let attempts: i32 = row.get("attempts");
    Attempt {
        webhook: row.get("webhook"),
        message: row.get("message"),
        body: row.get("body"),
        url: row.get("url"),
        fingerprint: row.get("fingerprint"),
        attempts: u32::try_from(attempts).unwrap_or(1),
        age: Duration::try_from_secs_f64(row.get("age")).unwrap_or_default(),
    }
}
