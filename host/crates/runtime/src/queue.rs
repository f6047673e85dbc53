//! Turns, and who waits for one. A queue that empties at times is a burst, and worth the wait; one that
//! stands is load that will never be worked off, and waiting in it helps nobody. So the time that a request
//! waits depends on how long ago the queue was empty: controlled delay, as in
//! <https://queue.acm.org/detail.cfm?id=2839461>.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// A queue stands when it was not empty for so long.
const STANDING: Duration = Duration::from_millis(200);
/// How much longer a burst may wait.
const BURST: u32 = 10;

/// Turns, and the queue for them.
pub(crate) struct Queue {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    most: usize,
    patience: Duration,
    began: Instant,
    /// When somebody last had a turn without waiting, in milliseconds since `began`.
    empty_at: AtomicU64,
}

impl Queue {
    /// So many turns at once; of the others `most` wait, for `patience` where the queue stands.
    pub(crate) fn new(turns: usize, most: usize, patience: Duration) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            waiting: AtomicUsize::new(0),
            most,
            patience,
            began: Instant::now(),
            empty_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// `None` where too many wait, or it took too long.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            let now = self.began.elapsed().as_millis();
            let now = u64::try_from(now).unwrap_or(u64::MAX);
            self.empty_at.store(now, Ordering::Relaxed);
            return Some(turn);
        }
        let _place = Place::take(self)?;
        let turn = timeout(
            self.patience(self.began.elapsed()),
            self.turns.clone().acquire_owned(),
        )
        .await;
        turn.ok()?.ok()
    }

    /// At that time since it began.
    fn patience(&self, now: Duration) -> Duration {
        let empty_at = Duration::from_millis(self.empty_at.load(Ordering::Relaxed));
        match now.saturating_sub(empty_at) > STANDING {
            true => self.patience,
            false => self.patience * BURST,
        }
    }
}

/// A place in the queue.
struct Place<'a>(&'a Queue);

impl<'a> Place<'a> {
    fn take(queue: &'a Queue) -> Option<Self> {
        let place = Self(queue);
        (queue.waiting.fetch_add(1, Ordering::Relaxed) < queue.most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_waits_longer_than_a_queue_that_stands() {
        let patience = Duration::from_millis(100);
        let queue = Queue::new(1, 10, patience);
        queue.empty_at.store(1_000, Ordering::Relaxed);
        let after = |ms: u64| queue.patience(Duration::from_millis(1_000 + ms));
        assert_eq!(after(0), patience * BURST);
        assert_eq!(after(200), patience * BURST);
        assert_eq!(after(201), patience);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_refused() {
        let queue = Queue::new(1, 10, Duration::from_millis(1));
        let turn = queue.turn().await.unwrap();
        assert!(queue.turn().await.is_none());
        drop(turn);
        assert!(queue.turn().await.is_some());
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_refused_at_once() {
        let queue = Queue::new(1, 1, Duration::from_secs(60));
        let turn = queue.turn().await.unwrap();
        let mut waiting = std::pin::pin!(queue.turn());
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(queue.waiting(), 1);
        assert!(futures::poll!(std::pin::pin!(queue.turn())).is_ready());
        drop(turn);
        assert!(waiting.await.is_some());
        assert_eq!(queue.waiting(), 0);
    }
}
