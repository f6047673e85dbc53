//! A wasm and its manifest become a component once every import is granted: what is not granted is
//! not linked.

use std::sync::Arc;

use wasmtime::component::{InstancePre, Linker};
use wasmtime_wasi_http::handler::ProxyPre;

use crate::bindings::exports::lectern::platform::{event_handler, schedule_handler};
use crate::inspect::{self, NotAComponent};
use crate::manifest::{Grants, Manifest};
use crate::state::{Capabilities, State, Template};
use crate::{Engine, bind, compile};

/// Why a component is not run.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Bytes that are no component.
    #[error("`{component}` cannot be taken: {source}")]
    NotAComponent {
        /// Its name.
        component: String,
        /// What they are.
        source: NotAComponent,
    },
    /// A component that this engine cannot compile.
    #[error("`{component}` cannot be compiled: {why}")]
    Invalid {
        /// Its name.
        component: String,
        /// What the compiler said.
        why: String,
    },
    /// An import without its grant.
    #[error("`{component}` imports `{import}`, which its manifest does not grant: add `{remedy}`")]
    NotGranted {
        /// Its name.
        component: String,
        /// As in its type.
        import: String,
        /// The manifest's line.
        remedy: &'static str,
    },
    /// An import that no grant allows.
    #[error("`{component}` imports `{import}`, which this host does not offer")]
    NotOffered {
        /// Its name.
        component: String,
        /// As in its type.
        import: String,
    },
    /// The manifest promises what the component does not export.
    #[error("`{component}` does not export `{export}`, which its manifest's `{key}` needs")]
    NotExported {
        /// Its name.
        component: String,
        /// The missing export.
        export: &'static str,
        /// The manifest's key.
        key: &'static str,
    },
    /// An interface in a version or shape that is not this host's.
    #[error("`{component}` does not fit this host: {why}")]
    Unfit {
        /// Its name.
        component: String,
        /// What the linker said.
        why: String,
    },
}

/// A checked, linked, compiled component. Holds no instance: any number of revisions in service can
/// be made from it.
pub struct Component {
    pub(crate) engine: Engine,
    pub(crate) template: Arc<Template>,
    pub(crate) digest: String,
    pub(crate) instance_pre: InstancePre<State>,
    pub(crate) http: Option<Http>,
}

/// Which of the two worlds of `wasi:http` it speaks.
pub(crate) enum Http {
    P2(wasmtime_wasi_http::p2::bindings::ProxyPre<State>),
    P3(wasmtime_wasi_http::p3::bindings::ServicePre<State>),
}

impl Http {
    pub(crate) fn pre(&self) -> ProxyPre<State> {
        match self {
            Self::P2(pre) => ProxyPre::P2(pre.clone()),
            Self::P3(pre) => ProxyPre::P3(pre.clone()),
        }
    }
}

/// Says that a component's bytes and manifest have been checked.
#[derive(Debug)]
pub struct Checked(());

/// How much of the machine compiling may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// All of it: nobody is served yet.
    Start,
    /// One thread of low priority: others are being served.
    Background,
}

impl Component {
    /// Whether the bytes are a component all of whose imports are granted; without compiling.
    pub fn check(manifest: &Manifest, wasm: &[u8]) -> Result<Checked, Refused> {
        let component = manifest.name.to_string();
        let imports = inspect::imports(wasm)
            .map_err(|source| Refused::NotAComponent { component, source })?;
        imports
            .iter()
            .try_for_each(|import| granted(manifest.name.as_str(), import, &manifest.grants))?;
        Ok(Checked(()))
    }

    /// Checks and builds.
    pub fn new(
        engine: &Engine,
        manifest: Manifest,
        wasm: &[u8],
        capabilities: Capabilities,
        haste: Haste,
    ) -> Result<Self, Refused> {
        let checked = Self::check(&manifest, wasm)?;
        Self::build(engine, manifest, wasm, capabilities, checked, haste)
    }

