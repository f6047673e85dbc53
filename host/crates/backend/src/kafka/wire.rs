//! An event as a record of Kafka, there and back. Whatever stands in a topic may come from anywhere.

use std::time::{SystemTime, UNIX_EPOCH};

use capability::events::{Event, MAX_PAYLOAD, is_request_id, is_traceparent};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use serde::Deserialize;
use uuid::Uuid;

const EVENT_ID: &str = "event-id";
const OCCURRED_AT: &str = "occurred-at";
const SCHEMA_VERSION: &str = "schema-version";
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
const TRACEPARENT: &str = "traceparent";
const REQUEST_ID: &str = "request-id";

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// A record that is to be sent.
pub(super) struct Outgoing {
    pub(super) topic: String,
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) headers: OwnedHeaders,
}

/// What a payload says of itself.
#[derive(Default, Deserialize)]
struct Envelope {
    #[serde(default)]
    event_id: Option<serde_json::Value>,
    #[serde(default)]
    schema_version: Option<serde_json::Value>,
}

/// A consumer's view of a dead event.
pub(super) struct Death<'a> {
    pub(super) origin: &'a Origin,
    pub(super) group: &'a str,
    pub(super) attempts: u32,
    pub(super) reason: &'a str,
}

impl Outgoing {
    pub(super) fn event(event: &Event, topic: String) -> Self {
        Self {
            topic,
            key: event.key.clone().into_bytes(),
            payload: event.payload.clone().into_bytes(),
            headers: headers(event),
        }
    }

    /// For `<topic>.dlq`, with the reason and the origin in its headers.
    pub(super) fn dead(mut self, death: &Death<'_>) -> Self {
        let (origin, reason) = (death.origin, death.reason);
        self.topic = format!("{}.dlq", origin.topic);
        let reason: String = reason.chars().take(1_000).collect();
        self.headers = [
            ("dlq-error", reason),
            ("dlq-attempts", death.attempts.to_string()),
            ("dlq-consumer", death.group.to_owned()),
            ("dlq-origin-topic", origin.topic.clone()),
            ("dlq-origin-partition", origin.partition.to_string()),
            ("dlq-origin-offset", origin.offset.to_string()),
        ]
        .iter()
        .fold(self.headers, |headers, (key, value)| {
            with(headers, key, value)
        });
        self
    }
}

impl Outgoing {
    /// The first 100,000 bytes, and a header that says so.
    pub(super) fn shortened(&self) -> Self {
        Self {
            topic: self.topic.clone(),
            key: self.key.iter().copied().take(1_000).collect(),
            payload: self.payload.iter().copied().take(100_000).collect(),
            headers: with(self.headers.clone(), "dlq-truncated", "true"),
        }
    }
}

fn headers(event: &Event) -> OwnedHeaders {
    let envelope: Envelope = serde_json::from_str(&event.payload).unwrap_or_default();
    let version = envelope.schema_version.and_then(|version| version.as_u64());
    let headers = OwnedHeaders::new_with_capacity(10);
    let headers = with(headers, EVENT_ID, &event.id);
    let headers = with(headers, OCCURRED_AT, &event.occurred_at.to_string());
    let headers = with(headers, SCHEMA_VERSION, &version.unwrap_or(1).to_string());
    let known = [(TRACEPARENT, &event.trace), (REQUEST_ID, &event.request_id)];
    let known = known.into_iter();
    known
        .filter_map(|(name, value)| Some((name, value.as_ref()?)))
        .fold(headers, |headers, (name, value)| with(headers, name, value))
}

fn with(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header {
        key,
        value: Some(value),
    })
}

/// A record as it came.
pub(super) struct Incoming {
    pub(super) origin: Origin,
    /// The event in it, or the record itself and why it is none.
    pub(super) event: Result<Event, (Outgoing, &'static str)>,
}

impl Incoming {
    pub(super) fn read(message: &BorrowedMessage<'_>) -> Self {
        let origin = Origin {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
        };
        let event = event(message).map_err(|why| {
            let raw = Outgoing {
                topic: origin.topic.clone(),
                key: message.key().unwrap_or_default().to_vec(),
                payload: message.payload().unwrap_or_default().to_vec(),
                headers: message
                    .headers()
                    .map_or_else(OwnedHeaders::new, |headers| headers.detach()),
            };
            (raw, why)
        });
        Self { origin, event }
    }
}

fn event(message: &BorrowedMessage<'_>) -> Result<Event, &'static str> {
    let payload = message.payload().ok_or("the record has no payload")?;
    let payload = std::str::from_utf8(payload).map_err(|_| "the payload is not UTF-8")?;
    let envelope = envelope(payload)?;
    let key = std::str::from_utf8(message.key().unwrap_or_default());
    let key = key.map_err(|_| "the key is not UTF-8")?;
    let named =
        header(message, EVENT_ID).or_else(|| envelope.event_id?.as_str().map(ToOwned::to_owned));
    let written = header(message, OCCURRED_AT).and_then(|at| at.parse().ok());
    let appended = message.timestamp().to_millis().map(i64::cast_unsigned);
    Ok(Event {
        id: id(message, named.as_deref()),
        topic: message.topic().to_owned(),
        key: key.to_owned(),
        payload: payload.to_owned(),
        occurred_at: written.or(appended).unwrap_or_else(now),
        // What is none is nobody's: the guest would hand it on, and be refused.
        trace: header(message, TRACEPARENT).filter(|trace| is_traceparent(trace)),
        request_id: header(message, REQUEST_ID).filter(|id| is_request_id(id)),
    })
}

fn envelope(payload: &str) -> Result<Envelope, &'static str> {
    if payload.len() > 2 * MAX_PAYLOAD {
        return Err("the payload is too large");
    }
    // Any JSON document is a payload; an object may say more.
    serde_json::from_str::<Envelope>(payload).or_else(|_| {
        serde_json::from_str::<serde::de::IgnoredAny>(payload)
            .map(|_| Envelope::default())
            .map_err(|_| "the payload is not JSON")
    })
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let found = headers.iter().find(|header| header.key == name)?;
    let value = std::str::from_utf8(found.value?).ok()?;
    (value.len() <= 255).then(|| value.to_owned())
}

/// A UUID in every case: the one that is given; else made of the id that is given, or of the record's
/// place, so that a replay has the same.
fn id(message: &BorrowedMessage<'_>, named: Option<&str>) -> String {
    let topic = message.topic();
    let made = |name: String| Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
    let id = match named.filter(|id| !id.is_empty()) {
        Some(id) => Uuid::parse_str(id).unwrap_or_else(|_| made(format!("kafka:{topic}#{id}"))),
        None => {
            let (partition, offset) = (message.partition(), message.offset());
            made(format!("kafka:{topic}/{partition}/{offset}"))
        }
    };
    id.to_string()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
