//! `lectern serve`: assemble, listen, and end in order.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::admin_key::{self, KeyError};
use crate::assemble::{self, StartError};
use crate::client::Client;
use crate::config::Config;
use crate::config::identity::Identity;
use crate::dev;
use crate::gateway::{self, Door, Gateway, IdentityError, Port, TlsError};
use crate::token::{self, Claims, Role};

/// How long requests and events may take to end, together: what asked for the end (Kubernetes, 30 s)
/// must not lose patience before the database and Kafka are told.
const DRAIN: Duration = Duration::from_secs(20);

/// Events have so long at least, however long the requests took.
const EVENTS: Duration = Duration::from_secs(5);

/// Why the platform ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Operators could not be told from others.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Learners could not be told from others.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No secure connections where they are wanted.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ServeError::Listen(address, source))
}

/// Every connection is an open file: as many as the system lets this process have, instead of the 1,024
/// that programs get which do not ask.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::debug!(%error, "there are no more files than {:?}", limit.current);
    }
}

fn shown(listener: &TcpListener) -> String {
    let address = listener.local_addr();
    address.map_or_else(|e| e.to_string(), |address| address.to_string())
}

/// Runs until SIGTERM or SIGINT; with `sources`, the workspace is watched and what changes swapped in.
pub async fn run(config: &Config, sources: Option<&Path>) -> Result<(), ServeError> {
    allow_files();
    // First, so that a second host fails before it touches anything.
    let listener = listen(config.listen).await?;
    let admin_listener = listen(config.admin_listen).await?;
    let mut ports = Vec::new();
    for (service, address) in &config.service_ports {
        ports.push((service.clone(), listen(*address).await?));
    }
    let door = Door::open(&config.edge, &config.limits.proxies)?;
    let address = listener.local_addr().unwrap_or(config.listen);
    let admin_address = admin_listener.local_addr().unwrap_or(config.admin_listen);
    let running = assemble::assemble(config).await?;
    for choice in running.platform.choices() {
        tracing::info!(
            "{}: {} ({})",
            choice.capability,
            choice.shown(),
            choice.reason
        );
    }
    if config.is_development() {
        tracing::warn!(
            "development mode: neither JWT_SECRET_KEY nor JWT_JWKS_URL is set, so requests say who they are"
        );
    }
    let key = admin_key::obtain(config.identity.secret.as_ref(), &config.data_dir)?;
    let admin = Arc::new(Admin::new(running.platform.clone(), &key, &config.identity));
    tracing::info!("the admin API listens on http://{admin_address}");
    let scheme = config.edge.tls.as_ref().map_or("http", |_| "https");
    tracing::info!("listening on {scheme}://{address}");
    let gateway = Gateway::new(running.platform.clone(), &config.identity)?;
    let gateway = Arc::new(gateway.with_edge(&config.edge, &config.identity));
    let stop = CancellationToken::new();
    let watching = watch(sources, admin_address, &key, &config.identity);
    let operators = gateway::serve(admin_listener, admin, stop.cancelled(), DRAIN);
    let learners = async {
        let asked = Cell::new(None);
        let leave = CancellationToken::new();
        let interrupted = async {
            interrupted().await;
            asked.set(Some(Instant::now() + DRAIN));
            leave.cancel();
        };
        let ports = ports.into_iter().map(|(service, listener)| {
            tracing::info!("{service} alone listens on {scheme}://{}", shown(&listener));
            let gateway = gateway.clone();
            let port = Arc::new(Port { gateway, service });
            gateway::serve_at(&door, listener, port, leave.cancelled(), DRAIN)
        });
        let all = gateway::serve_at(&door, listener, gateway.clone(), interrupted, DRAIN);
        tokio::join!(all, join_all(ports));
        stop.cancel();
        asked.get().unwrap_or_else(Instant::now)
    };
    let (_, deadline, _) = tokio::join!(operators, learners, stop.run_until_cancelled(watching));
    tracing::info!("no more requests; finishing events");
    running.stop(deadline.max(Instant::now() + EVENTS)).await;
    tracing::info!("stopped");
    Ok(())
}

async fn watch(sources: Option<&Path>, admin: SocketAddr, key: &[u8], identity: &Identity) {
    let Some(root) = sources else { return };
    // As long as a developer's day.
    let valid = Duration::from_secs(30 * 86_400);
    let claims = Claims::new("dev", Role::Admin, valid).of(identity);
    let watched = match token::encode(key, &claims) {
        Ok(token) => {
            let client = Client::new(&format!("http://{admin}"), token.into());
            dev::watch(root, &client).await.map_err(|e| e.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = watched {
        tracing::error!("nothing is swapped on save: {error}");
    }
}

/// SIGTERM or SIGINT.
pub(crate) async fn interrupted() {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("signals cannot be awaited; stop the process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
}
