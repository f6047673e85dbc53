//! What serves on this host now, and how it becomes something else: one atomic store, after which the
//! former revision drains.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use backend::outbox::Grants;
use backend::revisions::{RevisionStore, Traffic};
use capability::ComponentName;
use capability::events::{Broker, Error, Lag};
use runtime::{Component, Manifest, Revision};
use tokio_util::task::TaskTracker;

use crate::canary::Marker;
use crate::delivery::{Consumer, Wants};
use crate::router::{Conflict, RouteTable, Service, Trial};

/// A component that is ready to serve, under its revision's name.
#[derive(Clone)]
pub struct Ready {
    /// The revision's name.
    pub revision: String,
    /// Compiled and linked.
    pub component: Arc<Component>,
}

/// What a change did.
#[derive(Clone, Copy, Debug)]
pub struct Switched {
    /// From the first moment that the former table was read to the store of the new one.
    pub took: Duration,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another component has the route.
    #[error(transparent)]
    Route(#[from] Conflict),
    /// The revision was neither running, nor warm, nor given.
    #[error("the revision {0} is not ready on this host")]
    NotReady(String),
    /// The header that sends requests to the canary.
    #[error("`{0}` is no header: a name, or `name: value`")]
    Header(String),
}

/// What serves now.
pub struct Live {
    table: Arc<ArcSwap<RouteTable>>,
    /// Held for the moment in which one table becomes another.
    change: Mutex<()>,
    parts: Mutex<BTreeMap<ComponentName, Arc<tokio::sync::Mutex<Part>>>>,
    broker: Arc<dyn Broker>,
    /// What any revision that ran here might publish: a draining one still does.
    granted: Arc<RwLock<HashSet<(String, String)>>>,
    drains: TaskTracker,
    draining: Mutex<Vec<Weak<Revision>>>,
    switches: Mutex<BTreeMap<ComponentName, Switches>>,
}

/// The switches of a component on this host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Switches {
    /// So many.
    pub count: u64,
    /// All together.
    pub took: Duration,
    /// Canaries that this host found past their bounds.
    pub rollbacks: u64,
}

/// One component on this host. Locked by who changes it.
#[derive(Default)]
pub struct Part {
    /// Of the traffic that is applied.
    pub generation: i64,
    /// Why a newer generation is not.
    pub held_back: Option<String>,
    /// Which one that is.
    held_generation: i64,
    /// When that is tried again.
    retry_at: Option<Instant>,
    /// How often it was tried.
    tries: u32,
    warm: VecDeque<Ready>,
    consumer: Option<Consumer>,
}

impl Part {
    /// A change that is not possible here, for now.
    pub fn hold_back(&mut self, generation: i64, why: String) {
        self.held_generation = generation;
        let wait = Duration::from_secs(1 << self.tries.min(6));
        self.tries += 1;
        self.retry_at = Some(Instant::now() + wait);
        self.held_back = Some(why);
    }

    /// Whether that generation is to be applied: it is new, or what is held back may be tried again.
    pub fn wants(&self, generation: i64) -> bool {
        generation > self.generation.max(self.held_generation)
            || self.retry_at.is_some_and(|at| Instant::now() >= at)
    }
}

