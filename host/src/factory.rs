//! From a revision's content to a component that can serve: each check that a deploy passes, in its
//! order, and nothing that changes who serves.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backend::postgres::ComponentPool;
use backend::postgres::provision::{self, PoolLimits, ProvisionError};
use backend::revisions::{Content, MigrationFile};
use capability::ComponentName;
use capability::blobs::Blobs;
use capability::blobs::scoped::Scoped;
use capability::cache::Cache;
use capability::cache::counted::{Counted, Counts};
use capability::llm::Llm;
use capability::ocr::Ocr;
use capability::outbound::Outbound;
use capability::speech::Speech;
use capability::trace::Tracer;
use capability::transcription::Transcription;
use capability::usage::Usage;
use runtime::manifest::{ManifestError, PostgresGrant};
use runtime::{
    CallError, Capabilities, Checked, Component, Engine, Haste, Manifest, Refused, Revision,
};

use crate::config::settings::Settings;
use crate::databases::Databases;
use crate::migration::{self, MigrationError};
use crate::probe::{self, Unhealthy};
use crate::router::Conflict;

/// What components share, each in its own scope.
pub struct Shared {
    /// Of all of them; each sees its own scope.
    pub blobs: Arc<dyn Blobs>,
    /// Of all of them; each has its own keys.
    pub cache: Arc<dyn Cache>,
    /// The configured model.
    pub llm: Arc<dyn Llm>,
    /// The voices.
    pub speech: Arc<dyn Speech>,
    /// Of all of them; each has its own jobs, and its own recordings.
    pub transcription: Arc<dyn Transcription>,
    /// Of all of them; each has its own jobs, and its own documents.
    pub ocr: Arc<dyn Ocr>,
    /// The way out; each has its own hosts.
    pub outbound: Arc<dyn Outbound>,
    /// `LECTERN_SECRET_*`, without that beginning.
    pub secrets: BTreeMap<String, String>,
    /// The contract's variables that components read.
    pub settings: Settings,
    /// Where spans go.
    pub tracer: Tracer,
    /// Where callers' budgets are kept.
    pub usage: Arc<dyn Usage>,
}

/// Why a revision is not put in service. The one that runs is untouched.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A manifest for another component.
    #[error("the manifest names `{found}`: a revision of `{wanted}` is wanted")]
    Name {
        /// In the request.
        wanted: ComponentName,
        /// In the manifest.
        found: ComponentName,
    },
    /// The component.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The routes.
    #[error("{0}: give it another route in `http.routes`")]
    Route(#[from] Conflict),
    /// A secret that this host has not.
    #[error(
        "the manifest's `secrets` names `{0}`, which this host does not have: set LECTERN_SECRET_{0}"
    )]
    Secret(String),
    /// The schema.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The database.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// It does not start, or not within its limits.
    #[error("an instance does not start: {0}")]
    Start(CallError),
    /// It starts, and says that it cannot serve.
    #[error(transparent)]
    Unhealthy(#[from] Unhealthy),
    /// The host.
    #[error("the host failed: {0}")]
    Host(String),
}

impl Unfit {
    /// The check that was not passed, as in the list of a deploy's checks.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Manifest(_) | Self::Name { .. } => "manifest",
            Self::Refused(Refused::NotAComponent { .. }) => "component",
            Self::Refused(Refused::NotGranted { .. } | Refused::NotOffered { .. }) => "imports",
            Self::Refused(_) => "compile",
            Self::Route(_) => "routes",
            Self::Secret(_) => "secrets",
            Self::Migration(_) | Self::Provision(_) => "migrations",
            Self::Start(_) => "start",
            Self::Unhealthy(_) => "health",
            Self::Host(_) => "host",
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "INVALID_MANIFEST",
            Self::Name { .. } => "WRONG_COMPONENT",
            Self::Refused(Refused::NotAComponent { .. }) => "NOT_A_COMPONENT",
            Self::Refused(Refused::NotGranted { .. }) => "NOT_GRANTED",
            Self::Refused(Refused::NotOffered { .. }) => "NOT_OFFERED",
            Self::Refused(Refused::NotExported { .. }) => "NOT_EXPORTED",
            Self::Refused(Refused::Invalid { .. } | Refused::Unfit { .. }) => "UNFIT_COMPONENT",
            Self::Route(_) => "ROUTE_TAKEN",
            Self::Secret(_) => "SECRET_MISSING",
            Self::Migration(_) => "MIGRATION_REFUSED",
            Self::Provision(_) => "MIGRATION_FAILED",
            Self::Start(_) => "START_FAILED",
            Self::Unhealthy(_) => "UNHEALTHY",
            Self::Host(_) => "INTERNAL_ERROR",
        }
    }
}

