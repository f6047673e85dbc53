//! What stands behind the capabilities: the only place that knows both a real backend and a local one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backend::aws::Aws;
use backend::aws::calls::Calls;
use backend::engine_command::EngineCommand;
use backend::flite::Flite;
use backend::inbox::{self, InboxBroker};
use backend::jobs::Room;
use backend::kafka::KafkaBroker;
use backend::openai::{ModelCheck, OpenAi};
use backend::openai_transcription::OpenAiTranscription;
use backend::outbound::HttpClient;
use backend::polly::Polly;
use backend::postgres::provision;
use backend::redis::{RedisCache, Unusable};
use backend::s3::{CheckError, S3Blobs};
use backend::scratch;
use backend::tesseract::Tesseract;
use backend::textract::Textract;
use backend::transcribe::Transcribe;
use backend::usage::PgUsage;
use capability::blobs::Blobs;
use capability::blobs::local::LocalBlobs;
use capability::blobs::routed::Routed;
use capability::breaker::{Breaker, Guarded, Policy};
use capability::cache::local::LocalCache;
use capability::events::{Broker, Error as EventsError};
use capability::llm::{Llm, NoLlm};
use capability::ocr::{NoOcr, Ocr};
use capability::rates::Rates;
use capability::speech::Speech;
use capability::trace::Tracer;
use capability::transcription::{NoTranscription, Transcription};

use crate::assemble::StartError;
use crate::config::Config;
use crate::config::backends::{self, Backends};
use crate::databases::{Database, Databases};
use crate::factory::Shared;
use crate::health::{Dependency, Trouble};

/// What all components' cached values may take together.
const CACHE_BYTES: u64 = 64 << 20;
/// Sentences spoken at once by the host's own voice.
const VOICES: usize = 2;
/// Pages read at once by Tesseract, each a second of a processor; documents that wait.
const READERS: Room = Room {
    places: 1,
    queue: 100,
};

/// Which backend a capability uses, and why.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name, as in `wit/`.
    pub capability: &'static str,
    /// What stands behind it.
    pub backend: String,
    /// Where that is, as in `at db.internal:5432`: an operator's to know.
    pub place: Option<String>,
    /// Which variable decided.
    pub reason: String,
}

impl Choice {
    /// Both, for operators.
    pub fn shown(&self) -> String {
        match &self.place {
            Some(place) => format!("{} {place}", self.backend),
            None => self.backend.clone(),
        }
    }

    fn at(self, place: String) -> Self {
        let place = Some(place);
        Self { place, ..self }
    }
}

