//! `wasi:http/client` and `wasi:http/outgoing-handler`: requests to the outside, to the hosts that
//! the manifest grants.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use capability::ComponentName;
use capability::breaker::{Breakers, Permit, Policy};
use capability::outbound::{self, Outbound, OutboundBody, Timeouts};
use capability::trace::{Cause, KeyValue, SpanKind};
use http::{HeaderMap, HeaderValue, Method};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::manifest::HttpGrant;
use crate::state::Denials;
use crate::trace::{Asked, Call};

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Response = (http::Response<WasiBody>, Io);
type Sent = Box<dyn Future<Output = Result<Response, Error>> + Send>;

/// The longest that a guest may wait for any one thing, and what it waits where it does not say.
const MOST: Duration = Duration::from_secs(60);
/// For a connection, where the guest does not say.
const CONNECT: Duration = Duration::from_secs(10);
/// When a server outside is no longer asked: of each component by itself, as each says how long it waits.
pub(crate) const BREAKER: Policy = Policy {
    failures: 5,
    cool_down: Duration::from_secs(5),
    share: None,
};

/// The longest name there is; more of a guest's host is not logged.
const MAX_NAME: usize = 253;

/// A component's way out. `None` is never linked; a request that came through all the same is
/// denied.
#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) outbound: Option<Arc<dyn Outbound>>,
    pub(crate) grant: Option<HttpGrant>,
    /// As many as the grant's `connections`, for all instances together.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) breakers: Breakers,
    pub(crate) denials: Denials,
    pub(crate) service: ComponentName,
    /// Who calls.
    pub(crate) caller: Option<Arc<Call>>,
}

impl WasiHttpHooks for Granted {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Sent {
        let admitted = self.admit(&request);
        Box::new(async move { admitted?.send(request, clamped(options)).await })
    }
}

/// A request that is granted.
struct Admitted {
    outbound: Arc<dyn Outbound>,
    turns: Arc<Semaphore>,
    breakers: Breakers,
    service: ComponentName,
    host: String,
    /// With its port.
    server: String,
    asked: Asked,
}

impl Granted {
    fn admit(&self, request: &http::Request<WasiBody>) -> Result<Admitted, Error> {
        let host = request.uri().host().ok_or(Error::HttpRequestUriInvalid)?;
        let grant = self.grant.as_ref();
        let outbound = self.outbound.as_ref();
        let Some(outbound) = outbound.filter(|_| grant.is_some_and(|grant| grant.covers(host)))
        else {
            let (service, host) = (&self.service, loggable(host));
            self.denials.count();
            tracing::warn!(%service, "denied: `{host}` is not in grants.http.hosts");
            return Err(Error::HttpRequestDenied);
        };
        if request.method() == Method::CONNECT {
            // A tunnel leads to where no grant was asked about.
            return Err(Error::HttpRequestMethodInvalid);
        }
        Ok(Admitted {
            outbound: outbound.clone(),
            turns: self.turns.clone(),
            breakers: self.breakers.clone(),
            service: self.service.clone(),
            host: loggable(host),
            server: server(request.uri(), host),
            asked: self.asked(request, host),
        })
    }
}

impl Granted {
    /// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span>; a path or a query
    /// could hold what is somebody's.
    fn asked(&self, request: &http::Request<WasiBody>, host: &str) -> Asked {
        let whose = ("outbound", &self.service);
        Asked::on(self.caller.as_deref(), whose, SpanKind::Client, || {
            let (uri, method) = (request.uri(), request.method());
            let mut attributes = vec![
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("server.address", loggable(host)),
            ];
            let scheme = uri.scheme_str().map(ToOwned::to_owned);
            attributes.extend(scheme.map(|scheme| KeyValue::new("url.scheme", scheme)));
            let port = uri.port_u16().map(i64::from);
            attributes.extend(port.map(|port| KeyValue::new("server.port", port)));
            (method.to_string().into(), attributes)
        })
    }
}

/// Its own context instead of whatever the guest says; the request's id where the guest says none.
fn mark(headers: &mut HeaderMap, cause: &Cause) {
    for (name, value) in cause.headers() {
        let is_own = name == "x-request-id" && headers.contains_key(name);
        if let (Ok(value), false) = (HeaderValue::try_from(value), is_own) {
            headers.insert(name, value);
        }
    }
}

