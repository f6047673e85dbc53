//! The listener: connections, their limits, and how they end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::Version;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::held::Held;
use super::limits::Peer;
use super::paced::Paced;
use super::peers::Peers;
use super::problem;
use super::shares::Share;
use super::tls::{Tls, TlsError};
use crate::config::edge::Edge;

/// A client that does not finish its head is not waited for.
const HEAD: Duration = Duration::from_secs(15);
/// Bytes of a request's head, however many lines it has.
const MAX_HEAD: usize = 32 << 10;
/// To agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A client that takes nothing of its answer for so long is left.
const STALL: Duration = Duration::from_secs(60);
/// Requests of one connection at once; a browser opens 100 at most.
const STREAMS: u32 = 128;
/// A connection of HTTP/2 that is silent is asked whether there is anybody, and ended where nobody is.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// How long who is turned away may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);
/// Connections of a listener for which nobody has set how many.
const CONNECTIONS: usize = 1_024;

/// Who answers a listener's requests.
pub trait Answer: Send + Sync + 'static {
    /// One request, one response.
    fn answer(self: &Arc<Self>, request: Request) -> impl Future<Output = Response> + Send;

    /// The listener ends: resolves when nothing is left that outlives its request.
    fn leave(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What several listeners have in common: the certificate, and how many connections there are.
pub struct Door {
    tls: Option<Tls>,
    places: Arc<Semaphore>,
    /// Of each address.
    peers: Peers,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            tls: None,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            peers: Peers::new(CONNECTIONS, &[]),
        }
    }
}

impl Door {
    /// As the operator wants it. Wants a Tokio runtime where there is a certificate.
    pub fn open(edge: &Edge, proxies: &[IpNet]) -> Result<Self, TlsError> {
        Ok(Self {
            tls: edge.tls.as_ref().map(Tls::open).transpose()?,
            places: Arc::new(Semaphore::new(edge.max_connections)),
            peers: Peers::new(edge.max_connections, proxies),
        })
    }

    /// For a connection from there.
    fn place(&self, from: SocketAddr) -> Option<(OwnedSemaphorePermit, Option<Share>)> {
        let own = self.peers.place(from.ip()).ok()?;
        Some((self.places.clone().try_acquire_owned().ok()?, own))
    }
}

/// The connection that a request came by; what outlives its request holds it, so that it counts.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Whether by TLS.
    pub(crate) is_secure: bool,
    _place: Arc<(OwnedSemaphorePermit, Option<Share>)>,
}

/// Serves until `shutdown` resolves, then finishes what is running, for `drain` at most.
pub async fn serve<A: Answer>(
    listener: TcpListener,
    answer: Arc<A>,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) {
    serve_at(&Door::default(), listener, answer, shutdown, drain).await;
}

/// The same, through that door.
pub async fn serve_at<A: Answer>(
    door: &Door,
    listener: TcpListener,
    answer: Arc<A>,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) {
    let connections = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most often: let some connections end.
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // Else a small chunk waits 40 ms for the last one's acknowledgement.
        let _ = stream.set_nodelay(true);
        let Some(place) = door.place(address) else {
            tracing::warn!("a connection is turned away: there are as many as there may be");
            if door.tls.is_none() {
                tokio::spawn(timeout(FAREWELL, turn_away(stream)));
            }
            continue;
        };
        let visit = Visit {
            answer: answer.clone(),
            address,
            connection: Connection {
                is_secure: door.tls.is_some(),
                _place: Arc::new(place),
            },
            watcher: connections.watcher(),
        };
        let acceptor = door.tls.as_ref().map(Tls::acceptor);
        tokio::spawn(async move {
            let Some(acceptor) = acceptor else {
                return visit
                    .serve(builder(), Paced::new(stream, HEAD, STALL))
                    .await;
            };
            let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else {
                return tracing::debug!("a connection ended before it was secure");
            };
            let builder = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => builder().http2_only(),
                _ => builder().http1_only(),
            };
            // What it agreed to speak, it must begin to: until it does, hyper counts no time.
            visit.serve(builder, Paced::new(stream, HEAD, STALL)).await;
        });
    }
    drop(listener);
    let ended = async { tokio::join!(connections.shutdown(), answer.leave()) };
    if timeout(drain, ended).await.is_err() {
        tracing::warn!("some requests did not end within {} s", drain.as_secs());
    }
}

/// One connection.
struct Visit<A> {
    answer: Arc<A>,
    /// Of the client, or of the last proxy before the host.
    address: SocketAddr,
    connection: Connection,
    watcher: Watcher,
}

impl<A: Answer> Visit<A> {
    async fn serve<S>(self, builder: Builder<TokioExecutor>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            answer,
            address,
            connection,
            watcher,
        } = self;
        let held = Held::new();
        let watched = held.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let answer = answer.clone();
            // Over HTTP/1 there is one answer, and the connection waits with it.
            let watched = (request.version() == Version::HTTP_2).then(|| watched.clone());
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(connection.clone());
            request.extensions_mut().insert(Peer(address));
            async move {
                let response = answer.answer(request).await;
                Ok::<_, Infallible>(match watched {
                    Some(held) => response.map(|body| held.watch(body)),
                    None => response,
                })
            }
        });
        let served = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        tokio::select! {
            served = watcher.watch(served) => if let Err(error) = served {
                tracing::debug!(%address, "a connection ended: {error}");
            },
            () = held.stalls(STALL) => tracing::debug!(%address, "a client takes nothing, and is left"),
        }
    }
}

/// What it asks is not read: whoever floods must cost little.
async fn turn_away(mut stream: TcpStream) {
    let _ = stream.write_all(problem::full().as_bytes()).await;
    let _ = stream.shutdown().await;
    // Closed with bytes unread, it would be reset, and the answer lost.
    while stream
        .read(&mut [0; 1_024])
        .await
        .is_ok_and(|read| read > 0)
    {}
}

/// Of HTTP/2, hyper bounds by itself what is sent to be taken back at once: 20 requests that were reset
/// before they were read (CVE-2023-44487), 1,024 that it had to reset.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD * 2);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
    builder
}
