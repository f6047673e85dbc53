//! The broker's contract on Apache Kafka, and what only Kafka shows.

use std::sync::Arc;
use std::time::Duration;

use backend::kafka::{Config, KafkaBroker};
use capability::events::{Broker, Error, Event, Failure, Outcome, Subscription, contract};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Headers;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::services;

fn broker(servers: &str) -> KafkaBroker {
    KafkaBroker::new(Config::plain(servers)).unwrap()
}

fn topic(name: &str) -> String {
    format!("{name}.{}", uuid::Uuid::new_v4().simple())
}

fn event(topic: &str, key: &str, number: usize) -> Event {
    Event {
        id: uuid::Uuid::new_v4().to_string(),
        topic: topic.into(),
        key: key.into(),
        payload: format!("{{\"n\": {number}}}"),
        occurred_at: 1_700_000_000_000,
        trace: None,
        request_id: Some("a-request.7".into()),
    }
}

async fn next(subscription: &mut Box<dyn Subscription>) -> capability::events::Delivery {
    tokio::time::timeout(Duration::from_secs(30), subscription.next())
        .await
        .expect("a delivery within 30 s")
        .unwrap()
}

/// The first record of a topic, read past the broker.
async fn first_record(servers: &str, topic: &str) -> rdkafka::message::OwnedMessage {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", uuid::Uuid::new_v4().to_string())
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "200")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let read = async {
        loop {
            if let Ok(message) = consumer.recv().await {
                return message.detach();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read)
        .await
        .expect("a record within 30 s")
}

fn header(message: &rdkafka::message::OwnedMessage, name: &str) -> String {
    let found = message.headers().unwrap().iter().find(|h| h.key == name);
    let value = found.and_then(|header| header.value).unwrap_or_default();
    String::from_utf8(value.to_vec()).unwrap()
}

async fn produce(servers: &str, topic: &str, payload: &[u8]) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()
        .unwrap();
    let record = FutureRecord::to(topic).key("k").payload(payload);
    producer
        .send(record, Duration::from_secs(20))
        .await
        .unwrap();
}

#[tokio::test]
async fn kafka_keeps_the_contract() {
    let Some(servers) = services::wanted("KAFKA_BOOTSTRAP_SERVERS") else {
        return;
    };
    let broker = broker(&servers);
    contract::all(&broker).await;
    broker.close().await;
}

#[tokio::test]
async fn what_is_done_is_committed_and_what_is_not_comes_again() {
    let Some(servers) = services::wanted("KAFKA_BOOTSTRAP_SERVERS") else {
        return;
    };
    let (topic, group) = (topic("commit"), topic("group"));
    let first_host = broker(&servers);
    let sent: Vec<_> = (0..3).map(|n| event(&topic, "k", n)).collect();
    first_host.send(&sent).await.unwrap();
    let mut subscription = first_host
        .subscribe(&group, std::slice::from_ref(&topic))
        .await
        .unwrap();
    let done = next(&mut subscription).await;
    done.settle.settle(Outcome::Done).await.unwrap();
    let in_hand = next(&mut subscription).await;
    assert_eq!(in_hand.event.id, sent[1].id);
    drop((in_hand, subscription));
    first_host.close().await;

    let second_host = broker(&servers);
    let mut subscription = second_host.subscribe(&group, &[topic]).await.unwrap();
    for expected in &sent[1..] {
        let delivery = next(&mut subscription).await;
        assert_eq!(&delivery.event, expected);
        delivery.settle.settle(Outcome::Done).await.unwrap();
    }
}

