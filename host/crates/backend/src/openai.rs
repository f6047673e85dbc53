//! Any server that speaks OpenAI's chat completions: OpenRouter by default, Ollama, llama.cpp and so
//! on by base URL. <https://platform.openai.com/docs/api-reference/chat>

mod wire;

use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use capability::llm::{Completion, Delta, Error, Llm, Request};
use eventsource_stream::Eventsource;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use secrecy::{ExposeSecret, SecretString};

const CONNECT: Duration = Duration::from_secs(5);
/// How long the first token, and each one after it, may take.
const NEXT_TOKEN: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_secs(120);
/// The most that one answer may hold, whatever the server sends.
const MAX_ANSWER: usize = 1 << 20;

/// Which server, and which model there.
#[derive(Clone, Debug)]
pub struct Config {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// `None` for a server that wants none.
    pub key: Option<SecretString>,
    /// As the server names it.
    pub model: String,
}

/// A server that speaks OpenAI's chat completions.
pub struct OpenAi {
    client: reqwest::Client,
    config: Config,
}

/// A failed attempt, and how long its server asks to be left alone.
struct Refused {
    error: Error,
    retry_after: Option<Duration>,
    transient: bool,
}

impl Refused {
    fn transient(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            transient: true,
        }
    }

    fn lasting(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            transient: false,
        }
    }
}

impl OpenAi {
    /// Fails only where the system has no TLS roots.
    pub fn new(config: Config) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            // The key goes to the configured server and to nobody it points at.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(Self { client, config })
    }

    async fn attempt(&self, body: &serde_json::Value) -> Result<Completion, Refused> {
        let url = format!(
            "{}/chat/completions",
            self.config.base_url.trim_end_matches('/')
        );
        let mut request = self.client.post(url).json(body);
        if let Some(key) = &self.config.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = tokio::time::timeout(NEXT_TOKEN, request.send())
            .await
            .map_err(|_| Refused::transient(Error::Timeout))?
            .map_err(|e| Refused::transient(transport_failed(&e)))?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let deltas = if is_event_stream(&response) {
            events(response)
        } else {
            document(response)
        };
        self.first(deltas).await
    }

    /// Waits for the first token, so that what fails before it can be tried again.
    async fn first(
        &self,
        mut deltas: BoxStream<'static, Result<wire::Piece, Error>>,
    ) -> Result<Completion, Refused> {
        let first = tokio::time::timeout(NEXT_TOKEN, deltas.next())
            .await
            .map_err(|_| Refused::transient(Error::Timeout))?
            .ok_or_else(|| Refused::transient(Error::Unavailable("the answer was empty".into())))?
            .map_err(|error| match error {
                Error::Invalid(_) | Error::AccessDenied => Refused::lasting(error),
                error => Refused::transient(error),
            })?;
        let model = first
            .model
            .clone()
            .unwrap_or_else(|| self.config.model.clone());
        let deltas = stream::once(async move { Ok(first) })
            .chain(deltas)
            .map_ok(|piece| piece.delta);
        Ok(Completion {
            model,
            deltas: bounded(deltas.boxed()),
        })
    }
}

#[async_trait]
impl Llm for OpenAi {
    async fn complete(&self, request: Request) -> Result<Completion, Error> {
        let body = wire::request(&self.config, request);
        let attempt = || self.attempt(&body);
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(300))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(2)
            .with_jitter();
        attempt
            .retry(backoff)
            .when(|refused| refused.transient)
            // A server that wants more than a few seconds is as good as away: the caller falls back.
            .adjust(|refused, delay| match refused.retry_after {
                Some(wanted) if wanted > Duration::from_secs(5) => None,
                Some(wanted) => delay.map(|delay| delay.max(wanted)),
                None => delay,
            })
            .await
            .map_err(|refused| refused.error)
    }
}

fn is_event_stream(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(reqwest::header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// A server that ignored `stream: true`.
fn document(response: reqwest::Response) -> BoxStream<'static, Result<wire::Piece, Error>> {
    let read = async move {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|e| transport_failed(&e))?);
            if body.len() > MAX_ANSWER {
                return Err(Error::Unavailable("the answer exceeds 1 MiB".into()));
            }
        }
        Ok(stream::iter(wire::pieces(&String::from_utf8_lossy(&body))))
    };
    stream::once(read).try_flatten().boxed()
}

fn events(response: reqwest::Response) -> BoxStream<'static, Result<wire::Piece, Error>> {
    response
        .bytes_stream()
        .eventsource()
        .map(|event| match event {
            Ok(event) => wire::pieces(&event.data),
            Err(eventsource_stream::EventStreamError::Transport(e)) => {
                vec![Err(transport_failed(&e))]
            }
            Err(e) => vec![Err(Error::Unavailable(format!(
                "the event stream is broken: {e}"
            )))],
        })
        .flat_map(stream::iter)
        .boxed()
}

/// Each token in time, the whole within bounds, and nothing after the end or an error. A stream
/// that ends without [`Delta::Done`] was cut off.
fn bounded(
    deltas: BoxStream<'static, Result<Delta, Error>>,
) -> BoxStream<'static, Result<Delta, Error>> {
    stream::unfold(Some((deltas, 0)), |state| async move {
        let (mut deltas, size) = state?;
        let next = match tokio::time::timeout(NEXT_TOKEN, deltas.next()).await {
            Err(_) => Err(Error::Timeout),
            Ok(None) => Err(Error::Unavailable("the answer was cut off".into())),
            Ok(Some(next)) => next,
        };
        match next {
            Ok(Delta::Text(text)) if size + text.len() > MAX_ANSWER => Some((
                Err(Error::Unavailable("the answer exceeds 1 MiB".into())),
                None,
            )),
            Ok(Delta::Text(text)) => {
                let size = size + text.len();
                Some((Ok(Delta::Text(text)), Some((deltas, size))))
            }
            last => Some((last, None)),
        }
    })
    .boxed()
}

async fn refused(response: reqwest::Response) -> Refused {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = response.bytes().await.unwrap_or_default();
    let message = wire::error_message(&body[..body.len().min(64 << 10)]);
    let (error, transient) = wire::by_status(status, message);
    Refused {
        error,
        retry_after,
        transient,
    }
}

fn transport_failed(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        Error::Timeout
    } else {
        // Without the URL, which may hold a credential.
        let mut source: &dyn std::error::Error = error;
        while let Some(deeper) = source.source() {
            source = deeper;
        }
        Error::Unavailable(source.to_string())
    }
}
