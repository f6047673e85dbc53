//! `lectern:platform/events`.

use std::sync::Arc;

use capability::events::{Error, Events, Message};
use capability::trace::{KeyValue, SpanKind};
use wasmtime::component::{Accessor, HasData, Resource};

use super::postgres::Transaction;
use crate::bindings::lectern::platform::events as wit;
use crate::state::View;
use crate::trace::{About, Asked, asked_as};

/// `None` is never linked; a call that came through all the same is denied.
pub(crate) type Granted = Option<Arc<dyn Events>>;

/// The topic is checked at each call, and again by the relay.
fn granted<T: Send>(
    accessor: &Accessor<T, Bound>,
    topic: &str,
) -> Result<Arc<dyn Events>, wit::Error> {
    accessor.with(|mut access| {
        let view = access.get();
        let topics = view.manifest.grants.events.as_ref();
        if topics.is_some_and(|grant| grant.publish.iter().any(|granted| granted == topic)) {
            return view.capability.ok_or(wit::Error::AccessDenied);
        }
        view.denials.count();
        tracing::warn!(service = %view.manifest.name, topic, "denied: the topic is not in grants.events.publish");
        Err(wit::Error::AccessDenied)
    })
}

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Granted>;
}

impl wit::Host for View<'_, Granted> {}

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn publish(
        accessor: &Accessor<T, Self>,
        message: wit::Message,
    ) -> Result<String, wit::Error> {
        let events = granted(accessor, &message.topic)?;
        let mut asked = asked_as(accessor, "events", SpanKind::Producer, || {
            about(&message.topic)
        });
        let message = to_host(message, &asked);
        let id = asked
            .answer::<_, _, wit::Error>(events.publish(&message))
            .await?;
        asked.span.set("messaging.message.id", id.clone());
        Ok(id)
    }

    async fn publish_within(
        accessor: &Accessor<T, Self>,
        transaction: Resource<Transaction>,
        message: wit::Message,
    ) -> Result<String, wit::Error> {
        granted(accessor, &message.topic)?;
        let ended = || wit::Error::Invalid("the transaction has ended".into());
        let transaction = accessor
            .with(|mut access| access.get().table.get(&transaction).cloned())
            .map_err(|_| ended())?;
        let mut asked = transaction.asked(SpanKind::Producer, || about(&message.topic));
        let message = to_host(message, &asked);
        let mut open = transaction.lock().await;
        let open = open.as_mut().ok_or_else(ended)?;
        let id = asked
            .answer::<_, _, wit::Error>(open.publish(&message))
            .await?;
        asked.span.set("messaging.message.id", id.clone());
        Ok(id)
    }
}

/// <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>
fn about(topic: &str) -> About {
    let attributes = vec![
        KeyValue::new("messaging.operation.name", "publish"),
        KeyValue::new("messaging.operation.type", "create"),
        KeyValue::new("messaging.destination.name", topic.to_owned()),
    ];
    (format!("publish {topic}").into(), attributes)
}

/// With the context of its own span, where that is recorded: what handles it goes on from there.
fn to_host(message: wit::Message, asked: &Asked) -> Message {
    let own = || asked.cause().traceparent();
    Message {
        topic: message.topic,
        key: message.key,
        payload: message.payload,
        trace: match asked.span.is_recorded() {
            true => own(),
            false => message.trace.or_else(own),
        },
        request_id: asked.cause().request_id.as_deref().map(ToOwned::to_owned),
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::AccessDenied => Self::AccessDenied,
            Error::Timeout => Self::Timeout,
            Error::Unavailable(why) => {
                tracing::warn!(%why, "events are unavailable");
                Self::Unavailable
            }
            Error::QuotaExceeded => Self::QuotaExceeded,
            Error::Invalid(why) => Self::Invalid(why),
        }
    }
}
