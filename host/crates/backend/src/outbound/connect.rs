//! How a connection comes about: to a checked address, and within its request's limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use capability::outbound::Error;
use capability::outbound::address::is_public;
use futures::future::BoxFuture;
use reqwest::dns::{Name, Resolve, Resolving};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Lookups at once. Each takes a thread of those that also read files, and cannot be called off.
const LOOKUPS: usize = 64;
/// For a connection that no request waits for.
const UNASKED: Duration = Duration::from_secs(10);

/// Resolves names to public addresses. The client connects to no other than these.
pub(super) struct Names {
    allow_private: bool,
    turns: Arc<Semaphore>,
}

impl Names {
    pub(super) fn new(allow_private: bool) -> Self {
        Self {
            allow_private,
            turns: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow_private, turns) = (self.allow_private, self.turns.clone());
        Box::pin(async move {
            let mut addresses = look_up(name, turns).await?;
            if addresses.is_empty() {
                return Err(Error::Dns("it has no address".into()).into());
            }
            addresses.retain(|address| allow_private || is_public(address.ip()));
            if addresses.is_empty() {
                return Err(Error::Denied.into());
            }
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

async fn look_up(name: Name, turns: Arc<Semaphore>) -> Result<Vec<SocketAddr>, Error> {
    let dns = |e: &dyn std::error::Error| Error::Dns(e.to_string());
    let turn = turns.acquire_owned().await.map_err(|e| dns(&e))?;
    // Goes on when nobody waits any more, and keeps its turn so long.
    let looking = tokio::spawn(async move {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        drop(turn);
        found.map(Vec::from_iter)
    });
    looking.await.map_err(|e| dns(&e))?.map_err(|e| dns(&e))
}

tokio::task_local! {
    /// The request that a connection is made for: the client tells its connector nothing of it.
    static ATTEMPT: Attempt;
}

/// What a connection must know of its request.
#[derive(Clone)]
pub(super) struct Attempt {
    limit: Duration,
    silent_since: watch::Sender<Instant>,
}

impl Attempt {
    pub(super) fn new(limit: Duration, silent_since: watch::Sender<Instant>) -> Self {
        Self {
            limit,
            silent_since,
        }
    }

    /// Connections that `sending` makes are this attempt's.
    pub(super) fn scope<F: Future>(self, sending: F) -> impl Future<Output = F::Output> {
        ATTEMPT.scope(self, sending)
    }

    fn current() -> Self {
        ATTEMPT
            .try_with(Self::clone)
            .unwrap_or_else(|_| Self::new(UNASKED, watch::Sender::new(Instant::now())))
    }
}

/// A connector that keeps to the limit of the request it connects for. The server's silence begins
/// when it has.
#[derive(Clone)]
pub(super) struct InTime<C>(pub(super) C);

impl<C, To> tower::Service<To> for InTime<C>
where
    C: tower::Service<To, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: To) -> Self::Future {
        let connecting = self.0.call(to);
        let attempt = Attempt::current();
        Box::pin(async move {
            let Attempt {
                limit,
                silent_since,
            } = attempt;
            silent_since.send_replace(Instant::now() + limit);
            let connected = tokio::time::timeout(limit, connecting).await;
            silent_since.send_replace(Instant::now());
            connected.unwrap_or_else(|_| Err(Error::ConnectTimeout.into()))
        })
    }
}