impl Admitted {
    async fn send(
        mut self,
        mut request: http::Request<WasiBody>,
        limits: Timeouts,
    ) -> Result<Response, Error> {
        mark(request.headers_mut(), self.asked.cause());
        let asked = Instant::now();
        let turn = tokio::time::timeout(limits.connect, self.turns.acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(Error::ConnectionLimitReached);
        };
        let limits = Timeouts {
            connect: limits.connect.saturating_sub(asked.elapsed()),
            ..limits
        };
        let breaker = self.breakers.of(&self.server).await;
        let Some(permit) = breaker.admit() else {
            let (service, host) = (&self.service, &self.host);
            tracing::debug!(%service, "`{host}` failed again and again, and is given a rest");
            self.asked.span.fail("Unavailable");
            return Err(Error::DestinationUnavailable);
        };
        let (ended, mut end) = oneshot::channel();
        let request = request.map(|body| Sending::new(body, ended).boxed_unsync());
        let answer = self.asked.answer(self.outbound.send(request, limits)).await;
        judge(permit, &answer);
        match answer {
            Ok(response) => {
                let status = i64::from(response.status().as_u16());
                self.asked.span.set("http.response.status_code", status);
                let response = response.map(|body| {
                    // The span ends with the body.
                    Receiving::new(body, turn, self.asked).boxed_unsync()
                });
                let io = async move { end.await.unwrap_or(Ok(())) };
                Ok((response, Box::new(io)))
            }
            Err(error) => {
                let (service, host) = (&self.service, &self.host);
                tracing::warn!(%service, "no answer from `{host}`: {error}");
                // The guest's own error, where it was one.
                match end.try_recv() {
                    Ok(Err(own)) if error == outbound::Error::RequestBody => Err(own),
                    _ => Err(by_meaning(error)),
                }
            }
        }
    }
}

/// A server that answers is there, whatever it says; what is the guest's own fault says nothing of it.
fn judge<T>(permit: Permit<'_>, answer: &Result<T, outbound::Error>) {
    match answer {
        Ok(_) => permit.succeeded(),
        Err(
            outbound::Error::Dns(_)
            | outbound::Error::Unavailable(_)
            | outbound::Error::ConnectTimeout
            | outbound::Error::Timeout
            | outbound::Error::Tls(_)
            | outbound::Error::Protocol(_)
            | outbound::Error::CutOff,
        ) => permit.failed(),
        Err(
            outbound::Error::Denied
            | outbound::Error::Invalid(_)
            | outbound::Error::TooLarge
            | outbound::Error::RequestBody,
        ) => {}
    }
}

/// The port is the scheme's where none is named.
fn server(uri: &http::Uri, host: &str) -> String {
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let port = uri.port_u16().unwrap_or(usual);
    format!("{}:{port}", host.to_ascii_lowercase())
}

/// Guest-controlled: a minute at most.
fn clamped(options: Option<RequestOptions>) -> Timeouts {
    let options = options.unwrap_or_default();
    Timeouts {
        connect: options.connect_timeout.unwrap_or(CONNECT).min(MOST),
        first_byte: options.first_byte_timeout.unwrap_or(MOST).min(MOST),
        between_bytes: options.between_bytes_timeout.unwrap_or(MOST).min(MOST),
    }
}

fn loggable(host: &str) -> String {
    host.chars().take(MAX_NAME).collect()
}

fn by_meaning(error: outbound::Error) -> Error {
    match error {
        outbound::Error::Denied => Error::DestinationIpProhibited,
        outbound::Error::Invalid(_) => Error::HttpRequestUriInvalid,
        outbound::Error::Dns(_) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        outbound::Error::Unavailable(_) => Error::DestinationUnavailable,
        outbound::Error::ConnectTimeout => Error::ConnectionTimeout,
        outbound::Error::Timeout => Error::ConnectionReadTimeout,
        outbound::Error::Tls(_) => Error::TlsProtocolError,
        outbound::Error::Protocol(_) => Error::HttpProtocolError,
        outbound::Error::TooLarge => Error::HttpResponseHeaderSectionSize(None),
        outbound::Error::CutOff => Error::HttpResponseIncomplete,
        // Where it had no error of its own, it was not as long as declared.
        outbound::Error::RequestBody => Error::HttpRequestBodySize(None),
    }
}

