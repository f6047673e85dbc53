//! The broker that needs no Kafka: inboxes in PostgreSQL. An event in hand is leased to the
//! connection of the host that handles it; the lease ends with the connection, so a crash hands the
//! event over at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capability::events::{
    Broker, Delivery, Error, Event, Failure, Lag, Outcome, Refused, Settle, Subscription,
};
use sqlx::postgres::PgListener;
use sqlx::{PgPool, Row};
use tokio::sync::{mpsc, watch};

use crate::lease::{Lease, Session};
use crate::outbox::{event, failed};

/// How often to look although nobody called.
const POLL: Duration = Duration::from_secs(1);

/// More events that wait are not told apart: counting takes time.
const COUNTED: i64 = 100_000;

/// Only the first of each key may go, and only when no living connection holds it.
const CLAIM: &str = "
with next as (
    select event_id from lectern.inbox i
    where consumer = $1 and not_before <= now()
      and not exists (select from lectern.inbox e
                      where e.consumer = i.consumer and e.key = i.key and e.seq < i.seq)
      and not exists (select from pg_stat_activity a
                      where a.pid = i.holder and a.backend_start = i.holder_since)
    order by seq limit 1 for update skip locked
)
update lectern.inbox i
set first_at = coalesce(first_at, now()), attempt = attempt + (holder is null)::integer, crashes = crashes + (holder is not null)::integer,
    holder = $2, holder_since = $3
from next where i.consumer = $1 and i.event_id = next.event_id
returning i.event_id::text, i.topic, i.key, i.payload::text, i.occurred_at, i.trace, i.request_id, i.attempt, i.crashes, i.broken, i.failure,
    extract(epoch from now() - i.first_at)::float8 as tried_for";

/// A host that dies is not the event's fault; one that dies of it again and again is.
const CRASHES_TO_AN_ATTEMPT: i32 = 20;

struct Shared {
    pool: PgPool,
    lease: Lease,
    /// Ticks whenever something may have become due.
    due: watch::Sender<u64>,
}

/// Inboxes in PostgreSQL.
pub struct InboxBroker {
    shared: Arc<Shared>,
    listening: tokio::task::JoinHandle<()>,
}

impl InboxBroker {
    /// Uses the host's own pool.
    pub fn new(pool: PgPool) -> Self {
        let (due, _) = watch::channel(0);
        let shared = Arc::new(Shared {
            lease: Lease::new(pool.clone()),
            pool,
            due,
        });
        let listening = tokio::spawn(listen(shared.clone()));
        Self { shared, listening }
    }
}

/// Gives what still waits in the inboxes back to the outbox, for another broker to carry. Every
/// consumer of a topic gets it again: its own inbox knows what it has done. Answers how many events.
pub async fn hand_over(pool: &PgPool) -> Result<u64, Error> {
    let moved = sqlx::query(
        "with left_over as (delete from lectern.inbox returning *) \
         insert into lectern.outbox (event_id, component, topic, key, payload, occurred_at, trace, request_id) \
         select event_id, $1, topic, key, payload, occurred_at, trace, request_id from \
         (select distinct on (event_id) * from left_over) each order by seq \
         on conflict do nothing",
    )
    .bind(crate::outbox::HOST)
    .execute(pool)
    .await
    .map_err(failed)?;
    Ok(moved.rows_affected())
}

impl Drop for InboxBroker {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Turns the other hosts' notifications, and the passing of time, into ticks.
async fn listen(shared: Arc<Shared>) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&shared.pool).await
            && listener.listen("lectern_inbox").await.is_ok()
        {
            while !matches!(
                tokio::time::timeout(POLL, listener.recv()).await,
                Ok(Err(_))
            ) {
                shared.tick();
            }
        }
        tokio::time::sleep(POLL).await;
        shared.tick();
    }
}

impl Shared {
    fn tick(&self) {
        self.due.send_modify(|ticks| *ticks = ticks.wrapping_add(1));
    }