/// A component's connections to its database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connections {
    /// That there are.
    pub open: u32,
    /// Of these, in use.
    pub used: u32,
    /// That there may be.
    pub most: u32,
}

/// Makes components.
pub struct Factory {
    engine: Engine,
    shared: Shared,
    databases: Arc<Databases>,
    pools: Mutex<HashMap<(ComponentName, PoolLimits), Arc<ComponentPool>>>,
    /// What has been run for each component, here.
    migrated: Mutex<HashMap<ComponentName, Vec<MigrationFile>>>,
    caches: Mutex<BTreeMap<ComponentName, Arc<Counts>>>,
}

impl Factory {
    /// On that engine, with those capabilities, and schemas in those databases.
    pub fn new(engine: Engine, shared: Shared, databases: Arc<Databases>) -> Self {
        Self {
            engine,
            shared,
            databases,
            pools: Mutex::default(),
            migrated: Mutex::default(),
            caches: Mutex::default(),
        }
    }

    /// The manifest, where it is one of that component.
    pub fn manifest(&self, wanted: &ComponentName, text: &str) -> Result<Manifest, Unfit> {
        let manifest = Manifest::parse(text)?;
        if manifest.name == *wanted {
            Ok(manifest)
        } else {
            Err(Unfit::Name {
                wanted: wanted.clone(),
                found: manifest.name,
            })
        }
    }

    /// The values of its secrets.
    pub fn secrets(&self, manifest: &Manifest) -> Result<BTreeMap<String, String>, Unfit> {
        let value = |name: &String| match self.shared.secrets.get(name) {
            Some(value) => Ok((name.clone(), value.clone())),
            None => Err(Unfit::Secret(name.clone())),
        };
        manifest.secrets.iter().map(value).collect()
    }

    /// Brings the schema forward; `run` are the migrations of who serves now.
    pub async fn migrate(
        &self,
        manifest: &Manifest,
        run: &[MigrationFile],
        migrations: &[MigrationFile],
    ) -> Result<(), Unfit> {
        migration::check(run, migrations)?;
        if manifest.grants.postgres.is_none() || self.is_migrated(&manifest.name, migrations) {
            return Ok(());
        }
        self.provision(&manifest.name, migrations).await?;
        let mut migrated = self.migrated.lock().unwrap_or_else(PoisonError::into_inner);
        migrated.insert(manifest.name.clone(), migrations.to_vec());
        Ok(())
    }

    fn is_migrated(&self, name: &ComponentName, migrations: &[MigrationFile]) -> bool {
        let migrated = self.migrated.lock().unwrap_or_else(PoisonError::into_inner);
        migrated.get(name).is_some_and(|run| run == migrations)
    }

    /// On a thread for blocking work: the future of sqlx' migrator cannot move between threads.
    async fn provision(
        &self,
        name: &ComponentName,
        migrations: &[MigrationFile],
    ) -> Result<(), Unfit> {
        let database = self.databases.of(name).clone();
        let (name, migrations) = (name.clone(), migrations.to_vec());
        let runtime = tokio::runtime::Handle::current();
        let provisioned = tokio::task::spawn_blocking(move || {
            runtime.block_on(provision::schema(
                &database.server,
                &database.pool,
                &name,
                &migrations,
            ))
        });
        Ok(provisioned
            .await
            .map_err(|e| Unfit::Host(e.to_string()))??)
    }

    /// Revisions that ask for the same share one pool: a swap opens no second set of connections.
    fn pool(&self, manifest: &Manifest) -> Option<Arc<ComponentPool>> {
        let limits = limits(manifest.grants.postgres.as_ref()?);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry((manifest.name.clone(), limits));
        let server = &self.databases.of(&manifest.name).server;
        let open = || Arc::new(provision::pool(server, &manifest.name, limits));
        Some(pool.or_insert_with(open).clone())
    }

