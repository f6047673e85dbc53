//! Any server that speaks OpenAI's chat completions: OpenRouter by default, Ollama, llama.cpp and so
//! on by base URL. <https://platform.openai.com/docs/api-reference/chat>

mod answer;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use answer::{Deltas, MAX_ANSWER, Parts};
use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use capability::breaker::{Breaker, Policy};
use capability::llm::{Completion, Error, Llm, Request};
use eventsource_stream::{EventStreamError, Eventsource};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use wire::{Part, Piece, Refused};

use crate::mark::marked;

const CONNECT: Duration = Duration::from_secs(5);
/// How long the first token may take, over all attempts.
const FIRST_TOKEN: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_secs(120);
/// A server that wants more than this is as good as away: the caller falls back.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
const CHECK: Duration = Duration::from_secs(5);
/// OpenRouter's list takes about 1 MiB.
const MAX_MODELS: usize = 16 << 20;
const MAX_ERROR: usize = 64 << 10;
/// Each failure is the end of several attempts, for which somebody waited up to [`FIRST_TOKEN`].
const BREAKER: Policy = Policy {
    failures: 3,
    cool_down: Duration::from_secs(15),
    share: None,
};

/// Which server, and which model there.
#[derive(Clone)]
pub struct Config {
    /// Up to and with `/v1`. May hold a credential: [`Config::shown_url`] is for showing.
    pub base_url: String,
    /// `None` for a server that wants none.
    pub key: Option<SecretString>,
    /// As the server names it.
    pub model: String,
    /// Who asks, as OpenRouter lists it: `HTTP-Referer`.
    pub referer: Option<String>,
    /// And by which name: `X-Title`.
    pub title: Option<String>,
}

impl Config {
    /// The base URL without what may be secret in it.
    pub fn shown_url(&self) -> String {
        let shown = reqwest::Url::parse(&self.base_url)
            .ok()
            .and_then(|mut url| {
                url.set_username("").ok()?;
                url.set_password(None).ok()?;
                url.set_query(None);
                url.set_fragment(None);
                url.has_host().then(|| url.to_string())
            });
        shown.map_or_else(
            || "a base URL that is none".into(),
            |url| url.trim_end_matches('/').to_owned(),
        )
    }

    fn headers(&self) -> Result<HeaderMap, Error> {
        let named = [("http-referer", &self.referer), ("x-title", &self.title)];
        let mut headers = HeaderMap::new();
        for (name, value) in named {
            if let Some(value) = value {
                let value = HeaderValue::from_bytes(value.as_bytes())
                    .map_err(|_| Error::Invalid(format!("`{name}` holds control characters")))?;
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Ok(headers)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("base_url", &self.shown_url())
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// What a server says of the configured model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelCheck {
    /// It lists it.
    Known,
    /// It lists others.
    Unknown,
    /// It lists nothing, or does not answer.
    CannotTell,
}

/// A server that speaks OpenAI's chat completions.
pub struct OpenAi {
    client: reqwest::Client,
    config: Config,
    first_token: Duration,
    breaker: Arc<Breaker>,
}

impl OpenAi {
    /// Between callers and the server.
    pub fn breaker(&self) -> Arc<Breaker> {
        self.breaker.clone()
    }

    /// Fails where the system has no TLS roots, and where `referer` or `title` is no header's value.
    pub fn new(config: Config) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .default_headers(config.headers()?)
            // The key goes to the configured server and to nobody it points at.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(Self {
            client,
            config,
            first_token: FIRST_TOKEN,
            breaker: Arc::new(Breaker::new(BREAKER)),
        })
    }

    /// Whether the server lists the configured model, which may have been taken away since it was
    /// configured.
    pub async fn check_model(&self) -> ModelCheck {
        let asked = timeout(CHECK, async {
            let response = self.request(reqwest::Method::GET, "models").send().await;
            let response = response.ok()?.error_for_status().ok()?;
            let models = read(response, MAX_MODELS).await.ok()?;
            wire::lists(&models, &self.config.model)
        });
        match asked.await {
            Ok(Some(true)) => ModelCheck::Known,
            Ok(Some(false)) => ModelCheck::Unknown,
            Ok(None) | Err(_) => ModelCheck::CannotTell,
        }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let base = self.config.base_url.trim_end_matches('/');
        let request = marked(self.client.request(method, format!("{base}/{path}")));
        match &self.config.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    /// Waits for the first token, so that what fails before it can be tried again.
    async fn attempt(&self, body: &serde_json::Value) -> Result<Completion, Refused> {
        let request = self.request(reqwest::Method::POST, "chat/completions");
        let response = request.json(body).send().await;
        let response = response.map_err(|e| transport_failed(&e))?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let parts = if is_event_stream(&response) {
            events(response)
        } else {
            document(response)
        };
        self.completion(answer::deltas(parts)).await
    }

    async fn completion(&self, mut deltas: Deltas) -> Result<Completion, Refused> {
        let empty = || Refused::transient(Error::Unavailable("the answer was empty".into()));
        let first = deltas.next().await.ok_or_else(empty)??;
        let model = first.model.clone();
        let deltas = stream::once(async move { Ok(first) })
            .chain(deltas)
            .map_ok(|piece| piece.what)
            .map_err(|refused| refused.error);
        Ok(Completion {
            model: model.unwrap_or_else(|| self.config.model.clone()),
            deltas: deltas.boxed(),
        })
    }

    async fn attempts(&self, body: &serde_json::Value) -> Result<Completion, Error> {
        let attempt = || self.attempt(body);
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(300))
            .with_max_delay(LONGEST_DELAY)
            .with_max_times(2)
            .with_jitter();
        let started = Instant::now();
        let attempts = attempt
            .retry(backoff)
            .when(|refused| refused.transient)
            .adjust(|refused, delay| {
                let delay = delay?.max(refused.retry_after.unwrap_or_default());
                let fits = refused
                    .retry_after
                    .is_none_or(|wanted| wanted <= LONGEST_DELAY)
                    && started.elapsed() + delay < self.first_token;
                fits.then_some(delay)
            });
        match timeout(self.first_token, attempts).await {
            Ok(answered) => answered.map_err(|refused| refused.error),
            Err(_) => Err(Error::Timeout),
        }
    }
}

