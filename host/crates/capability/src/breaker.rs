//! A circuit breaker: after failures in a row, or where most of many calls fail, nobody waits for what
//! does not answer any more, until a single trial finds it back.
//!
//! `failsafe` 1.3 (May 2024) would be the crate to take; its half-open state lets all callers through
//! at once, and it brings a second `rand`.

mod by_name;
mod guarded;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use self::by_name::Breakers;
pub use self::guarded::Guarded;

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call may try again; and how long that one has, before another may.
    pub cool_down: Duration,
    /// Opens it too, where successes come in between.
    pub share: Option<Share>,
}

/// A share of calls that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of a hundred, so many failures open it.
    pub percent: u32,
    /// Of so many calls at least.
    pub of: u32,
    /// In so long.
    pub within: Duration,
}

/// What a caller meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Calls pass.
    Closed,
    /// One call is on trial, or may be.
    HalfOpen,
    /// No call passes.
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    /// Calls pass.
    Closed(Tally),
    /// No call passes.
    Open { until: Instant },
    /// One call is on trial, and no other passes until then.
    HalfOpen { trial: u64, until: Instant },
}

/// How calls went while it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    /// In a row.
    failures: u32,
    /// Since then the next two are counted.
    since: Instant,
    calls: u32,
    failed: u32,
}

impl Tally {
    fn new(now: Instant) -> Self {
        Self {
            failures: 0,
            since: now,
            calls: 0,
            failed: 0,
        }
    }

    /// With one more call.
    fn and(mut self, failed: bool, now: Instant, policy: Policy) -> Self {
        let within = policy.share.map(|share| share.within);
        if within.is_some_and(|within| now.duration_since(self.since) > within) {
            (self.since, self.calls, self.failed) = (now, 0, 0);
        }
        self.calls = self.calls.saturating_add(1);
        if failed {
            self.failures += 1;
            self.failed += 1;
        } else {
            self.failures = 0;
        }
        self
    }

    fn opens(&self, policy: Policy) -> bool {
        let share = policy.share.is_some_and(|share| {
            let (failed, calls) = (u64::from(self.failed), u64::from(self.calls));
            self.calls >= share.of && failed * 100 >= calls * u64::from(share.percent)
        });
        self.failures >= policy.failures || share
    }
}

/// Between the callers of one server and that server.
#[derive(Debug)]
pub struct Breaker {
    policy: Policy,
    circuit: Mutex<Circuit>,
    /// How often it opened.
    opened: AtomicU64,
    /// Calls that were on trial, so that each has a number.
    trials: AtomicU64,
}

/// A call that may be made. Dropped without a verdict, as where its caller left, it counts as none.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    trial: Option<u64>,
}

