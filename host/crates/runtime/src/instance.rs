//! Instances for requests: how they are made, shared, used again and ended.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use capability::usage::Subject;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use wasmtime::component::GuestTaskId;
use wasmtime::{AsContextMut, CallHook, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};

use crate::Engine;
use crate::limits::{Verdict, cause};
use crate::manifest::{self, Limits};
use crate::state::{State, Template};
use crate::stats::Stats;
use crate::trace::{self, Call};

/// What the instances of one revision share: its end, and what they count.
#[derive(Default)]
pub(crate) struct Life {
    /// No more is asked of it: what idles ends.
    pub(crate) retired: CancellationToken,
    /// Its time to end is over: everything ends.
    pub(crate) killed: CancellationToken,
    pub(crate) stats: Stats,
}

/// A store within those limits.
pub(crate) fn store(
    engine: &Engine,
    template: Arc<Template>,
    memory_mib: u64,
    cpu_ms: u64,
    verdict: &Verdict,
) -> Store<State> {
    let hostcall = usize::try_from(template.manifest.limits.hostcall_mib << 20);
    let mut store = Store::new(
        &engine.inner,
        State::new(template, memory_mib, cpu_ms, verdict),
    );
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(hostcall.unwrap_or(usize::MAX));
    let cpu = store.data().cpu.clone();
    store.epoch_deadline_callback(move |context| cpu.spend(context));
    store.set_epoch_deadline(1);
    // The time that passed while the guest waited is not its own.
    let goes_out = store.data().goes_out();
    store.call_hook(move |mut context, hook| {
        match hook {
            CallHook::CallingWasm => context.set_epoch_deadline(1),
            // A request to the outside reaches the host by a way that does not say who calls.
            CallHook::CallingHost if goes_out => {
                let caller = trace::caller(context.as_context_mut());
                context.data_mut().ask_out_for(caller);
            }
            _ => {}
        }
        Ok(())
    });
    store
}

/// Makes the instances of one revision.
pub(crate) struct Factory {
    pub(crate) engine: Engine,
    pub(crate) template: Arc<Template>,
    pub(crate) pre: ProxyPre<State>,
    pub(crate) life: Arc<Life>,
    /// Takes one request and no other: where one is tried again whose instance another took down.
    pub(crate) solo: bool,
}

impl HandlerState for Factory {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Worker>> {
        let manifest = &self.template.manifest;
        let limits = manifest.limits;
        let verdict = Verdict::default();
        let mut store = store(
            &self.engine,
            self.template.clone(),
            limits.memory_mib,
            limits.cpu_ms,
            &verdict,
        );
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Expiration::new(limits, manifest.instance, &self.life),
            state: Worker {
                template: self.template.clone(),
                life: self.life.clone(),
                solo: self.solo,
                verdict,
                running: AtomicUsize::new(0),
            },
        })
    }
}

/// Ends an instance that idles, that is of no more use, or that holds a request past its deadline. Polled from outside the
/// guest's event loop, which a busy guest may never leave.
pub(crate) struct Expiration {
    sleep: Pin<Box<Sleep>>,
    retired: Pin<Box<WaitForCancellationFutureOwned>>,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    idle: Duration,
    deadline: Duration,
    response: Duration,
}

impl Expiration {
    fn new(limits: Limits, instance: manifest::Instance, life: &Life) -> Self {
        let idle = Duration::from_millis(instance.idle_ms);
        Self {
            sleep: Box::pin(tokio::time::sleep(idle)),
            retired: Box::pin(life.retired.clone().cancelled_owned()),
            killed: Box::pin(life.killed.clone().cancelled_owned()),
            idle,
            // The request's own timer comes first, and spares the other requests.
            deadline: limits.deadline() + Duration::from_secs(1),
            response: Duration::from_millis(limits.response_ms),
        }
    }
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        if self.killed.as_mut().poll(cx).is_ready()
            || status == WorkerStatus::Idle && self.retired.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(());
        }
        let after = match status {
            WorkerStatus::Idle => self.idle,
            WorkerStatus::Requests => self.deadline,
            WorkerStatus::PostReturn => self.response,
        };
        let at: tokio::time::Instant = (start + after).into();
        // The timer may fire early, and is set again then: setting it at every change of a busy
        // instance's status is most of its cost.
        if self.sleep.deadline() > at {
            self.sleep.as_mut().reset(at);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if tokio::time::Instant::now() >= at {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}

/// Says which requests an instance takes, and what became of it.
pub(crate) struct Worker {
    template: Arc<Template>,
    life: Arc<Life>,
    solo: bool,
    verdict: Verdict,
    /// Requests that were running when the last one was accepted.
    running: AtomicUsize,
}

impl WorkerState for Worker {
    type StoreData = State;
    /// The call, and who makes it, where that is known.
    type RequestData = (Arc<Call>, Option<Subject>);

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        self.running.store(concurrent, Ordering::Relaxed);
        let instance = self.template.manifest.instance;
        if total >= instance.reuse || self.solo && total > 0 {
            ShouldAccept::Never
        } else if concurrent >= instance.concurrency {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, State>,
        (call, who): (Arc<Call>, Option<Subject>),
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        let running = self.running.load(Ordering::Relaxed);
        store.data().cpu.refill(running as u64 + 1);
        store.data_mut().calls.begin(task, call);
        store.data_mut().begin(task, who);
        Box::pin(tokio::time::sleep(self.template.manifest.limits.deadline()))
    }

    fn drop(&self, store: Store<State>, result: Result<(), wasmtime::Error>) {
        drop(store);
        // A runtime that shuts down drops idle instances, which look as if they had panicked.
        if let Err(error) = result
            && !self.life.retired.is_cancelled()
        {
            self.life.stats.trap();
            let service = &self.template.manifest.name;
            let why = self.verdict.error(&error);
            tracing::error!(%service, cause = %cause(&error), "an instance ended: {why}");
            tracing::debug!(%service, "{error:?}");
        }
    }
}
