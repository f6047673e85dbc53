//! Events to components: one subscription a consumer, each event in an instance of its own, settled
//! when the handler has answered.

use std::sync::Arc;

use capability::events::{Broker, Delivery, Outcome};
use runtime::revision::backoff;
use runtime::{CallError, Revision};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// All consumers' loops.
pub struct Deliveries {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Deliveries {
    /// Subscribes every component that consumes.
    pub async fn start(
        broker: &Arc<dyn Broker>,
        components: &[Arc<Revision>],
    ) -> Result<Self, capability::events::Error> {
        let deliveries = Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        for revision in components {
            let manifest = revision.manifest();
            let Some(grant) = manifest
                .grants
                .events
                .as_ref()
                .filter(|grant| !grant.consume.is_empty())
            else {
                continue;
            };
            let subscription = broker
                .subscribe(manifest.name.as_str(), &grant.consume)
                .await?;
            let consumer = Consumer {
                revision: revision.clone(),
                tasks: deliveries.tasks.clone(),
            };
            deliveries
                .tasks
                .spawn(consumer.run(subscription, deliveries.stop.clone()));
        }
        Ok(deliveries)
    }

    /// Takes no more; waits for those in hand. Dropped earlier, they go back.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Consumer {
    revision: Arc<Revision>,
    tasks: TaskTracker,
}

impl Consumer {
    async fn run(
        self,
        mut subscription: Box<dyn capability::events::Subscription>,
        stop: CancellationToken,
    ) {
        let at_once = Arc::new(Semaphore::new(
            self.revision.manifest().event_limits.concurrency,
        ));
        loop {
            let Ok(room) = at_once.clone().acquire_owned().await else {
                return;
            };
            let next = tokio::select! {
                next = subscription.next() => next,
                () = stop.cancelled() => return,
            };
            match next {
                Ok(delivery) => {
                    let revision = self.revision.clone();
                    self.tasks.spawn(async move {
                        handle(&revision, delivery).await;
                        drop(room);
                    });
                }
                Err(error) => {
                    let service = &self.revision.manifest().name;
                    tracing::warn!(%service, %error, "events cannot be received; trying again");
                    tokio::time::sleep(backoff(3)).await;
                }
            }
        }
    }
}

async fn handle(revision: &Revision, delivery: Delivery) {
    let service = revision.manifest().name.clone();
    let outcome = match revision.handle_event(&delivery).await {
        Ok(outcome) => outcome,
        Err(error) => failed(&delivery, &error),
    };
    let outcome = within_attempts(
        outcome,
        &delivery,
        revision.manifest().event_limits.max_attempts,
    );
    let (id, topic, attempt) = (&delivery.event.id, &delivery.event.topic, delivery.attempt);
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

fn failed(delivery: &Delivery, error: &CallError) -> Outcome {
    Outcome::Retry {
        after: backoff(delivery.attempt),
        failure: error.failure(),
        error: error.to_string(),
    }
}

fn within_attempts(outcome: Outcome, delivery: &Delivery, most: u32) -> Outcome {
    match outcome {
        Outcome::Retry { error, .. } if delivery.attempt >= most => Outcome::Reject {
            reason: format!("given up after {most} attempts; the last: {error}"),
        },
        outcome => outcome,
    }
}
