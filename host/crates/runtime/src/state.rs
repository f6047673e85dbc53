//! What a store holds: one field per capability, and a view of each that sees no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use capability::ComponentName;
use capability::blobs::Blobs;
use capability::breaker::Breakers;
use capability::cache::Cache;
use capability::events::Events;
use capability::llm::Llm;
use capability::ocr::Ocr;
use capability::outbound::Outbound;
use capability::postgres::Postgres;
use capability::speech::Speech;
use capability::trace::Tracer;
use capability::transcription::Transcription;
use capability::usage::{Subject, Usage};
use tokio::sync::Semaphore;
use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::caller::{Callers, Meter};
use crate::limits::{CpuLimit, Memory, Noise, Verdict};
use crate::manifest::Manifest;
use crate::outbound::Granted;
use crate::output::Output;
use crate::trace::Calls;

/// What the manifest's grants stand for in this host. All is in the component's own scope, where
/// nothing else is said.
#[derive(Clone, Default)]
pub struct Capabilities {
    /// With `[grants.postgres]`.
    pub postgres: Option<Arc<dyn Postgres>>,
    /// With `[grants.events]`.
    pub events: Option<Arc<dyn Events>>,
    /// With `[grants.blobs]`: its own scope.
    pub blobs: Option<Arc<dyn Blobs>>,
    /// The scopes that `[grants.blobs] read` names.
    pub shared_blobs: BTreeMap<ComponentName, Arc<dyn Blobs>>,
    /// With `[grants.cache]`.
    pub cache: Option<Arc<dyn Cache>>,
    /// With `[grants.llm]`.
    pub llm: Option<Arc<dyn Llm>>,
    /// With `[grants.speech]`.
    pub speech: Option<Arc<dyn Speech>>,
    /// With `[grants.transcription]`; not in the component's own scope: keys and jobs are put into it
    /// on their way.
    pub transcription: Option<Arc<dyn Transcription>>,
    /// With `[grants.ocr]`; scoped as transcription is.
    pub ocr: Option<Arc<dyn Ocr>>,
    /// With `[grants.http]`.
    pub outbound: Option<Arc<dyn Outbound>>,
    /// Of the manifest's `config`, what the operator has set otherwise.
    pub settings: BTreeMap<String, String>,
    /// The values of the manifest's `secrets`.
    pub secrets: BTreeMap<String, String>,
    /// Where spans go.
    pub tracer: Tracer,
    /// Where callers' budgets are kept.
    pub usage: Option<Arc<dyn Usage>>,
}

/// A component's part in every state, made once.
pub(crate) struct Template {
    pub(crate) manifest: Manifest,
    pub(crate) capabilities: Capabilities,
    /// For requests to the outside, of all instances together.
    pub(crate) outbound_turns: Arc<Semaphore>,
    /// Between them and each server outside.
    pub(crate) outbound_breakers: Breakers,
    /// Whether its guests keep the processor for long.
    pub(crate) noise: Noise,
    pub(crate) denials: Denials,
    pub(crate) instances: Instances,
}

