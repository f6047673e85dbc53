//! The one engine: how all components are compiled and where their memory comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a running guest can be interrupted; also the grain of its CPU time.
pub const TICK: Duration = Duration::from_millis(1);

/// Instances of all components together, idle ones included. Each reserves address space, not memory.
const INSTANCES: u32 = 1_000;
/// An idle slot keeps so much of its memory resident, which is faster to clear than to fault in.
const KEEP_RESIDENT: usize = 512 << 10;
/// The largest linear memory; a manifest cannot ask for more.
const MAX_MEMORY: usize = 4 << 30;

/// Compiles components, and keeps the clock that interrupts them.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: wasmtime::Engine,
    pub(crate) cache: Option<PathBuf>,
    /// Where components are compiled while others are served.
    pub(crate) compiling: Arc<rayon::ThreadPool>,
    /// Where events are handled, and what has turned out to be noisy.
    pub(crate) background: Arc<Background>,
    _ticker: Arc<Ticker>,
}

/// Stops its thread when the last engine is dropped.
struct Ticker(Arc<AtomicBool>);

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Engine {
    /// Compiled components are kept in `cache`, a folder that only the host writes: what lies there
    /// runs as native code.
    pub fn new(cache: Option<&Path>) -> wasmtime::Result<Self> {
        let inner = wasmtime::Engine::new(&config())?;
        let stopped = Arc::new(AtomicBool::new(false));
        tick(inner.weak(), stopped.clone())?;
        Ok(Self {
            inner,
            cache: cache.map(ToOwned::to_owned),
            compiling: Arc::new(compiling()?),
            background: Arc::new(Background::new()?),
            _ticker: Arc::new(Ticker(stopped)),
        })
    }
}

/// Threads whose work gives way: whoever waits for an answer is not to wait for them.
pub(crate) struct Background(Option<tokio::runtime::Runtime>);

/// More than there are processors: a busy guest keeps its thread for a tick, and the system shares
/// the processors out more fairly than a queue of tasks.
const BACKGROUND_THREADS: usize = 8;
/// A third of a processor beside others that want all of it.
const BACKGROUND_NICE: i32 = 5;

impl Background {
    fn new() -> wasmtime::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(BACKGROUND_THREADS)
            .thread_name("background")
            .on_thread_start(|| give_way(BACKGROUND_NICE))
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> Option<&tokio::runtime::Handle> {
        self.0.as_ref().map(tokio::runtime::Runtime::handle)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Where a task holds the last engine, waiting for the threads is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Where the system does not let a thread be less than the others, it is like them.
fn give_way(nice: i32) {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(nice);
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}

/// One thread that gets what the others leave of the processor.
fn compiling() -> wasmtime::Result<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "compile".into())
        .start_handler(|_| give_way(15))
        .build()?)
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling()));
    config
}

fn pooling() -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::default();
    pooling
        .total_component_instances(INSTANCES)
        .total_core_instances(4 * INSTANCES)
        .total_memories(INSTANCES)
        .total_tables(2 * INSTANCES)
        .total_stacks(2 * INSTANCES)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_core_instances_per_component(200)
        .max_memories_per_component(16)
        .max_tables_per_component(64)
        .table_elements(100_000)
        .max_memory_size(MAX_MEMORY)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10);
    pooling
}

/// A thread of the operating system's, not a task: a busy guest must not stop the clock that is to
/// interrupt it, not even on one core.
fn tick(engine: wasmtime::EngineWeak, stopped: Arc<AtomicBool>) -> wasmtime::Result<()> {
    std::thread::Builder::new()
        .name("epoch".into())
        .spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
    Ok(())
}
