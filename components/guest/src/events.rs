//! Events in and out.

use crate::bindings::capabilities::lectern::platform::events as wit;
pub use crate::bindings::consumer::exports::lectern::platform::event_handler::{
    Disposition, Event, Failure, Guest,
};
use crate::postgres::{self, Transaction};
use crate::{Problem, log, params};
use serde::de::DeserializeOwned;

/// Exports `$handler`, an `async fn(Event) -> Result<(), Disposition>`.
#[macro_export]
macro_rules! consume {
    ($handler:path) => {
        struct Consumer;

        impl $crate::events::Guest for Consumer {
            async fn handle(event: $crate::events::Event) -> Result<(), $crate::events::Disposition> {
                let mark = format!("event={}", event.id);
                let subject = $crate::log::Subject::new(&mark, event.trace.clone());
                $crate::log::about(subject, $handler(event)).await
            }
        }

        $crate::bindings::consumer::export!(Consumer with_types_in $crate::bindings::consumer);
    };
}

/// Publishes with the transaction.
pub async fn publish_in(
    tx: &Transaction,
    topic: &str,
    key: &str,
    payload: &serde_json::Value,
) -> Result<(), Problem> {
    let message = wit::Message {
        topic: topic.to_owned(),
        key: key.to_owned(),
        payload: payload.to_string(),
        trace: log::trace(),
    };
    match wit::publish_within(tx, message).await {
        Ok(_) => Ok(()),
        Err(wit::Error::Timeout | wit::Error::Unavailable) => Err(Problem::unavailable(
            "EVENTS_UNAVAILABLE",
            "events cannot be stored",
        )),
        Err(error) => {
            log::error(&format!("publishing on {topic} failed: {error}"));
            Err(Problem::internal())
        }
    }
}

/// Whether this is the event's first time: its effects, in the same transaction, happen once.
/// Wants the table `inbox (event_id text primary key)`.
pub async fn first_time(tx: &Transaction, event: &Event) -> Result<bool, Problem> {
    let stored = postgres::execute_in(
        tx,
        "insert into inbox (event_id, topic) values ($1, $2) on conflict do nothing",
        params![&event.id, &event.topic],
    );
    Ok(stored.await? == 1)
}

/// The payload in its shape, or a dead letter.
pub fn payload<T: DeserializeOwned>(event: &Event) -> Result<T, Disposition> {
    // Without serde's words, which quote a value: the reason is logged.
    serde_json::from_str(&event.payload).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        let why = format!("the payload has another shape, at line {line}, column {column}");
        Disposition::Reject(why)
    })
}

/// Bytes that are away may come back; see [`Problem`].
impl From<crate::blobs::Error> for Disposition {
    fn from(error: crate::blobs::Error) -> Self {
        Problem::from(error).into()
    }
}

/// What is away may come back; anything else will fail again, but an operator may mend it.
impl From<Problem> for Disposition {
    fn from(_: Problem) -> Self {
        Self::Retry(None)
    }
}
