//! Components in their sandbox: wasmtime, and only wasmtime. Knows what a capability is, not what
//! stands behind it; knows HTTP's types, not the server.
//!
//! A [`manifest::Manifest`] and a wasm become a [`Revision`], once every import is granted. A
//! revision handles requests and events, each within its limits.

mod bind;
mod bindings;
mod caller;
mod compile;
mod component;
pub mod engine;
pub mod error;
mod inspect;
mod instance;
mod limits;
pub mod manifest;
mod outbound;
mod output;
mod queue;
pub mod revision;
mod state;
pub mod stats;
mod trace;

pub use component::{Checked, Component, Haste, Refused};
pub use engine::Engine;
pub use error::CallError;
pub use inspect::NotAComponent;
pub use manifest::Manifest;
pub use revision::Revision;
pub use state::Capabilities;
pub use wasmtime_wasi_http::Error as BodyError;
pub use wasmtime_wasi_http::WasiBody;