    /// Compiles and links it.
    pub async fn compile(
        &self,
        manifest: Manifest,
        content: Arc<Content>,
        checked: Checked,
        haste: Haste,
    ) -> Result<Arc<Component>, Unfit> {
        let capabilities = self.capabilities(&manifest)?;
        let engine = self.engine.clone();
        let compile = move || {
            Component::build(
                &engine,
                manifest,
                &content.wasm,
                capabilities,
                checked,
                haste,
            )
        };
        let compiled = tokio::task::spawn_blocking(compile).await;
        Ok(Arc::new(compiled.map_err(|e| Unfit::Host(e.to_string()))??))
    }

    /// Instantiates it.
    pub async fn start(&self, component: &Arc<Component>) -> Result<(), Unfit> {
        let trial = Revision::new(component.clone(), "trial".into());
        trial.start().await.map_err(Unfit::Start)
    }

    /// Asks for its health, as a client would.
    pub async fn health(&self, component: &Arc<Component>) -> Result<(), Unfit> {
        let trial = Revision::new(component.clone(), "trial".into());
        let well = probe::health(&trial).await;
        trial.drain(Duration::ZERO).await;
        Ok(well?)
    }

    fn capabilities(&self, manifest: &Manifest) -> Result<Capabilities, Unfit> {
        let (grants, shared) = (&manifest.grants, &self.shared);
        let pool = self.pool(manifest);
        let scope = |name| Arc::new(Scoped::new(shared.blobs.clone(), name)) as Arc<dyn Blobs>;
        let readable = grants.blobs.iter().flat_map(|grant| grant.read.clone());
        Ok(Capabilities {
            postgres: pool.clone().map(|pool| pool as _),
            events: grants.events.as_ref().and(pool).map(|pool| pool as _),
            blobs: grants.blobs.as_ref().map(|_| scope(manifest.name.clone())),
            shared_blobs: readable.map(|name| (name.clone(), scope(name))).collect(),
            cache: grants.cache.as_ref().map(|_| self.cache(&manifest.name)),
            llm: grants.llm.as_ref().map(|_| shared.llm.clone()),
            speech: grants.speech.as_ref().map(|_| shared.speech.clone()),
            transcription: grants
                .transcription
                .as_ref()
                .map(|_| shared.transcription.clone()),
            ocr: grants.ocr.as_ref().map(|_| shared.ocr.clone()),
            outbound: grants.http.as_ref().map(|_| shared.outbound.clone()),
            secrets: self.secrets(manifest)?,
            tracer: shared.tracer.clone(),
            usage: Some(shared.usage.clone()),
            settings: shared
                .settings
                .over(manifest.name.as_str(), &manifest.config),
        })
    }

    fn cache(&self, name: &ComponentName) -> Arc<dyn Cache> {
        let mut counts = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::new(Counted {
            cache: self.shared.cache.clone(),
            counts: counts.entry(name.clone()).or_default().clone(),
        })
    }

    /// What came of components' calls of the cache.
    pub fn caches(&self) -> BTreeMap<ComponentName, Arc<Counts>> {
        let counts = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    /// Each component's connections to its database.
    pub fn connections(&self) -> BTreeMap<ComponentName, Connections> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: BTreeMap<_, Connections> = BTreeMap::new();
        for ((component, limits), pool) in &*pools {
            let (open, used) = pool.connections();
            let counted = all.entry(component.clone()).or_default();
            counted.open += open;
            counted.used += used;
            counted.most += limits.connections;
        }
        all
    }

    /// Ends all connections to the database.
    pub async fn close(&self) {
        let pools: Vec<_> = {
            let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
            pools.drain().map(|(_, pool)| pool).collect()
        };
        for pool in pools {
            pool.close().await;
        }
    }
}

fn limits(grant: &PostgresGrant) -> PoolLimits {
    PoolLimits {
        connections: grant.connections,
        statement_timeout: Duration::from_millis(grant.statement_timeout_ms),
    }
}
