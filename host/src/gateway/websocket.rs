//! `/ws`: live updates over one connection. A subscription is a request of its own, made through the
//! gateway as the client would have made it, whose events are passed on as they come; so it works for every
//! component, is limited as any request is, and stays with the revision that it began on.
//!
//! Text frames of JSON. From the client: `{"type":"subscribe","id","path","body"?}` (`GET` without a body,
//! `POST` with one) and `{"type":"unsubscribe","id"}`. To it: `{"type":"event","id","event","data"}`, and
//! `{"type":"end","id","status"}` once for each subscription; `{"type":"error","code","error"}` for a
//! message that is none.

mod feed;
mod frames;
mod message;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use runtime::manifest::RouteClass;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::feed::{Feed, Said};
use self::frames::Frames;
use self::message::{Asked, Refused};
use super::auth::{Denied, LEEWAY_SECONDS};
use super::limits::Client;
use super::problem::Unasked;
use super::{Gateway, Problem};

/// Where it is.
pub(super) const PATH: &str = "/ws";
/// The protocol's name; beside it a browser's page, which cannot set a header, may send its token.
const PROTOCOL: &str = "lectern";
const BEARER: &str = "bearer.";
/// Bytes of a message from the client.
const MAX_MESSAGE: usize = 64 << 10;
/// Bytes held for each connection, however idle: most messages of a client are shorter.
const BUFFER: usize = 2 << 10;
/// Subscriptions of a connection at once.
const MAX_FEEDS: usize = 16;
/// Events that wait for a client before their components do.
const WAITING: usize = 16;
/// A client that takes nothing for so long is left; [`super::listen`] has the same for what it sends.
const STALL: Duration = Duration::from_secs(60);
/// A connection on which nothing came is asked whether there is anybody.
const PING: Duration = Duration::from_secs(30);
/// To say why.
const FAREWELL: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<Frames<TokioIo<Upgraded>>>;

/// All of a gateway's connections.
#[derive(Default)]
pub(super) struct Sockets {
    tracker: TaskTracker,
    leaving: CancellationToken,
}

impl Sockets {
    /// Ends them all, and waits until they have.
    pub(super) async fn leave(&self) {
        self.leaving.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Why a connection ends: RFC 6455, section 7.4.1, and from 4000 on our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The client's own wish, or it is gone.
    Left,
    Leaving,
    Protocol,
    NoText,
    TooLarge,
    Flood,
    Slow,
    Silent,
    Expired,
}

impl Ending {
    /// As the metrics have it.
    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Leaving => "leaving",
            Self::Protocol => "protocol",
            Self::NoText => "no_text",
            Self::TooLarge => "too_large",
            Self::Flood => "flood",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Expired => "expired",
        }
    }

    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Left => return None,
            Self::Leaving => (1001, "the host ends"),
            Self::Protocol => (1002, "this is not WebSocket"),
            Self::NoText => (1003, "messages are JSON in text frames"),
            Self::TooLarge => (1009, "a message has 64 KiB at most"),
            Self::Flood => (1008, "too many messages"),
            Self::Slow => (1013, "events are not taken"),
            Self::Silent => (1001, "nobody answers"),
            Self::Expired => (4401, "the token has expired"),
        };
        Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        })
    }
}

