//! Changes of who serves: a deploy with its checks, traffic, rollback, drain. Each is decided on this
//! host, committed to the database, and applied here; the other hosts follow.

mod plan;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backend::revisions::{
    Action, Canary, Content, MigrationFile, Origin, Revision, RevisionStore, Traffic,
};
use capability::ComponentName;
use runtime::Haste;
use serde::Serialize;
use serde_json::json;

use crate::factory::{Factory, Unfit};
use crate::live::{ApplyError, Live, Ready, Switched};

pub use self::plan::moved;
use self::plan::{check_activation, next};

/// Who changes traffic where no person does.
pub const HOST: &str = "lectern";

/// Makes changes.
pub struct Deployer {
    /// What serves on this host.
    pub live: Arc<Live>,
    /// What all hosts agree on.
    pub store: RevisionStore,
    /// How components are made.
    pub factory: Factory,
    /// Components that are being deployed here, one deploy at a time for each, and the checks passed.
    pub deploying: Mutex<BTreeMap<ComponentName, Checks>>,
    /// Held from the check of the routes to the switch: two components must not take one route at once.
    pub committing: tokio::sync::Mutex<()>,
}

/// A component's deploy under way.
struct Deploying<'a> {
    all: &'a Mutex<BTreeMap<ComponentName, Checks>>,
    name: ComponentName,
    checks: Checks,
}

impl Drop for Deploying<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.name);
    }
}

/// Why a change is not made. The revisions that run are untouched.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A check that was not passed.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// No such component.
    #[error("there is no component `{0}`")]
    NoComponent(ComponentName),
    /// No such revision.
    #[error("`{0}` has no revision that begins with `{1}`, or more than one")]
    NoRevision(ComponentName, String),
    /// A first deploy without a manifest.
    #[error("`{0}` is new, so its manifest is needed: send it as the part `manifest`")]
    ManifestMissing(ComponentName),
    /// Somebody else is at it.
    #[error("`{0}` is being changed by somebody else: try again when that is done")]
    Busy(ComponentName),
    /// The revision serves.
    #[error("the revision {0} is in use: give its traffic to another one first")]
    InUse(String),
    /// Nowhere to go back to.
    #[error("`{0}` has no former revision to roll back to")]
    NothingBefore(ComponentName),
    /// The header that sends requests to the canary.
    #[error("`{0}` is no header: a name, or `name: value`")]
    Header(String),
    /// A trial beside itself.
    #[error("the canary is the stable revision: there is nothing to try")]
    SameRevision,
    /// A weight beyond all requests.
    #[error("a weight is 0 to 100")]
    Weight,
    /// The database.
    #[error("the database failed: {0}")]
    Store(backend::revisions::Error),
    /// Decided, and not possible here.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// A check that was passed.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Check {
    /// `component`, `manifest`, `imports`, `routes`, `secrets`, `migrations`, `compile`, `start`,
    /// `health` or `switch`.
    pub check: &'static str,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// What has been passed so far; a copy sees what the others pass.
#[derive(Clone, Default)]
pub struct Checks(Arc<Mutex<Vec<Check>>>);

impl Checks {
    async fn run<T>(
        &mut self,
        check: &'static str,
        work: impl Future<Output = Result<T, Unfit>>,
    ) -> Result<T, Unfit> {
        let began = Instant::now();
        let done = work.await?;
        self.passed(check, began.elapsed());
        Ok(done)
    }

    fn passed(&self, check: &'static str, took: Duration) {
        let ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passed.push(Check { check, ms });
    }

    /// In their order.
    pub fn all(&self) -> Vec<Check> {
        let passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passed.clone()
    }
}

/// A new revision.
pub struct Deploy {
    /// The component's bytes.
    pub wasm: Vec<u8>,
    /// That of the stable revision where it is missing.
    pub manifest: Option<String>,
    /// Those of the stable revision where they are missing.
    pub migrations: Option<Vec<MigrationFile>>,
    /// What becomes of it.
    pub activate: Activate,
}

/// What becomes of a new revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activate {
    /// It is stored, and ready.
    No,
    /// It serves.
    Stable,
    /// It is tried by so many of 100 users, and by requests with that header.
    Canary {
        /// 0 to 100.
        weight: u8,
        /// A name, or `name: value`.
        header: Option<String>,
    },
}

