//! Keeps this host at what all hosts agreed on, tells the others what it runs, and watches over
//! canaries.

use std::sync::Arc;
use std::time::Duration;

use backend::revisions::{Changes, HostReport, Traffic};
use capability::ComponentName;
use runtime::Haste;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::canary::{Judgement, judge};
use crate::deploy::{DeployError, Deployer};
use crate::live::Part;
use crate::router::Trial;

/// How often to look although nobody called, and to say that this host lives.
const POLL: Duration = Duration::from_secs(1);
/// How often canaries are judged.
const JUDGE: Duration = Duration::from_millis(50);

/// This host among the others.
#[derive(Clone)]
pub struct Follower {
    /// Makes the changes.
    pub deployer: Arc<Deployer>,
    /// This process.
    pub host: String,
    /// Where its gateway listens.
    pub listen: String,
    /// When it began.
    pub started_at: OffsetDateTime,
}

impl Follower {
    /// Begins to follow, until `stop`.
    pub fn start(self, stop: CancellationToken) -> TaskTracker {
        let tasks = TaskTracker::new();
        let (follower, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            stopped.run_until_cancelled(follower.follow()).await;
            if let Err(error) = follower.deployer.store.leave(&follower.host).await {
                tracing::debug!(%error, "the other hosts cannot be told that this one ends");
            }
        });
        tasks.spawn(async move {
            stop.run_until_cancelled(self.watch()).await;
        });
        tasks.close();
        tasks
    }

    async fn follow(&self) {
        let mut changes = None;
        loop {
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, "the other hosts' changes cannot be read; trying again");
            }
            if let Err(error) = self.report().await {
                tracing::warn!(%error, "the other hosts cannot be told what this one runs");
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

    async fn catch_up(&self) -> Result<(), backend::revisions::Error> {
        for wanted in self.deployer.store.traffic().await? {
            let part = self.deployer.live.part(&wanted.component);
            // Whoever holds it is about to be where it should be.
            let Ok(mut part) = part.try_lock() else {
                continue;
            };
            if wanted.generation > part.generation || part.held_back.is_some() {
                self.apply(&mut part, &wanted).await;
            }
        }
        Ok(())
    }

    async fn apply(&self, part: &mut Part, wanted: &Traffic) {
        let service = &wanted.component;
        match self.try_apply(part, wanted).await {
            Ok(()) => {
                tracing::info!(%service, "follows generation {}", wanted.generation);
            }
            Err(error) => {
                let why = error.to_string();
                if part.held_back.as_ref() != Some(&why) {
                    tracing::error!(%service, "generation {} is held back: {why}", wanted.generation);
                }
                part.held_back = Some(why);
            }
        }
    }

    async fn try_apply(&self, part: &mut Part, wanted: &Traffic) -> Result<(), DeployError> {
        let (deployer, name) = (&self.deployer, &wanted.component);
        let run = {
            let table = deployer.live.table();
            let running = table
                .service(name.as_str())
                .map(|s| s.stable.name().to_owned());
            drop(table);
            match running {
                Some(running) => deployer
                    .find(name, &running)
                    .await
                    .map(|r| r.migrations)
                    .unwrap_or_default(),
                None => vec![],
            }
        };
        let canary = wanted.canary.as_ref().map(|canary| &canary.revision);
        let mut ready = vec![];
        for revision in std::iter::once(&wanted.stable).chain(canary) {
            if deployer.live.ready(part, name, revision).is_none() {
                let stored = deployer.find(name, revision).await?;
                ready.push(
                    deployer
                        .ready(part, &stored, &run, Haste::Background)
                        .await?,
                );
            }
        }
        deployer.live.apply(part, wanted, &ready).await?;
        Ok(())
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
                    let stable = service.stable.stats().snapshot().since(&trial.baseline);
                    self.judge(&service.name, trial, &stable).await;
                }
            }
        }
    }

    async fn judge(&self, name: &ComponentName, trial: &Trial, stable: &runtime::stats::Snapshot) {
        let canary = trial.revision.stats().snapshot();
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
        if let Err(error) = self
            .deployer
            .end_trial(name, revision, promote, detail)
            .await
        {
            tracing::error!(service = %name, %error, "the canary's trial cannot be ended");
        }
    }
}
