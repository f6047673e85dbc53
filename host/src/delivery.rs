//! Events to components: one subscription a consumer, each event in an instance of its own, settled
//! when the handler has answered. The subscription is the component's, not a revision's: each event
//! goes to the revision that serves when it comes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use capability::ComponentName;
use capability::events::{Broker, Delivery, Event, Failure, Outcome, Subscription};
use capability::trace::{Cause, KeyValue, Span, SpanKind, parse};
use runtime::manifest::EventLimits;
use runtime::revision::backoff;
use runtime::{CallError, Manifest, Revision};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::router::RouteTable;

/// A component's loop.
pub struct Consumer {
    wants: Wants,
    at_once: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What a subscription depends on; while it stays the same, so does the subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wants {
    topics: Vec<String>,
    at_once: usize,
}

impl Wants {
    /// What the manifest says; `None` where it consumes nothing.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let topics = manifest.grants.events.as_ref()?.consume.clone();
        (!topics.is_empty()).then_some(Self {
            topics,
            at_once: manifest.event_limits.concurrency,
        })
    }
}

impl Consumer {
    /// Subscribes the component, and hands its events to whoever serves in `table`.
    pub async fn start(
        broker: &Arc<dyn Broker>,
        name: &ComponentName,
        wants: Wants,
        table: Arc<ArcSwap<RouteTable>>,
    ) -> Result<Self, capability::events::Error> {
        let subscription = broker.subscribe(name.as_str(), &wants.topics).await?;
        let consumer = Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            at_once: Arc::new(Semaphore::new(wants.at_once)),
            wants,
        };
        let turns = Loop {
            name: name.clone(),
            table,
            tasks: consumer.tasks.clone(),
            at_once: consumer.at_once.clone(),
        };
        let stop = consumer.stop.clone();
        consumer.tasks.spawn(turns.run(subscription, stop));
        Ok(consumer)
    }

    /// Whether the subscription goes on as it is wanted now, with as many events at once.
    pub fn adopts(&mut self, wants: &Wants) -> bool {
        if self.wants.topics != wants.topics {
            return false;
        }
        let (now, wanted) = (self.wants.at_once, wants.at_once);
        self.at_once.add_permits(wanted.saturating_sub(now));
        if let Ok(fewer @ 1..) = u32::try_from(now.saturating_sub(wanted)) {
            let at_once = self.at_once.clone();
            // As events end.
            tokio::spawn(async move {
                if let Ok(permits) = at_once.acquire_many_owned(fewer).await {
                    permits.forget();
                }
            });
        }
        self.wants.at_once = wanted;
        true
    }

    /// Takes no more; waits for those in hand. Dropped earlier, they go back.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Loop {
    name: ComponentName,
    table: Arc<ArcSwap<RouteTable>>,
    tasks: TaskTracker,
    at_once: Arc<Semaphore>,
}

