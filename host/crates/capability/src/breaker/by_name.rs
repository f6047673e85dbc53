//! Breakers of servers whose names are learnt when they are asked.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::{Breaker, Policy, Position};

/// Servers that are remembered: where all names are granted, a guest may ask for any number.
const MOST: u64 = 1_000;
/// A server that nobody has asked for so long is one like any other.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// A breaker for each name, the last thousand. Clones share them.
#[derive(Clone, Debug)]
pub struct Breakers {
    policy: Policy,
    by_name: Cache<String, Arc<Breaker>>,
}

impl Breakers {
    /// All closed.
    pub fn new(policy: Policy) -> Self {
        let by_name = Cache::builder().max_capacity(MOST);
        Self {
            policy,
            by_name: by_name.time_to_idle(FORGOTTEN).build(),
        }
    }

    /// That server's.
    pub async fn of(&self, name: &str) -> Arc<Breaker> {
        let new = async { Arc::new(Breaker::new(self.policy)) };
        self.by_name
            .entry_by_ref(name)
            .or_insert_with(new)
            .await
            .into_value()
    }

    /// How many let no call pass.
    pub fn open(&self) -> usize {
        let is_open = |breaker: &Breaker| breaker.position() == Position::Open;
        self.by_name
            .iter()
            .filter(|(_, breaker)| is_open(breaker))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_name_has_a_breaker_of_its_own() {
        let breakers = Breakers::new(Policy {
            failures: 1,
            cool_down: Duration::from_secs(60),
            share: None,
        });
        breakers.of("a.test").await.admit().unwrap().failed();
        assert!(breakers.of("a.test").await.admit().is_none());
        assert!(breakers.clone().of("b.test").await.admit().is_some());
        assert_eq!(breakers.open(), 1);
    }
}