impl Live {
    /// Nothing serves yet.
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self {
            table: Arc::default(),
            change: Mutex::default(),
            parts: Mutex::default(),
            broker,
            granted: Arc::default(),
            drains: TaskTracker::new(),
            draining: Mutex::default(),
            switches: Mutex::default(),
        }
    }

    /// Who serves what, now.
    pub fn table(&self) -> arc_swap::Guard<Arc<RouteTable>> {
        self.table.load()
    }

    /// What the relay lets pass: what revisions here may publish, and what any stored one may. The
    /// publisher may run on another host alone, or have been replaced since.
    pub fn grants(&self, store: RevisionStore) -> Arc<dyn Grants> {
        let here = self.granted.clone();
        Arc::new(Granted { here, store })
    }

    /// Ends all that serves, whatever is in hand: what comes after must not wait for it.
    pub async fn kill(&self) {
        for service in self.table().services() {
            for revision in service.revisions() {
                revision.drain(Duration::ZERO).await;
            }
        }
    }

    /// The component's own state, for one who changes it: changes come one at a time.
    pub fn part(&self, name: &ComponentName) -> Arc<tokio::sync::Mutex<Part>> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.entry(name.clone()).or_default().clone()
    }

    /// What consumers have still to handle.
    pub async fn lag(&self) -> Vec<Lag> {
        self.broker.lag().await
    }

    /// How often components were switched here.
    pub fn switches(&self) -> BTreeMap<ComponentName, Switches> {
        let switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        switches.clone()
    }

    fn count(&self, name: &ComponentName, switched: Switched) {
        let mut switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        let switches = switches.entry(name.clone()).or_default();
        switches.count += 1;
        switches.took += switched.took;
    }

    /// All components' states.
    pub fn parts(&self) -> Vec<(ComponentName, Arc<tokio::sync::Mutex<Part>>)> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(n, p)| (n.clone(), p.clone())).collect()
    }

    /// The revision, where it runs here or stayed warm.
    pub async fn ready(&self, name: &ComponentName, revision: &str) -> Option<Ready> {
        let part = self.part(name);
        let part = part.lock().await;
        self.ready_in(&part, name, revision)
    }

    fn ready_in(&self, part: &Part, name: &ComponentName, revision: &str) -> Option<Ready> {
        let table = self.table();
        let running = table.service(name.as_str());
        let running = running.and_then(|service| {
            let mut revisions = service.revisions();
            let found = revisions.find(|running| running.name() == revision)?;
            Some(found.component().clone())
        });
        let warm = || part.warm.iter().find(|warm| warm.revision == revision);
        let component = running.or_else(|| Some(warm()?.component.clone()))?;
        Some(Ready {
            revision: revision.to_owned(),
            component,
        })
    }

    /// Makes it so. `ready` are revisions that are neither running nor warm.
    pub async fn apply(
        self: &Arc<Self>,
        part: &mut Part,
        wanted: &Traffic,
        ready: &[Ready],
    ) -> Result<Switched, ApplyError> {
        let name = &wanted.component;
        let mut revisions = Vec::new();
        let canary = wanted.canary.as_ref();
        for revision in [Some(&wanted.stable), canary.map(|canary| &canary.revision)] {
            let Some(revision) = revision else { continue };
            let given = ready.iter().find(|ready| ready.revision == *revision);
            let found = given
                .cloned()
                .or_else(|| self.ready_in(part, name, revision));
            revisions.push(found.ok_or_else(|| ApplyError::NotReady(revision.clone()))?);
        }
        let marker = canary.and_then(|canary| canary.header.as_deref());
        let marker = marker
            .map(|text| Marker::parse(text).ok_or_else(|| ApplyError::Header(text.to_owned())))
            .transpose()?;
        self.grant(&revisions);
        let (switched, former) = self.switch(wanted, &revisions, marker)?;
        self.count(name, switched);
        part.generation = wanted.generation;
        (part.held_back, part.retry_at, part.tries) = (None, None, 0);
        self.keep_warm(part, &former);
        self.consume(part, wanted).await;
        Ok(switched)
    }

    fn grant(&self, revisions: &[Ready]) {
        let mut granted = self.granted.write().unwrap_or_else(PoisonError::into_inner);
        for ready in revisions {
            let manifest = ready.component.manifest();
            for topic in manifest
                .grants
                .events
                .iter()
                .flat_map(|events| &events.publish)
            {
                granted.insert((manifest.name.to_string(), topic.clone()));
            }
        }
    }

    /// The one moment; answers who is out of service by it.
    fn switch(
        &self,
        wanted: &Traffic,
        revisions: &[Ready],
        marker: Option<Marker>,
    ) -> Result<(Switched, Vec<Arc<Revision>>), ApplyError> {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let table = self.table.load();
        let former = table.service(wanted.component.as_str());
        let in_service = |ready: &Ready| {
            let mut running = former.iter().flat_map(|service| service.revisions());
            let found = running.find(|running| running.name() == ready.revision);
            found.cloned().unwrap_or_else(|| {
                Arc::new(Revision::new(
                    ready.component.clone(),
                    ready.revision.clone(),
                ))
            })
        };
        let Some((stable, canary)) = revisions.split_first() else {
            return Err(ApplyError::NotReady(wanted.stable.clone()));
        };
        let stable = in_service(stable);
        let trial = canary
            .first()
            .zip(wanted.canary.as_ref())
            .map(|(ready, canary)| {
                let revision = in_service(ready);
                let kept = former
                    .and_then(|service| service.canary.as_ref())
                    .filter(|trial| trial.revision.name() == revision.name());
                Trial {
                    began: kept.map_or(began, |trial| trial.began),
                    before: kept.map_or_else(|| revision.stats().snapshot(), |t| t.before.clone()),
                    baseline: kept
                        .map_or_else(|| stable.stats().snapshot(), |t| t.baseline.clone()),
                    revision,
                    weight: canary.weight,
                    marker,
                }
            });
        let service = Arc::new(Service {
            name: wanted.component.clone(),
            stable,
            canary: trial,
            draining: wanted.draining,
        });
        let next = table.with(service.clone())?;
        self.table.store(Arc::new(next));
        let took = began.elapsed();
        let stays =
            |revision: &Arc<Revision>| service.revisions().any(|r| Arc::ptr_eq(r, revision));
        let former = former.iter().flat_map(|service| service.revisions());
        let out = former
            .filter(|revision| !stays(revision))
            .cloned()
            .collect();
        Ok((Switched { took }, out))
    }

    fn keep_warm(&self, part: &mut Part, former: &[Arc<Revision>]) {
        for revision in former {
            part.warm.retain(|warm| warm.revision != revision.name());
            part.warm.push_front(Ready {
                revision: revision.name().to_owned(),
                component: revision.component().clone(),
            });
            part.warm.truncate(revision.manifest().rollout.warm);
            self.drains.spawn(drain(revision.clone()));
            let mut draining = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
            draining.retain(|revision| revision.strong_count() > 0);
            draining.push(Arc::downgrade(revision));
        }
    }

    /// Revisions that serve nobody new, and finish what they have in hand.
    pub fn draining(&self) -> Vec<Arc<Revision>> {
        let draining = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        draining.iter().filter_map(Weak::upgrade).collect()
    }

    /// Keeps a compiled revision that serves nobody yet.
    pub fn warm_up(&self, part: &mut Part, ready: Ready) {
        let most = ready.component.manifest().rollout.warm.max(1);
        part.warm.retain(|warm| warm.revision != ready.revision);
        part.warm.push_front(ready);
        part.warm.truncate(most);
    }

    /// Forgets a warm revision.
    pub fn forget(&self, part: &mut Part, revision: &str) {
        part.warm.retain(|warm| warm.revision != revision);
    }

    /// The subscription stays as it is, unless the new revision wants another.
    async fn consume(self: &Arc<Self>, part: &mut Part, wanted: &Traffic) {
        let name = &wanted.component;
        let wants = {
            let table = self.table();
            let service = table.service(name.as_str());
            let stable = service.map(|service| service.stable.manifest());
            stable.and_then(Wants::of).filter(|_| !wanted.draining)
        };
        // The same topics are the same subscription: nothing is rebalanced for another number at once.
        if let (Some(consumer), Some(wants)) = (&mut part.consumer, &wants)
            && consumer.adopts(wants)
        {
            return;
        }
        if part.consumer.is_none() && wants.is_none() {
            return;
        }
        if let Some(former) = part.consumer.take() {
            self.drains.spawn(former.stop());
        }
        let Some(wants) = wants else { return };
        match Consumer::start(&self.broker, name, wants, self.table.clone()).await {
            Ok(consumer) => part.consumer = Some(consumer),
            Err(error) => {
                tracing::error!(service = %name, %error, "events cannot be received");
                part.hold_back(
                    wanted.generation,
                    format!("events cannot be received: {error}"),
                );
            }
        }
    }

    /// A canary was past its bounds, and its trial is over.
    pub fn rolled_back(&self, name: &ComponentName) {
        let mut switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        switches.entry(name.clone()).or_default().rollbacks += 1;
    }

    /// The host's end, after the gateway's: events in hand first, then whatever still drains.
    pub async fn stop(&self) {
        for (_, part) in self.parts() {
            if let Some(consumer) = part.lock().await.consumer.take() {
                self.drains.spawn(consumer.stop());
            }
        }
        self.drains.close();
        self.drains.wait().await;
        self.kill().await;
    }
}