/// Opens a connection for whoever the request's token names.
pub(super) async fn open(gateway: &Arc<Gateway>, request: Request) -> Result<Response, Problem> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(Problem::MethodNotAllowed);
    }
    // Browsers ask nobody before a page opens one.
    if gateway.front.is_foreign(&request) {
        return Err(Problem::Front(Unasked::ForeignOrigin));
    }
    let address = gateway.platform.limits().address(&request);
    let (mut parts, _) = request.into_parts();
    let credentials = credentials(&parts.headers)?;
    let admitted = gateway.admitted(RouteClass::Read, &credentials, address);
    let (caller, _) = admitted.await?;
    let host = parts.headers.get(header::HOST).cloned();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or(Problem::Front(Unasked::NotAWebSocket))?;
    let mut extensions = parts.extensions.clone();
    if let Some(address) = address {
        extensions.insert(Client(address));
    }
    let is_named = protocols(&parts.headers).any(|name| name == PROTOCOL);
    let request = Request::from_parts(parts, ());
    let response = create_response(&request).map_err(|_| Problem::Front(Unasked::NotAWebSocket))?;
    let session = Session {
        gateway: gateway.clone(),
        likeness: Likeness {
            headers: with_host(credentials, host),
            extensions,
        },
        expires: caller.map(|caller| caller.claims.exp + LEEWAY_SECONDS),
        leaving: gateway.sockets.leaving.clone(),
    };
    gateway.sockets.tracker.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => session.run(socket(upgraded).await).await,
            Err(error) => tracing::debug!("a connection ended before it was a WebSocket: {error}"),
        }
    });
    let mut response = response.map(|()| Body::empty());
    if is_named {
        let protocol = HeaderValue::from_static(PROTOCOL);
        let headers = response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

async fn socket(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let stream = Frames::new(TokioIo::new(upgraded));
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

/// Those that a client offers.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = offered.filter_map(|names| names.to_str().ok());
    offered.flat_map(|names| names.split(',')).map(str::trim)
}

/// What the client shows, as a request's `authorization`. Never from the path: paths are logged.
fn credentials(headers: &HeaderMap) -> Result<HeaderMap, Problem> {
    let mut shown = HeaderMap::new();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        shown.insert(header::AUTHORIZATION, value.clone());
        return Ok(shown);
    }
    if let Some(token) = protocols(headers).find_map(|name| name.strip_prefix(BEARER)) {
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| Problem::Denied(Denied::Invalid))?;
        value.set_sensitive(true);
        shown.insert(header::AUTHORIZATION, value);
    }
    Ok(shown)
}

fn with_host(mut headers: HeaderMap, host: Option<HeaderValue>) -> HeaderMap {
    if let Some(host) = host {
        headers.insert(header::HOST, host);
    }
    headers
}

/// What the requests of a connection have of the one that opened it.
#[derive(Clone)]
struct Likeness {
    headers: HeaderMap,
    /// The connection, which counts as long as they last.
    extensions: Extensions,
}

/// One connection.
struct Session {
    gateway: Arc<Gateway>,
    likeness: Likeness,
    /// In seconds since the Unix epoch.
    expires: Option<u64>,
    leaving: CancellationToken,
}

/// The subscriptions of a connection.
struct Feeds {
    /// Which of all that there were has that id now: what another had still to say is not its.
    current: HashMap<String, (u64, tokio::task::AbortHandle)>,
    /// Ends them when it is dropped.
    running: JoinSet<()>,
    count: u64,
    say: mpsc::Sender<Said>,
}

impl Session {
    async fn run(self, mut socket: Socket) {
        let counters = self.gateway.platform.counters();
        let _open = counters.socket_opened();
        let ending = self.converse(&mut socket).await;
        counters.socket_ended(ending.name());
        if let Some(frame) = ending.frame() {
            tracing::debug!("a WebSocket ends: {}", frame.reason);
            let close = socket.send(Message::Close(Some(frame)));
            let _ = timeout(FAREWELL, close).await;
            // Until the client has closed too: what is on its way would reset the connection, and the
            // reason would be lost.
            let read = async {
                match ending {
                    // What comes is no message any more.
                    Ending::TooLarge | Ending::Protocol | Ending::Flood => {
                        drain(socket.get_mut().uncounted()).await;
                    }
                    _ => while let Some(Ok(_)) = socket.next().await {},
                }
            };
            let _ = timeout(FAREWELL, read).await;
        }
    }

    async fn converse(&self, socket: &mut Socket) -> Ending {
        let (say, mut said) = mpsc::channel(WAITING);
        let mut feeds = Feeds {
            current: HashMap::new(),
            running: JoinSet::new(),
            count: 0,
            say,
        };
        let mut pings = interval_at(Instant::now() + PING, PING);
        let mut has_come = true;
        let mut expiry = std::pin::pin!(tokio::time::sleep(self.left()));
        loop {
            let answer = tokio::select! {
                message = socket.next() => {
                    has_come = true;
                    match text(message) {
                        Ok(Some(text)) => self.take(&text, &mut feeds),
                        Ok(None) => None,
                        Err(ending) => return ending,
                    }
                }
                Some(said) = said.recv() => feeds.pass(said),
                _ = pings.tick() => match std::mem::take(&mut has_come) {
                    true => Some(Message::Ping(Default::default())),
                    false => return Ending::Silent,
                },
                () = &mut expiry, if self.expires.is_some() => return Ending::Expired,
                () = self.leaving.cancelled() => return Ending::Leaving,
            };
            while feeds.running.try_join_next().is_some() {}
            let Some(answer) = answer else { continue };
            // Meanwhile nothing is read either: who does not listen is not listened to.
            match timeout(STALL, socket.send(answer)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ending::Left,
                Err(_) => return Ending::Slow,
            }
        }
    }