/// The guest's body on its way out. How it ended is told apart: its error is the guest's to know.
struct Sending {
    body: WasiBody,
    ended: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Sending {
    fn new(body: WasiBody, ended: oneshot::Sender<Result<(), Error>>) -> Self {
        let ended = Some(ended);
        Self { body, ended }
    }

    fn end(&mut self, how: Result<(), Error>) {
        // The guest may have dropped what it would learn it by.
        let _ = self.ended.take().map(|ended| ended.send(how));
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = outbound::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, outbound::Error>>> {
        let this = self.get_mut();
        Poll::Ready(match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => {
                this.end(Err(error));
                Some(Err(outbound::Error::RequestBody))
            }
            None => {
                this.end(Ok(()));
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The server's body on its way in. The request has its turn until this ends.
struct Receiving {
    body: OutboundBody,
    turn: Option<OwnedSemaphorePermit>,
    _asked: Asked,
}

impl Receiving {
    fn new(body: OutboundBody, turn: OwnedSemaphorePermit, asked: Asked) -> Self {
        let turn = Some(turn).filter(|_| !body.is_end_stream());
        Self {
            body,
            turn,
            _asked: asked,
        }
    }
}

impl Body for Receiving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            this.turn = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(by_meaning)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::{Empty, Full, StreamBody};

    use super::*;

    /// Answers each request with its own body, and remembers the limits of the last.
    #[derive(Default)]
    struct Echo(Mutex<Option<Timeouts>>);

    #[async_trait::async_trait]
    impl Outbound for Echo {
        async fn send(
            &self,
            request: http::Request<OutboundBody>,
            limits: Timeouts,
        ) -> Result<http::Response<OutboundBody>, outbound::Error> {
            *self.0.lock().unwrap() = Some(limits);
            let mut body = request.into_body();
            let first = body.frame().await.transpose()?;
            let first = futures::stream::iter(first.map(Ok));
            Ok(http::Response::new(StreamBody::new(first).boxed_unsync()))
        }
    }

    fn granted(hosts: &[&str], connections: usize) -> (Granted, Arc<Echo>) {
        let echo = Arc::new(Echo::default());
        let granted = Granted {
            outbound: Some(echo.clone()),
            grant: Some(HttpGrant {
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
                connections,
            }),
            turns: Arc::new(Semaphore::new(connections)),
            breakers: Breakers::new(BREAKER),
            denials: Denials::default(),
            service: ComponentName::parse("a").unwrap(),
            caller: None,
        };
        (granted, echo)
    }

    fn body(text: &'static str) -> WasiBody {
        Full::new(Bytes::from(text))
            .map_err(Into::into)
            .boxed_unsync()
    }

    async fn ask(
        granted: &mut Granted,
        method: Method,
        url: &str,
        body: WasiBody,
    ) -> Result<Response, Error> {
        let request = http::Request::builder().method(method).uri(url);
        let options = RequestOptions {
            connect_timeout: Some(Duration::from_millis(100)),
            first_byte_timeout: Some(Duration::from_secs(3_600)),
            between_bytes_timeout: None,
        };
        let unheard = Box::new(async { Ok(()) });
        let sent = granted.send_request(request.body(body).unwrap(), Some(options), unheard);
        Box::into_pin(sent).await
    }

    #[tokio::test]
    async fn only_a_granted_host_is_asked() {
        let (mut some, echo) = granted(&["api.example.org", "*.wiki.test"], 1);
        for url in [
            "http://example.org/",
            "http://api.example.org.evil.test/",
            "http://127.0.0.1/api.example.org",
            "http://api.example.org@evil.test/",
        ] {
            let answer = ask(&mut some, Method::GET, url, body("")).await;
            assert!(matches!(answer, Err(Error::HttpRequestDenied)), "{url}");
        }
        some.grant = None;
        let answer = ask(&mut some, Method::GET, "http://api.example.org/", body("")).await;
        assert!(matches!(answer, Err(Error::HttpRequestDenied)));
        assert!(echo.0.lock().unwrap().is_none());
    }

    #[tokio::test]
    async fn a_granted_host_answers_through_both_bodies() {
        let (mut some, _) = granted(&["*.wiki.test"], 1);
        for _ in 0..2 {
            let url = "https://en.wiki.test:8443/a?b";
            let answer = ask(&mut some, Method::POST, url, body("hi")).await;
            let (response, _) = answer.unwrap();
            let whole = response.into_body().collect().await.unwrap();
            assert_eq!(whole.to_bytes(), "hi");
        }
    }

    #[tokio::test]
    async fn no_tunnel_is_dug() {
        let (mut all, echo) = granted(&["*"], 1);
        let answer = ask(&mut all, Method::CONNECT, "http://a.test/", body("")).await;
        assert!(matches!(answer, Err(Error::HttpRequestMethodInvalid)));
        assert!(echo.0.lock().unwrap().is_none());
    }

    #[tokio::test]
    async fn a_guest_waits_as_long_as_it_says_but_a_minute_at_most() {
        let (mut all, echo) = granted(&["*"], 1);
        let answer = ask(&mut all, Method::GET, "http://a.test/", body("")).await;
        assert!(answer.is_ok());
        let limits = echo.0.lock().unwrap().unwrap();
        assert!(limits.connect <= Duration::from_millis(100), "{limits:?}");
        assert_eq!((limits.first_byte, limits.between_bytes), (MOST, MOST));
        assert_eq!(clamped(None).connect, CONNECT);
    }

    #[tokio::test]
    async fn a_response_that_is_read_or_dropped_gives_its_turn_back() {
        let (mut all, _) = granted(&["*"], 2);
        let mut other = all.clone();
        let url = "http://a.test/";
        let (read, _) = ask(&mut all, Method::POST, url, body("a")).await.unwrap();
        let (dropped, _) = ask(&mut other, Method::POST, url, body("b")).await.unwrap();
        let third = ask(&mut all, Method::POST, url, body("c")).await;
        assert!(matches!(third, Err(Error::ConnectionLimitReached)));
        drop(dropped);
        let (_kept, _) = ask(&mut all, Method::POST, url, body("d")).await.unwrap();
        let mut read = read.into_body();
        while read.frame().await.is_some() {}
        assert!(ask(&mut all, Method::POST, url, body("e")).await.is_ok());
    }

    /// Not there.
    struct Away;

    #[async_trait::async_trait]
    impl Outbound for Away {
        async fn send(
            &self,
            _: http::Request<OutboundBody>,
            _: Timeouts,
        ) -> Result<http::Response<OutboundBody>, outbound::Error> {
            Err(outbound::Error::ConnectTimeout)
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_given_a_rest_and_its_neighbour_is_not() {
        let (mut all, echo) = granted(&["*"], 1);
        all.outbound = Some(Arc::new(Away));
        let away = "http://away.test/";
        for _ in 0..BREAKER.failures {
            let answer = ask(&mut all, Method::GET, away, body("")).await;
            assert!(matches!(answer, Err(Error::ConnectionTimeout)));
        }
        all.outbound = Some(echo);
        for same in [away, "http://AWAY.test:80/other"] {
            let answer = ask(&mut all, Method::GET, same, body("")).await;
            assert!(
                matches!(answer, Err(Error::DestinationUnavailable)),
                "{same}"
            );
        }
        for other in ["http://there.test/", "https://away.test/"] {
            assert!(ask(&mut all, Method::GET, other, body("")).await.is_ok());
        }
        assert_eq!(all.breakers.open(), 1);
    }

    #[tokio::test]
    async fn the_error_of_a_request_s_body_comes_back_as_it_was() {
        let (mut all, _) = granted(&["*"], 1);
        let broken = futures::stream::iter([Err(Error::HttpRequestBodySize(Some(7)))]);
        let broken = StreamBody::new(broken).boxed_unsync();
        let answer = ask(&mut all, Method::POST, "http://a.test/", broken).await;
        assert!(matches!(answer, Err(Error::HttpRequestBodySize(Some(7)))));
    }

    #[tokio::test]
    async fn how_the_request_s_body_ended_is_told_apart() {
        let (mut all, _) = granted(&["*"], 1);
        let empty = Empty::new().map_err(Into::into).boxed_unsync();
        let (_, io) = ask(&mut all, Method::POST, "http://a.test/", empty)
            .await
            .unwrap();
        assert!(Box::into_pin(io).await.is_ok());
    }
}
