//! A component's consumer group on this host: one task owns the consumer, hands out what may go, and
//! has committed what is done. Offsets are stored only below the first unfinished event; librdkafka
//! commits what is stored, also when partitions leave and at the end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capability::events::{Delivery, Error, Event, Failure, Outcome, Settle, Subscription};
use futures::StreamExt;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio_util::time::DelayQueue;

use super::lag::Lags;
use super::producer::Producing;
use super::track::Track;
use super::wire::{Death, Incoming, Origin, Outgoing};

/// Unfinished events of one partition before it is paused, and their bytes: what waits for a slow one
/// waits in Kafka.
const HELD: usize = 2_000;
const HELD_BYTES: usize = 8 << 20;
/// Before what the broker refused is tried again.
const PAUSE: Duration = Duration::from_secs(1);

type Place = (String, i32);

/// Tells the task which partitions come and go.
pub(super) struct Watch {
    group: String,
    producing: Arc<Producing>,
    lags: Arc<Lags>,
    changes: mpsc::UnboundedSender<Change>,
}

pub(super) enum Change {
    Assigned(Vec<Place>),
    Revoked(Vec<Place>),
}

impl Watch {
    /// Of a group whose name has no prefix.
    pub(super) fn new(
        group: &str,
        producing: Arc<Producing>,
        lags: Arc<Lags>,
    ) -> (Self, mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        let watch = Self {
            group: group.to_owned(),
            producing,
            lags,
            changes,
        };
        (watch, receiver)
    }
}

impl ClientContext for Watch {
    fn error(&self, error: KafkaError, reason: &str) {
        self.producing.health.failed(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        super::log(level, facility, line);
    }

    fn stats(&self, statistics: Statistics) {
        let plain = |topic: &str| self.producing.plain(topic);
        self.lags.heard(&self.group, &statistics, plain);
    }
}

impl ConsumerContext for Watch {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let change = match rebalance {
            Rebalance::Assign(list) => Change::Assigned(places(list)),
            Rebalance::Revoke(list) => Change::Revoked(places(list)),
            Rebalance::Error(_) => return,
        };
        // Where nobody listens, the task has ended.
        let _ = self.changes.send(change);
    }
}

fn places(list: &TopicPartitionList) -> Vec<Place> {
    let elements = list.elements();
    let place = |e: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        (e.topic().to_owned(), e.partition())
    };
    elements.iter().map(place).collect()
}

/// One assignment of a partition; what belongs to a former one is not heard any more.
struct Assigned {
    number: u64,
    track: Track,
    is_paused: bool,
}

/// An event's way back to the task.
#[derive(Clone)]
struct Ticket {
    origin: Origin,
    assignment: u64,
}

impl Ticket {
    fn place(&self) -> Place {
        (self.origin.topic.clone(), self.origin.partition)
    }
}

enum Settled {
    Done,
    Again {
        after: Duration,
        /// `None` where the attempt does not count.
        attempt: Option<Option<Failure>>,
    },
}

type SettledSender = mpsc::UnboundedSender<(Ticket, Settled)>;

/// A group on this host.
pub(super) struct Task {
    consumer: StreamConsumer<Watch>,
    changes: mpsc::UnboundedReceiver<Change>,
    group: String,
    producing: Arc<Producing>,
    partitions: HashMap<Place, Assigned>,
    assignments: u64,
    ready: VecDeque<Ticket>,
    later: DelayQueue<Ticket>,
    in_hand: usize,
    settled: mpsc::UnboundedReceiver<(Ticket, Settled)>,
    settle: SettledSender,
    /// Closed when the subscription is dropped.
    out: mpsc::Sender<Result<Delivery, Error>>,
}

/// The deliveries of a group on this host.
pub(super) struct Records(mpsc::Receiver<Result<Delivery, Error>>);

#[async_trait]
impl Subscription for Records {
    async fn next(&mut self) -> Result<Delivery, Error> {
        let ended = || Err(Error::Unavailable("the consumer has ended".into()));
        self.0.recv().await.unwrap_or_else(ended)
    }
}

async fn receive(consumer: &StreamConsumer<Watch>) -> KafkaResult<Incoming> {
    let message = consumer.recv().await?;
    Ok(Incoming::read(&message))
}

impl Task {
    pub(super) fn new(
        consumer: StreamConsumer<Watch>,
        changes: mpsc::UnboundedReceiver<Change>,
        group: String,
        producing: Arc<Producing>,
    ) -> (Self, Records) {
        let (settle, settled) = mpsc::unbounded_channel();
        let (out, records) = mpsc::channel(1);
        let task = Self {
            consumer,
            changes,
            group,
            producing,
            partitions: HashMap::new(),
            assignments: 0,
            ready: VecDeque::new(),
            later: DelayQueue::new(),
            in_hand: 0,
            settled,
            settle,
            out,
        };
        (task, Records(records))
    }

