//! `lectern serve`: assemble, listen, and end in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::assemble::{self, StartError};
use crate::config::Config;
use crate::gateway::{self, Gateway};

/// How long requests, then events, may take to end.
const DRAIN: Duration = Duration::from_secs(30);

/// Why the platform ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(std::net::SocketAddr, std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: &Config) -> Result<(), ServeError> {
    let failed = |source| ServeError::Listen(config.listen, source);
    // First, so that a second host fails before it touches anything.
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let running = assemble::assemble(config).await?;
    for choice in running.platform.choices() {
        tracing::info!(
            "{}: {} ({})",
            choice.capability,
            choice.backend,
            choice.reason
        );
    }
    if config.is_development() {
        tracing::warn!("development mode: JWT_SECRET_KEY is not set, so requests say who they are");
    }
    tracing::info!("listening on http://{address}");
    let gateway = Arc::new(Gateway::new(running.platform.clone(), config.jwt_key()));
    gateway::serve(listener, gateway, interrupted(), DRAIN).await;
    tracing::info!("no more requests; finishing events");
    running.stop(DRAIN).await;
    tracing::info!("stopped");
    Ok(())
}

/// SIGTERM or SIGINT.
async fn interrupted() {
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
