//! The composition root: the only place that knows both a real backend and a local one.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backend::inbox::InboxBroker;
use backend::openai::{ModelCheck, OpenAi};
use backend::outbound::HttpClient;
use backend::outbox::Relay;
use backend::postgres::PlatformPool;
use backend::postgres::cluster::{Cluster, ClusterError};
use backend::postgres::provision::{self, ProvisionError};
use backend::revisions::RevisionStore;
use capability::blobs::local::LocalBlobs;
use capability::cache::local::LocalCache;
use capability::events::Broker;
use capability::llm::NoLlm;
use runtime::Engine;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::boot;
use crate::bundle::{self, BundleError};
use crate::config::Config;
use crate::deploy::{DeployError, Deployer};
use crate::factory::{Factory, Shared};
use crate::follow::Follower;
use crate::live::Live;

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
    /// No voice.
    #[error("the local voice cannot be set up: {0}")]
    Speech(capability::speech::Error),
    /// No components.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A component that is not run.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// No revisions.
    #[error("the revisions cannot be read: {0}")]
    Revisions(#[from] backend::revisions::Error),
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
    deployer: Arc<Deployer>,
    pool: PlatformPool,
    choices: Vec<Choice>,
}

/// What has to be ended with the platform, in its order.
pub struct Running {
    /// For the gateway.
    pub platform: Arc<Platform>,
    following: TaskTracker,
    stop: CancellationToken,
    relay: JoinHandle<()>,
    cluster: Option<Cluster>,
    _lock: File,
}

impl Platform {
    /// What serves, and who changes it.
    pub fn deployer(&self) -> &Arc<Deployer> {
        &self.deployer
    }

    /// What serves.
    pub fn live(&self) -> &Arc<Live> {
        &self.deployer.live
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
            format!("{} at {}", llm.model, llm.shown_url()),
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
            Some(llm) => model(llm)?,
            None => Arc::new(NoLlm),
        },
        speech: Arc::new(backend::flite::Flite::new(2).map_err(StartError::Speech)?),
        transcription: Arc::new(capability::transcription::NoTranscription),
        ocr: Arc::new(capability::ocr::NoOcr),
        outbound: Arc::new(HttpClient::new(config.outbound_private)),
        secrets: config.secrets.clone(),
    };
    let engine =
        Engine::new(Some(&config.compiled)).map_err(|e| StartError::Engine(format!("{e:#}")))?;
    let broker: Arc<dyn Broker> = Arc::new(InboxBroker::new(pool.clone()));
    let deployer = Arc::new(Deployer {
        live: Arc::new(Live::new(broker.clone())),
        store: RevisionStore::new(pool.clone()),
        factory: Factory::new(engine, shared, server.clone(), pool.clone()),
        deploying: Default::default(),
        committing: Default::default(),
    });
    boot::boot(&deployer, bundles, config.database.is_none()).await?;
    let granted = deployer.live.grants();
    let relay = tokio::spawn(Relay::new(pool.clone(), broker, granted).run());
    let stop = CancellationToken::new();
    let follower = Follower {
        deployer: deployer.clone(),
        host: uuid::Uuid::now_v7().to_string(),
        listen: config.listen.to_string(),
        started_at: OffsetDateTime::now_utc(),
        applying: Default::default(),
    };
    let following = follower.start(stop.clone());
    let platform = Arc::new(Platform {
        deployer,
        pool,
        choices: choices(config),
    });
    Ok(Running {
        platform,
        following,
        stop,
        relay,
        cluster,
        _lock: lock,
    })
}

/// The configured model; whether its server knows it is told in the log, beside the start.
fn model(config: &backend::openai::Config) -> Result<Arc<OpenAi>, capability::llm::Error> {
    let llm = Arc::new(OpenAi::new(config.clone())?);
    let (asked, name, server) = (llm.clone(), config.model.clone(), config.shown_url());
    tokio::spawn(async move {
        match asked.check_model().await {
            ModelCheck::Known => tracing::debug!("{server} knows the model {name}"),
            ModelCheck::Unknown => {
                tracing::warn!(
                    "{server} does not list the model {name}: set OPENROUTER_MODEL to one that it has"
                );
            }
            ModelCheck::CannotTell => tracing::warn!("{server} does not say which models it has"),
        }
    });
    Ok(llm)
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

impl Running {
    /// After the gateway has stopped: events in hand, then the relay, the pools, the database.
    pub async fn stop(self, drain: Duration) {
        self.stop.cancel();
        self.following.wait().await;
        let deployer = self.platform.deployer();
        if tokio::time::timeout(drain, deployer.live.stop())
            .await
            .is_err()
        {
            tracing::warn!(
                "some events did not end within {} s; they will come again",
                drain.as_secs()
            );
        }
        self.relay.abort();
        deployer.factory.close().await;
        self.platform.pool.close().await;
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }
}
