//! Events through Apache Kafka: an idempotent producer behind the outbox, a consumer group per
//! component, a dead-letter topic per topic. <https://kafka.apache.org/documentation/>

mod consumer;
mod lag;
mod producer;
mod track;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use capability::events::{Broker, Error, Event, Lag, Refused, Subscription};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::task::TaskTracker;

use consumer::{Task, Watch};
use lag::Lags;
use producer::Producing;

/// How long `check` waits for an answer.
const CHECK: Duration = Duration::from_secs(2);
/// How long the last records may take to leave.
const FLUSH: Duration = Duration::from_secs(10);

/// Where Kafka is, and who asks.
#[derive(Clone)]
pub struct Config {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// `PLAINTEXT` where not given; `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`. TLS wants a build with the
    /// feature `kafka-tls`.
    pub security_protocol: Option<String>,
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`; the latter two want `kafka-tls` too.
    pub sasl_mechanism: Option<String>,
    /// Who.
    pub sasl_username: Option<String>,
    /// With which password.
    pub sasl_password: Option<SecretString>,
    /// A file of certificates in PEM that are trusted; the system's where not given.
    pub ssl_ca_location: Option<String>,
    /// Begins every consumer group's name, and every topic's: two platforms can share a cluster.
    pub group_prefix: String,
    /// None by default: the topics have the contract's names.
    pub topic_prefix: String,
}

impl Config {
    /// On that cluster, without encryption or login.
    pub fn plain(bootstrap_servers: &str) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.to_owned(),
            security_protocol: None,
            sasl_mechanism: None,
            sasl_username: None,
            sasl_password: None,
            ssl_ca_location: None,
            group_prefix: "lectern.".to_owned(),
            topic_prefix: String::new(),
        }
    }

    fn settings(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "lectern")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            .set("topic.metadata.refresh.interval.ms", "30000");
        let password = self.sasl_password.as_ref();
        for (name, value) in [
            ("security.protocol", self.security_protocol.as_deref()),
            ("sasl.mechanism", self.sasl_mechanism.as_deref()),
            ("sasl.username", self.sasl_username.as_deref()),
            ("sasl.password", password.map(ExposeSecret::expose_secret)),
            ("ssl.ca.location", self.ssl_ca_location.as_deref()),
        ] {
            if let Some(value) = value {
                settings.set(name, value);
            }
        }
        settings
    }
}

/// Kafka.
pub struct KafkaBroker {
    config: Config,
    producing: Arc<Producing>,
    consumers: TaskTracker,
    lags: Arc<Lags>,
}

impl KafkaBroker {
    /// Connects in the background: a broker that is away is waited for. An error is a configuration
    /// that librdkafka does not take.
    pub fn new(config: Config) -> Result<Self, Error> {
        let health = Arc::new(Health::default());
        let prefix = config.topic_prefix.clone();
        let producing = Producing::new(config.settings(), prefix, health).map_err(|error| {
            Error::Invalid(format!(
                "Kafka's settings are refused (TLS and SCRAM want a build with the feature `kafka-tls`): {error}"
            ))
        })?;
        Ok(Self {
            config,
            producing: Arc::new(producing),
            consumers: TaskTracker::new(),
            lags: Arc::default(),
        })
    }

    /// Asks the cluster for its metadata: [`Error::AccessDenied`] where it refuses the login,
    /// [`Error::Unavailable`] where it does not answer.
    pub async fn check(&self) -> Result<(), Error> {
        let producer = self.producing.producer();
        let asked =
            tokio::task::spawn_blocking(move || producer.client().fetch_metadata(None, CHECK));
        match asked.await {
            Ok(Ok(_)) => {
                self.producing.health.well();
                Ok(())
            }
            Ok(Err(error)) => Err(self.producing.health.reason(&error)),
            Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }

    /// Waits for the consumers whose subscriptions are dropped, and for the last records to leave.
    pub async fn close(&self) {
        self.consumers.close();
        self.consumers.wait().await;
        self.producing.flush(FLUSH).await;
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    async fn send(&self, events: &[Event]) -> Result<Vec<Refused>, Error> {
        if events.is_empty() {
            return Ok(vec![]);
        }
        let refused = self.producing.send(events).await?;
        self.producing.health.well();
        Ok(refused)
    }

    async fn subscribe(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Box<dyn Subscription>, Error> {
        let (watch, changes) = Watch::new(group, self.producing.clone(), self.lags.clone());
        let group = format!("{}{group}", self.config.group_prefix);
        let consumer = self
            .config
            .settings()
            .set("group.id", &group)
            // A swap or a new host moves as few partitions as can be.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            // What is stored is done; it is committed by and by, and before partitions leave.
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "200")
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "4096")
            .set("fetch.wait.max.ms", "100")
            // What there is still to handle, for the metrics.
            .set("statistics.interval.ms", "5000")
            .create_with_context(watch)
            .map_err(|error| failed(&error))?;
        let (task, records) = Task::new(consumer, changes, group, self.producing.clone());
        let topics = topics.iter().map(|topic| self.producing.full(topic));
        self.consumers.spawn(task.run(topics.collect()));
        Ok(Box::new(records))
    }

    async fn lag(&self) -> Vec<Lag> {
        self.lags.all()
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}

/// What was last heard of the cluster: said once when it goes, and once when it comes back.
#[derive(Default)]
struct Health {
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone)]
struct Trouble {
    is_refused: bool,
    reason: String,
}

impl Health {
    fn failed(&self, error: &KafkaError, reason: &str) {
        let is_refused = is_refused(error);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble
            .as_ref()
            .is_none_or(|known| is_refused && !known.is_refused)
        {
            tracing::warn!("Kafka: {error}: {reason}");
            let reason = format!("{error}: {reason}");
            *trouble = Some(Trouble { is_refused, reason });
        }
    }

    fn well(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.take().is_some() {
            tracing::info!("Kafka answers again");
        }
    }

    /// What stands behind an error: a refused login is heard only here.
    fn reason(&self, error: &KafkaError) -> Error {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &*trouble {
            Some(trouble) if trouble.is_refused => Error::AccessDenied,
            Some(trouble) => Error::Unavailable(trouble.reason.clone()),
            None => failed(error),
        }
    }
}

fn is_refused(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        Authentication, ClusterAuthorizationFailed, GroupAuthorizationFailed,
        SaslAuthenticationFailed, TopicAuthorizationFailed,
    };
    let refusals = [
        Authentication,
        SaslAuthenticationFailed,
        TopicAuthorizationFailed,
        GroupAuthorizationFailed,
        ClusterAuthorizationFailed,
    ];
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| refusals.contains(&code))
}

/// librdkafka's errors by meaning.
fn failed(error: &KafkaError) -> Error {
    use RDKafkaErrorCode::{MessageTimedOut, OperationTimedOut, RequestTimedOut};
    match error.rdkafka_error_code() {
        _ if is_refused(error) => Error::AccessDenied,
        Some(MessageTimedOut | OperationTimedOut | RequestTimedOut) => Error::Timeout,
        _ => Error::Unavailable(error.to_string()),
    }
}

/// Its chatter is ours only when somebody asks: what matters comes as errors too.
fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    tracing::debug!(target: "librdkafka", ?level, "{facility}: {line}");
}
