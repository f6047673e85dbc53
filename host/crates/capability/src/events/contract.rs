//! What every [`Broker`] must do. Each case wants a broker, and a topic that nobody has used: its
//! group is named as the topic is.

use std::time::Duration;

use super::{Broker, Delivery, Event, Failure, Outcome, Subscription};

/// Every case that all brokers keep.
pub async fn all(broker: &dyn Broker) {
    let topic = |case: &str| format!("contract.{case}.{}", uuid::Uuid::new_v4().simple());
    a_done_event_does_not_come_again(broker, &topic("done")).await;
    order_is_kept_per_key(broker, &topic("order")).await;
    a_retry_carries_the_failure(broker, &topic("retry")).await;
    a_rejected_event_lets_the_next_pass(broker, &topic("reject")).await;
    an_unsettled_event_comes_again(broker, &topic("unsettled")).await;
}

fn event(topic: &str, key: &str, number: usize) -> Event {
    Event {
        id: uuid::Uuid::new_v4().to_string(),
        topic: topic.into(),
        key: key.into(),
        payload: format!("{{\"n\": {number}}}"),
        occurred_at: 1_700_000_000_000,
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        request_id: Some("a-request.7".into()),
    }
}

async fn subscribe(broker: &dyn Broker, topic: &str) -> Box<dyn Subscription> {
    broker
        .subscribe(topic, &[topic.into()])
        .await
        .expect("subscribe")
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    tokio::time::timeout(Duration::from_secs(20), subscription.next())
        .await
        .expect("a delivery within 20 s")
        .expect("a delivery")
}

async fn nothing_comes(subscription: &mut Box<dyn Subscription>) {
    let waited = tokio::time::timeout(Duration::from_millis(400), subscription.next()).await;
    assert!(waited.is_err(), "something was delivered");
}

fn retry(after_ms: u64, failure: Option<Failure>) -> Outcome {
    Outcome::Retry {
        after: Duration::from_millis(after_ms),
        failure,
        error: "again".into(),
    }
}

/// An event reaches every group once it is sent, and no more after it is done.
pub async fn a_done_event_does_not_come_again(broker: &dyn Broker, topic: &str) {
    let mut subscription = subscribe(broker, topic).await;
    let sent = event(topic, "k", 1);
    broker
        .send(std::slice::from_ref(&sent))
        .await
        .expect("send");
    let delivery = next(&mut subscription).await;
    assert_eq!((&delivery.event, delivery.attempt), (&sent, 1));
    delivery.settle.settle(Outcome::Done).await.expect("settle");
    nothing_comes(&mut subscription).await;
}

/// Of one key, the second waits for the first; other keys don't.
pub async fn order_is_kept_per_key(broker: &dyn Broker, topic: &str) {
    let mut subscription = subscribe(broker, topic).await;
    let sent = [
        event(topic, "a", 1),
        event(topic, "a", 2),
        event(topic, "b", 3),
    ];
    broker.send(&sent).await.expect("send");
    let mut first = next(&mut subscription).await;
    let mut other = next(&mut subscription).await;
    if first.event.key == "b" {
        // Between keys there is no order.
        std::mem::swap(&mut first, &mut other);
    }
    assert_eq!(
        (&first.event.id, &other.event.id),
        (&sent[0].id, &sent[2].id)
    );
    nothing_comes(&mut subscription).await;
    first.settle.settle(retry(50, None)).await.expect("settle");
    let again = next(&mut subscription).await;
    assert_eq!(
        (&again.event.id, again.attempt),
        (&sent[0].id, 2),
        "a retry keeps its place"
    );
    again.settle.settle(Outcome::Done).await.expect("settle");
    let second = next(&mut subscription).await;
    assert_eq!(second.event.id, sent[1].id);
    second.settle.settle(Outcome::Done).await.expect("settle");
    other.settle.settle(Outcome::Done).await.expect("settle");
}

/// The next attempt is told how the last one died.
pub async fn a_retry_carries_the_failure(broker: &dyn Broker, topic: &str) {
    let mut subscription = subscribe(broker, topic).await;
    broker.send(&[event(topic, "k", 1)]).await.expect("send");
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.previous, None);
    delivery
        .settle
        .settle(retry(1, Some(Failure::Memory)))
        .await
        .expect("settle");
    let again = next(&mut subscription).await;
    assert_eq!(
        (again.attempt, again.broken, again.previous),
        (2, 1, Some(Failure::Memory))
    );
    again.settle.settle(Outcome::Done).await.expect("settle");
}

/// A dead letter blocks nothing.
pub async fn a_rejected_event_lets_the_next_pass(broker: &dyn Broker, topic: &str) {
    let mut subscription = subscribe(broker, topic).await;
    let sent = [event(topic, "k", 1), event(topic, "k", 2)];
    broker.send(&sent).await.expect("send");
    let poison = next(&mut subscription).await;
    let reason = "poison".to_owned();
    poison
        .settle
        .settle(Outcome::Reject { reason })
        .await
        .expect("settle");
    let healthy = next(&mut subscription).await;
    assert_eq!(healthy.event.id, sent[1].id);
    healthy.settle.settle(Outcome::Done).await.expect("settle");
}

/// What a dying consumer held comes again.
pub async fn an_unsettled_event_comes_again(broker: &dyn Broker, topic: &str) {
    let mut subscription = subscribe(broker, topic).await;
    let sent = event(topic, "k", 1);
    broker
        .send(std::slice::from_ref(&sent))
        .await
        .expect("send");
    drop(next(&mut subscription).await);
    drop(subscription);
    let mut survivor = subscribe(broker, topic).await;
    let again = next(&mut survivor).await;
    assert_eq!(again.event.id, sent.id);
    again.settle.settle(Outcome::Done).await.expect("settle");
}

/// Sending twice is one event. Only a broker that looks at ids can do it; with the others it is the
/// consumer's inbox that does.
pub async fn an_event_sent_twice_waits_once(broker: &dyn Broker, topic: &str) {
    let mut subscription = subscribe(broker, topic).await;
    let sent = event(topic, "k", 1);
    broker
        .send(std::slice::from_ref(&sent))
        .await
        .expect("send");
    broker
        .send(std::slice::from_ref(&sent))
        .await
        .expect("send again");
    next(&mut subscription)
        .await
        .settle
        .settle(Outcome::Done)
        .await
        .expect("settle");
    nothing_comes(&mut subscription).await;
}
