//! Carries the outbox to the broker: every event that a committed transaction published, in order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capability::events::{Broker, Error, Event, is_request_id, is_traceparent};
use capability::trace::{self, KeyValue, Span, SpanKind, Tracer};
use sqlx::postgres::PgListener;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, Row, Transaction};
use time::OffsetDateTime;

/// Events taken in one transaction, and their bytes: a backlog of any length is relayed in so much
/// memory.
const BATCH: i64 = 1_000;
const BATCH_BYTES: i64 = 4 << 20;

const TAKE: &str = "
select seq, event_id::text, component, topic, key, payload, occurred_at, trace, request_id from (
    select *, sum(octet_length(payload)) over (order by seq) - octet_length(payload) as before from (
        select seq, event_id, component, topic, key, payload::text, occurred_at, trace, request_id
        from lectern.outbox order by seq limit $1
    ) taken
) counted where before < $2 order by seq";
/// How often to look although nobody called: a notification can be lost with its connection.
const POLL: Duration = Duration::from_secs(1);

/// Who publishes what the host hands over; no component can have that name.
pub const HOST: &str = "lectern";

/// More events that wait are not counted: that takes time.
const COUNTED: i64 = 100_000;

/// Events that are published and wait for the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Up to 100,000.
    pub events: u64,
    /// Of the first of them.
    pub oldest: Duration,
}

/// What waits in that database's outbox.
pub async fn waiting(pool: &PgPool) -> Result<Waiting, Error> {
    let row = sqlx::query_as::<_, (i64, f64)>(
        "select count(*), coalesce(extract(epoch from now() - min(occurred_at)), 0)::float8 \
         from (select occurred_at from lectern.outbox order by seq limit $1) waiting",
    );
    let (events, oldest) = row.bind(COUNTED).fetch_one(pool).await.map_err(failed)?;
    Ok(Waiting {
        events: u64::try_from(events).unwrap_or_default(),
        oldest: Duration::try_from_secs_f64(oldest).unwrap_or_default(),
    })
}

/// Whether a component may publish on a topic.
#[async_trait]
pub trait Grants: Send + Sync {
    /// An error makes the relay wait.
    async fn cover(&self, component: &str, topic: &str) -> Result<bool, Error>;
}

/// All of them.
pub struct Everything;

#[async_trait]
impl Grants for Everything {
    async fn cover(&self, _: &str, _: &str) -> Result<bool, Error> {
        Ok(true)
    }
}

/// Relays until it is dropped.
pub struct Relay {
    pool: PgPool,
    broker: Arc<dyn Broker>,
    grants: Arc<dyn Grants>,
    tracer: Tracer,
}

impl Relay {
    /// A relay from that database to that broker. What `grants` deny is a dead letter: a component
    /// can write to its outbox by SQL, beside the capability.
    pub fn new(pool: PgPool, broker: Arc<dyn Broker>, grants: Arc<dyn Grants>) -> Self {
        Self {
            pool,
            broker,
            grants,
            tracer: Tracer::default(),
        }
    }

    /// Telling of what it sends.
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Relays for ever; errors are logged, and tried again.
    pub async fn run(self) {
        let mut listener = None;
        loop {
            match self.batch().await {
                // There may be more.
                Ok(moved) if moved > 0 => continue,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the outbox could not be relayed; trying again");
                    tokio::time::sleep(POLL).await;
                }
            }
            wait(&self.pool, &mut listener).await;
        }
    }

    /// Moves one batch; answers how many events it moved.
    async fn batch(&self) -> Result<usize, Error> {
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let mine = sqlx::query("select only_row from lectern.relay for update skip locked")
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if mine.is_none() {
            return Ok(0);
        }
        let rows = sqlx::query(TAKE)
            .bind(BATCH)
            .bind(BATCH_BYTES)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        if rows.is_empty() {
            return Ok(0);
        }
        let (passing, denied) = self.judge(&rows).await?;
        for row in denied {
            set_aside(
                &mut transaction,
                row,
                "the manifest does not grant the topic",
            )
            .await?;
        }
        let events: Vec<_> = passing.iter().map(|row| event(row)).collect();
        crate::step("relay::before_send");
        let mut spans = sending(&self.tracer, &events);
        let refused = self.broker.send(&events).await;
        spans.iter_mut().for_each(|span| span.answered(&refused));
        let refused = refused?;
        drop(spans);
        crate::step("relay::after_send");
        for refused in refused {
            if let Some(row) = passing.get(refused.index) {
                set_aside(&mut transaction, row, &refused.reason).await?;
            }
        }
        let sent: Vec<i64> = rows.iter().map(|row| row.get("seq")).collect();
        sqlx::query("delete from lectern.outbox where seq = any($1)")
            .bind(sent)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        crate::step("relay::after_commit");
        Ok(rows.len())
    }

    /// Those that may pass, and those that may not.
    async fn judge<'a>(
        &self,
        rows: &'a [PgRow],
    ) -> Result<(Vec<&'a PgRow>, Vec<&'a PgRow>), Error> {
        let mut known: HashMap<(&str, &str), bool> = HashMap::new();
        for row in rows {
            let (component, topic) = (row.get("component"), row.get("topic"));
            if let Entry::Vacant(unknown) = known.entry((component, topic)) {
                let granted = component == HOST || self.grants.cover(component, topic).await?;
                unknown.insert(granted);
            }
        }
        let passes = |row: &&PgRow| known[&(row.get("component"), row.get("topic"))];
        Ok(rows.iter().partition(passes))
    }
}

