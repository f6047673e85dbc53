//! What events cost on their way from the outbox through Kafka to a handler, and what the `postgres`
//! capability adds to a query. Wants `just services`; `just bench-events`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where something is wrong"
)]

#[path = "../../tests/it/services.rs"]
mod services;

use std::sync::Arc;
use std::time::{Duration, Instant};

use backend::kafka::{self, KafkaBroker};
use backend::outbox::{Everything, Relay};
use backend::postgres::provision::{self, PoolLimits};
use backend::postgres::{ComponentPool, Config, PlatformPool};
use capability::ComponentName;
use capability::events::{Broker, Events, Message, Outcome, Subscription};
use capability::postgres::{Postgres, Value};
use sqlx::Connection;

const TOPIC: &str = "bench.event";
const BACKLOG: i64 = 1_000_000;
const RATE: u32 = 500;
const SECONDS: u32 = 20;

struct Bench {
    config: Config,
    platform: PlatformPool,
    component: Arc<ComponentPool>,
    broker: Arc<KafkaBroker>,
}

fn setting(name: &str) -> String {
    services::wanted(name).expect("run `just services` first")
}

async fn bench() -> Bench {
    let run = format!("bench_{}", uuid::Uuid::new_v4().simple());
    let config = Config {
        host: setting("DB_HOST"),
        port: setting("DB_PORT").parse().unwrap(),
        database: run.clone(),
        user: setting("DB_USER"),
        password: setting("DB_PASSWORD").into(),
    };
    let platform = provision::platform(&config).await.unwrap();
    let name = ComponentName::parse("bench").unwrap();
    let limits = PoolLimits {
        connections: 8,
        statement_timeout: Duration::from_secs(30),
    };
    provision::schema(&config, &platform, &name, &[])
        .await
        .unwrap();
    let component = Arc::new(provision::pool(&config, &name, limits));
    let kafka = kafka::Config {
        topic_prefix: format!("{run}."),
        group_prefix: format!("{run}."),
        ..kafka::Config::plain(&setting("KAFKA_BOOTSTRAP_SERVERS"))
    };
    Bench {
        config,
        platform,
        component,
        broker: Arc::new(KafkaBroker::new(kafka).unwrap()),
    }
}

impl Bench {
    fn relay(&self) -> tokio::task::JoinHandle<()> {
        let relay = Relay::new(
            self.platform.clone(),
            self.broker.clone(),
            Arc::new(Everything),
        );
        tokio::spawn(relay.run())
    }

    async fn fill(&self, events: i64) {
        sqlx::query(
            "insert into lectern.outbox (component, topic, key, payload) select 'bench', $1, (n % 1000)::text, \
             jsonb_build_object('event_id', gen_random_uuid(), 'schema_version', 1, 'n', n, \
             'text', repeat('x', 200)) from generate_series(1, $2) n",
        )
        .bind(TOPIC)
        .bind(events)
        .execute(&self.platform)
        .await
        .unwrap();
    }
}

/// Settles so many; answers when the first came and when the last.
async fn handle(subscription: &mut Box<dyn Subscription>, events: i64) -> (Instant, Instant) {
    let mut first = None;
    for _ in 0..events {
        let delivery = subscription.next().await.unwrap();
        first.get_or_insert_with(Instant::now);
        delivery.settle.settle(Outcome::Done).await.unwrap();
    }
    (first.unwrap(), Instant::now())
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib / 1024.0
}

fn grow(peak: &std::sync::Mutex<f64>) {
    let mut most = peak.lock().unwrap();
    *most = most.max(resident_mib());
}

