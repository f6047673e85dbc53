//! How much one may ask: by user, tenant and address, each class of requests apart. With Redis all hosts
//! count together; while it is away each counts alone, and nobody waits.

mod address;
pub(crate) mod flight;
mod headers;
mod places;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::Request;
use capability::rates::local::LocalRates;
use capability::rates::{Asked, Rates, Standing};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use runtime::manifest::RouteClass;

pub use self::address::Peer;
pub(crate) use self::address::{Client, key};
pub(crate) use self::flight::Aloft;
use self::flight::Flight;
pub(crate) use self::headers::{Told, name, seconds};
pub(crate) use self::places::Place;
use self::places::Places;
use super::auth::Known;
use crate::config::limits::{Counted, Limits as Config, Rule, Scope};

/// A request that comes too soon.
#[derive(Debug)]
pub(crate) struct Limited {
    /// Whose rate it was.
    pub(crate) scope: Scope,
    pub(crate) retry: Duration,
    pub(crate) told: Option<Told>,
}

/// A request that was not let through.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Refusal {
    scope: &'static str,
    class: &'static str,
}

/// Counts who asks how often.
pub struct Limits {
    config: Config,
    local: LocalRates,
    shared: Option<Arc<dyn Rates>>,
    /// So that a loss is told once.
    is_shared: AtomicBool,
    /// Requests that this host counted alone though it shares.
    alone: AtomicU64,
    /// Requests in hand.
    pub(crate) flight: Flight,
    /// Of each user.
    pub(crate) places: Places,
    refusals: Family<Refusal, Counter>,
}

impl Limits {
    /// With `shared`, all hosts count together. Wants a Tokio runtime.
    pub fn new(config: Config, shared: Option<Arc<dyn Rates>>) -> Self {
        let rates = config.rates.iter().map(|rule| (rule.name, rule.rate));
        Self {
            local: LocalRates::new(rates),
            shared,
            is_shared: AtomicBool::new(true),
            alone: AtomicU64::new(0),
            flight: Flight::new(config.in_flight),
            places: Places::default(),
            refusals: Family::default(),
            config,
        }
    }

    /// Requests that were counted by this host alone, because what hosts share did not answer.
    pub(crate) fn alone(&self) -> u64 {
        self.alone.load(Ordering::Relaxed)
    }

    /// Requests that came too soon, by scope and class.
    pub(crate) fn refusals(&self) -> Family<Refusal, Counter> {
        self.refusals.clone()
    }

    /// Where the client is: the connection's other end, or who a trusted proxy says.
    pub(crate) fn address(&self, request: &Request) -> Option<IpAddr> {
        if let Some(Client(address)) = request.extensions().get() {
            return Some(*address);
        }
        let Peer(peer) = request.extensions().get::<Peer>()?;
        Some(address::client(
            peer.ip(),
            request.headers(),
            &self.config.proxies,
        ))
    }

    /// One request of a caller who is known, or of an address alone. `None` where nothing is limited.
    pub(crate) async fn admit(
        &self,
        class: RouteClass,
        caller: Option<&Known>,
        address: Option<IpAddr>,
    ) -> Result<Option<Told>, Limited> {
        self.take(Counted::Class(class), caller, address).await
    }

    /// A token that was not taken: who guesses is told to wait, and whose tokens are good is not.
    pub(crate) async fn denied(&self, address: Option<IpAddr>) -> Result<(), Limited> {
        self.take(Counted::Denied, None, address).await.map(drop)
    }

    /// The narrowest rate first: who is over his own takes nothing from his tenant's.
    async fn take(
        &self,
        counted: Counted,
        caller: Option<&Known>,
        address: Option<IpAddr>,
    ) -> Result<Option<Told>, Limited> {
        let who = |scope| match scope {
            Scope::User => caller.map(|caller| caller.user),
            Scope::Tenant => caller.and_then(|caller| caller.tenant),
            Scope::Address => address.map(key),
        };
        let rules = self.config.rates.iter();
        let rules = rules.filter(|rule| rule.counted == counted);
        let (rules, asked): (Vec<&Rule>, Vec<Asked>) = rules
            .filter_map(|rule| {
                let Rule { name, rate, .. } = *rule;
                let who = who(rule.scope)?;
                Some((rule, Asked { name, who, rate }))
            })
            .unzip();
        if asked.is_empty() {
            return Ok(None);
        }
        let standings = self.standings(&asked).await;
        let all = || rules.iter().copied().zip(standings.iter());
        let told = headers::told(all());
        match all().find_map(|(rule, standing)| Some((rule, standing.retry?))) {
            None => Ok(told),
            Some((rule, retry)) => {
                self.count(rule);
                let scope = rule.scope;
                Err(Limited { scope, retry, told })
            }
        }
    }

    async fn standings(&self, asked: &[Asked]) -> Vec<Standing> {
        if let Some(shared) = &self.shared {
            match shared.take(asked).await {
                Ok(standings) => {
                    if !self.is_shared.swap(true, Ordering::Relaxed) {
                        tracing::info!("rates are counted together again");
                    }
                    return standings;
                }
                Err(away) => {
                    self.alone.fetch_add(1, Ordering::Relaxed);
                    if self.is_shared.swap(false, Ordering::Relaxed) {
                        tracing::warn!(%away, "this host counts rates alone until it is back");
                    }
                }
            }
        }
        // Cannot fail: it asks nobody.
        self.local.take(asked).await.unwrap_or_default()
    }

    fn count(&self, rule: &Rule) {
        let (scope, class) = rule.name.split_once('.').unwrap_or((rule.name, ""));
        let refusal = Refusal { scope, class };
        self.refusals.get_or_create(&refusal).inc();
    }
}