/// What is sent, each as a part of its own trace: what handles it is the publisher's to be followed by, as
/// it may do so before the broker's answer is here.
fn sending(tracer: &Tracer, events: &[Event]) -> Vec<Span> {
    if !tracer.is_on() {
        return vec![];
    }
    let sent = |event: &Event| {
        let parent = trace::parse(event.trace.as_deref()?, None)?;
        parent.is_sampled().then(|| {
            tracer.begin(SpanKind::Producer, Some(&parent), || {
                let mut attributes = tracer.system("events").to_vec();
                attributes.extend([
                    KeyValue::new("messaging.operation.name", "send"),
                    KeyValue::new("messaging.operation.type", "send"),
                    KeyValue::new("messaging.destination.name", event.topic.clone()),
                    KeyValue::new("messaging.message.id", event.id.clone()),
                ]);
                (format!("send {}", event.topic), attributes)
            })
        })
    };
    events.iter().filter_map(sent).collect()
}

/// What will never be sent must not hold up what comes behind it.
async fn set_aside(
    transaction: &mut Transaction<'_, Postgres>,
    row: &PgRow,
    reason: &str,
) -> Result<(), Error> {
    let (component, topic): (&str, &str) = (row.get("component"), row.get("topic"));
    let id: &str = row.get("event_id");
    tracing::error!(
        component,
        topic,
        "an event was not sent, and is a dead letter event={id}: {reason}"
    );
    sqlx::query(
        "insert into lectern.dead_letters \
         (consumer, event_id, topic, key, payload, occurred_at, attempts, reason) \
         select 'outbox:' || component, event_id, topic, key, payload, occurred_at, 1, $2 \
         from lectern.outbox where event_id = $1::uuid on conflict do nothing",
    )
    .bind(id)
    .bind(reason)
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn wait(pool: &PgPool, listener: &mut Option<PgListener>) {
    if listener.is_none() {
        *listener = listen(pool).await.ok();
    }
    let called = match listener {
        Some(listener) => tokio::time::timeout(POLL, listener.recv()).await,
        None => {
            tokio::time::sleep(POLL).await;
            return;
        }
    };
    if matches!(called, Ok(Err(_))) {
        *listener = None;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("lectern_outbox").await?;
    Ok(listener)
}

/// From a row with those columns; the outbox and the inbox name them alike.
pub(crate) fn event(row: &sqlx::postgres::PgRow) -> Event {
    let occurred: OffsetDateTime = row.get("occurred_at");
    Event {
        id: row.get("event_id"),
        topic: row.get("topic"),
        key: row.get("key"),
        payload: row.get("payload"),
        occurred_at: u64::try_from(occurred.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
        trace: row
            .get::<Option<String>, _>("trace")
            .filter(|trace| is_traceparent(trace)),
        request_id: row
            .get::<Option<String>, _>("request_id")
            .filter(|id| is_request_id(id)),
    }
}

/// sqlx's errors by meaning.
pub(crate) fn failed(error: sqlx::Error) -> Error {
    super::postgres::publish_failed(super::postgres::failed(error))
}
