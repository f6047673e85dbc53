//! What has to be asked for: the outbox, consumers' lag, the servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backend::outbox::{self, Waiting};
use capability::events::Lag;

use crate::assemble::Platform;

/// Prometheus gives up after ten; what is not there by then is left out of the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The answers, as far as they came in time.
#[derive(Default)]
pub(super) struct Sampled {
    /// By database.
    pub(super) outboxes: Vec<(String, Waiting)>,
    pub(super) lags: Vec<Lag>,
    /// By name: whether it answers.
    pub(super) servers: BTreeMap<&'static str, bool>,
}

impl Sampled {
    pub(super) async fn take(platform: &Arc<Platform>) -> Self {
        let outboxes = async {
            let mut found = vec![];
            for database in platform.databases().all() {
                let waiting = outbox::waiting(&database.pool).await.ok();
                found.extend(waiting.map(|waiting| (database.server.database.clone(), waiting)));
            }
            found
        };
        let (outboxes, lags, health) = tokio::join!(
            tokio::time::timeout(PATIENCE, outboxes),
            tokio::time::timeout(PATIENCE, platform.live().lag()),
            tokio::time::timeout(PATIENCE, platform.health().measured()),
        );
        let states = health.map(|health| health.states).unwrap_or_default();
        let servers = states.into_iter().filter(|(_, state)| *state != "local");
        Self {
            outboxes: outboxes.unwrap_or_default(),
            lags: lags.unwrap_or_default(),
            servers: servers
                .map(|(name, state)| (name, state == "connected"))
                .collect(),
        }
    }
}