/// What a deploy did.
pub struct Deployed {
    /// Its name.
    pub revision: String,
    /// What it passed, in order.
    pub checks: Vec<Check>,
    /// What it took the place of.
    pub former: Option<String>,
}

impl Deployer {
    fn begin(&self, name: &ComponentName) -> Result<Deploying<'_>, DeployError> {
        let mut all = self
            .deploying
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(name) {
            return Err(DeployError::Busy(name.clone()));
        }
        let checks = Checks::default();
        all.insert(name.clone(), checks.clone());
        Ok(Deploying {
            all: &self.deploying,
            name: name.clone(),
            checks,
        })
    }

    /// The checks that the deploy under way has passed; `None` where there is none.
    pub fn progress(&self, name: &ComponentName) -> Option<Vec<Check>> {
        let all = self.deploying.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        all.get(name).map(Checks::all)
    }

    fn failed(name: &ComponentName) -> impl Fn(backend::revisions::Error) -> DeployError {
        use backend::revisions::Error;
        let name = name.clone();
        move |error| match error {
            Error::Conflict => DeployError::Busy(name.clone()),
            error => DeployError::Store(error),
        }
    }

    /// Takes a new revision through all checks, stores it, and activates it as asked.
    pub async fn deploy(
        &self,
        name: &ComponentName,
        deploy: Deploy,
        who: &str,
    ) -> Result<Deployed, DeployError> {
        // Traffic can be changed meanwhile: a rollback does not wait for a compiler.
        let deploying = self.begin(name)?;
        let failed = Self::failed(name);
        let now = self.store.traffic_of(name).await.map_err(&failed)?;
        let stable = match &now {
            Some(now) => Some(self.find(name, &now.stable).await?),
            None => None,
        };
        let content = content(
            name,
            deploy.wasm,
            deploy.manifest,
            deploy.migrations,
            stable.as_ref(),
        )?;
        check_activation(&deploy.activate)?;
        let mut checks = deploying.checks.clone();
        let run = stable.map(|stable| stable.migrations).unwrap_or_default();
        let ready = self
            .prepare(name, content.clone(), &run, Haste::Background, &mut checks)
            .await?;
        let revision = ready.revision.clone();
        self.store
            .put(name, &content, Origin::Deployed, who)
            .await
            .map_err(&failed)?;
        // What the others changed while this one was made ready.
        let now = self.store.traffic_of(name).await.map_err(&failed)?;
        let former = now.as_ref().map(|now| now.stable.clone());
        let action = Action {
            who: who.to_owned(),
            action: "deploy",
            detail: json!({ "revision": revision, "former": former }),
        };
        match next(now, name, &revision, &deploy.activate) {
            Some(wanted) => {
                let switched = self.commit(&wanted, vec![ready], &action).await?;
                checks.passed("switch", switched.took);
            }
            None => {
                let part = self.live.part(name);
                self.live.warm_up(&mut *part.lock().await, ready);
                self.store.record(name, &action).await.map_err(&failed)?;
            }
        }
        Ok(Deployed {
            revision,
            checks: checks.all(),
            former,
        })
    }

    /// Every check up to the switch; none changes who serves.
    pub async fn prepare(
        &self,
        name: &ComponentName,
        content: Arc<Content>,
        run: &[MigrationFile],
        haste: Haste,
        checks: &mut Checks,
    ) -> Result<Ready, Unfit> {
        let revision = content.revision();
        if let Some(ready) = self.live.ready(name, &revision).await {
            return Ok(ready);
        }
        let factory = &self.factory;
        let manifest = checks
            .run("manifest", async {
                factory.manifest(name, &content.manifest)
            })
            .await?;
        let examine = {
            let (manifest, content) = (manifest.clone(), content.clone());
            move || runtime::Component::check(&manifest, &content.wasm)
        };
        let checked = checks
            .run("imports", async {
                let examined = tokio::task::spawn_blocking(examine).await;
                Ok(examined.map_err(|e| Unfit::Host(e.to_string()))??)
            })
            .await?;
        let routes = &manifest.http.routes;
        checks
            .run("routes", async {
                Ok(self.live.table().check(name, routes)?)
            })
            .await?;
        checks
            .run("secrets", async { factory.secrets(&manifest) })
            .await?;
        let component = checks
            .run(
                "compile",
                factory.compile(manifest.clone(), content.clone(), checked, haste),
            )
            .await?;
        checks.run("start", factory.start(&component)).await?;
        // As late as can be: what is refused before leaves the schema as it was.
        checks
            .run(
                "migrations",
                factory.migrate(&manifest, run, &content.migrations),
            )
            .await?;
        checks.run("health", factory.health(&component)).await?;
        Ok(Ready {
            revision,
            component,
        })
    }

    /// Adds to `ready` what the traffic names besides: what runs or stayed warm here, else what is
    /// stored; `run` are the migrations of who serves now.
    pub async fn complete(
        &self,
        ready: &mut Vec<Ready>,
        wanted: &Traffic,
        run: &[MigrationFile],
    ) -> Result<(), DeployError> {
        let name = &wanted.component;
        let canary = wanted.canary.as_ref().map(|canary| &canary.revision);
        for revision in std::iter::once(&wanted.stable).chain(canary) {
            if ready.iter().any(|ready| ready.revision == *revision) {
                continue;
            }
            ready.push(match self.live.ready(name, revision).await {
                Some(ready) => ready,
                None => {
                    let stored = self.find(name, revision).await?;
                    self.ready(&stored, run, Haste::Background).await?
                }
            });
        }
        Ok(())
    }

    /// Stores what is wanted, then applies it. All that it names is made ready before.
    async fn commit(
        &self,
        wanted: &Traffic,
        mut ready: Vec<Ready>,
        action: &Action,
    ) -> Result<Switched, DeployError> {
        let name = &wanted.component;
        self.complete(&mut ready, wanted, &[]).await?;
        let _one_at_a_time = self.committing.lock().await;
        if let Some(stable) = ready.iter().find(|ready| ready.revision == wanted.stable) {
            let routes = &stable.component.manifest().http.routes;
            let free = self.live.table().check(name, routes);
            free.map_err(Unfit::from)?;
        }
        let part = self.live.part(name);
        let mut part = part.lock().await;
        let stored = self.store.set_traffic(wanted, action).await;
        let now = stored.map_err(Self::failed(name))?;
        let switched = self.live.apply(&mut part, &now, &ready).await?;
        let to = |revision: &str| revision[..revision.len().min(12)].to_owned();
        let canary = now
            .canary
            .as_ref()
            .map(|canary| format!(" canary={}", to(&canary.revision)));
        tracing::info!(
            service = %name,
            "{} by {}: stable={}{} in {} µs",
            action.action, action.who, to(&now.stable), canary.unwrap_or_default(), switched.took.as_micros()
        );
        Ok(switched)
    }

    /// The revision whose name begins so.
    pub async fn find(&self, name: &ComponentName, prefix: &str) -> Result<Revision, DeployError> {
        self.store
            .find(name, prefix)
            .await
            .map_err(|error| match error {
                backend::revisions::Error::NotFound => {
                    DeployError::NoRevision(name.clone(), prefix.to_owned())
                }
                error => DeployError::Store(error),
            })
    }

    /// The component's traffic.
    pub async fn traffic(&self, name: &ComponentName) -> Result<Traffic, DeployError> {
        let now = self.store.traffic_of(name).await;
        now.map_err(DeployError::Store)?
            .ok_or_else(|| DeployError::NoComponent(name.clone()))
    }

    /// A stored revision, made ready to serve here.
    pub async fn ready(
        &self,
        revision: &Revision,
        run: &[MigrationFile],
        haste: Haste,
    ) -> Result<Ready, DeployError> {
        let name = &revision.component;
        if let Some(ready) = self.live.ready(name, &revision.revision).await {
            return Ok(ready);
        }
        let wasm = self.store.wasm(&revision.wasm_digest).await;
        let wasm = wasm.map_err(DeployError::Store)?;
        let (manifest, migrations) = (revision.manifest.clone(), revision.migrations.clone());
        let content = Content::new(manifest, migrations, wasm);
        let mut checks = Checks::default();
        Ok(self
            .prepare(name, Arc::new(content), run, haste, &mut checks)
            .await?)
    }

    /// Gives the traffic to `stable`, and of it so much to `canary`. Ends a drain.
    pub async fn set_traffic(
        &self,
        name: &ComponentName,
        stable: Option<&str>,
        canary: Option<Canary>,
        who: &str,
    ) -> Result<Traffic, DeployError> {
        let now = self.traffic(name).await?;
        let stable = self.find(name, stable.unwrap_or(&now.stable)).await?;
        let run = self.find(name, &now.stable).await?.migrations;
        let mut ready = vec![self.ready(&stable, &run, Haste::Background).await?];
        let mut trial = None;
        if let Some(canary) = canary {
            check_activation(&Activate::Canary {
                weight: canary.weight,
                header: canary.header.clone(),
            })?;
            let found = self.find(name, &canary.revision).await?;
            if found.revision == stable.revision {
                return Err(DeployError::SameRevision);
            }
            ready.push(self.ready(&found, &run, Haste::Background).await?);
            trial = Some(Canary {
                revision: found.revision,
                ..canary
            });
        }
        let wanted = moved(now, stable.revision, trial);
        let detail = json!({
            "stable": wanted.stable,
            "canary": wanted.canary.as_ref().map(|canary| &canary.revision),
            "weight": wanted.canary.as_ref().map(|canary| canary.weight),
        });
        let action = Action {
            who: who.to_owned(),
            action: "traffic",
            detail,
        };
        self.commit(&wanted, ready, &action).await?;
        Ok(wanted)
    }

    /// Ends the trial where there is one, else goes back to the stable revision before this one.
    pub async fn rollback(&self, name: &ComponentName, who: &str) -> Result<Traffic, DeployError> {
        let mut wanted = self.traffic(name).await?;
        let from = match wanted.canary.take() {
            Some(canary) => canary.revision,
            None => {
                if wanted.previous.is_empty() {
                    return Err(DeployError::NothingBefore(name.clone()));
                }
                let back = wanted.previous.remove(0);
                std::mem::replace(&mut wanted.stable, back)
            }
        };
        let action = Action {
            who: who.to_owned(),
            action: "rollback",
            detail: json!({ "from": from, "to": wanted.stable }),
        };
        self.commit(&wanted, vec![], &action).await?;
        Ok(wanted)
    }

    /// Takes no requests and no events for the component until its traffic is set again.
    pub async fn drain(&self, name: &ComponentName, who: &str) -> Result<Traffic, DeployError> {
        let mut wanted = self.traffic(name).await?;
        wanted.draining = true;
        let action = Action {
            who: who.to_owned(),
            action: "drain",
            detail: json!({}),
        };
        self.commit(&wanted, vec![], &action).await?;
        Ok(wanted)
    }

    /// Forgets a revision that nobody uses.
    pub async fn delete(
        &self,
        name: &ComponentName,
        revision: &str,
        who: &str,
    ) -> Result<(), DeployError> {
        let found = self.find(name, revision).await?.revision;
        let action = Action {
            who: who.to_owned(),
            action: "delete",
            detail: json!({ "revision": found }),
        };
        let deleted = self.store.delete(name, &found, &action).await;
        deleted.map_err(|error| match error {
            backend::revisions::Error::InUse => DeployError::InUse(found.clone()),
            error => DeployError::Store(error),
        })?;
        let part = self.live.part(name);
        self.live.forget(&mut *part.lock().await, &found);
        Ok(())
    }

    /// What the watch over canaries found: ends the trial, or promotes it.
    pub async fn end_trial(
        &self,
        name: &ComponentName,
        revision: &str,
        promote: bool,
        detail: serde_json::Value,
    ) -> Result<(), DeployError> {
        let now = self.traffic(name).await?;
        // Another host, or a person, was first.
        if now.canary.as_ref().map(|canary| canary.revision.as_str()) != Some(revision) {
            return Ok(());
        }
        let stable = if promote {
            revision.to_owned()
        } else {
            now.stable.clone()
        };
        // An operator's drain goes on.
        let draining = now.draining;
        let wanted = Traffic {
            draining,
            ..moved(now, stable, None)
        };
        let action = Action {
            who: HOST.to_owned(),
            action: if promote {
                "canary promoted"
            } else {
                "canary rolled back"
            },
            detail,
        };
        self.commit(&wanted, vec![], &action).await?;
        Ok(())
    }
}

fn content(
    name: &ComponentName,
    wasm: Vec<u8>,
    manifest: Option<String>,
    migrations: Option<Vec<MigrationFile>>,
    stable: Option<&Revision>,
) -> Result<Arc<Content>, DeployError> {
    let manifest = manifest.or_else(|| stable.map(|stable| stable.manifest.clone()));
    let migrations = migrations.or_else(|| stable.map(|stable| stable.migrations.clone()));
    let manifest = manifest.ok_or_else(|| DeployError::ManifestMissing(name.clone()))?;
    let migrations = migrations.unwrap_or_default();
    Ok(Arc::new(Content::new(manifest, migrations, wasm)))
}
