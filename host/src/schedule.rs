//! Calls components by the clock: one host among all does, and each timer by itself.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backend::dead_letters::DeadLetters;
use backend::timers::{Due, Ended, Timer, Timers};
use capability::events::Error;
use capability::trace::{Cause, Span, SpanKind};
use runtime::Revision;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::live::Live;

/// How often to look; a timer's shortest time is a second.
const LOOK: Duration = Duration::from_millis(500);

/// Between two times that old dead letters are deleted.
const FORGET: Duration = Duration::from_secs(3_600);

type Name = (String, String);

/// The clock of this host.
pub struct Schedule {
    live: Arc<Live>,
    timers: Timers,
    dead_letters: DeadLetters,
    /// When they were last looked through.
    forgotten: Option<Instant>,
    /// What the database has been told.
    kept: Vec<Timer>,
    calls: TaskTracker,
    running: Arc<Mutex<HashSet<Name>>>,
}

impl Schedule {
    /// For what serves in `live`.
    pub fn new(live: Arc<Live>, timers: Timers, dead_letters: DeadLetters) -> Self {
        Self {
            live,
            timers,
            dead_letters,
            forgotten: None,
            kept: vec![],
            calls: TaskTracker::new(),
            running: Arc::default(),
        }
    }

    /// Until `stop`, and until the calls that are under way have ended.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "timers cannot be looked up; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => break,
            }
        }
        self.calls.close();
        self.calls.wait().await;
    }

    async fn look(&mut self) -> Result<(), Error> {
        let wanted = self.wanted();
        if wanted.is_empty() || !self.timers.lead().await? {
            return Ok(());
        }
        self.forget_dead_letters();
        let timers: Vec<_> = wanted.keys().cloned().collect();
        if timers != self.kept {
            self.timers.keep(&timers).await?;
            self.kept = timers;
        }
        for due in self.timers.due().await? {
            let is_it = |timer: &&Timer| timer.component == due.component && timer.name == due.name;
            if let Some(timer) = wanted.keys().find(is_it) {
                self.call(wanted[timer].clone(), due);
            }
        }
        Ok(())
    }

    /// Now and then, and beside the calls: many may be old at once.
    fn forget_dead_letters(&mut self) {
        if self.forgotten.is_some_and(|at| at.elapsed() < FORGET) {
            return;
        }
        self.forgotten = Some(Instant::now());
        let dead_letters = self.dead_letters.clone();
        self.calls.spawn(async move {
            match dead_letters.forget().await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "old dead letters were deleted"),
                Err(error) => tracing::warn!(%error, "old dead letters stay for now"),
            }
        });
    }

    /// Of the stable revisions of what is in service.
    fn wanted(&self) -> BTreeMap<Timer, Arc<Revision>> {
        let table = self.live.table();
        let in_service = table.services().iter().filter(|service| !service.draining);
        let timers = in_service.flat_map(|service| {
            let schedule = service.stable.manifest().schedule.iter();
            schedule.map(|(name, timer)| {
                let timer = Timer {
                    component: service.name.to_string(),
                    name: name.clone(),
                    every: timer.every,
                };
                (timer, service.stable.clone())
            })
        });
        timers.collect()
    }

    /// Unless it is being made already.
    fn call(&self, revision: Arc<Revision>, due: Due) {
        let Some(running) = Running::begin(&self.running, &due) else {
            return;
        };
        let ended = self.timers.ended();
        let here = tokio::runtime::Handle::current();
        let background = revision.background().cloned().unwrap_or(here);
        let call = async move {
            call_part(&revision, &due, &ended).await;
            drop(running);
        };
        self.calls.spawn_on(call, &background);
    }
}

/// A timer whose call is under way.
struct Running {
    all: Arc<Mutex<HashSet<Name>>>,
    name: Name,
}

impl Running {
    fn begin(all: &Arc<Mutex<HashSet<Name>>>, due: &Due) -> Option<Self> {
        let name = (due.component.clone(), due.name.clone());
        let is_new = {
            let mut running = all.lock().unwrap_or_else(PoisonError::into_inner);
            running.insert(name.clone())
        };
        let all = all.clone();
        is_new.then_some(Self { all, name })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.name);
    }
}

/// At the beginning of a trace, and of all that goes on from there under one id.
async fn call_part(revision: &Revision, due: &Due, ended: &Ended) {
    let tracer = revision.tracer();
    let span = tracer.begin(SpanKind::Internal, None, || {
        let (_, attributes) = crate::dispatch::told(revision);
        (format!("timer {}", due.name), attributes)
    });
    let cause = Cause {
        request_id: Some(uuid::Uuid::now_v7().to_string().into()),
        span: span.context(),
        tracer: tracer.clone(),
    };
    cause.scope(call(revision, due, ended, span)).await;
}

async fn call(revision: &Revision, due: &Due, ended: &Ended, mut span: Span) {
    let (service, timer) = (&due.component, &due.name);
    let at = due.at.unix_timestamp_nanos() / 1_000_000;
    let answer = revision
        .run_scheduled(timer, u64::try_from(at).unwrap_or(0))
        .await;
    match &answer {
        Ok(Ok(())) => {}
        Ok(Err(_)) => span.fail("the component's"),
        Err(_) => span.answered(&answer),
    }
    let error = match answer {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(error) => Some(error.to_string()),
    };
    match &error {
        None => tracing::debug!(service, "the timer {timer} was called"),
        Some(error) => tracing::error!(service, "the timer {timer} failed: {error}"),
    }
    if let Err(error) = ended.record(due, error.as_deref()).await {
        tracing::warn!(service, %error, "the timer {timer} was not moved on; it will be called again");
    }
}
