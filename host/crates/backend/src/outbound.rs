//! Requests to servers outside, over HTTP/1.1 and 2, to public addresses.

mod body;
mod connect;
mod failure;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use capability::outbound::address::is_public;
use capability::outbound::{Error, Outbound, OutboundBody, Timeouts};
use http_body_util::BodyExt;
use reqwest::header::{CONNECTION, HOST, HeaderMap, HeaderName, TE};
use tokio::sync::watch;
use tokio::time::Instant;

use self::body::{Receiving, Sending};
use self::connect::{Attempt, InTime, Names};
use self::failure::{by_meaning, reason};

/// How long a connection is kept for another request.
const IDLE: Duration = Duration::from_secs(30);
/// Connections kept to one host.
const IDLE_PER_HOST: usize = 8;

/// RFC 9110, section 7.6.1; `connection` may name more.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// A client that has no credential, cookie or proxy.
pub struct HttpClient {
    /// Made for the first request: where the system has no TLS roots, the rest does without.
    client: OnceLock<Result<reqwest::Client, Error>>,
    allow_private: bool,
}

impl HttpClient {
    /// With `allow_private` it connects to any address: for development, and for tests.
    pub fn new(allow_private: bool) -> Self {
        Self {
            client: OnceLock::new(),
            allow_private,
        }
    }

    fn client(&self) -> Result<&reqwest::Client, Error> {
        let client = self.client.get_or_init(|| self.build());
        client.as_ref().map_err(Error::clone)
    }

    fn build(&self) -> Result<reqwest::Client, Error> {
        reqwest::Client::builder()
            .dns_resolver(Names::new(self.allow_private))
            .connector_layer(tower::layer::layer_fn(InTime))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // Not the host's, which its environment may name.
            .no_proxy()
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build()
            .map_err(|e| Error::Tls(reason(&e)))
    }

    fn outgoing(
        &self,
        request: http::Request<OutboundBody>,
        silent_since: watch::Sender<Instant>,
    ) -> Result<reqwest::Request, Error> {
        let (mut parts, body) = request.into_parts();
        let invalid = |why: &str| Error::Invalid(why.to_owned());
        let authority = parts.uri.authority().ok_or(invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("its URL holds a user"));
        }
        let asked = authority.host().to_owned();
        // Made anew from the URL: another would ask for what else is served at that address.
        parts.headers.remove(HOST);
        keep_end_to_end(&mut parts.headers);
        let body = reqwest::Body::wrap(Sending::new(body, silent_since));
        let request = reqwest::Request::try_from(http::Request::from_parts(parts, body))
            .map_err(|_| invalid("its URL is none"))?;
        self.admit(&asked, request.url())?;
        Ok(request)
    }

    /// A literal address meets no resolver. And as a URL, `0x7f.1` is one.
    fn admit(&self, asked: &str, url: &reqwest::Url) -> Result<(), Error> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) if self.allow_private || is_public(ip) => Ok(()),
            Ok(_) => Err(Error::Denied),
            // What is granted was compared with `asked`.
            Err(_) if host.eq_ignore_ascii_case(asked) => Ok(()),
            Err(_) => Err(Error::Invalid("its host can be read as another".into())),
        }
    }
}

#[async_trait]
impl Outbound for HttpClient {
    async fn send(
        &self,
        request: http::Request<OutboundBody>,
        limits: Timeouts,
    ) -> Result<http::Response<OutboundBody>, Error> {
        let (silent_since, silence) = watch::channel(Instant::now());
        let request = self.outgoing(request, silent_since.clone())?;
        let attempt = Attempt::new(limits.connect, silent_since);
        let sending = attempt.scope(self.client()?.execute(request));
        let response = head(sending, silence, limits.first_byte).await?;
        let (mut parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        keep_end_to_end(&mut parts.headers);
        let body = Receiving::new(body, limits.between_bytes).boxed_unsync();
        Ok(http::Response::from_parts(parts, body))
    }
}

/// Waits for the head, but not longer than `limit` for a server that is silent.
async fn head(
    sending: impl Future<Output = reqwest::Result<reqwest::Response>>,
    mut silence: watch::Receiver<Instant>,
    limit: Duration,
) -> Result<reqwest::Response, Error> {
    let mut sending = pin!(sending);
    loop {
        let silent_since = *silence.borrow_and_update();
        tokio::select! {
            biased;
            sent = &mut sending => return sent.map_err(|e| by_meaning(&e)),
            Ok(()) = silence.changed() => {}
            () = tokio::time::sleep_until(silent_since + limit) => return Err(Error::Timeout),
        }
    }
}

fn keep_end_to_end(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    // "I take trailers" is the caller's to say: gRPC wants it.
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
}