    async fn claim(self: &Arc<Self>, group: &str) -> Result<Option<Delivery>, Error> {
        let holder = self.lease.session().await.map_err(failed)?;
        let row = sqlx::query(CLAIM)
            .bind(group)
            .bind(holder.pid)
            .bind(holder.since)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        crate::step("inbox::claimed");
        let event = event(&row);
        let settle = Held {
            shared: self.clone(),
            group: group.to_owned(),
            id: event.id.clone(),
            holder,
            settled: false,
        };
        let count = |column| row.get::<i32, _>(column);
        let deaths = count("crashes") / CRASHES_TO_AN_ATTEMPT;
        let number = |count: i32| u32::try_from(count).unwrap_or(1);
        let previous = row
            .get::<Option<&str>, _>("failure")
            .and_then(Failure::parse);
        Ok(Some(Delivery {
            event,
            attempt: number(count("attempt") + deaths),
            broken: number(count("broken") + deaths),
            previous,
            tried_for: Duration::try_from_secs_f64(row.get("tried_for")).unwrap_or_default(),
            settle: Box::new(settle),
        }))
    }

    /// Until something falls due by itself.
    async fn until_due(&self, group: &str) -> Duration {
        let next = sqlx::query_scalar::<_, Option<f64>>(
            "select extract(epoch from min(not_before) - now())::float8 from lectern.inbox \
             where consumer = $1 and not_before > now()",
        )
        .bind(group)
        .fetch_one(&self.pool)
        .await;
        let seconds = next.ok().flatten().unwrap_or(f64::MAX);
        Duration::try_from_secs_f64(seconds.max(0.0))
            .unwrap_or(POLL)
            .min(POLL)
    }
}

#[async_trait]
impl Broker for InboxBroker {
    async fn send(&self, events: &[Event]) -> Result<Vec<Refused>, Error> {
        let mut transaction = self.shared.pool.begin().await.map_err(failed)?;
        for event in events {
            sqlx::query(
                "insert into lectern.inbox (consumer, event_id, topic, key, payload, occurred_at, trace, request_id) \
                 select consumer, $1::uuid, $2, $3, $4::jsonb, to_timestamp($5::bigint / 1000.0), $6, $7 \
                 from lectern.subscriptions where topic = $2 on conflict do nothing",
            )
            .bind(&event.id)
            .bind(&event.topic)
            .bind(&event.key)
            .bind(&event.payload)
            .bind(i64::try_from(event.occurred_at).unwrap_or(i64::MAX))
            .bind(&event.trace)
            .bind(&event.request_id)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        }
        sqlx::query("select pg_notify('lectern_inbox', '')")
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        self.shared.tick();
        Ok(vec![])
    }

    async fn lag(&self) -> Vec<Lag> {
        let waiting = sqlx::query_as::<_, (String, String, i64)>(
            "select s.consumer, s.topic, count(i.event_id) from lectern.subscriptions s left join \
             (select * from lectern.inbox limit $1) i using (consumer, topic) group by 1, 2",
        );
        let waiting = waiting.bind(COUNTED).fetch_all(&self.shared.pool).await;
        let lag = |(group, topic, events): (String, String, i64)| Lag {
            group,
            topic,
            events: u64::try_from(events).unwrap_or_default(),
        };
        waiting.unwrap_or_default().into_iter().map(lag).collect()
    }

