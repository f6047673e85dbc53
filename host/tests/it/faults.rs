//! The whole platform on real servers, while they and the host itself are killed: what learners were
//! promised is done, once. Kills servers that other tests use, so that it runs alone: `just faults`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use corpus::samples::BIOLOGY;
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use serde_json::Value;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::process::Command;

use crate::harness::data_dir;
use crate::process::{Host, count, effects, start};
use crate::services;

/// After the last fault, everything is to have been done.
const RECOVERY: Duration = Duration::from_secs(120);
/// Each takes so long, with uploads all the while.
const FAULT: Duration = Duration::from_secs(2);

/// Longer than the producer waits for an acknowledgement.
const MINUTE: Duration = Duration::from_secs(60);

/// Where the host dies by itself; a step's fourth passing.
const STEPS: &[&str] = &[
    "postgres::after_commit",
    "relay::before_send",
    "relay::after_send",
    "relay::after_commit",
    "kafka::before_settle",
    "kafka::after_settle",
];

/// A database, topics and groups of this run's own on the servers of `just services`.
struct World {
    run: String,
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl World {
    fn new() -> Option<Self> {
        services::wanted("KAFKA_BOOTSTRAP_SERVERS")?;
        let run = format!("faults_{}", uuid::Uuid::new_v4().simple());
        let mut variables: BTreeMap<_, _> = services::all().into_iter().collect();
        // The host sees the servers through the proxy, which can be made to fail; the test does not.
        let port = |name: &str| {
            services::variable(name)?
                .split(':')
                .nth(1)
                .map(String::from)
        };
        for (name, proxied) in [
            ("DB_PORT", port("PROXIED_POSTGRES")?),
            ("REDIS_PORT", port("PROXIED_REDIS")?),
            (
                "KAFKA_BOOTSTRAP_SERVERS",
                services::variable("PROXIED_KAFKA")?,
            ),
            (
                "AWS_ENDPOINT_URL_S3",
                format!("http://{}", services::variable("PROXIED_S3")?),
            ),
        ] {
            variables.insert(name.into(), proxied);
        }
        variables.insert("DB_NAME".into(), run.clone());
        variables.insert("KAFKA_TOPIC_PREFIX".into(), format!("{run}."));
        variables.insert("KAFKA_GROUP_PREFIX".into(), format!("{run}."));
        Some(Self {
            run,
            folder: data_dir(),
            variables: variables.into_iter().collect(),
        })
    }

    async fn start(&self, failpoints: &str) -> Host {
        start(self.folder.path(), failpoints, &self.variables).await
    }

    async fn database(&self) -> Option<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&direct("DB_HOST"))
            .port(direct("DB_PORT").parse().unwrap())
            .username(&direct("DB_USER"))
            .password(&direct("DB_PASSWORD"))
            .database(&self.run);
        PgConnection::connect_with(&options).await.ok()
    }
}

/// Past the proxy.
fn direct(name: &str) -> String {
    services::variable(name).expect("a variable of `just services`")
}

/// The document's id, where the upload was promised to be done.
async fn upload(base: &str, number: usize) -> Option<String> {
    let text = format!("{BIOLOGY}\n\nThis is copy {number}.\n");
    let file = reqwest::multipart::Part::bytes(text.into_bytes()).file_name("a.txt");
    let form = reqwest::multipart::Form::new()
        .part("file", file)
        .text("user_id", "alice");
    let request = reqwest::Client::new()
        .post(format!("{base}/upload"))
        .timeout(Duration::from_secs(20))
        .multipart(form);
    let body: Value = request.send().await.ok()?.json().await.ok()?;
    body["document_id"].as_str().map(ToOwned::to_owned)
}