/// A backlog, from the outbox through Kafka to the handler.
async fn backlog(bench: &Bench, subscription: &mut Box<dyn Subscription>) {
    bench.fill(BACKLOG).await;
    let before = resident_mib();
    let peak = Arc::new(std::sync::Mutex::new(before));
    let watching = {
        let peak = peak.clone();
        tokio::spawn(async move {
            loop {
                grow(&peak);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    let began = Instant::now();
    let relay = bench.relay();
    let (_, last) = handle(subscription, BACKLOG).await;
    let took = (last - began).as_secs_f64();
    relay.abort();
    watching.abort();
    let peak = *peak.lock().unwrap();
    println!(
        "backlog of {BACKLOG} events of 300 bytes: {took:.1} s, {:.0} events/s from outbox to handler; \
         the process grew from {before:.0} to {peak:.0} MiB",
        BACKLOG as f64 / took
    );
}

/// A steady rate, each published in a statement of its own.
async fn steady(bench: &Bench, subscription: &mut Box<dyn Subscription>) {
    let relay = bench.relay();
    let (pool, total) = (bench.component.clone(), RATE * SECONDS);
    let clock = Instant::now();
    let publishing = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
        for n in 0..total {
            ticks.tick().await;
            let pool = pool.clone();
            tokio::spawn(async move {
                let message = Message {
                    topic: TOPIC.into(),
                    key: n.to_string(),
                    payload: format!("{{\"at\": {}}}", clock.elapsed().as_micros()),
                    trace: None,
                    request_id: None,
                };
                pool.publish(&message).await.unwrap();
            });
        }
    });
    let mut times = Vec::with_capacity(total as usize);
    for _ in 0..total {
        let delivery = subscription.next().await.unwrap();
        let payload: serde_json::Value = serde_json::from_str(&delivery.event.payload).unwrap();
        let at = Duration::from_micros(payload["at"].as_u64().unwrap());
        times.push(clock.elapsed() - at);
        delivery.settle.settle(Outcome::Done).await.unwrap();
    }
    publishing.await.unwrap();
    relay.abort();
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 1000].as_secs_f64() * 1e3;
    println!(
        "{RATE} events/s for {SECONDS} s, from publish to handler: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
        at(500),
        at(990),
        at(999)
    );
}

/// A query through the capability beside the same through sqlx alone, in turns.
async fn query(bench: &Bench) {
    const ROUNDS: u32 = 20;
    const QUERIES: u32 = 500;
    let sql = "select $1::bigint, 'text', now()";
    let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .host(&bench.config.host)
        .port(bench.config.port)
        .database(&bench.config.database)
        .username(&bench.config.user)
        .password(&setting("DB_PASSWORD"));
    let bare = sqlx::postgres::PgPoolOptions::new()
        .max_connections(8)
        .connect_with(options.clone())
        .await
        .unwrap();
    // A connection's first statement is prepared.
    sqlx::PgConnection::connect_with(&options).await.unwrap();
    let (mut through, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for n in 0..QUERIES {
            let rows = bench.component.fetch(sql, vec![Value::Int(n.into())]).await;
            assert_eq!(rows.unwrap().len(), 1);
        }
        through.push(began.elapsed() / QUERIES);
        let began = Instant::now();
        for n in 0..QUERIES {
            let row: (i64, String, time::OffsetDateTime) = sqlx::query_as(sql)
                .bind(i64::from(n))
                .fetch_one(&bare)
                .await
                .unwrap();
            assert_eq!(row.0, i64::from(n));
        }
        alone.push(began.elapsed() / QUERIES);
    }
    through.sort_unstable();
    alone.sort_unstable();
    let (through, alone) = (through[through.len() / 2], alone[alone.len() / 2]);
    println!(
        "a query: {} µs through the capability, {} µs by sqlx alone: {:+.0} %",
        through.as_micros(),
        alone.as_micros(),
        (through.as_secs_f64() / alone.as_secs_f64() - 1.0) * 100.0
    );
}

#[tokio::main]
async fn main() {
    let bench = bench().await;
    query(&bench).await;
    let mut subscription = bench
        .broker
        .subscribe("bench", &[TOPIC.into()])
        .await
        .unwrap();
    // Until the group has its partitions, nobody measures.
    bench.fill(1).await;
    let relay = bench.relay();
    handle(&mut subscription, 1).await;
    relay.abort();
    steady(&bench, &mut subscription).await;
    backlog(&bench, &mut subscription).await;
    drop(subscription);
    bench.broker.close().await;
    bench.component.close().await;
    bench.platform.close().await;
}
