//! The composition root: the only place that knows both a real backend and a local one.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backend::inbox::InboxBroker;
use backend::openai::OpenAi;
use backend::outbox::Relay;
use backend::postgres::cluster::{Cluster, ClusterError};
use backend::postgres::provision::{self, PoolLimits, ProvisionError};
use backend::postgres::{self, ComponentPool, PlatformPool};
use capability::blobs::Blobs;
use capability::blobs::local::LocalBlobs;
use capability::blobs::scoped::Scoped;
use capability::cache::Cache;
use capability::cache::local::LocalCache;
use capability::events::Broker;
use capability::llm::{Llm, NoLlm};
use runtime::{Capabilities, Component, Engine, Refused, Revision};
use tokio::task::JoinHandle;

use crate::bundle::{self, Bundle, BundleError};
use crate::config::Config;
use crate::delivery::Deliveries;
use crate::router::{Conflict, RouteTable};

/// What all components' cached values may take together.
const CACHE_BYTES: u64 = 64 << 20;
const PING: Duration = Duration::from_secs(2);

/// Why the host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another host uses the folder.
    #[error("the data directory {} is in use by another host", .0.display())]
    InUse(PathBuf),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {source}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No private database.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The database is not ready.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// No blob store.
    #[error("the blob store cannot be opened: {0}")]
    Blobs(#[from] capability::blobs::Error),
    /// No language model where one is configured.
    #[error("the language model cannot be set up: {0}")]
    Llm(#[from] capability::llm::Error),
    /// No components.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A component that is not run.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Two components, one route.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// No deliveries.
    #[error("events cannot be delivered: {0}")]
    Events(#[from] capability::events::Error),
    /// No sandbox.
    #[error("the WebAssembly engine cannot be set up: {0}")]
    Engine(String),
}

/// Which backend a capability uses, and why.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name, as in `wit/`.
    pub capability: &'static str,
    /// What stands behind it.
    pub backend: String,
    /// Which variable decided.
    pub reason: String,
}

/// The running platform.
pub struct Platform {
    routes: RouteTable,
    pool: PlatformPool,
    choices: Vec<Choice>,
}

/// What has to be ended with the platform, in its order.
pub struct Running {
    /// For the gateway.
    pub platform: Arc<Platform>,
    deliveries: Deliveries,
    relay: JoinHandle<()>,
    pools: Vec<Arc<ComponentPool>>,
    cluster: Option<Cluster>,
    _lock: File,
}

impl Platform {
    /// Which component answers what.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// Which backend each capability uses.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// Asked now.
    pub async fn database_answers(&self) -> bool {
        matches!(
            tokio::time::timeout(PING, provision::ping(&self.pool)).await,
            Ok(Ok(()))
        )
    }
}

/// Which backends the configuration chooses, without starting any.
pub fn choices(config: &Config) -> Vec<Choice> {
    let choice = |capability, backend: String, reason: &str| Choice {
        capability,
        backend,
        reason: reason.to_owned(),
    };
    let postgres = match &config.database {
        Some(server) => choice(
            "postgres",
            format!("PostgreSQL at {}:{}", server.host, server.port),
            "DB_HOST is set",
        ),
        None => choice(
            "postgres",
            "private PostgreSQL".into(),
            "DB_HOST is not set",
        ),
    };
    let llm = match &config.llm {
        Some(llm) => choice(
            "llm",
            format!("{} at {}", llm.model, llm.base_url),
            "OPENROUTER_API_KEY or OPENROUTER_BASE_URL is set",
        ),
        None => choice(
            "llm",
            "none: answers, notes and quizzes are local-extractive".into(),
            "neither OPENROUTER_API_KEY nor OPENROUTER_BASE_URL is set",
        ),
    };
    let folder = config.data_dir.join("blobs");
    vec![
        postgres,
        choice(
            "events",
            "outbox and inboxes in PostgreSQL".into(),
            "the only one in this version",
        ),
        choice(
            "blobs",
            format!("the folder {}", folder.display()),
            "the only one in this version",
        ),
        choice(
            "cache",
            "the host's own memory".into(),
            "the only one in this version",
        ),
        llm,
    ]
}

/// Starts everything that stands below the gateway.
pub async fn assemble(config: &Config) -> Result<Running, StartError> {
    let lock = lock(config)?;
    for name in &config.unused {
        tracing::warn!(
            "{name} is set, but this version has no backend for it: the local one is used"
        );
    }
    let bundles = bundle::load_all(&config.components)?;
    let cluster = match &config.database {
        Some(_) => None,
        None => Some(Cluster::start(&config.data_dir).await?),
    };
    let server = match (&config.database, &cluster) {
        (Some(server), _) => server,
        (None, Some(cluster)) => cluster.config(),
        (None, None) => return Err(StartError::Cluster(ClusterError::NotInstalled)),
    };
    let pool = provision::platform(server).await?;
    let shared = Shared {
        blobs: Arc::new(LocalBlobs::open(&config.data_dir.join("blobs")).await?),
        cache: Arc::new(LocalCache::new(CACHE_BYTES)),
        llm: match &config.llm {
            Some(llm) => Arc::new(OpenAi::new(llm.clone())?),
            None => Arc::new(NoLlm),
        },
    };
    let engine =
        Engine::new(Some(&config.compiled)).map_err(|e| StartError::Engine(format!("{e:#}")))?;
    let (mut revisions, mut pools) = (Vec::new(), Vec::new());
    for bundle in bundles {
        let own = component_pool(server, &pool, &bundle).await?;
        pools.extend(own.clone());
        revisions.push(Arc::new(revision(&engine, bundle, &shared, own).await?));
    }
    let routes = RouteTable::new(revisions)?;
    let broker: Arc<dyn Broker> = Arc::new(InboxBroker::new(pool.clone()));
    let deliveries = Deliveries::start(&broker, routes.components()).await?;
    let relay = tokio::spawn(Relay::new(pool.clone(), broker, granted(&routes)).run());
    let platform = Arc::new(Platform {
        routes,
        pool,
        choices: choices(config),
    });
    Ok(Running {
        platform,
        deliveries,
        relay,
        pools,
        cluster,
        _lock: lock,
    })
}

/// One host to a data directory: its staging folder and private database are nobody else's.
fn lock(config: &Config) -> Result<File, StartError> {
    let path = config.data_dir.clone();
    let failed = |source| StartError::DataDir {
        path: path.clone(),
        source,
    };
    std::fs::create_dir_all(&path).map_err(failed)?;
    let lock = File::create(path.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(path)),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// What components share, each in its own scope.
struct Shared {
    blobs: Arc<dyn Blobs>,
    cache: Arc<dyn Cache>,
    llm: Arc<dyn Llm>,
}

async fn component_pool(
    server: &postgres::Config,
    platform: &PlatformPool,
    bundle: &Bundle,
) -> Result<Option<Arc<ComponentPool>>, ProvisionError> {
    let Some(grant) = &bundle.manifest.grants.postgres else {
        return Ok(None);
    };
    let limits = PoolLimits {
        connections: grant.connections,
        statement_timeout: Duration::from_millis(grant.statement_timeout_ms),
    };
    let migrations = bundle.migrations.as_deref();
    let pool =
        provision::component(server, platform, &bundle.manifest.name, migrations, limits).await?;
    Ok(Some(Arc::new(pool)))
}

async fn revision(
    engine: &Engine,
    bundle: Bundle,
    shared: &Shared,
    pool: Option<Arc<ComponentPool>>,
) -> Result<Revision, StartError> {
    let grants = &bundle.manifest.grants;
    let scope = |name| Arc::new(Scoped::new(shared.blobs.clone(), name)) as Arc<dyn Blobs>;
    let readable = grants.blobs.iter().flat_map(|grant| grant.read.clone());
    let capabilities = Capabilities {
        postgres: pool.clone().map(|pool| pool as _),
        events: grants.events.as_ref().and(pool).map(|pool| pool as _),
        blobs: grants
            .blobs
            .as_ref()
            .map(|_| scope(bundle.manifest.name.clone())),
        shared_blobs: readable.map(|name| (name.clone(), scope(name))).collect(),
        cache: grants.cache.as_ref().map(|_| shared.cache.clone()),
        llm: grants.llm.as_ref().map(|_| shared.llm.clone()),
    };
    let (engine, Bundle { manifest, wasm, .. }) = (engine.clone(), bundle);
    let name = manifest.name.clone();
    let started = std::time::Instant::now();
    let built =
        tokio::task::spawn_blocking(move || Component::new(&engine, manifest, &wasm, capabilities));
    let component = built
        .await
        .map_err(|e| StartError::Engine(e.to_string()))??;
    let revision = Revision::new(component);
    let (digest, ms) = (&revision.digest()[..12], started.elapsed().as_millis());
    tracing::info!(service = %name, "ready digest={digest} in {ms} ms");
    Ok(revision)
}

/// What the relay lets pass.
fn granted(routes: &RouteTable) -> backend::outbox::Granted {
    let grants: Vec<(String, Vec<String>)> = routes
        .components()
        .iter()
        .map(|revision| {
            let manifest = revision.manifest();
            let topics = manifest
                .grants
                .events
                .as_ref()
                .map(|events| events.publish.clone());
            (manifest.name.to_string(), topics.unwrap_or_default())
        })
        .collect();
    Arc::new(move |component, topic| {
        grants.iter().any(|(name, topics)| {
            name == component && topics.iter().any(|granted| granted == topic)
        })
    })
}

impl Running {
    /// After the gateway has stopped: events in hand, then the relay, the pools, the database.
    pub async fn stop(self, drain: Duration) {
        if tokio::time::timeout(drain, self.deliveries.stop())
            .await
            .is_err()
        {
            tracing::warn!(
                "some events did not end within {} s; they will come again",
                drain.as_secs()
            );
        }
        self.relay.abort();
        for revision in self.platform.routes().components() {
            revision.retire();
        }
        for pool in &self.pools {
            pool.close().await;
        }
        self.platform.pool.close().await;
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }
}