fn is_dead(host: &mut Host) -> bool {
    matches!(host.child.try_wait(), Ok(Some(_)))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

async fn server(verb: &str, name: &str) {
    let done = Command::new(root().join("deploy/services.sh"))
        .args([verb, name])
        .stdout(Stdio::null())
        .status();
    assert!(done.await.unwrap().success(), "{verb} {name}");
}

/// A server behind the proxy stops answering, or slows down.
async fn toxic(proxy: &str, kind: &str, attribute: (&str, u64)) {
    let url = format!("{}/proxies/{proxy}/toxics", direct("TOXIPROXY_URL"));
    let mut attributes = serde_json::Map::new();
    attributes.insert(attribute.0.to_owned(), attribute.1.into());
    let body = serde_json::json!({ "name": kind, "type": kind, "attributes": attributes });
    let client = reqwest::Client::new();
    let added = client.post(&url).json(&body).send().await.unwrap();
    assert!(
        added.status().is_success(),
        "{}",
        added.text().await.unwrap()
    );
    tokio::time::sleep(FAULT).await;
    let removed = client.delete(format!("{url}/{kind}")).send().await.unwrap();
    assert!(removed.status().is_success());
}

/// What happens to the platform while learners upload.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A server is killed, and comes back.
    Server(&'static str),
    /// Kafka is away for so long that its producer gives up.
    Minute,
    /// A server's answers do not come for a while; or late, by so many milliseconds.
    Silent(&'static str),
    Slow(&'static str, u64),
    /// The host is killed from outside.
    Host,
    /// The host dies at a step.
    Step(&'static str),
}

/// The first run has the long one too.
fn faults(number: usize) -> Vec<Fault> {
    let mut faults = if number == 1 {
        vec![Fault::Minute]
    } else {
        vec![]
    };
    faults.extend([
        Fault::Server("kafka"),
        Fault::Server("postgres"),
        Fault::Server("redis"),
        Fault::Server("s3"),
        Fault::Silent("kafka"),
        Fault::Silent("postgres"),
        Fault::Silent("s3"),
        Fault::Slow("redis", 2_000),
        Fault::Slow("postgres", 100),
        Fault::Host,
    ]);
    faults.extend(STEPS.iter().map(|step| Fault::Step(step)));
    faults
}

async fn inflict(fault: Fault, host: &mut Host) {
    match fault {
        Fault::Server(name) => {
            server("kill", name).await;
            tokio::time::sleep(FAULT).await;
            server("start", name).await;
        }
        Fault::Minute => {
            server("kill", "kafka").await;
            tokio::time::sleep(MINUTE).await;
            server("start", "kafka").await;
            tokio::time::sleep(FAULT).await;
        }
        Fault::Silent(proxy) => toxic(proxy, "timeout", ("timeout", 0)).await,
        Fault::Slow(proxy, ms) => toxic(proxy, "latency", ("latency", ms)).await,
        Fault::Host => {
            tokio::time::sleep(FAULT / 4).await;
            host.child.kill().await.unwrap();
        }
        // Started so that it dies by itself: of a consumer's step once the group has its partitions.
        Fault::Step(_) => {
            let _ = tokio::time::timeout(RECOVERY, host.child.wait()).await;
        }
    }
}

/// Uploads until the fault is over; answers what was promised, and how many uploads were refused.
async fn under(world: &World, fault: Fault) -> (Vec<String>, usize) {
    let failpoints = match fault {
        Fault::Step(step) => format!("{step}=3*off->return"),
        _ => String::new(),
    };
    let mut host = world.start(&failpoints).await;
    let base = host.base.clone();
    let over = std::sync::atomic::AtomicBool::new(false);
    let learner = async {
        let (mut promised, mut refused) = (vec![], 0);
        let mut number = 0;
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            number += 1;
            match upload(&base, number).await {
                Some(id) => promised.push(id),
                None => refused += 1,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        (promised, refused)
    };
    let trouble = async {
        inflict(fault, &mut host).await;
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let ((promised, refused), ()) = tokio::join!(learner, trouble);
    // The next fault meets another host.
    let has_died = is_dead(&mut host);
    assert_eq!(
        has_died,
        matches!(fault, Fault::Host | Fault::Step(_)),
        "{fault:?}"
    );
    if !has_died {
        let _ = host.child.kill().await;
    }
    (promised, refused)
}

/// Nothing waits any more, nothing is processed.
async fn settled(world: &World) {
    let waiting = async {
        loop {
            if let Some(mut connection) = world.database().await {
                let left: Result<i64, _> = sqlx::query_scalar(
                    "select (select count(*) from lectern.outbox) + (select count(*) from documents.documents d \
                     where status = 'processing' or not exists (select from chat.shelf s where s.document_id = d.document_id) \
                     or not exists (select from quiz.shelf s where s.document_id = d.document_id and s.terms <> '[]'))",
                )
                .fetch_one(&mut connection)
                .await;
                if matches!(left, Ok(0)) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let log = || std::fs::read_to_string(world.folder.path().join("host.log")).unwrap_or_default();
    if tokio::time::timeout(RECOVERY, waiting).await.is_err() {
        panic!("not everything is done; the host says:\n{}", log());
    }
}

/// Of each topic of the run: its records, and the distinct events in them.
fn sent(world: &World) -> BTreeMap<String, (usize, BTreeSet<String>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", direct("KAFKA_BOOTSTRAP_SERVERS"))
        .set("group.id", uuid::Uuid::new_v4().to_string())
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer
        .fetch_metadata(None, Duration::from_secs(10))
        .unwrap();
    let prefix = format!("{}.", world.run);
    let topics = metadata
        .topics()
        .iter()
        .filter(|t| t.name().starts_with(&prefix));
    let topics: Vec<_> = topics.map(|t| (t.name(), t.partitions().len())).collect();
    let names: Vec<_> = topics.iter().map(|(name, _)| *name).collect();
    consumer.subscribe(&names).unwrap();
    let mut ends = topics
        .iter()
        .map(|(_, partitions)| partitions)
        .sum::<usize>();
    let mut sent: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    let until = Instant::now() + Duration::from_secs(60);
    while ends > 0 && Instant::now() < until {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                let id = message.headers().and_then(|headers| {
                    let id = headers.iter().find(|header| header.key == "event-id")?;
                    String::from_utf8(id.value?.to_vec()).ok()
                });
                let topic = message.topic().trim_start_matches(&prefix).to_owned();
                let entry = sent.entry(topic).or_default();
                entry.0 += 1;
                entry.1.extend(id);
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ends -= 1,
            _ => {}
        }
    }
    sent
}

async fn run(number: usize) {
    let Some(world) = World::new() else { return };
    let mut promised = BTreeSet::new();
    let mut refused = 0;
    for fault in faults(number) {
        let (more, not) = under(&world, fault).await;
        promised.extend(more);
        refused += not;
    }
    let host = world.start("").await;
    settled(&world).await;
    let mut connection = world.database().await.unwrap();
    let documents = "select count(*) from documents.documents";
    let completed = "select count(*) from documents.documents where status = 'completed'";
    let documents = count(&mut connection, documents).await;
    let completed = count(&mut connection, completed).await;
    let kept: Vec<String> = sqlx::query_scalar("select document_id from documents.documents")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let lost = promised.iter().filter(|id| !kept.contains(*id)).count();
    let sent = sent(&world);
    let effects: BTreeMap<_, _> = effects(&mut connection).await.into_iter().collect();
    let told = |topic: &str| {
        sent.get(topic)
            .map_or((0, 0), |(all, each)| (*all, each.len()))
    };
    eprintln!(
        "run {number}: {} uploads promised, {refused} refused, {documents} documents, {completed} completed, {lost} lost; \
         document.uploaded: {:?} records/events, document.processed: {:?}; effects: {effects:?}",
        promised.len(),
        told("document.uploaded"),
        told("document.processed"),
    );
    assert!(promised.len() > 50, "hardly anything was promised");
    assert_eq!((lost, completed), (0, documents));
    let documents_sent = usize::try_from(documents).unwrap();
    for topic in ["document.uploaded", "document.processed"] {
        assert_eq!(
            told(topic).1,
            documents_sent,
            "one event a document on {topic}"
        );
    }
    for (consumer, topic) in [
        ("documents", "document.uploaded"),
        ("chat", "document.processed"),
        ("quiz", "document.processed"),
    ] {
        let effected = effects.get(&format!("{consumer} {topic}"));
        assert_eq!(effected, Some(&documents), "{consumer} {topic}");
    }
    for sql in [
        "select count(*) from chat.shelf",
        "select count(distinct document_id) from chat.shelf",
        "select count(*) from quiz.shelf where terms <> '[]'",
    ] {
        assert_eq!(count(&mut connection, sql).await, documents, "{sql}");
    }
    let dead: Vec<_> = sent
        .keys()
        .filter(|topic| topic.ends_with(".dlq"))
        .collect();
    assert!(dead.is_empty(), "{dead:?}");
    connection.close().await.unwrap();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "kills the servers of `just services`: run by `just faults`"]
async fn servers_and_hosts_that_die_lose_and_double_nothing() {
    let runs = std::env::var("FAULT_RUNS").map_or(1, |runs| runs.parse().unwrap());
    for number in 1..=runs {
        run(number).await;
    }
}
