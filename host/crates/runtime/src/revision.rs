//! A component in service: takes requests and events, each within the manifest's limits.

use std::sync::Arc;
use std::time::Duration;

use capability::breaker::{Breaker, Policy, Share};
use capability::events::{Delivery, Outcome};
use capability::trace::{Cause, Tracer};
use capability::usage::Subject;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wasmtime::Store;
use wasmtime::error::Context as _;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{ExpirationError, InstantiationError, ProxyHandler};

use crate::bindings::exports::lectern::platform::{
    event_handler as wit, schedule_handler as schedule,
};
use crate::caller;
use crate::component::Component;
use crate::error::CallError;
use crate::instance::{self, Factory, Life};
use crate::limits::{Verdict, cause};
use crate::manifest::Manifest;
use crate::queue::Queue;
use crate::state::State;
use crate::stats::{Ended, Stats};
use crate::trace::{Call, Remembered};

/// A component in service. Another takes its place by being asked instead; this one then drains, and
/// ends with the last of its requests, streams and events.
pub struct Revision {
    component: Arc<Component>,
    name: String,
    http: Option<ProxyHandler<Factory>>,
    /// For requests whose instance another request took down.
    solo: Option<ProxyHandler<Factory>>,
    queue: Queue,
    streams: Arc<Semaphore>,
    running: TaskTracker,
    life: Arc<Life>,
    breaker: Breaker,
}

/// When requests are refused at once because those before had no answer. One learner whose requests all
/// trap, beside others, opens nothing.
const BREAKER: Policy = Policy {
    failures: 20,
    cool_down: Duration::from_secs(2),
    share: Some(Share {
        percent: 80,
        of: 50,
        within: Duration::from_secs(10),
    }),
};

/// Streams of events beside the turns, for each of them: who listens to progress costs little, and keeps
/// nobody from asking.
const STREAMS: usize = 4;

/// A request's turn; hold it until the response's body has ended.
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    _running: TaskTrackerToken,
}

impl Revision {
    /// Puts the component in service under that name: the hash of all that makes the revision.
    pub fn new(component: Arc<Component>, name: String) -> Self {
        let life = Arc::new(Life::default());
        let handler = |solo| {
            component.http.as_ref().map(|http| {
                ProxyHandler::new(Factory {
                    engine: component.engine.clone(),
                    template: component.template.clone(),
                    pre: http.pre(),
                    life: life.clone(),
                    solo,
                })
            })
        };
        let limits = component.template.manifest.limits;
        Self {
            http: handler(false),
            solo: handler(true),
            streams: Arc::new(Semaphore::new(limits.concurrency * STREAMS)),
            queue: Queue::new(limits.concurrency, limits.queue, limits.patience()),
            running: TaskTracker::new(),
            life,
            breaker: Breaker::new(BREAKER),
            component,
            name,
        }
    }

    /// The hash of its wasm, manifest and migrations, in hexadecimal.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was made from; another revision in service can be made from it at once.
    pub fn component(&self) -> &Arc<Component> {
        &self.component
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.component.template.manifest
    }