    /// Until the subscription is dropped and all that is in hand is settled.
    pub(super) async fn run(mut self, topics: Vec<String>) {
        let out = self.out.clone();
        let has_begun = tokio::select! {
            () = self.begin(&topics) => true,
            () = out.closed() => false,
        };
        while has_begun && !out.is_closed() {
            self.turn(&out).await;
        }
        self.ready.clear();
        self.pause_all();
        while self.in_hand > 0 {
            self.last_turn().await;
        }
        let leave = move || drop(self.consumer);
        // Leaving the group, and the last commit, wait for the broker.
        let _ = tokio::task::spawn_blocking(leave).await;
    }

    /// Topics that are not there yet are made: else the consumer would find them minutes later.
    async fn begin(&self, topics: &[String]) {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let group = &self.group;
        while let Err(error) = self.producing.ensure(&names).await {
            tracing::warn!(group, %error, "Kafka's topics cannot be made sure of; trying again");
            tokio::time::sleep(PAUSE).await;
        }
        while let Err(error) = self.consumer.subscribe(&names) {
            tracing::warn!(group, %error, "cannot subscribe; trying again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn turn(&mut self, out: &mpsc::Sender<Result<Delivery, Error>>) {
        tokio::select! {
            permit = out.reserve(), if !self.ready.is_empty() => {
                if let (Ok(permit), Some(delivery)) = (permit, self.next_delivery()) {
                    permit.send(Ok(delivery));
                }
            }
            Some((ticket, settled)) = self.settled.recv() => self.settle(ticket, settled),
            Some(due) = self.later.next(), if !self.later.is_empty() => {
                self.ready.push_back(due.into_inner());
            }
            // Polled whatever happens, or the group takes the partitions away.
            received = receive(&self.consumer) => self.received(received).await,
            Some(change) = self.changes.recv() => self.change(change),
            () = out.closed() => {}
        }
    }

    /// Takes nothing any more.
    async fn last_turn(&mut self) {
        tokio::select! {
            Some((ticket, settled)) = self.settled.recv() => self.settle(ticket, settled),
            _ = receive(&self.consumer) => {}
            Some(change) = self.changes.recv() => self.change(change),
        }
    }

    async fn received(&mut self, received: KafkaResult<Incoming>) {
        match received {
            Ok(incoming) => {
                // The callbacks ran before the record came.
                while let Ok(change) = self.changes.try_recv() {
                    self.change(change);
                }
                self.producing.health.well();
                self.take(incoming);
            }
            Err(error) => {
                self.producing.health.failed(&error, "consuming");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Assigned(places) => {
                tracing::debug!(group = self.group, ?places, "partitions assigned");
                for place in places {
                    // One that was paused when it left still is, to librdkafka.
                    let resumed =
                        one(&place, Offset::Invalid).and_then(|p| self.consumer.resume(&p));
                    if let Err(error) = resumed {
                        tracing::debug!(group = self.group, %error, "a partition was not resumed");
                    }
                    self.assignments += 1;
                    let assigned = Assigned {
                        number: self.assignments,
                        track: Track::default(),
                        is_paused: false,
                    };
                    self.partitions.insert(place, assigned);
                }
            }
            Change::Revoked(places) => {
                tracing::debug!(group = self.group, ?places, "partitions revoked");
                for place in places {
                    self.partitions.remove(&place);
                }
            }
        }
    }

    fn take(&mut self, incoming: Incoming) {
        let Incoming { origin, event } = incoming;
        let place = (origin.topic.clone(), origin.partition);
        let Some(assigned) = self.partitions.get_mut(&place) else {
            return;
        };
        let ticket = Ticket {
            assignment: assigned.number,
            origin,
        };
        let offset = ticket.origin.offset;
        match event {
            Ok(mut event) => {
                event.topic = self.producing.plain(&event.topic);
                if assigned.track.push(offset, event) {
                    self.ready.push_back(ticket);
                }
            }
            Err((record, why)) => {
                assigned.track.push(offset, nothing());
                self.in_hand += 1;
                let (producing, group) = (self.producing.clone(), self.group.clone());
                let settle = self.settle.clone();
                tokio::spawn(async move {
                    bury_unread(&producing, &group, &ticket.origin, record, why).await;
                    let _ = settle.send((ticket, Settled::Done));
                });
            }
        }
        self.hold_back(&place);
    }

    /// What is ready and still this host's.
    fn next_delivery(&mut self) -> Option<Delivery> {
        while let Some(ticket) = self.ready.pop_front() {
            let Some(assigned) = self.partitions.get_mut(&ticket.place()) else {
                continue;
            };
            if assigned.number != ticket.assignment {
                continue;
            }
            let entry = assigned.track.get_mut(ticket.origin.offset);
            let Some(entry) = entry else { continue };
            self.in_hand += 1;
            let settle = Held {
                ticket: Some(ticket),
                settle: self.settle.clone(),
                group: self.group.clone(),
                producing: self.producing.clone(),
                event: entry.event.clone(),
                attempt: entry.attempt,
            };
            return Some(Delivery {
                event: entry.event.clone(),
                attempt: entry.attempt,
                broken: entry.broken,
                previous: entry.previous,
                tried_for: entry.tried_for(),
                settle: Box::new(settle),
            });
        }
        None
    }

    fn settle(&mut self, ticket: Ticket, settled: Settled) {
        self.in_hand = self.in_hand.saturating_sub(1);
        let (place, offset) = (ticket.place(), ticket.origin.offset);
        let Some(assigned) = self.partitions.get_mut(&place) else {
            return;
        };
        if assigned.number != ticket.assignment {
            return;
        }
        match settled {
            Settled::Done => {
                if let Some(next) = assigned.track.finish(offset) {
                    let origin = Origin {
                        offset: next,
                        ..ticket.origin
                    };
                    self.ready.push_back(Ticket { origin, ..ticket });
                }
                if let Some(next) = assigned.track.commit() {
                    self.store(&place, next);
                }
                self.let_go(&place);
            }
            Settled::Again { after, attempt } => {
                if let Some(failure) = attempt {
                    assigned.track.retry(offset, failure);
                }
                if after.is_zero() {
                    self.ready.push_front(ticket);
                } else {
                    self.later.insert(ticket, after);
                }
            }
        }
    }

    fn store(&self, place: &Place, next: i64) {
        let stored = one(place, Offset::Offset(next))
            .and_then(|offset| self.consumer.store_offsets(&offset));
        if let Err(error) = stored {
            // The partition has just left: who has it now does its events again.
            tracing::debug!(group = self.group, %error, "an offset was not stored");
        }
    }

    fn hold_back(&mut self, place: &Place) {
        let Some(assigned) = self.partitions.get_mut(place) else {
            return;
        };
        let (count, bytes) = (assigned.track.unfinished(), assigned.track.bytes());
        if !assigned.is_paused && (count >= HELD || bytes >= HELD_BYTES) {
            let paused = one(place, Offset::Invalid).and_then(|p| self.consumer.pause(&p));
            assigned.is_paused = paused.is_ok();
        }
    }

    fn let_go(&mut self, place: &Place) {
        let Some(assigned) = self.partitions.get_mut(place) else {
            return;
        };
        let (count, bytes) = (assigned.track.unfinished(), assigned.track.bytes());
        if assigned.is_paused && count < HELD / 2 && bytes < HELD_BYTES / 2 {
            let resumed = one(place, Offset::Invalid).and_then(|p| self.consumer.resume(&p));
            assigned.is_paused = resumed.is_err();
        }
    }

    fn pause_all(&self) {
        let paused = self.consumer.assignment();
        if let Err(error) = paused.and_then(|all| self.consumer.pause(&all)) {
            tracing::debug!(group = self.group, %error, "the partitions were not paused");
        }
    }
}

fn one(place: &Place, offset: Offset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(&place.0, place.1, offset)?;
    Ok(list)
}

/// Keeps an unreadable record's place.
fn nothing() -> Event {
    Event {
        id: String::new(),
        topic: String::new(),
        key: String::new(),
        payload: String::new(),
        occurred_at: 0,
        trace: None,
        request_id: None,
    }
}

/// Tries until the broker has it: the record's offset waits for that.
async fn bury_unread(
    producing: &Producing,
    group: &str,
    origin: &Origin,
    record: Outgoing,
    reason: &'static str,
) {
    let (topic, offset) = (&origin.topic, origin.offset);
    tracing::error!(group, topic, offset, "a dead letter: {reason}");
    let letter = record.dead(&Death {
        origin,
        group,
        attempts: 0,
        reason,
    });
    while let Err(error) = producing.bury(&letter).await {
        tracing::warn!(group, %error, "a dead letter cannot be written; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// An event in hand. Dropped unsettled, it goes back.
struct Held {
    /// `None` once it is settled.
    ticket: Option<Ticket>,
    settle: SettledSender,
    group: String,
    producing: Arc<Producing>,
    event: Event,
    attempt: u32,
}

impl Held {
    fn send(&mut self, settled: Settled) {
        if let Some(ticket) = self.ticket.take() {
            // Where the task is gone, its partitions are somebody else's.
            let _ = self.settle.send((ticket, settled));
        }
    }

    async fn bury(&self, reason: &str) -> Result<(), Error> {
        let Some(ticket) = &self.ticket else {
            return Ok(());
        };
        let death = Death {
            origin: &ticket.origin,
            group: &self.group,
            attempts: self.attempt,
            reason,
        };
        let letter = self.producing.record(&self.event).dead(&death);
        self.producing.bury(&letter).await
    }
}

#[async_trait]
impl Settle for Held {
    /// `Ok` says that the offset is committed as soon as all before it are done; until then a crash
    /// makes the event come again.
    async fn settle(mut self: Box<Self>, outcome: Outcome) -> Result<(), Error> {
        crate::step("kafka::before_settle");
        match outcome {
            Outcome::Done => self.send(Settled::Done),
            Outcome::Retry { after, failure, .. } => self.send(Settled::Again {
                after,
                attempt: Some(failure),
            }),
            Outcome::Reject { reason } => {
                if let Err(error) = self.bury(&reason).await {
                    self.send(Settled::Again {
                        after: PAUSE,
                        attempt: None,
                    });
                    return Err(error);
                }
                self.send(Settled::Done);
            }
        }
        crate::step("kafka::after_settle");
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.send(Settled::Again {
            after: Duration::ZERO,
            attempt: None,
        });
    }
}
