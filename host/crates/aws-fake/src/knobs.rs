//! What a test may turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::locked;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// HTTP 400 and `ThrottlingException`. Nothing is done.
    Throttle,
    /// HTTP 500. Nothing is done.
    Fail,
    /// It is done, and the connection is closed without an answer.
    Lose,
    /// It is done, and the connection is closed in the middle of the answer.
    Cut,
}

/// How long a job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many looks find it unfinished.
    Looks(u32),
    /// From its start.
    Time(Duration),
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Queued,
    Running,
    Ended,
}

/// What one job has lived through.
pub(crate) struct Clock {
    started: Instant,
    looks: u32,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            looks: 0,
        }
    }

    /// A look at the job, which is what moves it on where the pace counts looks.
    pub(crate) fn look(&mut self, pace: Pace) -> Stage {
        self.looks += 1;
        let (ended, queued) = match pace {
            Pace::Looks(most) => (self.looks > most, self.looks == 1),
            Pace::Time(whole) => {
                let passed = self.started.elapsed();
                (passed >= whole, passed < whole / 3)
            }
        };
        match (ended, queued) {
            (true, _) => Stage::Ended,
            (false, true) => Stage::Queued,
            (false, false) => Stage::Running,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) latency: Duration,
    /// Of single operations, beyond that.
    pub(crate) latencies: HashMap<String, Duration>,
    pub(crate) pace: Pace,
    pub(crate) failure: Option<String>,
    pub(crate) spoiled: Vec<u32>,
    pub(crate) blocks: usize,
    /// Milliseconds that Polly's voices take for a character.
    pub(crate) voice: usize,
}

impl Settings {
    /// How long an operation's answer waits.
    pub(crate) fn latency_of(&self, operation: &str) -> Duration {
        let own = self.latencies.get(operation).copied();
        self.latency + own.unwrap_or_default()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            latencies: HashMap::new(),
            pace: Pace::Looks(2),
            failure: None,
            spoiled: vec![],
            blocks: 1_000,
            voice: 60,
        }
    }
}

#[derive(Default)]
pub(crate) struct Knobs {
    settings: Mutex<Settings>,
    troubles: Mutex<HashMap<String, VecDeque<Trouble>>>,
    calls: Mutex<HashMap<String, usize>>,
    /// Calls of an operation under way, and the most that there were.
    under_way: Mutex<HashMap<String, (usize, usize)>>,
}

impl Knobs {
    pub(crate) fn settings(&self) -> Settings {
        locked(&self.settings).clone()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut locked(&self.settings));
    }

    pub(crate) fn trouble(&self, operation: &str, trouble: Trouble, times: usize) {
        let mut troubles = locked(&self.troubles);
        let queue = troubles.entry(operation.to_owned()).or_default();
        queue.extend(std::iter::repeat_n(trouble, times));
    }

    /// Counts the call, and says what goes wrong with it.
    pub(crate) fn called(&self, operation: &str) -> Option<Trouble> {
        *locked(&self.calls).entry(operation.to_owned()).or_default() += 1;
        locked(&self.troubles).get_mut(operation)?.pop_front()
    }

    pub(crate) fn begin(&self, operation: &str) {
        let mut under_way = locked(&self.under_way);
        let (now, most) = under_way.entry(operation.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }

    pub(crate) fn end(&self, operation: &str) {
        if let Some((now, _)) = locked(&self.under_way).get_mut(operation) {
            *now -= 1;
        }
    }

    pub(crate) fn most_at_once(&self, operation: &str) -> usize {
        let under_way = locked(&self.under_way);
        under_way.get(operation).map_or(0, |(_, most)| *most)
    }

    pub(crate) fn calls(&self, operation: &str) -> usize {
        locked(&self.calls).get(operation).copied().unwrap_or(0)
    }
}
