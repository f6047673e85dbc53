//! A component in service: takes requests and events, each within the manifest's limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use capability::events::{Delivery, Outcome};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::error::Context as _;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{ExpirationError, InstantiationError, ProxyHandler};

use crate::Engine;
use crate::bindings::exports::lectern::platform::event_handler as wit;
use crate::component::Component;
use crate::error::CallError;
use crate::instance::{self, Factory};
use crate::limits::{Verdict, cause};
use crate::manifest::Manifest;
use crate::state::{State, Template};

/// A component in service.
pub struct Revision {
    engine: Engine,
    template: Arc<Template>,
    digest: String,
    http: Option<ProxyHandler<Factory>>,
    events: Option<(wasmtime::component::InstancePre<State>, wit::GuestIndices)>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A request's turn; hold it until the response's body has ended.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Revision {
    /// Puts the component in service.
    pub fn new(component: Component) -> Self {
        let Component {
            engine,
            template,
            digest,
            instance_pre,
            http,
            events,
        } = component;
        let factory = |pre| Factory {
            engine: engine.clone(),
            template: template.clone(),
            pre,
        };
        Self {
            http: http.map(|pre| ProxyHandler::new(factory(pre))),
            events: events.map(|indices| (instance_pre, indices)),
            turns: Arc::new(Semaphore::new(template.manifest.limits.concurrency)),
            waiting: AtomicUsize::new(0),
            engine,
            template,
            digest,
        }
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.template.manifest
    }

    /// The wasm's SHA-256 in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The end of its service: it takes no more turns.
    pub fn retire(&self) {
        self.turns.close();
        self.template.retired.store(true, Ordering::Relaxed);
    }

    /// Waits for a turn, unless as many wait already as may.
    pub async fn turn(&self) -> Result<Turn, CallError> {
        if let Ok(permit) = self.turns.clone().try_acquire_owned() {
            return Ok(Turn { _permit: permit });
        }
        let limits = &self.manifest().limits;
        let _place = Place::take(&self.waiting, limits.queue).ok_or(CallError::Overloaded)?;
        let permit =
            tokio::time::timeout(limits.deadline(), self.turns.clone().acquire_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            _ => Err(CallError::Overloaded),
        }
    }

    /// Answers the request. The response's body may still come from the guest.
    pub async fn handle(
        &self,
        request: http::Request<WasiBody>,
    ) -> Result<http::Response<WasiBody>, CallError> {
        let Some(handler) = &self.http else {
            return Err(CallError::NoInstance("it answers no requests".into()));
        };
        // Beside the request's own timer inside the guest's event loop, which a busy guest may keep
        // from running.
        let deadline = self.manifest().limits.deadline() + Duration::from_secs(2);
        match tokio::time::timeout(deadline, handler.handle((), request)).await {
            Err(_) => Err(CallError::Deadline),
            Ok(Err(error)) if error.is::<ExpirationError>() => Err(CallError::Deadline),
            Ok(Err(error)) if error.is::<InstantiationError<()>>() => {
                Err(CallError::NoInstance(cause(&error)))
            }
            Ok(answer) => answer.map_err(|error| CallError::Trap(cause(&error))),
        }
    }

    /// Hands the event to an instance of its own.
    pub async fn handle_event(&self, delivery: &Delivery) -> Result<Outcome, CallError> {
        let Some((pre, indices)) = &self.events else {
            return Err(CallError::NoInstance("it exports no event handler".into()));
        };
        let limits = self.manifest().event_limits;
        let verdict = Verdict::default();
        let mut store = instance::store(
            &self.engine,
            self.template.clone(),
            limits.memory_mib,
            limits.cpu_ms,
            &verdict,
        );
        let event = event(delivery);
        let call = async {
            let instance = pre
                .instantiate_async(&mut store)
                .await
                .context("instantiate")?;
            let guest = indices.load(&mut store, &instance)?;
            store
                .run_concurrent(async |accessor| guest.call_handle(accessor, event).await)
                .await?
        };
        match tokio::time::timeout(Duration::from_millis(limits.deadline_ms), call).await {
            Err(_) => Err(CallError::Deadline),
            Ok(Err(error)) => {
                tracing::debug!(service = %self.manifest().name, "{error:?}");
                Err(verdict.error(&error))
            }
            Ok(Ok(disposition)) => Ok(outcome(disposition, delivery.attempt)),
        }
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn event(delivery: &Delivery) -> wit::Event {
    use capability::events::Failure;
    let previous = delivery.previous.map(|failure| match failure {
        Failure::Trap => wit::Failure::Trap,
        Failure::Cpu => wit::Failure::Cpu,
        Failure::Deadline => wit::Failure::Deadline,
        Failure::Memory => wit::Failure::Memory,
    });
    let event = &delivery.event;
    wit::Event {
        id: event.id.clone(),
        topic: event.topic.clone(),
        key: event.key.clone(),
        payload: event.payload.clone(),
        occurred_at: event.occurred_at,
        attempt: delivery.attempt,
        previous,
    }
}

/// Guest-controlled: a wait is one day at most.
const MAX_WAIT: Duration = Duration::from_secs(86_400);

fn outcome(disposition: Result<(), wit::Disposition>, attempt: u32) -> Outcome {
    match disposition {
        Ok(()) => Outcome::Done,
        Err(wit::Disposition::Retry(after)) => Outcome::Retry {
            after: after
                .map_or_else(|| backoff(attempt), Duration::from_millis)
                .min(MAX_WAIT),
            failure: None,
            error: "the handler asks for another attempt".into(),
        },
        Err(wit::Disposition::Reject(reason)) => Outcome::Reject {
            reason: reason.chars().take(2_000).collect(),
        },
    }
}

/// How long to wait after so many attempts: from a quarter of a second, doubled, to a minute.
pub fn backoff(attempt: u32) -> Duration {
    let doubled = 250u64.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    Duration::from_millis(doubled.min(60_000))
}