#[async_trait]
impl Llm for OpenAi {
    async fn complete(&self, request: Request) -> Result<Completion, Error> {
        let permit = self.breaker.admit().ok_or_else(|| {
            Error::Unavailable("the server did not answer lately; it is asked again soon".into())
        })?;
        let body = wire::request(&self.config, request);
        let answered = self.attempts(&body).await;
        match &answered {
            Err(Error::Timeout | Error::Unavailable(_)) => permit.failed(),
            // A refusal is an answer.
            Ok(_) | Err(_) => permit.succeeded(),
        }
        answered
    }
}

fn is_event_stream(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// The body, where it is not longer.
async fn read(response: reqwest::Response, most: usize) -> Result<Vec<u8>, Refused> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(|e| transport_failed(&e))?);
        if body.len() > most {
            let error = Error::Unavailable(format!("the answer exceeds {most} bytes"));
            return Err(Refused::lasting(error));
        }
    }
    Ok(body)
}

/// A server that ignored `stream: true`. A document that can be parsed was not cut off.
fn document(response: reqwest::Response) -> Parts {
    let parts = async move {
        let body = read(response, MAX_ANSWER).await?;
        let parts = wire::pieces(&String::from_utf8_lossy(&body));
        let end = Piece {
            model: None,
            what: Part::End,
        };
        Ok(stream::iter(parts.into_iter().chain([Ok(end)])))
    };
    stream::once(parts).try_flatten().boxed()
}

fn events(response: reqwest::Response) -> Parts {
    response
        .bytes_stream()
        .eventsource()
        .map(|event| match event {
            Ok(event) => wire::pieces(&event.data),
            Err(EventStreamError::Transport(e)) => vec![Err(transport_failed(&e))],
            // Without the parser's words, which quote what was sent.
            Err(_) => vec![Err(Refused::transient(Error::Unavailable(
                "the event stream is broken".into(),
            )))],
        })
        .flat_map(stream::iter)
        .boxed()
}

async fn refused(response: reqwest::Response) -> Refused {
    let status = response.status().as_u16();
    let header = response.headers().get(RETRY_AFTER);
    let header = header
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = read(response, MAX_ERROR).await.unwrap_or_default();
    let mut refused = Refused::by_status(status, wire::error_of(&body).as_ref());
    refused.retry_after = refused.retry_after.max(header);
    refused
}

/// Without the URL, which may hold a credential.
fn transport_failed(error: &reqwest::Error) -> Refused {
    if error.is_timeout() {
        return Refused::lasting(Error::Timeout);
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(deeper) = source.source() {
        source = deeper;
    }
    let why = Error::Unavailable(wire::excerpt(&source.to_string()));
    if error.is_builder() {
        Refused::lasting(why)
    } else {
        Refused::transient(why)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn config(base_url: &str) -> Config {
        Config {
            base_url: base_url.into(),
            key: None,
            model: "m".into(),
            referer: None,
            title: None,
        }
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("http://user:pw@host:1/v1?key=pw#pw", "http://host:1/v1"),
            (
                "https://openrouter.ai/api/v1/",
                "https://openrouter.ai/api/v1",
            ),
            ("user:pw@host/v1", "a base URL that is none"),
            ("//user:pw@host", "a base URL that is none"),
        ] {
            let config = config(url);
            assert_eq!(config.shown_url(), shown);
            assert!(!format!("{config:?}").contains("pw"), "{config:?}");
        }
    }

    #[test]
    fn a_title_of_two_lines_is_refused_at_start() {
        let mut config = config("http://host/v1");
        config.title = Some("a\nb".into());
        assert!(matches!(OpenAi::new(config), Err(Error::Invalid(_))));
    }

    const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const PROCESSING: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: PROCESSING\n\n";

    /// Says each connection its part, and leaves open what says nothing of closing.
    async fn hanging(scripts: Vec<&'static str>) -> (OpenAi, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let at = count.fetch_add(1, Ordering::SeqCst);
                let script = scripts[at.min(scripts.len() - 1)];
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(script.as_bytes()).await.unwrap();
                open.push(stream);
            }
        });
        let llm = OpenAi {
            first_token: Duration::from_secs(2),
            ..OpenAi::new(config(&url)).unwrap()
        };
        (llm, asked)
    }

    async fn time_out(scripts: Vec<&'static str>, attempts: usize) {
        let (llm, asked) = hanging(scripts).await;
        let request = Request {
            messages: vec![],
            max_tokens: 1,
            temperature: None,
            schema: None,
        };
        let started = Instant::now();
        assert_eq!(llm.complete(request).await.err(), Some(Error::Timeout));
        let took = started.elapsed();
        assert!(took >= llm.first_token && took < llm.first_token * 2);
        assert_eq!(asked.load(Ordering::SeqCst), attempts);
    }

    #[tokio::test]
    async fn a_model_that_hangs_is_asked_once() {
        time_out(vec![""], 1).await;
        time_out(vec![PROCESSING], 1).await;
    }

    #[tokio::test]
    async fn all_attempts_share_the_time_to_the_first_token() {
        assert_eq!(
            OpenAi::new(config("http://host"))
                .unwrap()
                .first_token
                .as_secs(),
            30
        );
        time_out(vec![BUSY, ""], 2).await;
    }
}