    /// The wasm's SHA-256 in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.component.digest
    }

    /// What it did so far.
    pub fn stats(&self) -> &Stats {
        &self.life.stats
    }

    /// How often its component asked for what the manifest does not grant.
    pub fn denials(&self) -> u64 {
        self.component.template.denials.all()
    }

    /// Where its spans go.
    pub fn tracer(&self) -> &Tracer {
        &self.component.template.capabilities.tracer
    }

    /// Instances that there are now, also idle ones.
    pub fn instances(&self) -> usize {
        self.component.template.instances.all()
    }

    /// Between requests and this revision.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Servers outside that it does not reach, and does not ask for now.
    pub fn servers_given_up(&self) -> usize {
        self.component.template.outbound_breakers.open()
    }

    /// Requests, streams and events in hand.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Requests that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// After nobody asks it any more: waits until all that it has in hand has ended, for `deadline`
    /// at most, then ends the rest. Answers how much that was. Who asks it late all the same is
    /// still answered before the deadline.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.running.close();
        let ended = tokio::time::timeout(deadline, self.running.wait()).await;
        self.life.retired.cancel();
        match ended {
            Ok(()) => 0,
            Err(_) => {
                let left = self.running.len();
                self.life.killed.cancel();
                left
            }
        }
    }

    /// Makes an instance and drops it again: whether it starts, within its limits.
    pub async fn start(&self) -> Result<(), CallError> {
        let Component {
            engine,
            template,
            instance_pre,
            ..
        } = &*self.component;
        let (verdict, limits) = (Verdict::default(), self.manifest().limits);
        let mut store = instance::store(
            engine,
            template.clone(),
            limits.memory_mib,
            limits.cpu_ms,
            &verdict,
        );
        let start = instance_pre.instantiate_async(&mut store);
        match tokio::time::timeout(limits.deadline(), start).await {
            Err(_) => Err(CallError::Deadline),
            Ok(Err(error)) => Err(verdict.error(&error)),
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// A turn beside all others: for a probe, which must not wait behind what it is to report.
    pub fn extra_turn(&self) -> Turn {
        Turn {
            _permit: None,
            _running: self.running.token(),
        }
    }

    /// For an answer that is a stream of events: gives the turn back where there is a place for it.
    pub fn streaming(&self, turn: Turn) -> Turn {
        match self.streams.clone().try_acquire_owned() {
            Ok(place) => Turn {
                _permit: Some(place),
                ..turn
            },
            Err(_) => turn,
        }
    }

    /// Waits for a turn, unless as many wait already as may, or it takes too long.
    pub async fn turn(&self) -> Result<Turn, CallError> {
        let running = self.running.token();
        let permit = self.queue.turn().await.ok_or(CallError::Overloaded)?;
        Ok(Turn {
            _permit: Some(permit),
            _running: running,
        })
    }

    /// Answers the request, for the [`Subject`] among its extensions. The response's body may still come from the guest. A request that can be
    /// told twice without harm is, where its instance broke: most often another one broke it.
    pub async fn handle(
        &self,
        request: http::Request<WasiBody>,
    ) -> Result<http::Response<WasiBody>, CallError> {
        let Some(handler) = &self.http else {
            return Err(CallError::NoInstance("it answers no requests".into()));
        };
        let again = self.repeatable(&request);
        let call = Call::now(&self.name);
        let answer = match (self.ask(handler, request, &call).await, again, &self.solo) {
            (Err(CallError::Trap(_)), Some(again), Some(solo)) => {
                self.ask(solo, again, &call).await
            }
            (answer, _, _) => answer,
        };
        answer.map(|response| response.map(|body| Remembered { body, _call: call }.boxed_unsync()))
    }

    /// A copy of a request without effects and without a body, where instances are shared.
    fn repeatable(&self, request: &http::Request<WasiBody>) -> Option<http::Request<WasiBody>> {
        let repeatable = self.manifest().instance.concurrency > 1
            && request.method().is_safe()
            && request.body().is_end_stream();
        repeatable.then(|| {
            let mut copy = http::Request::new(empty());
            *copy.method_mut() = request.method().clone();
            *copy.uri_mut() = request.uri().clone();
            *copy.headers_mut() = request.headers().clone();
            if let Some(who) = request.extensions().get::<Subject>() {
                copy.extensions_mut().insert(who.clone());
            }
            copy
        })
    }

    async fn ask(
        &self,
        handler: &ProxyHandler<Factory>,
        request: http::Request<WasiBody>,
        call: &Arc<Call>,
    ) -> Result<http::Response<WasiBody>, CallError> {
        // Beside the request's own timer inside the guest's event loop, which a busy guest may keep
        // from running.
        let deadline = self.manifest().limits.deadline() + Duration::from_secs(2);
        let who = request.extensions().get::<Subject>().cloned();
        let answer = self.placed(handler.handle((call.clone(), who), request));
        match tokio::time::timeout(deadline, answer).await {
            Err(_) => Err(CallError::Deadline),
            Ok(Err(error)) if error.is::<ExpirationError>() => Err(CallError::Deadline),
            Ok(Err(error)) if error.is::<InstantiationError<Arc<Call>>>() => {
                Err(CallError::NoInstance(cause(&error)))
            }
            Ok(Err(_)) if self.life.killed.is_cancelled() => Err(CallError::Retired),
            Ok(answer) => answer.map_err(|error| CallError::Trap(cause(&error))),
        }
    }

    /// Where its guests' tasks start: beside everybody's, or, where they have kept the processor for
    /// long, on threads that give way.
    async fn placed<T>(&self, task: impl Future<Output = T>) -> T {
        let Component {
            engine, template, ..
        } = &*self.component;
        let elsewhere = match template.noise.is_heard() {
            true => engine.background.handle(),
            false => None,
        };
        let mut task = std::pin::pin!(task);
        std::future::poll_fn(|context| {
            let _entered = elsewhere.map(tokio::runtime::Handle::enter);
            task.as_mut().poll(context)
        })
        .await
    }

    /// Threads that give way to requests: for the tasks that handle its events.
    pub fn background(&self) -> Option<&tokio::runtime::Handle> {
        self.component.engine.background.handle()
    }

    /// Hands the event to an instance of its own.
    pub async fn handle_event(&self, delivery: &Delivery) -> Result<Outcome, CallError> {
        let pre = &self.component.instance_pre;
        let Ok(indices) = wit::GuestIndices::new(pre) else {
            return Err(CallError::NoInstance("it exports no event handler".into()));
        };
        let (mut store, verdict) = self.event_store();
        store.data_mut().call_for(caller::of_event(&delivery.event));
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
        let answer = self.within_event_limits(&verdict, call).await?;
        let answer = answer.map(|disposition| outcome(disposition, delivery.attempt));
        // What waits for something that is away is no error of the revision's.
        self.life.stats.event(match &answer {
            Ok(Outcome::Done | Outcome::Retry { .. }) => Ended::Answered,
            Ok(Outcome::Reject { .. }) | Err(_) => Ended::Failed,
        });
        answer
    }

    /// Tells an instance of its own, within the limits of events, that the timer was due then: in
    /// milliseconds since 1970-01-01T00:00:00Z. The inner error is the component's.
    pub async fn run_scheduled(
        &self,
        name: &str,
        due_at: u64,
    ) -> Result<Result<(), String>, CallError> {
        let pre = &self.component.instance_pre;
        let Ok(indices) = schedule::GuestIndices::new(pre) else {
            return Err(CallError::NoInstance(
                "it exports no schedule handler".into(),
            ));
        };
        let (mut store, verdict) = self.event_store();
        let tick = schedule::Tick {
            name: name.to_owned(),
            due_at,
        };
        let call = async {
            let instance = pre
                .instantiate_async(&mut store)
                .await
                .context("instantiate")?;
            let guest = indices.load(&mut store, &instance)?;
            store
                .run_concurrent(async |accessor| guest.call_run(accessor, tick).await)
                .await?
        };
        let answer = self.within_event_limits(&verdict, call).await?;
        self.life.stats.event(match &answer {
            Ok(Ok(())) => Ended::Answered,
            Ok(Err(_)) | Err(_) => Ended::Failed,
        });
        Ok(answer?.map_err(|why| why.chars().take(MAX_REASON).collect()))
    }

    fn event_store(&self) -> (Store<State>, Verdict) {
        let (limits, verdict) = (self.manifest().event_limits, Verdict::default());
        let mut store = instance::store(
            &self.component.engine,
            self.component.template.clone(),
            limits.memory_mib,
            limits.cpu_ms,
            &verdict,
        );
        store.data_mut().calls.only = Some(Call::now(&self.name));
        (store, verdict)
    }

    /// Until its answer, its deadline, or this revision's end, which is the outer error: nothing that
    /// counts.
    async fn within_event_limits<T>(
        &self,
        verdict: &Verdict,
        call: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<Result<T, CallError>, CallError> {
        let _running = self.running.token();
        let deadline = Duration::from_millis(self.manifest().event_limits.deadline_ms);
        let within = tokio::time::timeout(deadline, call);
        match self.life.killed.run_until_cancelled(within).await {
            None => Err(CallError::Retired),
            Some(Err(_)) => Ok(Err(CallError::Deadline)),
            Some(Ok(Err(error))) => {
                self.life.stats.trap();
                tracing::debug!(service = %self.manifest().name, "{error:?}");
                Ok(Err(verdict.error(&error)))
            }
            Some(Ok(Ok(answer))) => Ok(Ok(answer)),
        }
    }
}

fn empty() -> WasiBody {
    http_body_util::Empty::new()
        .map_err(|never: std::convert::Infallible| match never {})
        .boxed_unsync()
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
        // That of its own span.
        trace: Cause::now().traceparent().or_else(|| event.trace.clone()),
        attempt: delivery.attempt,
        previous,
    }
}

/// Guest-controlled: characters of what a handler says.
const MAX_REASON: usize = 2_000;
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
            reason: reason.chars().take(MAX_REASON).collect(),
        },
    }
}

/// How long to wait after so many attempts: from a quarter of a second, doubled, to a minute.
pub fn backoff(attempt: u32) -> Duration {
    let doubled = 250u64.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    Duration::from_millis(doubled.min(60_000))
}
