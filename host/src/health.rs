//! How the servers behind the platform are: asked at most every few seconds, however many ask.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::Mutex;

/// An answer is good for so long, and is given for so long while the next is measured: who probes must
/// not wait for the slowest server.
const FRESH: Duration = Duration::from_secs(3);
const STALE: Duration = Duration::from_secs(20);
/// A server that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is wrong with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It answers, and refuses the credentials, or has not what it should have.
    Refused(String),
    /// It does not answer.
    Away(String),
}

impl Trouble {
    /// As in the contract's body.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Away(_) => "disconnected",
        }
    }

    /// For the operator.
    pub fn reason(&self) -> &str {
        match self {
            Self::Refused(reason) | Self::Away(reason) => reason,
        }
    }
}

type Asked = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send>>;

/// A server that the platform stands on.
pub struct Dependency {
    /// As in the contract's body: `database`, `kafka`, `redis`, `aws`.
    pub name: &'static str,
    /// Whether nothing can be done without it; else what it is for waits, or is done without.
    pub is_needed: bool,
    /// Asks it.
    pub ask: Box<dyn Fn() -> Asked + Send + Sync>,
}

/// How they are.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// By name; `local` is the host's own and has no server.
    pub states: BTreeMap<&'static str, &'static str>,
    /// All that is needed is there.
    pub is_ready: bool,
    /// All is there.
    pub is_whole: bool,
}

impl Measured {
    /// The contract's word.
    pub fn word(&self) -> &'static str {
        match (self.is_ready, self.is_whole) {
            (false, _) => "unhealthy",
            (true, false) => "degraded",
            (true, true) => "healthy",
        }
    }
}

/// Asks, and remembers.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    dependencies: Vec<Dependency>,
    /// Held while it is measured: all who need an answer wait for the same.
    measuring: Mutex<BTreeMap<&'static str, Trouble>>,
    last: RwLock<Option<Last>>,
}

#[derive(Clone)]
struct Last {
    at: Instant,
    measured: Measured,
}

/// What the contract speaks of, and is `local` where no server is configured.
const SPOKEN_OF: [&str; 4] = ["database", "kafka", "redis", "aws"];

impl Health {
    /// Of those servers.
    pub fn new(dependencies: Vec<Dependency>) -> Self {
        Self(Arc::new(Inner {
            dependencies,
            measuring: Mutex::default(),
            last: RwLock::default(),
        }))
    }

    /// As measured a moment ago, or now.
    pub async fn measured(&self) -> Measured {
        match self.0.last() {
            Some(last) if last.at.elapsed() < FRESH => last.measured,
            Some(last) if last.at.elapsed() < STALE => {
                let health = self.0.clone();
                tokio::spawn(async move { health.measure().await });
                last.measured
            }
            _ => self.0.measure().await,
        }
    }
}

impl Inner {
    fn last(&self) -> Option<Last> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    async fn measure(&self) -> Measured {
        let mut troubles = self.measuring.lock().await;
        if let Some(last) = self.last().filter(|last| last.at.elapsed() < FRESH) {
            return last.measured;
        }
        let asked = self.dependencies.iter().map(|dependency| async {
            let answer = tokio::time::timeout(PATIENCE, (dependency.ask)()).await;
            answer.unwrap_or_else(|_| Err(Trouble::Away("it does not answer".into())))
        });
        let (measured, now) = self.judge(join_all(asked).await);
        tell(&troubles, &now);
        *troubles = now;
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Last {
            at: Instant::now(),
            measured: measured.clone(),
        });
        measured
    }

    fn judge(
        &self,
        answers: Vec<Result<(), Trouble>>,
    ) -> (Measured, BTreeMap<&'static str, Trouble>) {
        let mut measured = Measured {
            states: SPOKEN_OF.into_iter().map(|name| (name, "local")).collect(),
            is_ready: true,
            is_whole: true,
        };
        let mut troubles = BTreeMap::new();
        for (dependency, answer) in self.dependencies.iter().zip(answers) {
            let word = answer.as_ref().map_or_else(Trouble::word, |()| "connected");
            measured.states.insert(dependency.name, word);
            if let Err(trouble) = answer {
                measured.is_whole = false;
                measured.is_ready &= !dependency.is_needed;
                troubles.insert(dependency.name, trouble);
            }
        }
        (measured, troubles)
    }
}

/// What has changed, once.
fn tell(former: &BTreeMap<&str, Trouble>, now: &BTreeMap<&'static str, Trouble>) {
    for (name, trouble) in now {
        if former.get(name).map(Trouble::word) != Some(trouble.word()) {
            tracing::warn!("{name} is {}: {}", trouble.word(), trouble.reason());
        }
    }
    for name in former.keys().filter(|name| !now.contains_key(**name)) {
        tracing::info!("{name} is connected again");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn dependency(
        name: &'static str,
        is_needed: bool,
        answer: Result<(), Trouble>,
    ) -> (Dependency, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let asked = count.clone();
        let ask = move || -> Asked {
            asked.fetch_add(1, Ordering::Relaxed);
            let answer = answer.clone();
            Box::pin(async move { answer })
        };
        let dependency = Dependency {
            name,
            is_needed,
            ask: Box::new(ask),
        };
        (dependency, count)
    }

    fn away() -> Result<(), Trouble> {
        Err(Trouble::Away("gone".into()))
    }

    #[tokio::test]
    async fn what_is_not_needed_degrades_and_what_is_needed_ends_readiness() {
        let (database, _) = dependency("database", true, Ok(()));
        let (redis, _) = dependency("redis", false, away());
        let measured = Health::new(vec![database, redis]).measured().await;
        assert_eq!((measured.word(), measured.is_ready), ("degraded", true));
        assert_eq!(measured.states["redis"], "disconnected");
        assert_eq!(measured.states["kafka"], "local");
        let (database, _) = dependency("database", true, away());
        let measured = Health::new(vec![database]).measured().await;
        assert_eq!((measured.word(), measured.is_ready), ("unhealthy", false));
    }

    #[tokio::test]
    async fn a_hundred_who_ask_are_one_question() {
        let (database, count) = dependency("database", true, Ok(()));
        let health = Health::new(vec![database]);
        join_all((0..100).map(|_| health.measured())).await;
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_away() {
        let hangs = Dependency {
            name: "kafka",
            is_needed: false,
            ask: Box::new(|| Box::pin(std::future::pending())),
        };
        let measured = Health::new(vec![hangs]).measured().await;
        assert_eq!(measured.states["kafka"], "disconnected");
    }
}
