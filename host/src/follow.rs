//! Keeps this host at what all hosts agreed on, tells the others what it runs, and watches over
//! canaries.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backend::revisions::{Changes, HostReport, Traffic};
use capability::ComponentName;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::canary::{Judgement, judge};
use crate::deploy::{DeployError, Deployer};
use crate::live::Ready;
use crate::router::Trial;

/// How often to look although nobody called, and to say that this host lives.
const POLL: Duration = Duration::from_secs(1);
/// How often canaries are judged.
const JUDGE: Duration = Duration::from_millis(50);

/// This host among the others.
pub struct Follower {
    /// Makes the changes.
    pub deployer: Arc<Deployer>,
    /// This process.
    pub host: String,
    /// Where its gateway listens.
    pub listen: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// Components that are being brought to where the database says.
    pub applying: Mutex<BTreeSet<ComponentName>>,
}

impl Follower {
    /// Begins to follow, until `stop`.
    pub fn start(self, stop: CancellationToken) -> TaskTracker {
        let tasks = TaskTracker::new();
        let this = Arc::new(self);
        let (follower, stopped) = (this.clone(), stop.clone());
        tasks.spawn(async move { stopped.run_until_cancelled(follower.follow()).await });
        let (watcher, stopped) = (this.clone(), stop.clone());
        tasks.spawn(async move { stopped.run_until_cancelled(watcher.watch()).await });
        tasks.spawn(async move {
            stop.run_until_cancelled(this.beat()).await;
            if let Err(error) = this.deployer.store.leave(&this.host).await {
                tracing::debug!(%error, "the other hosts cannot be told that this one ends");
            }
        });
        tasks.close();
        tasks
    }

    /// Says that this host lives, and what it runs: in time, whatever else takes long.
    async fn beat(&self) {
        loop {
            if let Err(error) = self.report().await {
                tracing::warn!(%error, "the other hosts cannot be told what this one runs");
            }
            tokio::time::sleep(POLL / 2).await;
        }
    }

    async fn follow(self: &Arc<Self>) {
        let mut changes = None;
        loop {
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, "the other hosts' changes cannot be read; trying again");
            }
            self.wait(&mut changes).await;
        }
    }

    async fn wait(&self, changes: &mut Option<Changes>) {
        if changes.is_none() {
            *changes = self.deployer.store.changes().await.ok();
        }
        match changes {
            Some(next) => {
                if let Ok(Err(_)) = tokio::time::timeout(POLL, next.next()).await {
                    *changes = None;
                }
            }
            None => tokio::time::sleep(POLL).await,
        }
    }

    /// Each component in a task of its own: one that takes long to compile holds up no other.
    async fn catch_up(self: &Arc<Self>) -> Result<(), backend::revisions::Error> {
        for wanted in self.deployer.store.traffic().await? {
            let part = self.deployer.live.part(&wanted.component);
            // Whoever holds it is about to be where it should be.
            let is_wanted = part
                .try_lock()
                .is_ok_and(|part| part.wants(wanted.generation));
            if is_wanted && self.claim(&wanted.component) {
                let this = self.clone();
                tokio::spawn(async move {
                    this.apply(&wanted).await;
                    this.release(&wanted.component);
                });
            }
        }
        Ok(())
    }

    fn claim(&self, name: &ComponentName) -> bool {
        let mut applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        applying.insert(name.clone())
    }

    fn release(&self, name: &ComponentName) {
        let mut applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        applying.remove(name);
    }

    async fn apply(&self, wanted: &Traffic) {
        let (service, live) = (&wanted.component, &self.deployer.live);
        let ready = self.prepare(wanted).await;
        let part = live.part(service);
        let mut part = part.lock().await;
        if !part.wants(wanted.generation) {
            return;
        }
        let applied = match ready {
            Ok(ready) => live
                .apply(&mut part, wanted, &ready)
                .await
                .map_err(DeployError::from),
            Err(error) => Err(error),
        };
        match applied {
            Ok(_) => tracing::info!(%service, "follows generation {}", wanted.generation),
            Err(error) => {
                tracing::error!(%service, "generation {} is held back: {error}", wanted.generation);
                part.hold_back(wanted.generation, error.to_string());
            }
        }
    }

    /// What it names and this host does not have yet.
    async fn prepare(&self, wanted: &Traffic) -> Result<Vec<Ready>, DeployError> {
        let (deployer, name) = (&self.deployer, &wanted.component);
        let running = {
            let table = deployer.live.table();
            table
                .service(name.as_str())
                .map(|service| service.stable.name().to_owned())
        };
        let run = match running {
            Some(running) => deployer
                .find(name, &running)
                .await
                .map(|found| found.migrations),
            None => Ok(vec![]),
        };
        let run = run.unwrap_or_default();
        let mut ready = vec![];
        deployer.complete(&mut ready, wanted, &run).await?;
        Ok(ready)
    }

    /// Says what this host runs.
    async fn report(&self) -> Result<(), backend::revisions::Error> {
        let mut components = Map::new();
        for (name, part) in self.deployer.live.parts() {
            let Ok(part) = part.try_lock() else { continue };
            let state = (part.generation, part.held_back.clone());
            drop(part);
            components.insert(name.to_string(), self.state(&name, state));
        }
        let report = HostReport {
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen: self.listen.clone(),
            started_at: self.started_at,
            components: Value::Object(components),
        };
        self.deployer.store.report(&report).await
    }

    fn state(&self, name: &ComponentName, (generation, held_back): (i64, Option<String>)) -> Value {
        let table = self.deployer.live.table();
        let service = table.service(name.as_str());
        json!({
            "generation": generation,
            "held_back": held_back,
            "stable": service.map(|service| service.stable.name()),
            "canary": service.and_then(|s| s.canary.as_ref()).map(|trial| trial.revision.name()),
        })
    }

    /// Judges every canary, again and again.
    async fn watch(&self) {
        loop {
            tokio::time::sleep(JUDGE).await;
            let table = self.deployer.live.table().clone();
            for service in table.services() {
                if let Some(trial) = &service.canary {
                    let now = service.stable.stats().snapshot();
                    let meanwhile = now.since(&trial.baseline);
                    // Where the canary gets everything, the stable's own history is what is usual.
                    let usual = if meanwhile.requests == 0 {
                        now
                    } else {
                        meanwhile
                    };
                    self.judge(&service.name, trial, &usual).await;
                }
            }
        }
    }

    async fn judge(&self, name: &ComponentName, trial: &Trial, stable: &runtime::stats::Snapshot) {
        let canary = trial.revision.stats().snapshot().since(&trial.before);
        let bounds = &trial.revision.manifest().canary;
        let running = trial.began.elapsed();
        let (promote, why) = match judge(bounds, &canary, stable, running) {
            Judgement::Wait => return,
            Judgement::Promote => (true, "within its bounds".to_owned()),
            Judgement::RollBack(why) => (false, why),
        };
        let revision = trial.revision.name();
        let detail = json!({
            "revision": revision,
            "why": why,
            "requests": canary.requests,
            "errors": canary.errors,
            "traps": canary.traps,
            "after_ms": u64::try_from(running.as_millis()).unwrap_or(u64::MAX),
        });
        if !promote {
            tracing::warn!(service = %name, "the canary {} is rolled back: {why}", &revision[..12.min(revision.len())]);
        }
        let ended = self.deployer.end_trial(name, revision, promote, detail);
        match ended.await {
            Ok(()) if promote => {}
            Ok(()) => self.deployer.live.rolled_back(name),
            Err(error) => {
                tracing::error!(service = %name, %error, "the canary's trial cannot be ended");
            }
        }
    }
}