#[tokio::test]
async fn two_hosts_share_a_group_and_one_takes_over_from_the_other() {
    let Some(servers) = services::wanted("KAFKA_BOOTSTRAP_SERVERS") else {
        return;
    };
    let (topic, group) = (topic("share"), topic("group"));
    let hosts = [broker(&servers), broker(&servers)];
    let sent: Vec<_> = (0..60).map(|n| event(&topic, &n.to_string(), n)).collect();
    hosts[0].send(&sent[..30]).await.unwrap();
    let mut leaving = hosts[0]
        .subscribe(&group, std::slice::from_ref(&topic))
        .await
        .unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..30 {
        let delivery = next(&mut leaving).await;
        seen.insert(delivery.event.id.clone());
        delivery.settle.settle(Outcome::Done).await.unwrap();
    }
    let mut staying = hosts[1].subscribe(&group, &[topic]).await.unwrap();
    drop(leaving);
    hosts[0].close().await;
    hosts[1].send(&sent[30..]).await.unwrap();
    while seen.len() < 60 {
        let delivery = next(&mut staying).await;
        assert!(
            seen.insert(delivery.event.id.clone()),
            "what was done came again"
        );
        delivery.settle.settle(Outcome::Done).await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_letter_says_why_and_where_from() {
    let Some(servers) = services::wanted("KAFKA_BOOTSTRAP_SERVERS") else {
        return;
    };
    let (topic, group) = (topic("poison"), topic("group"));
    let broker = broker(&servers);
    let sent = event(&topic, "k", 1);
    broker.send(std::slice::from_ref(&sent)).await.unwrap();
    let mut subscription = broker
        .subscribe(&group, std::slice::from_ref(&topic))
        .await
        .unwrap();
    let first = next(&mut subscription).await;
    let again = Outcome::Retry {
        after: Duration::ZERO,
        failure: Some(Failure::Trap),
        error: "trap".into(),
    };
    first.settle.settle(again).await.unwrap();
    let reason = "it traps".to_owned();
    let second = next(&mut subscription).await;
    second
        .settle
        .settle(Outcome::Reject { reason })
        .await
        .unwrap();
    let letter = first_record(&servers, &format!("{topic}.dlq")).await;
    assert_eq!(letter.payload(), Some(sent.payload.as_bytes()));
    assert_eq!(letter.key(), Some(&b"k"[..]));
    for (name, value) in [
        ("event-id", sent.id.as_str()),
        ("dlq-error", "it traps"),
        ("dlq-attempts", "2"),
        ("dlq-origin-topic", &topic),
        ("dlq-origin-offset", "0"),
        ("dlq-consumer", &format!("lectern.{group}")),
    ] {
        assert_eq!(header(&letter, name), value, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_event_goes_to_the_dead_letters_and_blocks_nothing() {
    let Some(servers) = services::wanted("KAFKA_BOOTSTRAP_SERVERS") else {
        return;
    };
    let (topic, group) = (topic("garbage"), topic("group"));
    let broker = broker(&servers);
    let mut subscription = broker
        .subscribe(&group, std::slice::from_ref(&topic))
        .await
        .unwrap();
    produce(&servers, &topic, b"not json").await;
    produce(&servers, &topic, br#"{"event_id": "mine", "n": 1}"#).await;
    let healthy = next(&mut subscription).await;
    assert!(healthy.event.payload.contains("mine"));
    assert_eq!(
        healthy.event.id.len(),
        36,
        "an id of another form becomes a UUID"
    );
    healthy.settle.settle(Outcome::Done).await.unwrap();
    let letter = first_record(&servers, &format!("{topic}.dlq")).await;
    assert_eq!(letter.payload(), Some(&b"not json"[..]));
    assert_eq!(header(&letter, "dlq-error"), "the payload is not JSON");
}

#[tokio::test]
async fn what_the_broker_never_takes_is_named_and_the_rest_is_sent() {
    let Some(servers) = services::wanted("KAFKA_BOOTSTRAP_SERVERS") else {
        return;
    };
    let (topic, group) = (topic("large"), topic("group"));
    let broker = broker(&servers);
    let mut sent = [
        event(&topic, "a", 1),
        event(&topic, "a", 2),
        event(&topic, "a", 3),
    ];
    // Random, so that no compression helps.
    let noise: String = (0..60_000)
        .map(|_| uuid::Uuid::new_v4().to_string())
        .collect();
    sent[1].payload = format!("{{\"n\": \"{noise}\"}}");
    let refused = broker.send(&sent).await.unwrap();
    assert_eq!(refused.iter().map(|r| r.index).collect::<Vec<_>>(), [1]);
    let mut subscription = broker.subscribe(&group, &[topic]).await.unwrap();
    let mut seen = vec![];
    while seen.last() != Some(&sent[2].id) {
        let delivery = next(&mut subscription).await;
        seen.push(delivery.event.id.clone());
        delivery.settle.settle(Outcome::Done).await.unwrap();
    }
    assert!(seen.contains(&sent[0].id) && !seen.contains(&sent[1].id));
}

#[tokio::test]
async fn a_broker_that_is_away_is_told_and_does_not_hold_up_the_start() {
    let nobody = broker("127.0.0.1:1");
    assert!(matches!(nobody.check().await, Err(Error::Unavailable(_))));
    let subscribed = nobody.subscribe("group", &["t".into()]).await;
    drop(subscribed.unwrap());
    tokio::time::timeout(Duration::from_secs(20), nobody.close())
        .await
        .expect("an end without a broker");
    let _: Arc<dyn Broker> = Arc::new(nobody);
}