impl Breaker {
    /// Closed.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            circuit: Mutex::new(Circuit::Closed(Tally::new(Instant::now()))),
            opened: AtomicU64::new(0),
            trials: AtomicU64::new(0),
        }
    }

    /// `None` while it is open: whoever asks fails at once.
    pub fn admit(&self) -> Option<Permit<'_>> {
        self.admit_at(Instant::now())
    }

    /// Whether it has found its server away, and not yet back.
    pub fn is_open(&self) -> bool {
        self.position() != Position::Closed
    }

    /// What a caller would meet now.
    pub fn position(&self) -> Position {
        match *self.lock() {
            Circuit::Closed(_) => Position::Closed,
            Circuit::Open { until } if until > Instant::now() => Position::Open,
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => Position::HalfOpen,
        }
    }

    /// After which a call may pass again, where none may now.
    pub fn rest(&self) -> Duration {
        match *self.lock() {
            Circuit::Open { until } | Circuit::HalfOpen { until, .. } => {
                until.saturating_duration_since(Instant::now())
            }
            Circuit::Closed(_) => Duration::ZERO,
        }
    }

    /// Whether a call would pass now.
    pub fn lets_pass(&self) -> bool {
        match *self.lock() {
            Circuit::Closed(_) => true,
            Circuit::Open { until } | Circuit::HalfOpen { until, .. } => until <= Instant::now(),
        }
    }

    /// How often it has opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    fn admit_at(&self, now: Instant) -> Option<Permit<'_>> {
        let mut circuit = self.lock();
        let trial = match *circuit {
            Circuit::Closed(_) => None,
            // A trial that takes long, as an upload may, keeps nobody from trying too.
            Circuit::Open { until } | Circuit::HalfOpen { until, .. } if until <= now => {
                let trial = self.trials.fetch_add(1, Ordering::Relaxed);
                let until = now + self.policy.cool_down;
                *circuit = Circuit::HalfOpen { trial, until };
                Some(trial)
            }
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => return None,
        };
        Some(Permit {
            breaker: self,
            trial,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The server answered, whatever it said.
    pub fn succeeded(self) {
        let (policy, now) = (self.breaker.policy, Instant::now());
        let mut circuit = self.breaker.lock();
        // A late answer to a call from before it opened says nothing of now.
        match *circuit {
            Circuit::Closed(tally) => *circuit = Circuit::Closed(tally.and(false, now, policy)),
            // Any trial's, not the last one's alone: where answers take long, the last one is never done.
            Circuit::HalfOpen { .. } if self.trial.is_some() => {
                *circuit = Circuit::Closed(Tally::new(now));
            }
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => {}
        }
    }

    /// The server did not answer.
    pub fn failed(self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(self, now: Instant) {
        let policy = self.breaker.policy;
        let mut circuit = self.breaker.lock();
        let opens = match *circuit {
            Circuit::Closed(tally) => {
                let tally = tally.and(true, now, policy);
                *circuit = Circuit::Closed(tally);
                tally.opens(policy)
            }
            Circuit::HalfOpen { trial, .. } => self.trial == Some(trial),
            Circuit::Open { .. } => false,
        };
        if opens {
            let until = now + policy.cool_down;
            *circuit = Circuit::Open { until };
            self.breaker.opened.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Permit<'_> {
    /// The next one may try. A verdict has ended the trial before.
    fn drop(&mut self) {
        let Some(own) = self.trial else { return };
        let mut circuit = self.breaker.lock();
        match *circuit {
            Circuit::HalfOpen { trial, .. } if trial == own => {
                let until = Instant::now();
                *circuit = Circuit::Open { until };
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL_DOWN: Duration = Duration::from_secs(10);

    fn breaker() -> Breaker {
        Breaker::new(Policy {
            failures: 3,
            cool_down: COOL_DOWN,
            share: None,
        })
    }

    #[test]
    fn a_share_of_failures_opens_it_though_some_calls_succeed() {
        let now = Instant::now();
        let of_ten = |failing: usize| {
            let share = Share {
                percent: 50,
                of: 10,
                within: COOL_DOWN,
            };
            let breaker = Breaker::new(Policy {
                failures: 100,
                cool_down: COOL_DOWN,
                share: Some(share),
            });
            for call in 0..10 {
                let permit = breaker.admit_at(now).unwrap();
                match call < 10 - failing {
                    true => permit.succeeded(),
                    false => permit.failed_at(now),
                }
            }
            breaker
        };
        assert_eq!(of_ten(4).position(), Position::Closed);
        let open = of_ten(5);
        assert_eq!((open.position(), open.opened()), (Position::Open, 1));
        assert!(open.rest() > Duration::ZERO);
    }

    fn opened(now: Instant) -> Breaker {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.admit_at(now).unwrap().failed_at(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let (breaker, now) = (breaker(), Instant::now());
        for _ in 0..5 {
            breaker.admit_at(now).unwrap().failed_at(now);
            breaker.admit_at(now).unwrap().failed_at(now);
            breaker.admit_at(now).unwrap().succeeded();
        }
        assert!(!breaker.is_open());
        assert!(opened(now).admit_at(now).is_none());
        assert!(opened(now).is_open());
    }

    #[test]
    fn one_call_alone_tries_after_the_cool_down() {
        let now = Instant::now();
        let breaker = opened(now);
        assert!(
            breaker
                .admit_at(now + COOL_DOWN - Duration::from_millis(1))
                .is_none()
        );
        let trial = breaker.admit_at(now + COOL_DOWN).unwrap();
        assert!(breaker.admit_at(now + COOL_DOWN).is_none());
        trial.succeeded();
        assert!(breaker.admit_at(now + COOL_DOWN).is_some());
    }

    #[test]
    fn a_trial_that_takes_long_keeps_nobody_from_trying() {
        let now = Instant::now();
        let breaker = opened(now);
        let (first, second) = (now + COOL_DOWN, now + 2 * COOL_DOWN);
        let slow = breaker.admit_at(first).unwrap();
        let next = breaker.admit_at(second).unwrap();
        assert!(breaker.admit_at(second).is_none());
        // It says nothing of now that the former one fails in the end; that it succeeds does.
        let slower = breaker.admit_at(now + 3 * COOL_DOWN).unwrap();
        next.failed_at(now + 3 * COOL_DOWN);
        slow.succeeded();
        assert!(breaker.lets_pass());
        drop(slower);
        assert_eq!(breaker.position(), Position::Closed);
    }

    #[test]
    fn a_trial_that_fails_opens_it_again() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + COOL_DOWN;
        breaker.admit_at(later).unwrap().failed_at(later);
        assert!(
            breaker
                .admit_at(later + COOL_DOWN - Duration::from_millis(1))
                .is_none()
        );
        assert!(breaker.admit_at(later + COOL_DOWN).is_some());
    }

    #[test]
    fn a_trial_whose_caller_left_makes_room_for_the_next() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(breaker.admit_at(now + COOL_DOWN).unwrap());
        assert!(breaker.admit_at(now + COOL_DOWN).is_some());
    }

    #[test]
    fn calls_from_before_it_opened_decide_nothing() {
        let (breaker, now) = (breaker(), Instant::now());
        let (answered, unanswered) = (breaker.admit_at(now).unwrap(), breaker.admit_at(now));
        for _ in 0..3 {
            breaker.admit_at(now).unwrap().failed_at(now);
        }
        answered.succeeded();
        assert!(breaker.admit_at(now).is_none());
        unanswered.unwrap().failed_at(now + COOL_DOWN);
        assert!(breaker.admit_at(now + COOL_DOWN).is_some());
    }
}
