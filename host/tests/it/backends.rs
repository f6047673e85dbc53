//! The platform on other backends than its own: the servers of `just services`, a database of a
//! service's own, a clock that two hosts share.

use std::time::Duration;

use backend::aws::{self, Keys};
use backend::kafka;
use backend::postgres::cluster::Cluster;
use backend::redis;
use backend::s3::Buckets;
use corpus::samples::BIOLOGY;
use host::client::Upload;
use host::config::Config;
use host::config::backends::{Backends, OwnDatabase};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::json;
use sqlx::Connection;

use crate::deploy::probe;
use crate::harness::{PATIENCE, TestHost, config, data_dir, database};
use crate::metrics::{scrape, value};
use crate::services;

/// All of them, with names of this run's own.
pub(crate) fn real(config: &mut Config, run: &str) -> Option<()> {
    let setting = services::wanted;
    config.backends = Backends {
        database: Some(backend::postgres::Config {
            host: setting("DB_HOST")?,
            port: setting("DB_PORT")?.parse().unwrap(),
            database: run.to_owned(),
            user: setting("DB_USER")?,
            password: setting("DB_PASSWORD")?.into(),
        }),
        kafka: Some(kafka::Config {
            topic_prefix: format!("{run}."),
            group_prefix: format!("{run}."),
            ..kafka::Config::plain(&setting("KAFKA_BOOTSTRAP_SERVERS")?)
        }),
        redis: Some(redis::Config {
            host: setting("REDIS_HOST")?,
            port: setting("REDIS_PORT")?.parse().unwrap(),
            database: 0,
            username: None,
            password: None,
        }),
        aws: aws::Config {
            endpoint_url: setting("AWS_ENDPOINT_URL_S3"),
            keys: Some(Keys {
                access_key_id: setting("AWS_ACCESS_KEY_ID")?,
                secret_access_key: setting("AWS_SECRET_ACCESS_KEY")?.into(),
                session_token: None,
            }),
            ..aws::Config::new("us-east-1")
        },
        buckets: Buckets {
            default: setting("S3_BUCKET_NAME"),
            by_component: [("documents".to_owned(), setting("S3_BUCKET_DOCUMENTS")?)].into(),
        },
        ..Backends::embedded()
    };
    Some(())
}

pub(crate) fn run() -> String {
    format!("it_{}", uuid::Uuid::new_v4().simple())
}

