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
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Row};
use tokio::process::Command;

use crate::harness::data_dir;
use crate::process::{Host, count, effects, start};
use crate::services;

/// A platform in which nothing gets done for so long is stuck; while something is, a slow machine may take
/// what it takes. Longer than a consumer group takes to notice several dead hosts, at 10 s each.
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

    /// Panics with the reason, behind the end of what the host said: whoever reads the last lines sees both.
    #[track_caller]
    fn fails(&self, why: &str) -> ! {
        let log = std::fs::read_to_string(self.folder.path().join("host.log"));
        let log = log.unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(40)..);
        let end = end.unwrap_or_default().join("\n");
        eprintln!("the end of the host's log:\n{end}\n");
        panic!("{why}");
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
    match (fault, is_dead(&mut host)) {
        (Fault::Host | Fault::Step(_), true) => {}
        (Fault::Step(step), false) => {
            world.fails(&format!("the host did not come by {step} in {RECOVERY:?}"))
        }
        (_, true) => world.fails(&format!("{fault:?} ended the host")),
        (_, false) => host.child.kill().await.unwrap(),
    }
    (promised, refused)
}

/// What is still to be done, in documents and events.
#[derive(Debug)]
struct Left {
    processing: i64,
    not_in_chat: i64,
    not_in_quiz: i64,
    without_terms: i64,
    in_outbox: i64,
}

impl Left {
    async fn read(connection: &mut PgConnection) -> Option<Self> {
        let row = sqlx::query(
            "select count(*) filter (where d.status = 'processing') as processing, \
             count(*) filter (where c.document_id is null) as not_in_chat, \
             count(*) filter (where q.document_id is null) as not_in_quiz, \
             count(*) filter (where q.terms = '[]') as without_terms, \
             (select count(*) from lectern.outbox) as in_outbox \
             from documents.documents d left join chat.shelf c using (document_id) left join quiz.shelf q using (document_id)",
        );
        let row = row.fetch_one(connection).await.ok()?;
        Some(Self {
            processing: row.get("processing"),
            not_in_chat: row.get("not_in_chat"),
            not_in_quiz: row.get("not_in_quiz"),
            without_terms: row.get("without_terms"),
            in_outbox: row.get("in_outbox"),
        })
    }

    /// Smaller with every step, also with one that publishes.
    fn work(&self) -> (i64, i64) {
        let documents = self.processing + self.not_in_chat + self.not_in_quiz + self.without_terms;
        (documents, self.in_outbox)
    }
}

/// Nothing waits any more, nothing is processed.
async fn settled(world: &World) {
    let (mut least, mut since) = ((i64::MAX, i64::MAX), Instant::now());
    let mut last = None;
    while since.elapsed() < RECOVERY {
        if let Some(mut connection) = world.database().await
            && let Some(left) = Left::read(&mut connection).await
        {
            let work = left.work();
            if work == (0, 0) {
                return;
            }
            if work < least {
                (least, since) = (work, Instant::now());
            }
            last = Some(left);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.fails(&format!(
        "nothing was done for {RECOVERY:?}; left: {last:?}"
    ));
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
    let metadata = consumer.fetch_metadata(None, RECOVERY).unwrap();
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
    let mut since = Instant::now();
    while ends > 0 {
        if since.elapsed() > RECOVERY {
            world.fails(&format!("{ends} partitions are not read to their end"));
        }
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                since = Instant::now();
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
        let began = Instant::now();
        let (more, not) = under(&world, fault).await;
        let took = began.elapsed().as_secs_f32();
        let kept = more.len();
        eprintln!("run {number}: {fault:?}: {took:.1} s, {kept} promised, {not} refused");
        promised.extend(more);
        refused += not;
    }
    let began = Instant::now();
    let host = world.start("").await;
    settled(&world).await;
    let took = began.elapsed().as_secs_f32();
    eprintln!("run {number}: all is done: {took:.1} s");
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
