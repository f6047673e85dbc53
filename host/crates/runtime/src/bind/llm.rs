//! `lectern:platform/llm`.

use std::sync::Arc;

use bytes::Bytes;
use capability::llm::{AnswerSchema, Delta, Error, Finish, Llm, Message, Outcome, Request, Role};
use capability::trace::KeyValue;
use capability::usage::{Account, MeteredLlm};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, FutureReader, HasData, StreamReader};

use super::account;
use super::stream::{Produce, ProduceBytes};
use crate::bindings::lectern::platform::llm as wit;
use crate::state::View;
use crate::trace::{About, Asked, asked};

/// `None` is never linked; a call that came through all the same finds no model.
pub(crate) type Granted = Option<Arc<dyn Llm>>;

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Granted>;
}

impl wit::Host for View<'_, Granted> {}

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn complete(
        accessor: &Accessor<T, Self>,
        request: wit::Request,
    ) -> Result<wit::Completion, wit::Error> {
        let words = request.messages.iter().map(|m| m.content.len()).sum();
        let (llm, most, _held) = accessor.with(|mut access| {
            let account = account(&mut access);
            let view = access.get();
            let held = view.memory.hold(words).ok_or(wit::Error::QuotaExceeded)?;
            let most = view
                .manifest
                .grants
                .llm
                .as_ref()
                .map_or(0, |grant| grant.max_tokens);
            view.capability
                .map(|llm| (metered(llm, account), most, held))
                .ok_or(wit::Error::NotConfigured)
        })?;
        let request = to_host(request, most)?;
        let mut asked = asked(accessor, "llm", || about(&request));
        let completion = asked
            .answer::<_, _, wit::Error>(llm.complete(request))
            .await?;
        asked.span.rename(format!("chat {}", completion.model));
        asked
            .span
            .set("gen_ai.response.model", completion.model.clone());
        let (text, outcome) = text(completion.deltas, asked);
        let (text, _) = Produce::new(text);
        let outcome = async move {
            wasmtime::error::Ok(outcome.await.unwrap_or(Err(wit::Error::Unavailable)))
        };
        accessor.with(|mut access| {
            let text = StreamReader::new(&mut access, ProduceBytes(text));
            let outcome = FutureReader::new(&mut access, outcome);
            match (text, outcome) {
                (Ok(text), Ok(outcome)) => Ok(wit::Completion {
                    model: completion.model,
                    text,
                    outcome,
                }),
                _ => Err(wit::Error::Unavailable),
            }
        })
    }
}

/// At the caller's account, where there is one.
fn metered(inner: Arc<dyn Llm>, account: Option<Arc<Account>>) -> Arc<dyn Llm> {
    match account {
        Some(account) => Arc::new(MeteredLlm { inner, account }),
        None => inner,
    }
}

type Ended = oneshot::Receiver<Result<wit::Outcome, wit::Error>>;

/// <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>
fn about(request: &Request) -> About {
    let attributes = vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.request.max_tokens", i64::from(request.max_tokens)),
    ];
    ("chat".into(), attributes)
}

fn told(asked: &mut Asked, outcome: Outcome) {
    let finish = match outcome.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Filtered => "content_filter",
    };
    let span = &mut asked.span;
    span.set("gen_ai.response.finish_reasons", finish);
    span.set(
        "gen_ai.usage.input_tokens",
        i64::from(outcome.prompt_tokens),
    );
    span.set(
        "gen_ai.usage.output_tokens",
        i64::from(outcome.completion_tokens),
    );
}

/// The words as bytes, and the end apart. The span ends with them.
fn text(
    deltas: BoxStream<'static, Result<Delta, Error>>,
    asked: Asked,
) -> (BoxStream<'static, Result<Bytes, ()>>, Ended) {
    let (sender, receiver) = oneshot::channel();
    let words = futures::stream::unfold(
        (deltas, Some(sender), asked),
        |(mut deltas, mut sender, mut asked)| async move {
            let next = deltas.next().await;
            if let Some(next) = &next {
                asked.span.answered(next);
            }
            let end = match next {
                Some(Ok(Delta::Text(text))) => {
                    return Some((Ok(Bytes::from(text)), (deltas, sender, asked)));
                }
                Some(Ok(Delta::Done(outcome))) => {
                    told(&mut asked, outcome);
                    Ok(to_guest(outcome))
                }
                Some(Err(error)) => Err(error.into()),
                None => Err(wit::Error::Unavailable),
            };
            // The guest may have dropped the future; then nobody wants to know.
            let _ = sender.take().map(|sender| sender.send(end));
            None
        },
    );
    (words.boxed(), receiver)
}

fn to_host(request: wit::Request, most: u32) -> Result<Request, wit::Error> {
    let message = |message: wit::Message| Message {
        role: match message.role {
            wit::Role::System => Role::System,
            wit::Role::User => Role::User,
            wit::Role::Assistant => Role::Assistant,
        },
        content: message.content,
    };
    let schema = |schema: wit::AnswerSchema| match serde_json::from_str(&schema.schema) {
        Ok(parsed) => Ok(AnswerSchema {
            name: schema.name,
            schema: parsed,
        }),
        Err(e) => Err(wit::Error::Invalid(format!("the schema is no JSON: {e}"))),
    };
    Ok(Request {
        messages: request.messages.into_iter().map(message).collect(),
        // Guest-controlled: within the grant.
        max_tokens: request.max_tokens.unwrap_or(most).clamp(1, most.max(1)),
        temperature: request
            .temperature
            .filter(|t| t.is_finite())
            .map(|t| t.clamp(0.0, 2.0)),
        schema: request.schema.map(schema).transpose()?,
    })
}

fn to_guest(outcome: Outcome) -> wit::Outcome {
    wit::Outcome {
        finish: match outcome.finish {
            Finish::Stop => wit::FinishReason::Stop,
            Finish::Length => wit::FinishReason::Length,
            Finish::Filtered => wit::FinishReason::Filtered,
        },
        prompt_tokens: outcome.prompt_tokens,
        completion_tokens: outcome.completion_tokens,
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        if !matches!(error, Error::NotConfigured) {
            tracing::warn!(%error, "the language model gave no answer");
        }
        match error {
            Error::NotConfigured => Self::NotConfigured,
            Error::AccessDenied => Self::AccessDenied,
            Error::Timeout => Self::Timeout,
            Error::Unavailable(_) => Self::Unavailable,
            Error::QuotaExceeded => Self::QuotaExceeded,
            Error::Invalid(why) => Self::Invalid(why),
        }
    }
}
