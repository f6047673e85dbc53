//! What a service lists: asked for now and then, and good for a day where it does not answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Of a list that could not be renewed: what was spoken before can be found as long.
const OLDEST: Duration = Duration::from_secs(86_400);
/// Between two tries to renew it, so that nobody else waits for a service that is away.
const PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Known<T> {
    /// How long nobody asks again.
    lasts: Duration,
    last: Mutex<Last<T>>,
    /// Held by whoever asks.
    asking: tokio::sync::Mutex<()>,
}

struct Last<T> {
    known: Option<(Instant, Arc<T>)>,
    tried: Option<Instant>,
}

impl<T> Known<T> {
    pub(super) fn new(lasts: Duration) -> Self {
        Self {
            lasts,
            last: Mutex::new(Last {
                known: None,
                tried: None,
            }),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// What is known, or what `ask` answers. One asks at a time; others take the old list meanwhile, and
    /// wait only where there is none.
    pub(super) async fn get<E: std::fmt::Display>(
        &self,
        ask: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<Arc<T>, E> {
        self.get_at(Instant::now(), ask).await
    }

    async fn get_at<E: std::fmt::Display>(
        &self,
        now: Instant,
        ask: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<Arc<T>, E> {
        if let Some(fresh) = self.fresh(now) {
            return Ok(fresh);
        }
        let old = self.younger_than(OLDEST, now);
        let _asking = match (self.asking.try_lock(), &old) {
            (Ok(asking), _) => asking,
            (Err(_), Some(old)) => return Ok(old.clone()),
            (Err(_), None) => self.asking.lock().await,
        };
        // Somebody else's answer.
        if let Some(fresh) = self.fresh(now) {
            return Ok(fresh);
        }
        self.last().tried = Some(now);
        match (ask.await, old) {
            (Ok(list), _) => {
                let list = Arc::new(list);
                self.last().known = Some((now, list.clone()));
                Ok(list)
            }
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "an old list is taken, as it cannot be renewed");
                Ok(old)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Also an old one, where a moment ago nobody answered.
    fn fresh(&self, now: Instant) -> Option<Arc<T>> {
        let tried = self.last().tried;
        let is_tried = tried.is_some_and(|at| now.saturating_duration_since(at) < PAUSE);
        self.younger_than(self.lasts, now)
            .or_else(|| self.younger_than(OLDEST, now).filter(|_| is_tried))
    }

    fn younger_than(&self, age: Duration, now: Instant) -> Option<Arc<T>> {
        let last = self.last();
        let (since, list) = last.known.as_ref()?;
        (now.saturating_duration_since(*since) < age).then(|| list.clone())
    }

    /// A panic elsewhere leaves it whole.
    fn last(&self) -> MutexGuard<'_, Last<T>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    async fn got(
        known: &Known<u8>,
        at: Instant,
        answer: Result<u8, &'static str>,
    ) -> Result<u8, &'static str> {
        known.get_at(at, ready(answer)).await.map(|list| *list)
    }

    #[tokio::test]
    async fn an_old_list_is_good_for_a_day_where_nobody_answers() {
        let (known, start) = (Known::new(HOUR), Instant::now());
        for (after, answer, expected) in [
            (Duration::ZERO, Err("away"), Err("away")),
            (Duration::ZERO, Ok(1), Ok(1)),
            // Nobody is asked.
            (HOUR / 2, Ok(2), Ok(1)),
            (2 * HOUR, Err("away"), Ok(1)),
            // So soon neither.
            (2 * HOUR + PAUSE / 2, Ok(2), Ok(1)),
            (2 * HOUR + PAUSE, Ok(2), Ok(2)),
            (25 * HOUR, Err("away"), Ok(2)),
            // Too old.
            (27 * HOUR, Err("away"), Err("away")),
        ] {
            let got = got(&known, start + after, answer).await;
            assert_eq!(got, expected, "{after:?}");
        }
    }

    #[tokio::test]
    async fn who_comes_second_takes_the_old_list_and_does_not_wait() {
        let (known, start) = (Known::new(HOUR), Instant::now());
        got(&known, start, Ok(1)).await.unwrap();
        let later = start + 2 * HOUR;
        let stuck = known.get_at(later, pending::<Result<u8, &str>>());
        tokio::select! {
            biased;
            _ = stuck => panic!("it is asked for ever"),
            second = got(&known, later, Ok(2)) => assert_eq!(second, Ok(1)),
        }
    }
}
