//! From a revision's content to a component that can serve: each check that a deploy passes, in its
//! order, and nothing that changes who serves.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backend::postgres::provision::{self, PoolLimits, ProvisionError};
use backend::postgres::{self, ComponentPool, PlatformPool};
use backend::revisions::{Content, MigrationFile};
use capability::ComponentName;
use capability::blobs::Blobs;
use capability::blobs::scoped::Scoped;
use capability::cache::Cache;
use capability::llm::Llm;
use capability::outbound::Outbound;
use runtime::manifest::{ManifestError, PostgresGrant};
use runtime::{
    CallError, Capabilities, Checked, Component, Engine, Haste, Manifest, Refused, Revision,
};

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
    /// The way out; each has its own hosts.
    pub outbound: Arc<dyn Outbound>,
    /// `LECTERN_SECRET_*`, without that beginning.
    pub secrets: BTreeMap<String, String>,
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

/// Makes components.
pub struct Factory {
    engine: Engine,
    shared: Shared,
    server: postgres::Config,
    platform: PlatformPool,
    pools: Mutex<HashMap<(ComponentName, PoolLimits), Provisioned>>,
}

/// A component's pool, and the migrations that have been run for it.
struct Provisioned {
    pool: Arc<ComponentPool>,
    migrations: Vec<MigrationFile>,
}

impl Factory {
    /// On that engine, with those capabilities, and schemas on that server.
    pub fn new(
        engine: Engine,
        shared: Shared,
        server: postgres::Config,
        platform: PlatformPool,
    ) -> Self {
        Self {
            engine,
            shared,
            server,
            platform,
            pools: Mutex::default(),
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
    ) -> Result<Option<Arc<ComponentPool>>, Unfit> {
        migration::check(run, migrations)?;
        let Some(grant) = &manifest.grants.postgres else {
            return Ok(None);
        };
        let limits = limits(grant);
        let key = (manifest.name.clone(), limits);
        if let Some(ready) = self.pools().get(&key)
            && ready.migrations == migrations
        {
            return Ok(Some(ready.pool.clone()));
        }
        let pool = self.provision(&manifest.name, migrations, limits).await?;
        let mut pools = self.pools();
        // Revisions that ask for the same share one pool: a swap opens no second set of connections.
        let ready = pools.entry(key).or_insert_with(|| Provisioned {
            pool: Arc::new(pool),
            migrations: vec![],
        });
        ready.migrations = migrations.to_vec();
        Ok(Some(ready.pool.clone()))
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<(ComponentName, PoolLimits), Provisioned>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On a thread for blocking work: the future of sqlx' migrator cannot move between threads.
    async fn provision(
        &self,
        name: &ComponentName,
        migrations: &[MigrationFile],
        limits: PoolLimits,
    ) -> Result<ComponentPool, Unfit> {
        let (server, platform) = (self.server.clone(), self.platform.clone());
        let (name, migrations) = (name.clone(), migrations.to_vec());
        let runtime = tokio::runtime::Handle::current();
        let provisioned = tokio::task::spawn_blocking(move || {
            let work = provision::component(&server, &platform, &name, &migrations, limits);
            runtime.block_on(work)
        });
        Ok(provisioned
            .await
            .map_err(|e| Unfit::Host(e.to_string()))??)
    }

    /// Compiles and links it.
    pub async fn compile(
        &self,
        manifest: Manifest,
        content: Arc<Content>,
        pool: Option<Arc<ComponentPool>>,
        checked: Checked,
        haste: Haste,
    ) -> Result<Arc<Component>, Unfit> {
        let capabilities = self.capabilities(&manifest, pool)?;
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

    /// Instantiates it and asks for its health, as a client would.
    pub async fn try_out(&self, component: &Arc<Component>) -> Result<(), Unfit> {
        let trial = Revision::new(component.clone(), "trial".into());
        let outcome = match trial.start().await {
            Ok(()) => probe::health(&trial).await.map_err(Unfit::from),
            Err(error) => Err(Unfit::Start(error)),
        };
        trial.drain(Duration::ZERO).await;
        outcome
    }

    fn capabilities(
        &self,
        manifest: &Manifest,
        pool: Option<Arc<ComponentPool>>,
    ) -> Result<Capabilities, Unfit> {
        let (grants, shared) = (&manifest.grants, &self.shared);
        let scope = |name| Arc::new(Scoped::new(shared.blobs.clone(), name)) as Arc<dyn Blobs>;
        let readable = grants.blobs.iter().flat_map(|grant| grant.read.clone());
        Ok(Capabilities {
            postgres: pool.clone().map(|pool| pool as _),
            events: grants.events.as_ref().and(pool).map(|pool| pool as _),
            blobs: grants.blobs.as_ref().map(|_| scope(manifest.name.clone())),
            shared_blobs: readable.map(|name| (name.clone(), scope(name))).collect(),
            cache: grants.cache.as_ref().map(|_| shared.cache.clone()),
            llm: grants.llm.as_ref().map(|_| shared.llm.clone()),
            outbound: grants.http.as_ref().map(|_| shared.outbound.clone()),
            secrets: self.secrets(manifest)?,
        })
    }

    /// Ends all connections to the database.
    pub async fn close(&self) {
        let pools: Vec<_> = self.pools().drain().map(|(_, ready)| ready.pool).collect();
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