    /// Compiles and links what has been checked. Blocks for as long as compiling takes.
    pub fn build(
        engine: &Engine,
        manifest: Manifest,
        wasm: &[u8],
        capabilities: Capabilities,
        _: Checked,
        haste: Haste,
    ) -> Result<Self, Refused> {
        let digest = compile::digest(wasm);
        let name = manifest.name.to_string();
        let unfit = |e: wasmtime::Error| Refused::Unfit {
            component: name.clone(),
            why: format!("{e:#}"),
        };
        let compiled =
            compile::component(engine, wasm, &digest, haste).map_err(|e| Refused::Invalid {
                component: name.clone(),
                why: format!("{e:#}"),
            })?;
        let linker = link(engine, &manifest.grants).map_err(unfit)?;
        let instance_pre = linker.instantiate_pre(&compiled).map_err(unfit)?;
        let http = http(&instance_pre);
        let exports = Exports {
            http: http.is_some(),
            events: event_handler::GuestIndices::new(&instance_pre).is_ok(),
            schedule: schedule_handler::GuestIndices::new(&instance_pre).is_ok(),
        };
        exported(&manifest, &exports)?;
        let template = Arc::new(Template::new(manifest, capabilities));
        Ok(Self {
            engine: engine.clone(),
            template,
            digest,
            instance_pre,
            http,
        })
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.template.manifest
    }
}

/// What an interface needs in the manifest.
enum Needs {
    Nothing,
    Grant(bool, &'static str),
    Impossible,
}

fn needs(import: &str, grants: &Grants) -> Needs {
    let interface = import.split('@').next().unwrap_or(import);
    match interface {
        "lectern:platform/postgres" => Needs::Grant(grants.postgres.is_some(), "[grants.postgres]"),
        "lectern:platform/events" => Needs::Grant(grants.events.is_some(), "[grants.events]"),
        "lectern:platform/blobs" => Needs::Grant(grants.blobs.is_some(), "[grants.blobs]"),
        "lectern:platform/cache" => Needs::Grant(grants.cache.is_some(), "[grants.cache]"),
        "lectern:platform/llm" => Needs::Grant(grants.llm.is_some(), "[grants.llm]"),
        "lectern:platform/speech" => Needs::Grant(grants.speech.is_some(), "[grants.speech]"),
        "lectern:platform/transcription" => {
            Needs::Grant(grants.transcription.is_some(), "[grants.transcription]")
        }
        "lectern:platform/ocr" => Needs::Grant(grants.ocr.is_some(), "[grants.ocr]"),
        // A caller's own budget, and nothing else.
        "lectern:platform/quota" => Needs::Nothing,
        "wasi:http/types" => Needs::Nothing,
        "wasi:http/client" | "wasi:http/outgoing-handler" => {
            Needs::Grant(grants.http.is_some(), "[grants.http]")
        }
        _ => match interface.split('/').next() {
            // No preopened folder, no argument, no terminal, no address that a socket may have: these
            // give no power by themselves, and other languages' runtimes import all of them.
            Some(
                "wasi:cli" | "wasi:io" | "wasi:clocks" | "wasi:random" | "wasi:filesystem"
                | "wasi:sockets",
            ) => Needs::Nothing,
            _ => Needs::Impossible,
        },
    }
}

fn granted(component: &str, import: &str, grants: &Grants) -> Result<(), Refused> {
    let (component, owned) = (component.to_owned(), import.to_owned());
    match needs(import, grants) {
        Needs::Nothing | Needs::Grant(true, _) => Ok(()),
        Needs::Grant(false, remedy) => Err(Refused::NotGranted {
            component,
            import: owned,
            remedy,
        }),
        Needs::Impossible => Err(Refused::NotOffered {
            component,
            import: owned,
        }),
    }
}

fn link(engine: &Engine, grants: &Grants) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(&engine.inner);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    bind::link(&mut linker, grants)?;
    Ok(linker)
}

fn http(pre: &InstancePre<State>) -> Option<Http> {
    if let Ok(service) = wasmtime_wasi_http::p3::bindings::ServicePre::new(pre.clone()) {
        return Some(Http::P3(service));
    }
    let proxy = wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre.clone());
    proxy.ok().map(Http::P2)
}

/// What the host may call.
struct Exports {
    http: bool,
    events: bool,
    schedule: bool,
}

fn exported(manifest: &Manifest, exports: &Exports) -> Result<(), Refused> {
    let consumes = manifest
        .grants
        .events
        .as_ref()
        .is_some_and(|events| !events.consume.is_empty());
    let missing = if !manifest.http.routes.is_empty() && !exports.http {
        Some(("wasi:http/handler", "http.routes"))
    } else if consumes && !exports.events {
        Some(("lectern:platform/event-handler", "grants.events.consume"))
    } else if !manifest.schedule.is_empty() && !exports.schedule {
        Some(("lectern:platform/schedule-handler", "schedule"))
    } else {
        None
    };
    match missing {
        Some((export, key)) => Err(Refused::NotExported {
            component: manifest.name.to_string(),
            export,
            key,
        }),
        None => Ok(()),
    }
}
