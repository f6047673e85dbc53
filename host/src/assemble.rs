//! From a configuration to a running platform, and to its end, each in its order.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backend::aws::calls::Calls;
use backend::dead_letters::DeadLetters;
use backend::outbox::Relay;
use backend::postgres::cluster::{Cluster, ClusterError};
use backend::postgres::provision::ProvisionError;
use backend::revisions::RevisionStore;
use backend::timers::Timers;
use capability::breaker::Breaker;
use capability::events::Broker;
use capability::trace::Tracer;
use capability::usage::Usage;
use runtime::Engine;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin_key::{self, KeyError};
use crate::backing::{self, Choice};
use crate::boot;
use crate::bundle::{self, BundleError};
use crate::config::Config;
use crate::config::backends::{Backends, Speech};
use crate::databases::Databases;
use crate::deploy::{DeployError, Deployer};
use crate::factory::Factory;
use crate::follow::Follower;
use crate::gateway::limits::Limits;
use crate::health::Health;
use crate::live::Live;
use crate::metrics::Counters;
use crate::schedule::Schedule;
use crate::trace::{TraceError, Traces};
use crate::webhook::{self, Webhooks};

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
    Deploy(#[from] DeployError),
    /// Nothing that secrets could come from.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No revisions.
    #[error("the revisions cannot be read: {0}")]
    Revisions(#[from] backend::revisions::Error),
    /// A backend's settings that cannot be.
    #[error("{0} cannot be used as it is configured: {1}")]
    Backend(&'static str, String),
    /// No traces where there should be some.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// No sandbox.
    #[error("the WebAssembly engine cannot be set up: {0}")]
    Engine(String),
}

/// How long the database's sessions, and the broker's last words, may take.
const CLOSE: Duration = Duration::from_secs(5);
const FLUSH: Duration = Duration::from_secs(5);

/// The running platform.
pub struct Platform {
    deployer: Arc<Deployer>,
    health: Health,
    backends: Backends,
    choices: Vec<Choice>,
    counters: Counters,
    aws_calls: Calls,
    databases: Arc<Databases>,
    tracer: Tracer,
    webhooks: Arc<Webhooks>,
    limits: Limits,
    usage: Arc<dyn Usage>,
    breakers: Vec<(&'static str, Arc<Breaker>)>,
}

/// What has to be ended with the platform, in its order.
pub struct Running {
    /// For the gateway.
    pub platform: Arc<Platform>,
    following: TaskTracker,
    telling: TaskTracker,
    scheduling: JoinHandle<()>,
    stop: CancellationToken,
    relays: Vec<JoinHandle<()>>,
    databases: Arc<Databases>,
    broker: Arc<dyn Broker>,
    cluster: Option<Cluster>,
    traces: Traces,
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

    /// Whether that component's blobs lie in S3.
    pub fn is_in_s3(&self, component: &str) -> bool {
        self.backends.is_in_s3(component)
    }

    /// Where spans go.
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The language model that is configured.
    pub fn model(&self) -> Option<&str> {
        let llm = self.backends.llm.as_ref();
        llm.map(|llm| llm.model.as_str())
    }

    /// Whether the voice can be told how fast to speak.
    pub fn has_speeds(&self) -> bool {
        matches!(self.backends.speech.what, Speech::Polly)
    }

    /// What is counted for the metrics alone.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How often Amazon's services were called.
    pub fn aws_calls(&self) -> &Calls {
        &self.aws_calls
    }

    /// Where the outboxes are.
    pub fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Whom learners have told of what is finished.
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// How much one may ask.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Between components and servers, by the server's name.
    pub fn breakers(&self) -> &[(&'static str, Arc<Breaker>)] {
        &self.breakers
    }

    /// What users have used of their budgets.
    pub fn usage(&self) -> &Arc<dyn Usage> {
        &self.usage
    }

    /// How the servers behind it are.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

/// Starts everything that stands below the gateway.
pub async fn assemble(config: &Config) -> Result<Running, StartError> {
    let lock = lock(config).await?;
    let bundles = bundle::load_all(&config.components)?;
    let cluster = match &config.backends.database {
        Some(_) => None,
        None => Some(Cluster::start(&config.data_dir).await?),
    };
    let server = match (&config.backends.database, &cluster) {
        (Some(server), _) => server,
        (None, Some(cluster)) => cluster.config(),
        (None, None) => return Err(StartError::Cluster(ClusterError::NotInstalled)),
    };
    let names: Vec<_> = bundles.iter().map(|b| b.manifest.name.clone()).collect();
    let own = &config.backends.own_databases;
    let databases = Databases::open(server.clone(), own, &names).await?;
    let databases = Arc::new(databases);
    let pool = databases.shared().pool.clone();
    let traces = Traces::start(config.otlp.as_ref(), &config.backends)?;
    let tracer = traces.tracer.clone();
    let backing = backing::connect(config, &databases, &tracer).await?;
    let (broker, usage) = (backing.broker, backing.shared.usage.clone());
    let engine =
        Engine::new(Some(&config.compiled)).map_err(|e| StartError::Engine(format!("{e:#}")))?;
    let deployer = Arc::new(Deployer {
        live: Arc::new(Live::new(broker.clone())),
        store: RevisionStore::new(pool),
        factory: Factory::new(engine, backing.shared, databases.clone()),
        deploying: Default::default(),
        committing: Default::default(),
    });
    boot::boot(&deployer, bundles, config.backends.database.is_none()).await?;
    let relay = |pool| {
        let grants = deployer.live.grants(deployer.store.clone());
        Relay::new(pool, broker.clone(), grants).traced(tracer.clone())
    };
    let relays = databases.all().into_iter();
    let relays = relays.map(|each| tokio::spawn(relay(each.pool.clone()).run()));
    let relays = relays.collect();
    let stop = CancellationToken::new();
    let follower = Follower {
        deployer: deployer.clone(),
        host: uuid::Uuid::now_v7().to_string(),
        listen: config.listen.to_string(),
        started_at: OffsetDateTime::now_utc(),
        applying: Default::default(),
    };
    let following = follower.start(stop.clone());
    let schedule = schedule(config, &databases, deployer.live.clone());
    let scheduling = tokio::spawn(schedule.run(stop.clone()));
    let counters = Counters::default();
    let webhooks = webhooks(config, &databases, counters.clone())?;
    let telling = webhooks.start(broker.clone(), stop.clone());
    let platform = Arc::new(Platform {
        deployer,
        health: Health::new(backing.dependencies),
        backends: config.backends.clone(),
        choices: backing::choices(config),
        counters,
        aws_calls: backing.aws_calls,
        limits: Limits::new(config.limits.clone(), backing.rates),
        usage,
        breakers: backing.breakers,
        databases: databases.clone(),
        tracer: tracer.clone(),
        webhooks,
    });
    Ok(Running {
        platform,
        following,
        telling,
        scheduling,
        stop,
        relays,
        databases,
        broker,
        cluster,
        traces,
        _lock: lock,
    })
}

fn schedule(config: &Config, databases: &Databases, live: Arc<Live>) -> Schedule {
    let timers = Timers::new(databases.shared().pool.clone());
    let pools = databases.all().into_iter().map(|each| each.pool.clone());
    let dead_letters = DeadLetters::new(pools.collect(), config.dead_letter_days);
    Schedule::new(live, timers, dead_letters)
}

fn webhooks(
    config: &Config,
    databases: &Databases,
    counters: Counters,
) -> Result<Arc<Webhooks>, KeyError> {
    let own = config.edge.webhook_key.as_ref();
    let secret = own.or(config.identity.secret.as_ref());
    if secret.is_none() && config.backends.database.is_some() {
        tracing::warn!(
            "webhooks are signed with this host's own key: hosts on one database want one LECTERN_WEBHOOK_KEY"
        );
    }
    let key = webhook::Key::new(admin_key::obtain(secret, &config.data_dir)?);
    let store = backend::webhooks::Webhooks::new(databases.shared().pool.clone());
    // Elsewhere a learner is not the operator.
    let loopback = config.edge.webhook_loopback && config.is_development();
    Ok(Arc::new(Webhooks::new(store, key, loopback, counters)))
}

/// Until another host is taken to be there to stay: one may be ending, and a process that is just being started
/// holds what its parent does until it is another program.
const LOCK: Duration = Duration::from_secs(2);

/// One host to a data directory: its staging folder and private database are nobody else's.
async fn lock(config: &Config) -> Result<File, StartError> {
    let path = config.data_dir.clone();
    let failed = |source| StartError::DataDir {
        path: path.clone(),
        source,
    };
    std::fs::create_dir_all(&path).map_err(failed)?;
    let lock = File::create(path.join("lock")).map_err(failed)?;
    let deadline = Instant::now() + LOCK;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

impl Running {
    /// After the gateway has stopped: the contract's last steps, in its order. What is in hand may take
    /// until `deadline`; what is cut off comes again.
    pub async fn stop(self, deadline: Instant) {
        self.stop.cancel();
        self.following.wait().await;
        if tokio::time::timeout_at(deadline, self.scheduling)
            .await
            .is_err()
        {
            tracing::warn!("some timers' calls did not end in time; they will be made again");
        }
        if tokio::time::timeout_at(deadline, self.telling.wait())
            .await
            .is_err()
        {
            tracing::warn!("some webhooks did not answer in time; they will be told again");
        }
        let deployer = self.platform.deployer();
        if tokio::time::timeout_at(deadline, deployer.live.stop())
            .await
            .is_err()
        {
            tracing::warn!("some events did not end in time; they will come again");
            deployer.live.kill().await;
        }
        for relay in &self.relays {
            relay.abort();
        }
        tracing::info!("closing the connections to the database");
        let closing = async {
            deployer.factory.close().await;
            self.databases.close().await;
        };
        if tokio::time::timeout(CLOSE, closing).await.is_err() {
            tracing::warn!("some connections to the database were cut off");
        }
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
        tracing::info!("flushing events, closing the cache");
        if tokio::time::timeout(FLUSH, self.broker.close())
            .await
            .is_err()
        {
            tracing::warn!("the broker did not take its leave in time");
        }
        self.traces.stop().await;
    }
}
