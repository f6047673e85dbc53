//! Makes the attempts that are due.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backend::webhooks::{Attempt, Ended};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Webhooks, message};

/// Attempts at once on this host.
const AT_ONCE: usize = 32;
/// How often to look although nobody called: attempts become due by themselves.
const POLL: Duration = Duration::from_secs(1);
/// The wait after the first attempt; each doubles it, up to the last.
const FIRST: Duration = Duration::from_secs(5);
const LAST: Duration = Duration::from_secs(3_600);
/// How long a message is tried; and a webhook that has taken nothing for so long is asked no more.
const GIVEN_UP: Duration = Duration::from_secs(86_400);
/// RFC 9110, section 15.5.11: "likely to be permanent".
const GONE: u16 = 410;

/// Webhooks with an attempt in hand: one each, so that a slow one costs the others nothing.
type Busy = Arc<Mutex<HashSet<Uuid>>>;

impl Webhooks {
    /// Until `stop`; attempts that are under way are waited for.
    pub(super) async fn send(self: Arc<Self>, stop: CancellationToken) {
        let (room, tasks) = (Arc::new(Semaphore::new(AT_ONCE)), TaskTracker::new());
        let busy = Busy::default();
        while !stop.is_cancelled() {
            let begun = self.begin(&room, &busy, &tasks).await;
            if begun > 0 {
                continue;
            }
            tokio::select! {
                () = self.due.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Begins what is due and has room; answers how many attempts.
    async fn begin(
        self: &Arc<Self>,
        room: &Arc<Semaphore>,
        busy: &Busy,
        tasks: &TaskTracker,
    ) -> usize {
        let most = i64::try_from(room.available_permits()).unwrap_or_default();
        let known: Vec<Uuid> = held(busy).iter().copied().collect();
        let attempts = match self.store.claim(&known, most).await {
            Ok(attempts) => attempts,
            Err(error) => {
                tracing::warn!(%error, "webhooks wait");
                return 0;
            }
        };
        let begun = attempts.len();
        for attempt in attempts {
            // There is room for as many as were claimed.
            let Ok(place) = room.clone().acquire_owned().await else {
                break;
            };
            held(busy).insert(attempt.webhook);
            let (webhooks, busy) = (self.clone(), busy.clone());
            tasks.spawn(async move {
                webhooks.attempt(&attempt).await;
                held(&busy).remove(&attempt.webhook);
                webhooks.due.notify_one();
                drop(place);
            });
        }
        begun
    }

    async fn attempt(&self, attempt: &Attempt) {
        let ended = self.tell(attempt).await;
        let (webhook, message) = (attempt.webhook, attempt.message);
        self.counters.webhook_told(name(&ended));
        match &ended {
            Ended::Taken(status) => tracing::info!(
                "webhook={webhook} was told: {status} event={message} attempt={}",
                attempt.attempts
            ),
            Ended::Again { after, error, .. } => tracing::info!(
                "webhook={webhook} will be told again in {} s event={message}: {error}",
                after.as_secs()
            ),
            Ended::GivenUp(_, why) => {
                tracing::warn!("webhook={webhook} was not told event={message}: {why}");
            }
            Ended::Unwanted(status) => tracing::info!("webhook={webhook} wants no more: {status}"),
        }
        // Not stored, it is made again when its lease is over: at least once.
        if let Err(error) = self.store.ended(attempt, &ended, GIVEN_UP).await {
            tracing::warn!(%error, "what came of webhook={webhook} event={message} is not stored");
        }
    }

    async fn tell(&self, attempt: &Attempt) -> Ended {
        let failed = |status: Option<u16>, why: String, is_away| match attempt.age < GIVEN_UP {
            true => Ended::Again {
                after: backoff(attempt.attempts),
                status,
                error: why,
                is_away,
            },
            false => Ended::GivenUp(status, why),
        };
        let secret = self.key.secret(attempt.webhook);
        if message::fingerprint(&secret) != attempt.fingerprint {
            // Another host may have the key that made it.
            let why = "its secret was made with another key: make the webhook anew";
            return failed(None, why.into(), false);
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let signature = message::signature(&secret, attempt.message, now, &attempt.body);
        let headers = [
            ("content-type", "application/json".to_owned()),
            (
                "user-agent",
                concat!("lectern/", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
            ("webhook-id", attempt.message.to_string()),
            ("webhook-timestamp", now.to_string()),
            ("webhook-signature", signature),
        ];
        let answer = self
            .targets
            .post(&attempt.url, headers, &attempt.body)
            .await;
        match answer {
            Ok(status @ 200..=299) => Ended::Taken(status),
            Ok(GONE) => Ended::Unwanted(GONE),
            Ok(status @ 300..=399) => {
                failed(Some(status), "redirects are not followed".into(), false)
            }
            Ok(status) => {
                let why = format!("the answer was {status}");
                failed(Some(status), why, is_away(status))
            }
            Err(why) => failed(None, why, true),
        }
    }
}

fn held(busy: &Busy) -> std::sync::MutexGuard<'_, HashSet<Uuid>> {
    busy.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As the metrics have it.
fn name(ended: &Ended) -> &'static str {
    match ended {
        Ended::Taken(_) => "taken",
        Ended::Again { .. } => "again",
        Ended::GivenUp(..) => "given_up",
        Ended::Unwanted(_) => "unwanted",
    }
}

/// Whether the answer is about the server rather than about what it was told.
fn is_away(status: u16) -> bool {
    status == 429 || status >= 500
}

/// Doubled each time, and between four and six fifths of that, so that not all come back at once.
fn backoff(attempts: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(LAST).mul_f64(rand::random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_no_longer() {
        for (attempts, seconds) in [(0, 5.0), (1, 5.0), (2, 10.0), (5, 80.0), (40, 3_600.0)] {
            let wait = backoff(attempts).as_secs_f64();
            assert!(
                (0.8 * seconds..=1.2 * seconds).contains(&wait),
                "{attempts}: {wait}"
            );
        }
    }
}
