//! What the host has in hand: past its bound a request is refused before anything is spent on it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Requests in hand.
pub(crate) struct Flight {
    most: usize,
    now: AtomicUsize,
    refused: AtomicU64,
}

/// A request in hand; hold it until its answer has begun.
pub(crate) struct Aloft<'a>(&'a Flight);

impl Flight {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            now: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// `None` where as many are in hand as may be.
    pub(crate) fn begin(&self) -> Option<Aloft<'_>> {
        let aloft = Aloft(self);
        if self.now.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(aloft);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }

    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// So many were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Aloft<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_refused_until_another_ends() {
        let flight = Flight::new(1);
        let first = flight.begin().unwrap();
        assert!(flight.begin().is_none());
        assert_eq!((flight.now(), flight.refused()), (1, 1));
        drop(first);
        assert!(flight.begin().is_some());
    }
}
