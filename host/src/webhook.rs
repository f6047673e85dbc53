//! Webhooks: a learner's own server is told that something of theirs is finished, by Standard Webhooks
//! (<https://www.standardwebhooks.com>). It is told ids; what they stand for it asks with a token.
//!
//! The way: an event comes from the broker, as to any consumer; a row for each webhook that wants it is
//! stored; whichever host is free sends it, until it is taken or a day is over.

mod api;
mod message;
mod send;
mod target;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use backend::webhooks::{Owner, Webhooks as Store};
use capability::events::{Broker, Delivery, Error, Outcome, Subscription};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) use self::api::Refusal;
pub use self::message::Key;
use self::target::Targets;
use crate::metrics::Counters;
use crate::token::Claims;

/// The contract's topics that end something a learner waits for.
pub const EVENTS: [&str; 4] = [
    "document.processed",
    "quiz.generated",
    "audio.transcription.completed",
    "audio.generation.completed",
];
/// The consumer group; no component can have that name.
const GROUP: &str = "lectern-webhooks";
/// Before what failed at the broker or the database is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Webhooks of all learners.
pub struct Webhooks {
    store: Store,
    key: Key,
    targets: Targets,
    counters: Counters,
    /// There may be something to send.
    due: Notify,
}

impl Webhooks {
    /// Kept in `store`, signed with secrets from `key`. With `loopback` they may lead to this machine.
    pub fn new(store: Store, key: Key, loopback: bool, counters: Counters) -> Self {
        Self {
            store,
            key,
            targets: Targets::new(loopback),
            counters,
            due: Notify::new(),
        }
    }

    /// Whether a request is for them.
    pub(crate) fn is_route(path: &str) -> bool {
        path == api::ROUTE
            || path
                .strip_prefix(api::ROUTE)
                .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Answers such a request.
    pub(crate) async fn answer(
        &self,
        claims: Option<&Claims>,
        request: Request,
    ) -> Result<Response, Refusal> {
        api::answer(self, claims, request).await
    }

    /// Takes events and tells of them, until `stop`; what is cut off then is sent again.
    pub fn start(
        self: &Arc<Self>,
        broker: Arc<dyn Broker>,
        stop: CancellationToken,
    ) -> TaskTracker {
        let tasks = TaskTracker::new();
        let (taking, sending) = (self.clone(), self.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            taking.take(&broker).await;
        }));
        tasks.spawn(sending.send(stop));
        tasks.close();
        tasks
    }

    async fn take(&self, broker: &Arc<dyn Broker>) {
        let topics = EVENTS.map(ToOwned::to_owned);
        loop {
            match broker.subscribe(GROUP, &topics).await {
                Ok(subscription) => self.follow(subscription).await,
                Err(error) => tracing::warn!(%error, "webhooks wait for the broker"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn follow(&self, mut subscription: Box<dyn Subscription>) {
        loop {
            match subscription.next().await {
                Ok(delivery) => self.store(delivery).await,
                Err(error) => {
                    tracing::warn!(%error, "events for webhooks cannot be received; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn store(&self, delivery: Delivery) {
        let stored = self.note(&delivery).await;
        let outcome = match stored {
            Ok(0) => Outcome::Done,
            Ok(_) => {
                self.due.notify_one();
                Outcome::Done
            }
            Err(error) => Outcome::Retry {
                after: PAUSE,
                failure: None,
                error: error.to_string(),
            },
        };
        let id = delivery.event.id.clone();
        if let Err(error) = delivery.settle.settle(outcome).await {
            tracing::warn!(%error, "event={id} is not settled for webhooks; it will come again");
        }
    }

    /// Stores what is to be told of an event; an event of nobody's is told to nobody.
    async fn note(&self, delivery: &Delivery) -> Result<u64, Error> {
        let event = &delivery.event;
        let payload = serde_json::from_str::<Value>(&event.payload).unwrap_or_default();
        let text = |name: &str| payload[name].as_str().map(ToOwned::to_owned);
        let (Some(user), Ok(id)) = (text("user_id"), Uuid::parse_str(&event.id)) else {
            return Ok(0);
        };
        let tenant = text("tenant").unwrap_or_default();
        let body = message::body(&event.topic, event.occurred_at, &payload);
        let owner = Owner { tenant, user };
        let told = self.store.tell(&owner, id, &event.topic, &body).await;
        told.map_err(|error| Error::Unavailable(error.to_string()))
    }
}
