//! What a revision did since it is in service: counted without a lock, read as a whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use histogram::{AtomicHistogram, Histogram, Quantile};

use crate::error::CallError;

/// Buckets of 3 % width, in microseconds, up to 2^27 (134 s); longer ones count as that.
const GROUPING: u8 = 5;
const POWER: u8 = 27;
const LONGEST: u64 = (1 << POWER) - 1;

/// Counters of one revision.
pub struct Stats {
    requests: AtomicU64,
    errors: AtomicU64,
    traps: AtomicU64,
    refused: AtomicU64,
    events: AtomicU64,
    retries: AtomicU64,
    dead_letters: AtomicU64,
    /// All requests' latency together, in microseconds.
    micros: AtomicU64,
    /// From the request to the response's head, in microseconds.
    latency: AtomicHistogram,
}

/// How a request ended, in what a revision is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// An answer that is the revision's to give.
    Answered,
    /// A status of 500 or more, or no answer at all.
    Failed,
    /// It had no turn: that is load, not the revision's fault.
    Refused,
}

impl Ended {
    /// How a call without an answer ended.
    pub fn broken(error: &CallError) -> Self {
        match error {
            CallError::Overloaded | CallError::Retired => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// The counters at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Requests that ended, refused ones apart.
    pub requests: u64,
    /// Of these and of the events: with a status of 500 or more or without an answer; rejected.
    pub errors: u64,
    /// Instances that ended in a trap or at a limit.
    pub traps: u64,
    /// Requests that got no turn.
    pub refused: u64,
    /// Events that were handled.
    pub events: u64,
    /// Of these, those that are to be tried again.
    pub retries: u64,
    /// Of these, those that were given up.
    pub dead_letters: u64,
    /// All requests' latency together.
    pub total: Duration,
    latency: Histogram,
}

impl Default for Stats {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "both powers are constants that fit")]
        let latency = AtomicHistogram::new(GROUPING, POWER).expect("powers that fit");
        Self {
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            traps: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            events: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            latency,
        }
    }
}

impl Stats {
    /// A request has ended after so long.
    pub fn request(&self, ended: Ended, after: Duration) {
        if ended == Ended::Refused {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if ended != Ended::Answered {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(after.as_micros()).unwrap_or(LONGEST);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        // Cannot fail below the longest.
        let _ = self.latency.increment(micros.min(LONGEST));
    }

    /// An instance has trapped or run into a limit, with however many requests.
    pub fn trap(&self) {
        self.traps.fetch_add(1, Ordering::Relaxed);
    }

    /// An event has been handled, or has not.
    pub fn event(&self, ended: Ended) {
        self.events.fetch_add(1, Ordering::Relaxed);
        if ended != Ended::Answered {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An event will be tried again.
    pub fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// An event was given up.
    pub fn dead_letter(&self) {
        self.dead_letters.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            traps: self.traps.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            events: self.events.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            dead_letters: self.dead_letters.load(Ordering::Relaxed),
            total: Duration::from_micros(self.micros.load(Ordering::Relaxed)),
            latency: self.latency.load(),
        }
    }
}

impl Snapshot {
    /// What was counted after `earlier`, a snapshot of the same counters.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            traps: self.traps.saturating_sub(earlier.traps),
            refused: self.refused.saturating_sub(earlier.refused),
            events: self.events.saturating_sub(earlier.events),
            retries: self.retries.saturating_sub(earlier.retries),
            dead_letters: self.dead_letters.saturating_sub(earlier.dead_letters),
            total: self.total.saturating_sub(earlier.total),
            latency: self
                .latency
                .checked_sub(&earlier.latency)
                .unwrap_or_else(|_| self.latency.clone()),
        }
    }

    /// The share of requests and events that went wrong, 0 to 1; 0 where there was none.
    pub fn error_rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        match self.requests + self.events {
            0 => 0.0,
            all => self.errors as f64 / all as f64,
        }
    }

    /// How many requests took at most each of these times, which grow; within 3 %.
    pub fn within(&self, times: &[Duration]) -> Vec<u64> {
        let mut counts = vec![0; times.len()];
        for bucket in &self.latency {
            let end = Duration::from_micros(bucket.end());
            let first = times.partition_point(|time| *time < end);
            for count in counts.iter_mut().skip(first) {
                *count += bucket.count();
            }
        }
        counts
    }

    /// The time that so many of the requests took at most, 0 to 1, within 3 %.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let found = self.latency.quantile(quantile).ok()??;
        let bucket = found.get(&Quantile::new(quantile).ok()?)?;
        Some(Duration::from_micros(bucket.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_requests_since() {
        let stats = Stats::default();
        for _ in 0..100 {
            stats.request(Ended::Answered, Duration::from_millis(1));
        }
        let before = stats.snapshot();
        for _ in 0..90 {
            stats.request(Ended::Answered, Duration::from_millis(1));
        }
        for _ in 0..10 {
            stats.request(Ended::Failed, Duration::from_millis(300));
        }
        stats.request(Ended::Refused, Duration::ZERO);
        let since = stats.snapshot().since(&before);
        assert_eq!((since.requests, since.errors, since.refused), (100, 10, 1));
        assert!((since.error_rate() - 0.1).abs() < 1e-9);
        let p50 = since.quantile(0.5).unwrap();
        let p99 = since.quantile(0.99).unwrap();
        assert!(p50 < Duration::from_micros(1_100), "{p50:?}");
        assert!((290..320).contains(&p99.as_millis()), "{p99:?}");
        let times = [1, 2, 100, 500].map(Duration::from_millis);
        assert_eq!(since.within(&times), [0, 90, 90, 100]);
        assert_eq!(since.total, Duration::from_millis(90 + 3_000));
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Stats::default().snapshot().quantile(0.99), None);
    }

    #[test]
    fn a_time_beyond_all_buckets_counts_as_the_longest() {
        let stats = Stats::default();
        stats.request(Ended::Failed, Duration::from_secs(86_400));
        assert!(stats.snapshot().quantile(0.5).unwrap() > Duration::from_secs(130));
    }
}
