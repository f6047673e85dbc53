//! Events between components: stored with the publisher's transaction, delivered at least once.

pub mod contract;

use std::time::Duration;

use async_trait::async_trait;

/// The most bytes of one payload, as PostgreSQL's `jsonb` prints it: Kafka's default limit for a
/// message (1,048,588 bytes), less what the key, the headers and the batch take.
pub const MAX_PAYLOAD: usize = 1_000_000;

/// What a component publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// As granted in the manifest.
    pub topic: String,
    /// The aggregate's id; order is kept per key.
    pub key: String,
    /// A JSON document.
    pub payload: String,
    /// W3C trace context: <https://www.w3.org/TR/trace-context/#traceparent-header>
    pub trace: Option<String>,
    /// Of the request that it comes from, as the gateway lets it pass: up to 64 of `[A-Za-z0-9._-]`.
    pub request_id: Option<String>,
}

impl Message {
    /// Checks what the store could not take: size, JSON, U+0000.
    pub fn validate(&self) -> Result<(), Error> {
        if self.payload.len() > MAX_PAYLOAD {
            return Err(Error::QuotaExceeded);
        }
        if self.topic.is_empty() || self.topic.len() > 249 || self.key.len() > 512 {
            return Err(Error::Invalid(
                "topic of 1 to 249 bytes, key of at most 512".into(),
            ));
        }
        if self
            .trace
            .as_ref()
            .is_some_and(|trace| !is_traceparent(trace))
        {
            return Err(Error::Invalid("the trace context is no traceparent".into()));
        }
        if self.key.contains('\0') || self.payload.contains("\\u0000") {
            return Err(Error::Invalid("U+0000 cannot be stored".into()));
        }
        serde_json::from_str::<serde::de::IgnoredAny>(&self.payload)
            .map(|_| ())
            .map_err(|e| Error::Invalid(format!("the payload is no JSON: {e}")))
    }
}

/// `00-` and 32, 16 and 2 digits of lower-case hexadecimal, or a later version that begins so.
pub fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let lengths = [2, 32, 16, 2];
    let is_hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_well_formed = lengths
        .iter()
        .all(|&length| parts.next().is_some_and(|part| is_hex(part, length)));
    let is_zero = |range| {
        text.get(range)
            .is_none_or(|id: &str| id.bytes().all(|b| b == b'0'))
    };
    text.len() <= 255
        && is_well_formed
        && !text.starts_with("ff")
        && (parts.next().is_none() || !text.starts_with("00"))
        && !is_zero(3..35)
        && !is_zero(36..52)
}

/// Whether it can stand in a log line, a header and a file's name as it is.
pub fn is_request_id(text: &str) -> bool {
    let is_fit = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(is_fit)
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The same in every delivery.
    pub id: String,
    /// Where it was published.
    pub topic: String,
    /// The aggregate's id.
    pub key: String,
    /// A JSON document.
    pub payload: String,
    /// Milliseconds since the Unix epoch.
    pub occurred_at: u64,
    /// W3C trace context, as the publisher gave it.
    pub trace: Option<String>,
    /// Of the request at the beginning of it all.
    pub request_id: Option<String>,
}

/// An event that a broker will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which of those that were given to it.
    pub index: usize,
    /// For the operator.
    pub reason: String,
}

/// Why publishing or delivering failed; mirrors `error` in `wit/events.wit`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The topic is not granted.
    #[error("the manifest does not grant this topic")]
    AccessDenied,
    /// A deadline passed.
    #[error("the event store took too long")]
    Timeout,
    /// The store or broker cannot be reached.
    #[error("the event store cannot be reached: {0}")]
    Unavailable(String),
    /// The payload is too large.
    #[error("the payload exceeds {MAX_PAYLOAD} bytes")]
    QuotaExceeded,
    /// The message cannot be stored.
    #[error("{0}")]
    Invalid(String),
}

/// How an attempt ended that the handler could not speak of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The instance trapped.
    Trap,
    /// The CPU time ran out.
    Cpu,
    /// The wall-clock deadline passed.
    Deadline,
    /// The memory ran out.
    Memory,
}

impl Failure {
    /// The word that is stored and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Cpu => "cpu",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
        }
    }

    /// The reverse of [`Failure::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Trap, Self::Cpu, Self::Deadline, Self::Memory]
            .into_iter()
            .find(|f| f.as_str() == word)
    }
}

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its effects are stored.
    Done,
    /// Deliver it again after a while.
    Retry {
        /// Not before so long.
        after: Duration,
        /// What the next attempt is told.
        failure: Option<Failure>,
        /// For the operator.
        error: String,
    },
    /// A dead letter, with its reason.
    Reject {
        /// For the operator.
        reason: String,
    },
}

/// Publishing outside a transaction.
#[async_trait]
pub trait Events: Send + Sync {
    /// Stores the event; answers its id.
    async fn publish(&self, message: &Message) -> Result<String, Error>;
}

/// Carries stored events to consumer groups.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Takes over the events, in this order. MUST have stored them when it answers `Ok`; MAY be
    /// given an event again. Answers those that it will never take; the others are stored.
    async fn send(&self, events: &[Event]) -> Result<Vec<Refused>, Error>;
    /// Deliveries for one consumer group. Events of one key MUST come one at a time, in order; an
    /// event whose delivery is dropped unsettled MUST come again, here or on another host.
    async fn subscribe(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Box<dyn Subscription>, Error>;
    /// What consumer groups here have still to handle, as far as is known without asking long.
    async fn lag(&self) -> Vec<Lag> {
        vec![]
    }
    /// The end, after all subscriptions: waits for what is under way.
    async fn close(&self) {}
}

/// What a consumer group has still to handle of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The group's name, without a prefix.
    pub group: String,
    /// The topic's name, without a prefix.
    pub topic: String,
    /// Of all partitions that this host has.
    pub events: u64,
}

/// A consumer group's deliveries on this host.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for the next one. Cancel safe: a delivery is not lost when the future is dropped.
    async fn next(&mut self) -> Result<Delivery, Error>;
}

/// An event in the consumer's hands until it is settled.
pub struct Delivery {
    /// What was published.
    pub event: Event,
    /// 1 at first. An attempt that ended with its host does not count.
    pub attempt: u32,
    /// Of the attempts before, those whose handler could not say how they ended.
    pub broken: u32,
    /// How the attempt before ended, when its handler could not say.
    pub previous: Option<Failure>,
    /// Since the first attempt, as far as this broker remembers.
    pub tried_for: Duration,
    /// Tells the broker what became of it.
    pub settle: Box<dyn Settle>,
}

/// The way back to the broker.
#[async_trait]
pub trait Settle: Send + Sync {
    /// After `Ok` the outcome is stored.
    async fn settle(self: Box<Self>, outcome: Outcome) -> Result<(), Error>;
}
