//! What an instance may use, and which limit it ran into.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};

use crate::engine::TICK;
use crate::error::CallError;
use crate::state::State;

/// The first limit that an instance ran into; shared with whoever waits for the instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict(Arc<AtomicU8>);

const CPU: u8 = 1;
const MEMORY: u8 = 2;

impl Verdict {
    fn set(&self, which: u8) {
        let _ = self
            .0
            .compare_exchange(0, which, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why the call ended, where it ended in a trap.
    pub(crate) fn error(&self, trap: &wasmtime::Error) -> CallError {
        match self.0.load(Ordering::Relaxed) {
            CPU => CallError::Cpu,
            MEMORY => CallError::Memory,
            _ => CallError::Trap(cause(trap)),
        }
    }
}

/// The innermost reason, in a line: the backtrace is for the debug log.
pub(crate) fn cause(error: &wasmtime::Error) -> String {
    error
        .root_cause()
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// What an instance may hold: its memories and tables, and what the host holds for it meanwhile.
/// Components may have many memories, so a limit for each would be none.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Account>);

struct Account {
    used: AtomicUsize,
    most: usize,
    verdict: Verdict,
}

/// What an element of a table weighs in the host.
const TABLE_ELEMENT: usize = 16;

/// Bytes that the host holds for the instance until this is dropped.
pub(crate) struct Held {
    memory: Memory,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Memory {
    pub(crate) fn new(mib: u64, verdict: Verdict) -> Self {
        Self(Arc::new(Account {
            used: AtomicUsize::new(0),
            most: usize::try_from(mib << 20).unwrap_or(usize::MAX),
            verdict,
        }))
    }

    fn take(&self, by: usize) -> bool {
        let most = self.0.most;
        let add = |used: usize| used.checked_add(by).filter(|used| *used <= most);
        self.0
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok()
    }

    /// `None` where the instance has too little left: the guest's call fails, the guest does not.
    pub(crate) fn hold(&self, bytes: usize) -> Option<Held> {
        self.take(bytes).then(|| Held {
            memory: self.clone(),
            bytes,
        })
    }

    fn grow(&self, by: usize) -> bool {
        let grown = self.take(by);
        if !grown {
            self.0.verdict.set(MEMORY);
        }
        grown
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(
            desired
                .saturating_sub(current)
                .saturating_mul(TABLE_ELEMENT),
        ))
    }
}

/// Time spent executing, in ticks of the epoch. A guest that waits is not charged: its deadline is
/// set anew whenever the event loop enters it.
#[derive(Clone, Debug)]
pub(crate) struct CpuLimit {
    left: Arc<AtomicU64>,
    budget: u64,
    verdict: Verdict,
    noise: Noise,
}

/// Whether a revision's guests keep the processor for long: its requests give way to the others' then.
#[derive(Clone, Debug)]
pub(crate) struct Noise(Arc<Heard>);

#[derive(Debug)]
struct Heard {
    since: Instant,
    /// Which window, and the ticks in it.
    window: AtomicU64,
    ticks: AtomicU64,
    /// Milliseconds after `since`.
    until: AtomicU64,
}

/// So many ticks in such a window are noise.
const NOISE: (u64, Duration) = (10, Duration::from_millis(200));
/// How long a revision counts as noisy afterwards.
const ECHO: Duration = Duration::from_secs(10);

impl Default for Noise {
    fn default() -> Self {
        Self(Arc::new(Heard {
            since: Instant::now(),
            window: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            until: AtomicU64::new(0),
        }))
    }
}

impl Noise {
    fn now(&self) -> u64 {
        u64::try_from(self.0.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A guest has used a whole tick without a pause.
    fn tick(&self) {
        let (heard, now) = (&self.0, self.now());
        let (most, length) = NOISE;
        let window = now / u64::try_from(length.as_millis()).unwrap_or(1);
        if heard.window.swap(window, Ordering::Relaxed) != window {
            heard.ticks.store(0, Ordering::Relaxed);
        }
        if heard.ticks.fetch_add(1, Ordering::Relaxed) + 1 >= most {
            let echo = u64::try_from(ECHO.as_millis()).unwrap_or(0);
            heard.until.store(now + echo, Ordering::Relaxed);
        }
    }

    /// Of late.
    pub(crate) fn is_heard(&self) -> bool {
        let until = self.0.until.load(Ordering::Relaxed);
        until != 0 && self.now() < until
    }
}

impl CpuLimit {
    pub(crate) fn new(milliseconds: u64, verdict: Verdict, noise: Noise) -> Self {
        let tick = u64::try_from(TICK.as_millis()).unwrap_or(1);
        let budget = milliseconds.div_ceil(tick).max(1);
        Self {
            left: Arc::new(AtomicU64::new(budget)),
            budget,
            verdict,
            noise,
        }
    }

    /// A new request brings its budget; an instance that so many share has no more than theirs together.
    pub(crate) fn refill(&self, requests: u64) {
        let left = self.left.load(Ordering::Relaxed) + self.budget;
        let most = self.budget.saturating_mul(requests);
        self.left.store(left.min(most), Ordering::Relaxed);
    }

    /// One tick was spent without a pause: charge it, and let others run.
    pub(crate) fn spend(&self, _: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
        self.noise.tick();
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            self.verdict.set(CPU);
            return Ok(UpdateDeadline::Interrupt);
        }
        self.left.store(left - 1, Ordering::Relaxed);
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(tokio::task::yield_now()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_brings_a_budget_and_leaves_none_behind() {
        let cpu = CpuLimit::new(10, Verdict::default(), Noise::default());
        let left = || cpu.left.load(Ordering::Relaxed);
        let alone = left();
        cpu.refill(2);
        assert_eq!(left(), 2 * alone);
        cpu.refill(1);
        assert_eq!(left(), alone);
    }

    #[test]
    fn a_guest_that_keeps_the_processor_is_noisy_and_one_tick_is_not() {
        let noise = Noise::default();
        noise.tick();
        assert!(!noise.is_heard());
        for _ in 0..2 * NOISE.0 {
            noise.tick();
        }
        assert!(noise.is_heard());
    }

    #[test]
    fn what_the_host_holds_counts_until_it_lets_go() {
        let mut memory = Memory::new(1, Verdict::default());
        assert!(memory.memory_growing(0, 600 << 10, None).unwrap());
        let held = memory.hold(400 << 10).unwrap();
        assert!(memory.hold(100 << 10).is_none());
        assert!(!memory.memory_growing(600 << 10, 700 << 10, None).unwrap());
        drop(held);
        assert!(memory.memory_growing(600 << 10, 700 << 10, None).unwrap());
        assert!(memory.hold(usize::MAX).is_none());
    }
}