/// The first record of that topic: key and payload.
fn record(topic: &str) -> (String, serde_json::Value) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set(
            "bootstrap.servers",
            services::variable("KAFKA_BOOTSTRAP_SERVERS").unwrap(),
        )
        .set("group.id", topic)
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    loop {
        if let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) {
            let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
            return (
                key,
                serde_json::from_slice(message.payload().unwrap()).unwrap(),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_s_hour_on_real_servers_leaves_its_traces_there() {
    let (folder, run) = (data_dir(), run());
    let mut config = config(folder.path(), "components");
    if real(&mut config, &run).is_none() {
        return;
    }
    let host = TestHost::on(folder, config).await;
    let health = host.get("/health").await.ok();
    for server in ["database", "kafka", "redis", "aws"] {
        assert_eq!(health["dependencies"][server], "connected", "{health}");
    }
    let chat = host.get("/chat/health").await.ok();
    assert_eq!(chat["dependencies"]["redis"], "connected", "{chat}");
    let documents = host.get("/documents/health").await.ok();
    assert_eq!(documents["dependencies"]["aws"], "connected", "{documents}");

    let uploaded = host.upload("alice", "a.txt", BIOLOGY).await.ok();
    let id = uploaded["document_id"].as_str().unwrap().to_owned();
    assert_eq!(host.settled(&id).await["status"], "completed");
    let question = json!({
        "message": "What do mitochondria do?",
        "user_id": "alice",
        "document_context": { "document_id": id },
    });
    let answer = host.post("/chat", question).await.ok();
    let session = answer["session_id"].as_str().unwrap();
    let history = format!("/chat/history/{session}?user_id=alice");
    let fresh = host.get(&history).await.ok();
    assert_eq!(host.get(&history).await.ok(), fresh, "from the cache");
    assert_eq!(host.get(&format!("{history}x")).await.status, 404);

    let topic = format!("{run}.document.processed");
    let (key, payload) = tokio::task::spawn_blocking(move || record(&topic))
        .await
        .unwrap();
    assert_eq!((key, &payload["document_id"]), (id.clone(), &json!(id)));
    assert_eq!(payload["event_id"].as_str().unwrap().len(), 36);
    assert_eq!(payload["schema_version"], 1);

    let measured = scrape(&host).await;
    let put = r#"lectern_aws_calls_total{service="s3",operation="PutObject",status="200"}"#;
    assert!(value(&measured, put) >= Some(1.0), "{measured}");
    let hit = r#"lectern_cache_calls_total{component="chat",outcome="hit"}"#;
    assert_eq!(value(&measured, hit), Some(1.0));
    let redis = r#"lectern_server_up{server="redis"}"#;
    assert_eq!(value(&measured, redis), Some(1.0));
    // Kafka tells it every few seconds.
    let lag = r#"lectern_consumer_lag{group="chat",topic="document.processed"} 0"#;
    let told = async { while !scrape(&host).await.contains(lag) {} };
    let in_time = tokio::time::timeout(PATIENCE, told).await;
    in_time.expect("chat has handled all of it");
    host.stop().await;
}

#[tokio::test]
async fn a_service_can_have_a_database_of_its_own() {
    let folder = data_dir();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    let host = TestHost::with("components", |config| {
        config.backends.database = Some(cluster.config().clone());
        let own = OwnDatabase::named("chat_service");
        let chat = capability::ComponentName::parse("chat").unwrap();
        config.backends.own_databases.insert(chat, own);
    })
    .await;
    let uploaded = host.upload("alice", "a.txt", BIOLOGY).await.ok();
    let id = uploaded["document_id"].as_str().unwrap().to_owned();
    host.settled(&id).await;
    let question = json!({
        "message": "What do mitochondria do?",
        "user_id": "alice",
        "document_context": { "document_id": id },
    });
    host.post("/chat", question).await.ok();
    let count = async |name: &str, sql: &'static str| -> Option<i64> {
        let mut connection = database(folder.path(), name).await;
        let found = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        connection.close().await.unwrap();
        found.ok()
    };
    let messages = "select count(*) from chat.chat_messages";
    assert_eq!(count("chat_service", messages).await, Some(2));
    assert_eq!(count("lectern", messages).await, None, "they are elsewhere");
    let relayed = async {
        while count("chat_service", "select count(*) from lectern.outbox").await != Some(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let relayed = tokio::time::timeout(PATIENCE, relayed).await;
    relayed.expect("what it publishes is relayed");
    host.stop().await;
    cluster.stop().await;
}

fn ticking() -> Upload {
    let upload = probe("");
    let manifest = upload.manifest.map(|text| {
        text.replace(
            "[schedule.tick]\nevery = \"1h\"",
            "[schedule.soon]\nevery = \"1s\"",
        )
    });
    Upload { manifest, ..upload }
}

/// Whether that host's folder has the time that the probe leaves there when it is called.
async fn was_called(host: &TestHost) -> bool {
    host.get("/probe/store/tick-soon").await.status == 200
}

#[tokio::test]
async fn of_two_hosts_one_calls_by_the_clock_and_the_other_takes_over() {
    let folder = data_dir();
    let cluster = Cluster::start(folder.path()).await.unwrap();
    let beside = async || {
        let folder = data_dir();
        let mut config = config(folder.path(), "test-components");
        config.backends.database = Some(cluster.config().clone());
        TestHost::on(folder, config).await
    };
    let mut hosts = vec![beside().await, beside().await];
    hosts[0]
        .operator()
        .deploy("probe", ticking())
        .await
        .unwrap();
    let called = async {
        loop {
            for (at, host) in hosts.iter().enumerate() {
                if was_called(host).await {
                    return at;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let leader = tokio::time::timeout(PATIENCE, called)
        .await
        .expect("a call");
    // Two more of its calls, and none of the other's.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(!was_called(&hosts[1 - leader]).await, "both call");
    hosts.remove(leader).stop().await;
    let taken_over = async {
        while !was_called(&hosts[0]).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let taken_over = tokio::time::timeout(PATIENCE, taken_over).await;
    taken_over.expect("the other host calls");
    hosts.remove(0).stop().await;
    cluster.stop().await;
}
