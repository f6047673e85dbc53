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
    pub(crate) background: Arc<rayon::ThreadPool>,
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
            background: Arc::new(background()?),
            _ticker: Arc::new(Ticker(stopped)),
        })
    }
}

/// One thread that gets what the others leave of the processor. Where the system does not let it
/// be less than the others, it is like them.
fn background() -> wasmtime::Result<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "compile".into())
        .start_handler(|_| {
            #[cfg(target_os = "linux")]
            let _ = rustix::process::nice(15);
        })
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