/// How many there are now.
#[derive(Clone, Default)]
pub(crate) struct Instances(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(crate) struct Instance(Instances);

impl Instances {
    pub(crate) fn all(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn one(&self) -> Instance {
        self.0.fetch_add(1, Ordering::Relaxed);
        Instance(self.clone())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How often it asked for what its manifest does not grant.
#[derive(Clone, Default)]
pub(crate) struct Denials(Arc<AtomicU64>);

impl Denials {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn all(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Template {
    pub(crate) fn new(manifest: Manifest, capabilities: Capabilities) -> Self {
        let grant = manifest.grants.http.as_ref();
        let connections = grant.map_or(0, |grant| grant.connections);
        Self {
            manifest,
            capabilities,
            outbound_turns: Arc::new(Semaphore::new(connections)),
            outbound_breakers: Breakers::new(crate::outbound::BREAKER),
            noise: Noise::default(),
            denials: Denials::default(),
            instances: Instances::default(),
        }
    }
}

/// A store's data.
pub(crate) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Granted,
    template: Arc<Template>,
    callers: Callers,
    pub(crate) memory: Memory,
    pub(crate) cpu: CpuLimit,
    pub(crate) calls: Calls,
    _counted: Instance,
}

/// A capability beside the table of resources: all that its binding sees.
pub(crate) struct View<'a, C> {
    pub(crate) capability: C,
    pub(crate) manifest: &'a Manifest,
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) memory: Memory,
    pub(crate) denials: &'a Denials,
    pub(crate) calls: &'a Calls,
    pub(crate) callers: &'a Callers,
}

/// Resources that a guest may have open at once: streams, bodies, transactions.
const MAX_RESOURCES: usize = 10_000;

impl State {
    pub(crate) fn new(
        template: Arc<Template>,
        memory_mib: u64,
        cpu_ms: u64,
        verdict: &Verdict,
    ) -> Self {
        let manifest = &template.manifest;
        let output = Output::new(manifest.name.clone(), manifest.limits.log_kib);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(output.clone()).stderr(output);
        let Capabilities {
            settings, secrets, ..
        } = &template.capabilities;
        let defaults = manifest.config.iter();
        let defaults = defaults.filter(|(key, _)| !settings.contains_key(*key));
        for (key, value) in defaults.chain(settings).chain(secrets) {
            wasi.env(key, value);
        }
        let noise = template.noise.clone();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self {
            table,
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Granted {
                outbound: template.capabilities.outbound.clone(),
                grant: manifest.grants.http.clone(),
                turns: template.outbound_turns.clone(),
                breakers: template.outbound_breakers.clone(),
                denials: template.denials.clone(),
                service: manifest.name.clone(),
                caller: None,
            },
            calls: Calls::default(),
            _counted: template.instances.one(),
            template,
            callers: Callers::default(),
            memory: Memory::new(memory_mib, verdict.clone()),
            cpu: CpuLimit::new(cpu_ms, verdict.clone(), noise),
        }
    }

    /// Of all calls of an instance that does one thing only.
    pub(crate) fn call_for(&mut self, who: Option<Subject>) {
        self.callers.only(&self.template.capabilities.usage, who);
    }

    /// Of a request that is about to begin.
    pub(crate) fn begin(&mut self, task: GuestTaskId, who: Option<Subject>) {
        self.callers
            .begin(task, &self.template.capabilities.usage, who);
    }

    fn view<'a, C: Clone>(&'a mut self, capability: fn(&'a Capabilities) -> &'a C) -> View<'a, C> {
        View {
            capability: capability(&self.template.capabilities).clone(),
            manifest: &self.template.manifest,
            table: &mut self.table,
            memory: self.memory.clone(),
            denials: &self.template.denials,
            calls: &self.calls,
            callers: &self.callers,
        }
    }

    /// Whether it may call others.
    pub(crate) fn goes_out(&self) -> bool {
        self.outbound.outbound.is_some()
    }

    /// Who asks for what goes out next.
    pub(crate) fn ask_out_for(&mut self, caller: Option<Arc<crate::trace::Call>>) {
        self.outbound.caller = caller;
    }

    pub(crate) fn postgres(&mut self) -> View<'_, Option<Arc<dyn Postgres>>> {
        self.view(|all| &all.postgres)
    }

    pub(crate) fn events(&mut self) -> View<'_, Option<Arc<dyn Events>>> {
        self.view(|all| &all.events)
    }

    pub(crate) fn blobs(&mut self) -> View<'_, crate::bind::blobs::Scopes> {
        let all = &self.template.capabilities;
        View {
            capability: crate::bind::blobs::Scopes {
                own: all.blobs.clone(),
                shared: all.shared_blobs.clone(),
                usage: all.usage.clone(),
            },
            manifest: &self.template.manifest,
            table: &mut self.table,
            memory: self.memory.clone(),
            denials: &self.template.denials,
            calls: &self.calls,
            callers: &self.callers,
        }
    }

    pub(crate) fn cache(&mut self) -> View<'_, Option<Arc<dyn Cache>>> {
        self.view(|all| &all.cache)
    }

    pub(crate) fn llm(&mut self) -> View<'_, Option<Arc<dyn Llm>>> {
        self.view(|all| &all.llm)
    }

    pub(crate) fn speech(&mut self) -> View<'_, Option<Arc<dyn Speech>>> {
        self.view(|all| &all.speech)
    }

    pub(crate) fn transcription(&mut self) -> View<'_, Option<Arc<dyn Transcription>>> {
        self.view(|all| &all.transcription)
    }

    pub(crate) fn quota(&mut self) -> View<'_, Meter> {
        self.view(|all| &all.usage)
    }

    pub(crate) fn ocr(&mut self) -> View<'_, Option<Arc<dyn Ocr>>> {
        self.view(|all| &all.ocr)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}
