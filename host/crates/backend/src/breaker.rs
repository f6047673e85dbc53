//! A circuit breaker: after failures in a row nobody waits for a server that is away any more, until
//! a single trial finds it back.
//!
//! `failsafe` 1.3 (May 2024) would be the crate to take; its half-open state lets all callers through
//! at once, and it brings a second `rand`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call may try again.
    pub cool_down: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    /// Calls pass; so many of them have failed in a row.
    Closed { failures: u32 },
    /// No call passes.
    Open { until: Instant },
    /// One call is on trial, and no other passes.
    HalfOpen,
}

/// Between the callers of one server and that server.
#[derive(Debug)]
pub struct Breaker {
    policy: Policy,
    circuit: Mutex<Circuit>,
}

/// A call that may be made. Dropped without a verdict, as where its caller left, it counts as none.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    trial: bool,
    judged: bool,
}

impl Breaker {
    /// Closed.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            circuit: Mutex::new(Circuit::Closed { failures: 0 }),
        }
    }

    /// `None` while it is open: whoever asks fails at once.
    pub fn admit(&self) -> Option<Permit<'_>> {
        self.admit_at(Instant::now())
    }

    /// Whether a call would fail at once now.
    pub fn is_open(&self) -> bool {
        !matches!(*self.lock(), Circuit::Closed { .. })
    }

    fn admit_at(&self, now: Instant) -> Option<Permit<'_>> {
        let mut circuit = self.lock();
        let trial = match *circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open { until } if until <= now => true,
            Circuit::Open { .. } | Circuit::HalfOpen => return None,
        };
        if trial {
            *circuit = Circuit::HalfOpen;
        }
        Some(Permit {
            breaker: self,
            trial,
            judged: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The server answered, whatever it said.
    pub fn succeeded(mut self) {
        self.judged = true;
        let mut circuit = self.breaker.lock();
        // A late answer to a call from before it opened says nothing of now.
        if self.trial || matches!(*circuit, Circuit::Closed { .. }) {
            *circuit = Circuit::Closed { failures: 0 };
        }
    }

    /// The server did not answer.
    pub fn failed(self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(mut self, now: Instant) {
        self.judged = true;
        let Policy {
            failures: most,
            cool_down,
        } = self.breaker.policy;
        let open = Circuit::Open {
            until: now + cool_down,
        };
        let mut circuit = self.breaker.lock();
        match *circuit {
            Circuit::Closed { failures } if failures + 1 < most => {
                *circuit = Circuit::Closed {
                    failures: failures + 1,
                };
            }
            Circuit::Closed { .. } => *circuit = open,
            Circuit::HalfOpen if self.trial => *circuit = open,
            Circuit::Open { .. } | Circuit::HalfOpen => {}
        }
    }
}

impl Drop for Permit<'_> {
    /// The next one may try.
    fn drop(&mut self) {
        if self.trial && !self.judged {
            *self.breaker.lock() = Circuit::Open {
                until: Instant::now(),
            };
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
        })
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
