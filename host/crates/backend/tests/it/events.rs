//! The broker's contract on the inboxes in PostgreSQL, and the relay before it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backend::inbox::InboxBroker;
use backend::outbox::{Everything, Grants, Relay};
use capability::events::{Broker, Error, Events, Message, Outcome, contract};

use crate::server::Server;

/// `publisher` may publish on `granted`.
struct OneTopic;

#[async_trait]
impl Grants for OneTopic {
    async fn cover(&self, component: &str, topic: &str) -> Result<bool, Error> {
        Ok(component == "publisher" && topic == "granted")
    }
}

#[tokio::test]
async fn the_inboxes_keep_the_contract() {
    let server = Server::start().await;
    let broker = InboxBroker::new(server.platform.clone());
    contract::all(&broker).await;
    contract::an_event_sent_twice_waits_once(&broker, "contract.twice").await;
    server.stop().await;
}

/// The lease is a connection: it ends with its host, without a time-out.
#[tokio::test]
async fn another_host_takes_over_what_a_dead_one_held() {
    let server = Server::start().await;
    let dead = InboxBroker::new(server.platform.clone());
    let mut held_by_dead = dead.subscribe("group", &["t".into()]).await.unwrap();
    let pool = server.component("publisher").await;
    let message = Message {
        topic: "t".into(),
        key: "k".into(),
        payload: "{}".into(),
        trace: None,
        request_id: None,
    };
    pool.publish(&message).await.unwrap();
    let survivor: Arc<dyn Broker> = Arc::new(InboxBroker::new(server.platform.clone()));
    let relay = tokio::spawn(
        Relay::new(
            server.platform.clone(),
            survivor.clone(),
            Arc::new(Everything),
        )
        .run(),
    );
    let held = held_by_dead.next().await.unwrap();
    let mut taken_over = survivor.subscribe("group", &["t".into()]).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(300), taken_over.next()).await;
    assert!(waited.is_err(), "the event was in hand");
    // What the death of a host looks like: nobody listens, and the connection is gone.
    drop(held_by_dead);
    sqlx::query("select pg_terminate_backend(holder) from lectern.inbox where holder is not null")
        .execute(&server.platform)
        .await
        .unwrap();
    let again = tokio::time::timeout(Duration::from_secs(20), taken_over.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (again.event.id.clone(), again.attempt, again.broken),
        (held.event.id.clone(), 1, 0),
        "a host's death is not the event's fault"
    );
    again.settle.settle(Outcome::Done).await.unwrap();
    relay.abort();
    server.stop().await;
}

#[tokio::test]
async fn the_relay_discards_what_is_not_granted() {
    let server = Server::start().await;
    let pool = server.component("publisher").await;
    let broker: Arc<dyn Broker> = Arc::new(InboxBroker::new(server.platform.clone()));
    let topics = ["granted".to_owned(), "forged".to_owned()];
    let mut subscription = broker.subscribe("group", &topics).await.unwrap();
    for topic in ["forged", "granted"] {
        let message = Message {
            topic: topic.into(),
            key: "k".into(),
            payload: "{}".into(),
            trace: None,
            request_id: None,
        };
        pool.publish(&message).await.unwrap();
    }
    let grants = Arc::new(OneTopic);
    let relay = tokio::spawn(Relay::new(server.platform.clone(), broker.clone(), grants).run());
    let delivery = tokio::time::timeout(Duration::from_secs(20), subscription.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(delivery.event.topic, "granted");
    delivery.settle.settle(Outcome::Done).await.unwrap();
    relay.abort();
    server.stop().await;
}