    fn left(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        // Longer than any timer need run: a connection of a year has been opened anew.
        let year = Duration::from_secs(365 * 86_400);
        self.expires.map_or(year, |at| {
            Duration::from_secs(at.saturating_sub(now)).min(year)
        })
    }

    /// Does what a message asks; what there is to say about it at once.
    fn take(&self, text: &str, feeds: &mut Feeds) -> Option<Message> {
        match message::read(text) {
            Ok(Asked::Subscribe { id, request }) => {
                if feeds.current.contains_key(&id) {
                    return Some(Refused::InUse.shown(Some(&id)));
                }
                if feeds.current.len() >= MAX_FEEDS {
                    return Some(Refused::TooMany.shown(Some(&id)));
                }
                feeds.begin(id, &self.gateway, self.likeness.apply(*request));
                None
            }
            Ok(Asked::Unsubscribe { id }) => {
                let (_, task) = feeds.current.remove(&id)?;
                task.abort();
                Some(message::cancelled(&id))
            }
            Err((id, refused)) => Some(refused.shown(id.as_deref())),
        }
    }
}

async fn drain(stream: &mut TokioIo<Upgraded>) {
    while stream
        .read(&mut [0; 4_096])
        .await
        .is_ok_and(|read| read > 0)
    {}
}

impl Likeness {
    fn apply(&self, mut request: Request) -> Request {
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        *request.extensions_mut() = self.extensions.clone();
        request
    }
}

impl Feeds {
    fn begin(&mut self, id: String, gateway: &Arc<Gateway>, request: Request) {
        self.count += 1;
        let feed = Feed {
            id: id.clone(),
            number: self.count,
            say: self.say.clone(),
        };
        let task = self.running.spawn(feed.run(gateway.clone(), request));
        self.current.insert(id, (self.count, task));
    }

    /// What a subscription says, where it is one still.
    fn pass(&mut self, said: Said) -> Option<Message> {
        let (number, _) = self.current.get(&said.id)?;
        if *number != said.number {
            return None;
        }
        if said.is_last {
            self.current.remove(&said.id);
        }
        Some(said.message)
    }
}

/// The text of a message; `None` for what WebSocket says of itself.
fn text(received: Option<Result<Message, Error>>) -> Result<Option<String>, Ending> {
    match received {
        None | Some(Ok(Message::Close(_))) => Err(Ending::Left),
        Some(Ok(Message::Text(text))) => Ok(Some(text.to_string())),
        Some(Ok(Message::Binary(_))) => Err(Ending::NoText),
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(match error {
            Error::Capacity(_) => Ending::TooLarge,
            Error::Protocol(_) | Error::Utf8(_) => Ending::Protocol,
            Error::Io(error) if error.kind() == ErrorKind::QuotaExceeded => Ending::Flood,
            _ => Ending::Left,
        }),
    }
}

/// A name that a subscription's request may not bring by itself.
const ACCEPT: (HeaderName, &str) = (header::ACCEPT, "text/event-stream");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_by_header_or_beside_the_protocol() {
        let shown = |name: &str, value: &str| {
            let name: HeaderName = name.parse().unwrap();
            let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
            let shown = credentials(&headers).unwrap();
            shown
                .get(header::AUTHORIZATION)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            shown("authorization", "Bearer a.b.c").as_deref(),
            Some("Bearer a.b.c")
        );
        assert_eq!(
            shown("sec-websocket-protocol", "lectern, bearer.a.b.c").as_deref(),
            Some("Bearer a.b.c")
        );
        assert_eq!(shown("sec-websocket-protocol", "lectern"), None);
    }
}