/// The backends, connected or connecting.
pub struct Backing {
    /// For components.
    pub shared: Shared,
    /// For the outbox, and for consumers.
    pub broker: Arc<dyn Broker>,
    /// What health asks.
    pub dependencies: Vec<Dependency>,
    /// Of Amazon's services.
    pub aws_calls: Calls,
    /// Between components and servers, by the server's name.
    pub breakers: Vec<(&'static str, Arc<Breaker>)>,
    /// Where hosts count together who asks how often.
    pub rates: Option<Arc<dyn Rates>>,
}

/// When Amazon is no longer asked: its SDK has tried each call several times by then.
const BREAKER: Policy = Policy {
    failures: 5,
    cool_down: Duration::from_secs(5),
    share: None,
};

/// Between components and servers.
#[derive(Default)]
struct Breakers(Vec<(&'static str, Arc<Breaker>)>);

impl Breakers {
    fn put(&mut self, name: &'static str, breaker: Arc<Breaker>) {
        self.0.push((name, breaker));
    }

    fn add(&mut self, name: &'static str) -> Arc<Breaker> {
        let breaker = Arc::new(Breaker::new(BREAKER));
        self.put(name, breaker.clone());
        breaker
    }
}

/// Where blobs of the host's own lie.
fn folder(config: &Config) -> PathBuf {
    config.data_dir.join("blobs")
}

/// Connects what can be connected now; what is away is waited for in the background.
pub async fn connect(
    config: &Config,
    databases: &Arc<Databases>,
    tracer: &Tracer,
) -> Result<Backing, StartError> {
    let backends = &config.backends;
    let mut dependencies = vec![database(databases)];
    let aws = Aws::load(&backends.aws).await;
    let s3 = s3(backends, &aws);
    if backends.uses_s3() {
        dependencies.push(storage(s3.clone()));
    }
    let mut breakers = Breakers::default();
    let blobs = blobs(config, &s3, &mut breakers).await?;
    let left = scratch::sweep();
    if left > 0 {
        tracing::info!(left, "files that a killed host has left are removed");
    }
    let redis = redis(backends, &mut dependencies)?;
    let shared = Shared {
        cache: match &redis {
            Some(redis) => redis.clone(),
            None => Arc::new(LocalCache::new(CACHE_BYTES)),
        },
        llm: match &backends.llm {
            Some(llm) => model(llm, &mut breakers)?,
            None => Arc::new(NoLlm),
        },
        speech: speech(backends, &aws, &mut breakers)?,
        transcription: transcription(backends, &aws, &s3, &blobs, databases, &mut breakers)?,
        ocr: ocr(backends, &aws, &s3, &blobs, &mut breakers).await,
        outbound: Arc::new(HttpClient::new(config.outbound_private)),
        secrets: config.secrets.clone(),
        settings: config.settings.clone(),
        usage: Arc::new(PgUsage::new(
            databases.shared().pool.clone(),
            config.limits.budgets,
        )),
        tracer: tracer.clone(),
        blobs,
    };
    Ok(Backing {
        broker: broker(backends, databases.shared(), &mut dependencies).await?,
        shared,
        dependencies,
        aws_calls: aws.calls,
        breakers: breakers.0,
        rates: redis.map(|redis| redis as Arc<dyn Rates>),
    })
}

async fn blobs(
    config: &Config,
    s3: &Arc<S3Blobs>,
    breakers: &mut Breakers,
) -> Result<Arc<dyn Blobs>, StartError> {
    let buckets = &config.backends.buckets;
    if !config.backends.uses_s3() {
        return Ok(Arc::new(LocalBlobs::open(&folder(config)).await?));
    }
    let s3: Arc<dyn Blobs> = Arc::new(Guarded {
        inner: s3.clone() as Arc<dyn Blobs>,
        breaker: breakers.add("s3"),
    });
    if buckets.default.is_some() {
        return Ok(s3);
    }
    let local: Arc<dyn Blobs> = Arc::new(LocalBlobs::open(&folder(config)).await?);
    let named = buckets.by_component.keys();
    Ok(Arc::new(Routed {
        named: named
            .map(|name| (name.clone(), s3.clone()))
            .collect::<BTreeMap<_, _>>(),
        otherwise: local,
    }))
}

fn redis(
    backends: &Backends,
    dependencies: &mut Vec<Dependency>,
) -> Result<Option<Arc<RedisCache>>, StartError> {
    let Some(config) = &backends.redis else {
        return Ok(None);
    };
    let unfit = |error: Unusable| StartError::Backend("Redis", error.to_string());
    let redis = Arc::new(RedisCache::new(config).map_err(unfit)?);
    dependencies.push(redis_server(redis.clone()));
    Ok(Some(redis))
}

fn redis_server(redis: Arc<RedisCache>) -> Dependency {
    Dependency {
        name: "redis",
        is_needed: false,
        ask: Box::new(move || {
            let redis = redis.clone();
            Box::pin(async move {
                redis.check().await.map_err(|error| match &error {
                    Unusable::Credentials(_) => Trouble::Refused(error.to_string()),
                    Unusable::Unreachable(_) => Trouble::Away(error.to_string()),
                })
            })
        }),
    }
}

async fn broker(
    backends: &Backends,
    database: &Database,
    dependencies: &mut Vec<Dependency>,
) -> Result<Arc<dyn Broker>, StartError> {
    let Some(config) = &backends.kafka else {
        return Ok(Arc::new(InboxBroker::new(database.pool.clone())));
    };
    let kafka = kafka(config)?;
    match inbox::hand_over(&database.pool).await {
        Ok(0) => {}
        Ok(events) => tracing::info!("{events} events that waited in inboxes go to Kafka"),
        Err(error) => tracing::warn!(%error, "what waits in inboxes was not handed to Kafka"),
    }
    dependencies.push(kafka_cluster(kafka.clone()));
    Ok(kafka)
}

fn kafka(config: &backend::kafka::Config) -> Result<Arc<KafkaBroker>, StartError> {
    let kafka = KafkaBroker::new(config.clone());
    let kafka = kafka.map_err(|error| StartError::Backend("Kafka", error.to_string()))?;
    Ok(Arc::new(kafka))
}

fn kafka_cluster(kafka: Arc<KafkaBroker>) -> Dependency {
    Dependency {
        name: "kafka",
        // Events wait in the outbox.
        is_needed: false,
        ask: Box::new(move || {
            let kafka = kafka.clone();
            Box::pin(async move {
                kafka.check().await.map_err(|error| match &error {
                    EventsError::AccessDenied => {
                        Trouble::Refused("it refuses the credentials".into())
                    }
                    other => Trouble::Away(other.to_string()),
                })
            })
        }),
    }
}

/// The configured servers beside the database, for who asks them without a platform.
pub async fn servers(config: &Config) -> Result<Vec<Dependency>, StartError> {
    let backends = &config.backends;
    let mut servers = vec![];
    if let Some(config) = &backends.kafka {
        servers.push(kafka_cluster(kafka(config)?));
    }
    redis(backends, &mut servers)?;
    if backends.uses_s3() {
        servers.push(storage(s3(backends, &Aws::load(&backends.aws).await)));
    }
    Ok(servers)
}

fn s3(backends: &Backends, aws: &Aws) -> Arc<S3Blobs> {
    let s3 = S3Blobs::new(aws, backends.buckets.clone());
    Arc::new(match backends.has_s3_endpoint {
        true => s3.with_path_style(),
        false => s3,
    })
}

fn database(databases: &Arc<Databases>) -> Dependency {
    let databases = databases.clone();
    Dependency {
        name: "database",
        is_needed: true,
        ask: Box::new(move || {
            let databases = databases.clone();
            Box::pin(async move {
                for database in databases.all() {
                    if provision::ping(&database.pool).await.is_ok() {
                        continue;
                    }
                    // Why, a login says.
                    let answer = provision::connect(&database.server).await;
                    answer.map_err(|error| match error.is_refused() {
                        true => Trouble::Refused(error.to_string()),
                        false => Trouble::Away(error.to_string()),
                    })?;
                }
                Ok(())
            })
        }),
    }
}

fn storage(s3: Arc<S3Blobs>) -> Dependency {
    Dependency {
        name: "aws",
        // What is stored elsewhere is still served.
        is_needed: false,
        ask: Box::new(move || {
            let s3 = s3.clone();
            Box::pin(async move {
                s3.check().await.map_err(|error| match &error {
                    CheckError::Unreachable { .. } => Trouble::Away(error.to_string()),
                    _ => Trouble::Refused(error.to_string()),
                })
            })
        }),
    }
}

fn speech(
    backends: &Backends,
    aws: &Aws,
    breakers: &mut Breakers,
) -> Result<Arc<dyn Speech>, StartError> {
    Ok(match backends.speech.what {
        backends::Speech::Polly => Arc::new(Guarded {
            inner: Arc::new(Polly::new(aws)) as Arc<dyn Speech>,
            breaker: breakers.add("polly"),
        }),
        backends::Speech::Local => {
            let flite = Flite::new(VOICES);
            Arc::new(flite.map_err(|e| StartError::Backend("the host's voice", e.to_string()))?)
        }
    })
}

fn transcription(
    backends: &Backends,
    aws: &Aws,
    s3: &Arc<S3Blobs>,
    blobs: &Arc<dyn Blobs>,
    databases: &Databases,
    breakers: &mut Breakers,
) -> Result<Arc<dyn Transcription>, StartError> {
    use backends::Transcription as Choice;
    let jobs = || databases.shared().pool.clone();
    let unfit = |why: String| StartError::Backend("transcription", why);
    Ok(match &backends.transcription.what {
        Choice::Transcribe(languages) => {
            let transcribe = Transcribe::new(aws, s3.clone()).map_err(|e| unfit(e.to_string()))?;
            let transcribe = transcribe.with_languages(languages.clone());
            Arc::new(Guarded {
                inner: Arc::new(transcribe) as Arc<dyn Transcription>,
                breaker: breakers.add("transcribe"),
            })
        }
        Choice::OpenAi(config) => {
            let server = OpenAiTranscription::new(config.clone(), blobs.clone());
            let server = server.map_err(|e| unfit(e.to_string()))?.shared(jobs());
            breakers.put("openai_transcription", server.breaker());
            Arc::new(server)
        }
        Choice::Command(config) => {
            let command = EngineCommand::new(config.clone(), blobs.clone());
            Arc::new(command.map_err(|e| unfit(e.to_string()))?.shared(jobs()))
        }
        Choice::None => Arc::new(NoTranscription),
    })
}

/// Tries the program out, for who asks it without a platform.
pub async fn try_listener(
    config: &Config,
    command: &backend::engine_command::Config,
) -> Result<String, String> {
    let blobs = LocalBlobs::open(&folder(config)).await;
    let blobs = Arc::new(blobs.map_err(|e| e.to_string())?);
    let engine = EngineCommand::new(command.clone(), blobs).map_err(|e| e.to_string())?;
    let tried = engine.try_out().await;
    tried.map_err(|why| format!("LECTERN_STT_COMMAND does not work: {why}"))?;
    Ok(match engine.converts() {
        true => "LECTERN_STT_COMMAND works, on recordings of every format".into(),
        false => "LECTERN_STT_COMMAND works, on WAV alone: ffmpeg is not installed".into(),
    })
}

async fn ocr(
    backends: &Backends,
    aws: &Aws,
    s3: &Arc<S3Blobs>,
    blobs: &Arc<dyn Blobs>,
    breakers: &mut Breakers,
) -> Arc<dyn Ocr> {
    match backends.ocr.what {
        backends::Ocr::Textract => Arc::new(Guarded {
            inner: Arc::new(Textract::new(aws, s3.clone())) as Arc<dyn Ocr>,
            breaker: breakers.add("textract"),
        }),
        backends::Ocr::Local => match Tesseract::find(READERS, blobs.clone()).await {
            Ok(tesseract) => Arc::new(tesseract),
            Err(missing) => {
                tracing::debug!("no OCR: {missing}");
                Arc::new(NoOcr)
            }
        },
        backends::Ocr::None => Arc::new(NoOcr),
    }
}

/// The configured model; whether its server knows it is told in the log, beside the start.
fn model(
    config: &backend::openai::Config,
    breakers: &mut Breakers,
) -> Result<Arc<dyn Llm>, StartError> {
    let llm = Arc::new(OpenAi::new(config.clone())?);
    breakers.put("llm", llm.breaker());
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

/// Which backends the configuration chooses, without starting any.
pub fn choices(config: &Config) -> Vec<Choice> {
    let backends = &config.backends;
    let choice = |capability, backend: String, reason: &str| Choice {
        capability,
        backend,
        place: None,
        reason: reason.to_owned(),
    };
    let postgres = match &backends.database {
        Some(server) => {
            let place = format!("at {}:{}", server.host, server.port);
            choice("postgres", "PostgreSQL".into(), "DB_HOST is set").at(place)
        }
        None => choice(
            "postgres",
            "private PostgreSQL".into(),
            "DB_HOST is not set",
        ),
    };
    let events = match &backends.kafka {
        Some(kafka) => {
            let place = format!("at {}", kafka.bootstrap_servers);
            choice("events", "Kafka".into(), "KAFKA_BOOTSTRAP_SERVERS is set").at(place)
        }
        None => choice(
            "events",
            "outbox and inboxes in PostgreSQL".into(),
            "KAFKA_BOOTSTRAP_SERVERS is not set",
        ),
    };
    let cache = match &backends.redis {
        Some(redis) => {
            let place = format!("at {}:{}", redis.host, redis.port);
            choice("cache", "Redis".into(), "REDIS_HOST is set").at(place)
        }
        None => choice(
            "cache",
            "the host's own memory".into(),
            "REDIS_HOST is not set",
        ),
    };
    let (blobs, blobs_place, why) = blobs_choice(config);
    let llm = match &backends.llm {
        Some(llm) => {
            let why = "OPENROUTER_API_KEY or OPENROUTER_BASE_URL is set";
            choice("llm", llm.model.clone(), why).at(format!("at {}", llm.shown_url()))
        }
        None => choice(
            "llm",
            "none: answers, notes and quizzes are local-extractive".into(),
            "neither OPENROUTER_API_KEY nor OPENROUTER_BASE_URL is set",
        ),
    };
    vec![
        postgres,
        events,
        choice("blobs", blobs.into(), why).at(blobs_place),
        cache,
        llm,
        choice("speech", speech_choice(backends), &backends.speech.reason),
        choice(
            "transcription",
            transcription_choice(backends),
            &backends.transcription.reason,
        ),
        choice("ocr", ocr_choice(backends), &backends.ocr.reason),
    ]
}

/// What, where, and why.
fn blobs_choice(config: &Config) -> (&'static str, String, &'static str) {
    let buckets = &config.backends.buckets;
    let named = buckets.by_component.iter();
    let mut places: Vec<_> = named
        .map(|(component, bucket)| format!("{component} in the bucket {bucket}"))
        .collect();
    if places.is_empty() && buckets.default.is_none() {
        let place = format!("at {}", folder(config).display());
        return ("a folder of the host's", place, "S3_BUCKET_NAME is not set");
    }
    places.push(match &buckets.default {
        Some(bucket) => format!("all others in the bucket {bucket}"),
        None => format!("all others in the folder {}", folder(config).display()),
    });
    let why = "S3_BUCKET_NAME or a service's own is set";
    ("S3", format!("with {}", places.join(", ")), why)
}

fn speech_choice(backends: &Backends) -> String {
    match backends.speech.what {
        backends::Speech::Polly => format!("Amazon Polly in {}", backends.aws.region),
        backends::Speech::Local => "flite, a voice that the host brings".into(),
    }
}

fn transcription_choice(backends: &Backends) -> String {
    use backends::Transcription as Choice;
    match &backends.transcription.what {
        Choice::Transcribe(_) => format!("Amazon Transcribe in {}", backends.aws.region),
        Choice::OpenAi(config) => format!(
            "{} at a server of OpenAI's kind, {}",
            config.model,
            taken(config.room, config.timeout)
        ),
        Choice::Command(config) => format!(
            "a program on this machine, {}",
            taken(config.room, config.timeout)
        ),
        Choice::None => "none: audio is stored, and not transcribed".into(),
    }
}

fn taken(room: Room, timeout: Duration) -> String {
    let seconds = timeout.as_secs();
    format!("{} at once, {seconds} s for each", room.places)
}

fn ocr_choice(backends: &Backends) -> String {
    match backends.ocr.what {
        backends::Ocr::Textract => format!("Amazon Textract in {}", backends.aws.region),
        backends::Ocr::Local => match Tesseract::missing() {
            None => "Tesseract".into(),
            Some(missing) => format!("none: {missing}"),
        },
        backends::Ocr::None => "none".into(),
    }
}