    async fn subscribe(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Box<dyn Subscription>, Error> {
        let mut transaction = self.shared.pool.begin().await.map_err(failed)?;
        sqlx::query("delete from lectern.subscriptions where consumer = $1 and topic <> all($2)")
            .bind(group)
            .bind(topics)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(
            "insert into lectern.subscriptions (consumer, topic) select $1, unnest($2::text[]) \
             on conflict do nothing",
        )
        .bind(group)
        .bind(topics)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(pump(self.shared.clone(), group.to_owned(), sender));
        Ok(Box::new(Inbox(receiver)))
    }
}

/// Claims whenever there is room, in a task of its own: a claim must not be dropped half way.
async fn pump(shared: Arc<Shared>, group: String, sender: mpsc::Sender<Result<Delivery, Error>>) {
    let mut due = shared.due.subscribe();
    while let Ok(permit) = sender.reserve().await {
        due.mark_unchanged();
        match shared.claim(&group).await {
            Ok(Some(delivery)) => permit.send(Ok(delivery)),
            Ok(None) => {
                drop(permit);
                let by_itself = shared.until_due(&group).await;
                tokio::select! {
                    _ = tokio::time::timeout(by_itself, due.changed()) => {}
                    () = sender.closed() => break,
                }
            }
            Err(error) => {
                permit.send(Err(error));
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

struct Inbox(mpsc::Receiver<Result<Delivery, Error>>);

#[async_trait]
impl Subscription for Inbox {
    async fn next(&mut self) -> Result<Delivery, Error> {
        self.0
            .recv()
            .await
            .unwrap_or_else(|| Err(Error::Unavailable("the inbox is closed".into())))
    }
}

/// An event in hand. Dropped unsettled, it goes back.
struct Held {
    shared: Arc<Shared>,
    group: String,
    id: String,
    /// The lease that it is held by; another host may have taken over since.
    holder: Session,
    settled: bool,
}

impl Held {
    async fn store(&self, outcome: &Outcome) -> Result<(), sqlx::Error> {
        let (group, id) = (&self.group, &self.id);
        match outcome {
            Outcome::Done => {
                sqlx::query(
                    "delete from lectern.inbox where consumer = $1 and event_id = $2::uuid",
                )
                .bind(group)
                .bind(id)
                .execute(&self.shared.pool)
                .await?;
            }
            Outcome::Retry {
                after,
                failure,
                error,
            } => {
                sqlx::query(
                    "update lectern.inbox set holder = null, failure = $3, error = $4, \
                     broken = broken + ($3 is not null)::integer, \
                     not_before = now() + make_interval(secs => $5) \
                     where consumer = $1 and event_id = $2::uuid and holder = $6 and holder_since = $7",
                )
                .bind(group)
                .bind(id)
                .bind(failure.map(Failure::as_str))
                .bind(error)
                .bind(after.as_secs_f64())
                .bind(self.holder.pid)
                .bind(self.holder.since)
                .execute(&self.shared.pool)
                .await?;
            }
            Outcome::Reject { reason } => {
                sqlx::query(
                    "with dead as (delete from lectern.inbox where consumer = $1 and event_id = $2::uuid returning *) \
                     insert into lectern.dead_letters \
                     (consumer, event_id, topic, key, payload, occurred_at, attempts, reason) \
                     select consumer, event_id, topic, key, payload, occurred_at, attempt, $3 from dead \
                     on conflict (consumer, event_id) do update set reason = excluded.reason, died_at = now()",
                )
                .bind(group)
                .bind(id)
                .bind(reason)
                .execute(&self.shared.pool)
                .await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Settle for Held {
    async fn settle(mut self: Box<Self>, outcome: Outcome) -> Result<(), Error> {
        crate::step("inbox::before_settle");
        self.store(&outcome).await.map_err(failed)?;
        crate::step("inbox::after_settle");
        self.settled = true;
        self.shared.tick();
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.settled {
            return;
        }
        let (shared, group, id) = (self.shared.clone(), self.group.clone(), self.id.clone());
        let Session { pid, since } = self.holder;
        runtime.spawn(async move {
            // Where this fails, the connection is gone, and the lease with it.
            let _ = sqlx::query(
                "update lectern.inbox set holder = null \
                 where consumer = $1 and event_id = $2::uuid and holder = $3 and holder_since = $4",
            )
            .bind(group)
            .bind(id)
            .bind(pid)
            .bind(since)
            .execute(&shared.pool)
            .await;
            shared.tick();
        });
    }
}