struct Granted {
    here: Arc<RwLock<HashSet<(String, String)>>>,
    store: RevisionStore,
}

#[async_trait]
impl Grants for Granted {
    async fn cover(&self, component: &str, topic: &str) -> Result<bool, Error> {
        let is_known = {
            let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
            here.contains(&(component.to_owned(), topic.to_owned()))
        };
        let Ok(name) = ComponentName::parse(component) else {
            return Ok(false);
        };
        if is_known {
            return Ok(true);
        }
        let stored = self.store.list(&name).await;
        let stored = stored.map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(stored.iter().any(|revision| {
            let manifest = Manifest::parse(&revision.manifest).ok();
            let events = manifest.and_then(|manifest| manifest.grants.events);
            events.is_some_and(|grant| grant.publish.iter().any(|granted| granted == topic))
        }))
    }
}

async fn drain(revision: Arc<Revision>) {
    let (service, name) = (revision.manifest().name.clone(), revision.name());
    let deadline = Duration::from_millis(revision.manifest().rollout.drain_ms);
    let began = Instant::now();
    let left = revision.drain(deadline).await;
    let (name, ms) = (&name[..name.len().min(12)], began.elapsed().as_millis());
    if left == 0 {
        tracing::info!(%service, "drained revision={name} in {ms} ms");
    } else {
        tracing::warn!(%service, "{left} requests and events of revision={name} were ended after {ms} ms");
    }
}
