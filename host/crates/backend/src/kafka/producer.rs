//! What is sent to Kafka: events of the outbox, dead letters, and topics that are to be.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use capability::events::{Error, Event, Refused};
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use super::wire::Outgoing;
use super::{Health, failed};

/// How long an acknowledgement is waited for.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);
const ADMIN: Duration = Duration::from_secs(10);
/// Before a full queue is tried again.
const QUEUE: Duration = Duration::from_millis(20);

/// Hears what librdkafka says.
#[derive(Clone)]
pub(super) struct Ear(pub(super) Arc<Health>);

impl ClientContext for Ear {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.failed(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        super::log(level, facility, line);
    }
}

/// The producer, and what it needs to be made anew.
pub(super) struct Producing {
    settings: ClientConfig,
    producer: RwLock<FutureProducer<Ear>>,
    admin: AdminClient<DefaultClientContext>,
    prefix: String,
    /// Topics that are there.
    known: Mutex<HashSet<String>>,
    pub(super) health: Arc<Health>,
}

impl Producing {
    pub(super) fn new(
        mut settings: ClientConfig,
        prefix: String,
        health: Arc<Health>,
    ) -> Result<Self, KafkaError> {
        let admin = settings.create()?;
        settings
            .set("enable.idempotence", "true")
            // Of one key, the second is never there without the first.
            .set("enable.gapless.guarantee", "true")
            .set("message.timeout.ms", ACKNOWLEDGED.as_millis().to_string())
            .set("message.max.bytes", "4000000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("linger.ms", "1")
            .set("compression.type", "lz4");
        Ok(Self {
            producer: RwLock::new(settings.create_with_context(Ear(health.clone()))?),
            settings,
            admin,
            prefix,
            known: Mutex::default(),
            health,
        })
    }

    /// A topic's name in the cluster.
    pub(super) fn full(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The reverse.
    pub(super) fn plain(&self, topic: &str) -> String {
        topic.strip_prefix(&self.prefix).unwrap_or(topic).to_owned()
    }

    /// An event, as it is sent.
    pub(super) fn record(&self, event: &Event) -> Outgoing {
        Outgoing::event(event, self.full(&event.topic))
    }

    pub(super) fn producer(&self) -> FutureProducer<Ear> {
        let producer = self.producer.read();
        producer.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After a fatal error, which a gap in the order is.
    fn renew(&self) -> Result<(), Error> {
        let renewed = self.settings.create_with_context(Ear(self.health.clone()));
        let renewed = renewed.map_err(|e| failed(&e))?;
        *self
            .producer
            .write()
            .unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// Makes the topics that are not there, with the broker's own numbers of partitions and replicas.
    /// A broker that lets nobody make topics is asked no more.
    pub(super) async fn ensure(&self, topics: &[&str]) -> Result<(), Error> {
        let unknown: Vec<&str> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let topics = topics.iter().copied();
            topics.filter(|topic| !known.contains(*topic)).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let fresh: Vec<_> = unknown
            .iter()
            .map(|topic| NewTopic::new(topic, -1, TopicReplication::Fixed(-1)))
            .collect();
        let options = AdminOptions::new().request_timeout(Some(ADMIN));
        let made = self.admin.create_topics(&fresh, &options).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for result in made.map_err(|e| failed(&e))? {
            match result {
                Ok(topic) => {
                    tracing::info!(topic, "made the topic");
                    known.insert(topic);
                }
                Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => {
                    known.insert(topic);
                }
                // It may be there all the same, and nobody else may make topics.
                Err((topic, code)) => tracing::warn!(topic, "the topic was not made: {code}"),
            }
        }
        Ok(())
    }

    /// A topic may have been deleted.
    fn forget(&self, topics: &[&str]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        topics.iter().for_each(|topic| {
            known.remove(*topic);
        });
    }

    /// Sends them in their order; all are acknowledged, or named as refused.
    pub(super) async fn send(&self, events: &[Event]) -> Result<Vec<Refused>, Error> {
        let records: Vec<_> = events.iter().map(|event| self.record(event)).collect();
        let mut topics: Vec<&str> = records.iter().map(|r| r.topic.as_str()).collect();
        topics.sort_unstable();
        topics.dedup();
        self.ensure(&topics).await?;
        match self.send_all(&records).await {
            Ok(()) => Ok(vec![]),
            Err(error) if is_refusal(&error) => self.send_singly(&records).await,
            Err(error) => {
                self.forget(&topics);
                Err(self.broken(&error))
            }
        }
    }

    async fn send_all(&self, records: &[Outgoing]) -> Result<(), KafkaError> {
        let producer = self.producer();
        let mut sent = Vec::with_capacity(records.len());
        let mut broke = None;
        for record in records {
            match enqueue(&producer, record).await {
                Ok(delivery) => sent.push(delivery),
                Err(error) => {
                    broke = Some(error);
                    break;
                }
            }
        }
        // All answers are waited for, also after an error: none may come behind a second try's.
        for delivery in sent {
            if let Err(error) = acknowledged(delivery).await {
                // A gap that one error makes fails the others, also those before it that had not left yet:
                // a refusal is the cause, else the first.
                match &broke {
                    Some(known) if is_refusal(known) || !is_refusal(&error) => {}
                    _ => broke = Some(error),
                }
            }
        }
        broke.map_or(Ok(()), Err)
    }

    /// One of them is refused: which, each tells for itself.
    async fn send_singly(&self, records: &[Outgoing]) -> Result<Vec<Refused>, Error> {
        let mut refused = vec![];
        for (index, record) in records.iter().enumerate() {
            self.renew_if_fatal()?;
            match self.send_all(std::slice::from_ref(record)).await {
                Ok(()) => {}
                Err(error) if is_refusal(&error) => {
                    let reason = format!("Kafka refuses it: {error}");
                    refused.push(Refused { index, reason });
                }
                Err(error) => return Err(self.broken(&error)),
            }
        }
        self.renew_if_fatal()?;
        Ok(refused)
    }

    fn renew_if_fatal(&self) -> Result<(), Error> {
        match self.producer().client().fatal_error() {
            Some(_) => self.renew(),
            None => Ok(()),
        }
    }

    fn broken(&self, error: &KafkaError) -> Error {
        self.health.failed(error, "producing");
        if let Err(again) = self.renew_if_fatal() {
            return again;
        }
        failed(error)
    }

    /// A dead letter; `Ok` once the broker has it.
    pub(super) async fn bury(&self, letter: &Outgoing) -> Result<(), Error> {
        self.ensure(&[&letter.topic]).await?;
        match self.write(letter).await {
            Ok(()) => Ok(()),
            Err(error) if is_refusal(&error) => {
                self.renew_if_fatal()?;
                self.bury_shortened(letter, &error).await
            }
            Err(error) => {
                self.forget(&[&letter.topic]);
                Err(self.broken(&error))
            }
        }
    }

    /// Too large with its headers: its beginning, and where the whole stands, are better than nothing.
    async fn bury_shortened(&self, letter: &Outgoing, why: &KafkaError) -> Result<(), Error> {
        let topic = &letter.topic;
        tracing::error!(topic, %why, "a dead letter is shortened; its origin has the whole");
        let written = self.write(&letter.shortened()).await;
        match written {
            Ok(()) => Ok(()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    async fn write(&self, outgoing: &Outgoing) -> Result<(), KafkaError> {
        let delivery = enqueue(&self.producer(), outgoing).await?;
        acknowledged(delivery).await
    }

    /// Waits for what is under way.
    pub(super) async fn flush(&self, within: Duration) {
        let producer = self.producer();
        let flushed = tokio::task::spawn_blocking(move || producer.flush(within)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "Kafka's producer was not flushed");
        }
    }
}

async fn enqueue(
    producer: &FutureProducer<Ear>,
    outgoing: &Outgoing,
) -> Result<DeliveryFuture, KafkaError> {
    let record = || {
        let record = FutureRecord::to(&outgoing.topic)
            .payload(&outgoing.payload)
            .headers(outgoing.headers.clone());
        // Without a key, any partition will do.
        match outgoing.key.is_empty() {
            true => record,
            false => record.key(&outgoing.key),
        }
    };
    loop {
        match producer.send_result(record()) {
            Ok(delivery) => return Ok(delivery),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                tokio::time::sleep(QUEUE).await;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

async fn acknowledged(delivery: DeliveryFuture) -> Result<(), KafkaError> {
    match delivery.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::Canceled),
    }
}

/// What no second try would change.
fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTopic, MessageSizeTooLarge,
    };
    let refusals = [
        MessageSizeTooLarge,
        InvalidMessageSize,
        InvalidMessage,
        InvalidRecord,
        InvalidTopic,
    ];
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| refusals.contains(&code))
}
