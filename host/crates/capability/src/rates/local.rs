//! Rates of this host alone, by `governor`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use tokio::task::AbortHandle;

use super::{Asked, Away, Rate, Rates, Standing};

type Limiter =
    RateLimiter<u128, DefaultKeyedStateStore<u128>, DefaultClock, StateInformationMiddleware>;

/// Keys that have all of their requests back are forgotten so often.
const SWEEP: Duration = Duration::from_secs(60);

/// Counts in this host's memory. A request that a later rate refuses has been counted by the earlier
/// ones: ask the narrowest first, so that who is refused takes nothing from others.
pub struct LocalRates {
    limiters: Arc<HashMap<&'static str, Limiter>>,
    clock: DefaultClock,
    sweeping: AbortHandle,
}

impl LocalRates {
    /// For those rates by name, and no others. Wants a Tokio runtime.
    pub fn new(rates: impl IntoIterator<Item = (&'static str, Rate)>) -> Self {
        let limiters = rates.into_iter().map(|(name, rate)| (name, limiter(rate)));
        let limiters: Arc<HashMap<_, _>> = Arc::new(limiters.collect());
        let swept = limiters.clone();
        let sweeping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                for limiter in swept.values() {
                    limiter.retain_recent();
                    limiter.shrink_to_fit();
                }
            }
        });
        Self {
            limiters,
            clock: DefaultClock::default(),
            sweeping: sweeping.abort_handle(),
        }
    }

    fn standing(&self, limiter: &Limiter, asked: &Asked) -> Standing {
        let Asked { who, rate, .. } = asked;
        let used = |remaining: u32| rate.burst.get().saturating_sub(remaining);
        match limiter.check_key(who) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Standing {
                    remaining,
                    reset: rate.interval() * used(remaining),
                    retry: None,
                }
            }
            Err(until) => Standing {
                remaining: 0,
                reset: rate.period,
                retry: Some(until.wait_time_from(self.clock.now())),
            },
        }
    }
}

fn limiter(rate: Rate) -> Limiter {
    let quota = Quota::with_period(rate.interval());
    // An interval is never zero.
    let quota = quota.unwrap_or_else(|| Quota::per_second(rate.burst));
    RateLimiter::keyed(quota.allow_burst(rate.burst)).with_middleware()
}

impl Drop for LocalRates {
    fn drop(&mut self) {
        self.sweeping.abort();
    }
}

#[async_trait]
impl Rates for LocalRates {
    async fn take(&self, asked: &[Asked]) -> Result<Vec<Standing>, Away> {
        let mut all = Vec::with_capacity(asked.len());
        for asked in asked {
            let Some(limiter) = self.limiters.get(asked.name) else {
                continue;
            };
            let standing = self.standing(limiter, asked);
            all.push(standing);
            if standing.retry.is_some() {
                break;
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    fn rates() -> LocalRates {
        LocalRates::new(contract::RATES)
    }

    #[tokio::test]
    async fn local_rates_keep_the_contract() {
        contract::as_many_pass_as_a_rate_says(&rates()).await;
        contract::keys_and_names_are_counted_apart(&rates()).await;
        contract::a_request_comes_back_after_its_interval(&rates()).await;
        contract::what_the_first_rate_refuses_is_not_counted_by_the_next(&rates()).await;
    }
}