impl Loop {
    async fn run(self, mut subscription: Box<dyn Subscription>, stop: CancellationToken) {
        loop {
            let Ok(room) = self.at_once.clone().acquire_owned().await else {
                return;
            };
            let next = tokio::select! {
                next = subscription.next() => next,
                () = stop.cancelled() => return,
            };
            match next {
                Ok(delivery) => {
                    let Some((revision, on_trial)) = self.revision(&delivery) else {
                        // Not in service: the event goes back, and comes again.
                        return;
                    };
                    let here = tokio::runtime::Handle::current();
                    let background = revision.background().cloned().unwrap_or(here);
                    let handled = async move {
                        handle(&revision, delivery, on_trial).await;
                        drop(room);
                    };
                    self.tasks.spawn_on(handled, &background);
                }
                Err(error) => {
                    let service = &self.name;
                    tracing::warn!(%service, %error, "events cannot be received; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(backoff(3)) => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Who handles it, and whether that is a canary.
    fn revision(&self, delivery: &Delivery) -> Option<(Arc<Revision>, bool)> {
        let table = self.table.load();
        let service = table.service(self.name.as_str())?;
        let (topic, key) = (&delivery.event.topic, &delivery.event.key);
        let revision = service.choose_for_event(topic, key, delivery.attempt);
        Some((revision.clone(), !Arc::ptr_eq(revision, &service.stable)))
    }
}

/// As a part of the trace that the event comes from.
async fn handle(revision: &Revision, delivery: Delivery, on_trial: bool) {
    let event = &delivery.event;
    let origin = event.trace.as_deref().and_then(|trace| parse(trace, None));
    let tracer = revision.tracer();
    let span = tracer.begin(SpanKind::Consumer, origin.as_ref(), || {
        told(revision, event, delivery.attempt)
    });
    let cause = Cause {
        request_id: event.request_id.as_deref().map(Into::into),
        span: span.context().or(origin),
        tracer: tracer.clone(),
    };
    cause
        .scope(handle_part(revision, delivery, on_trial, span))
        .await;
}

/// <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>
fn told(revision: &Revision, event: &Event, attempt: u32) -> (String, Vec<KeyValue>) {
    let (group, mut attributes) = crate::dispatch::told(revision);
    attributes.extend_from_slice(revision.tracer().system("events"));
    attributes.extend([
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", event.topic.clone()),
        KeyValue::new("messaging.consumer.group.name", group),
        KeyValue::new("messaging.message.id", event.id.clone()),
        KeyValue::new("lectern.attempt", i64::from(attempt)),
    ]);
    (format!("process {}", event.topic), attributes)
}

async fn handle_part(revision: &Revision, delivery: Delivery, on_trial: bool, mut span: Span) {
    let service = revision.manifest().name.clone();
    let outcome = match revision.handle_event(&delivery).await {
        // A canary has not the last word: the stable revision is asked next.
        Ok(Outcome::Reject { reason }) if on_trial => Outcome::Retry {
            after: backoff(delivery.attempt),
            failure: None,
            error: format!("the canary rejects it: {reason}"),
        },
        Ok(outcome) => outcome,
        Err(error) => failed(&delivery, &error),
    };
    let outcome = within_limits(outcome, &delivery, revision.manifest().event_limits);
    let (id, topic, attempt) = (&delivery.event.id, &delivery.event.topic, delivery.attempt);
    count(revision, &mut span, &outcome);
    match &outcome {
        Outcome::Done => tracing::info!(%service, "handled {topic} event={id} attempt={attempt}"),
        Outcome::Retry { error, .. } => {
            tracing::warn!(%service, "{topic} will be tried again event={id} attempt={attempt}: {error}");
        }
        Outcome::Reject { reason } => {
            tracing::error!(%service, "{topic} is a dead letter event={id} attempt={attempt}: {reason}");
        }
    }
    let (service, id) = (service.clone(), id.clone());
    if let Err(error) = delivery.settle.settle(outcome).await {
        tracing::warn!(%service, %error, "event={id} is not settled; it will come again");
    }
}

fn count(revision: &Revision, span: &mut Span, outcome: &Outcome) {
    match outcome {
        Outcome::Done => {}
        Outcome::Retry { failure, .. } => {
            revision.stats().retry();
            span.fail(failure.map_or("retry", Failure::as_str));
        }
        Outcome::Reject { .. } => {
            revision.stats().dead_letter();
            span.fail("dead letter");
        }
    }
}

fn failed(delivery: &Delivery, error: &CallError) -> Outcome {
    Outcome::Retry {
        after: backoff(delivery.attempt),
        failure: error.failure(),
        error: error.to_string(),
    }
}

/// What breaks again and again is given up after a few attempts; what waits for something that is
/// away, after a long time.
fn within_limits(outcome: Outcome, delivery: &Delivery, limits: EventLimits) -> Outcome {
    let Outcome::Retry { failure, error, .. } = &outcome else {
        return outcome;
    };
    let (attempts, most) = (delivery.broken + 1, limits.max_attempts);
    if failure.is_some() && attempts >= most {
        let reason = format!("given up after {most} broken attempts; the last: {error}");
        return Outcome::Reject { reason };
    }
    // Not since it was published: what waited in a topic for a weekend has not been tried.
    let tried_for = delivery.tried_for;
    if tried_for >= Duration::from_secs(limits.retry_for_s) {
        let reason = format!(
            "given up after {} s; the last: {error}",
            tried_for.as_secs()
        );
        return Outcome::Reject { reason };
    }
    outcome
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use capability::events::{Error, Settle};

    use super::*;

    struct Nobody;

    #[async_trait]
    impl Settle for Nobody {
        async fn settle(self: Box<Self>, _: Outcome) -> Result<(), Error> {
            Ok(())
        }
    }

    fn delivery(broken: u32, tried_for: Duration) -> Delivery {
        Delivery {
            event: Event {
                id: "1".into(),
                topic: "t".into(),
                key: "k".into(),
                payload: "{}".into(),
                occurred_at: 0,
                trace: None,
                request_id: None,
            },
            attempt: 100,
            broken,
            previous: None,
            tried_for,
            settle: Box::new(Nobody),
        }
    }

    fn is_given_up(failure: Option<Failure>, broken: u32, age_s: u64) -> bool {
        let retry = Outcome::Retry {
            after: Duration::ZERO,
            failure,
            error: "again".into(),
        };
        let delivery = delivery(broken, Duration::from_secs(age_s));
        let outcome = within_limits(retry, &delivery, EventLimits::default());
        matches!(outcome, Outcome::Reject { .. })
    }

    #[test]
    fn an_outage_of_hours_loses_no_event_and_a_poisonous_one_ends_soon() {
        assert!(!is_given_up(None, 0, 20 * 3_600));
        assert!(is_given_up(None, 0, 25 * 3_600));
        assert!(!is_given_up(Some(Failure::Trap), 6, 60));
        assert!(is_given_up(Some(Failure::Trap), 7, 60));
    }
}
