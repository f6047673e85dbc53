//! How often somebody may ask: rates by key, shared by all hosts or kept by one.
//!
//! The algorithm is GCRA (<https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>): a key has its
//! whole allowance at once, and gets it back evenly over the period.

pub mod contract;
pub mod local;

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// At once, when nothing was asked for a period.
    pub burst: NonZeroU32,
    /// After which all of it is back.
    pub period: Duration,
}

impl Rate {
    /// How long one request takes to come back; at least a microsecond, which is what a shared clock
    /// tells.
    pub fn interval(&self) -> Duration {
        let micros = self.period.as_micros() / u128::from(self.burst.get());
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX).max(1))
    }
}

/// One rate, of one who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Which rate, as in `user.read`: part of the key.
    pub name: &'static str,
    /// Who: a hash, so that no store of rates holds names.
    pub who: u128,
    /// How many in how long.
    pub rate: Rate,
}

/// Where a key stands after it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that would be let through now.
    pub remaining: u32,
    /// Until all are back.
    pub reset: Duration,
    /// Where this one was refused: when the next would be let through.
    pub retry: Option<Duration>,
}

/// The rates cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the store of rates does not answer: {0}")]
pub struct Away(pub String);

/// Counts who asks how often.
#[async_trait]
pub trait Rates: Send + Sync {
    /// One request against all of `asked`, in their order: MUST let it through only where each rate
    /// does, and never more than a rate says, whoever else asks at the same time.
    async fn take(&self, asked: &[Asked]) -> Result<Vec<Standing>, Away>;
}
