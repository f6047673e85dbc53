//! What the services share: the way in (HTTP, events), the way out (capabilities), and the
//! contract's common patterns (errors, identity, time). A library, not a service.
//!
//! What needs the sandbox exists only for wasm; the rest is tested natively.

pub mod extract;
pub mod filename;
pub mod idempotency;
pub mod identity;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod timestamp;

#[cfg(target_family = "wasm")]
pub mod bindings;
#[cfg(target_family = "wasm")]
pub mod blobs;
#[cfg(target_family = "wasm")]
pub mod cache;
#[cfg(target_family = "wasm")]
pub mod events;
#[cfg(target_family = "wasm")]
pub mod health;
#[cfg(target_family = "wasm")]
pub mod incoming;
#[cfg(target_family = "wasm")]
pub mod llm;
#[cfg(target_family = "wasm")]
pub mod log;
#[cfg(target_family = "wasm")]
pub mod postgres;
#[cfg(target_family = "wasm")]
pub mod quota;
#[cfg(target_family = "wasm")]
pub mod schedule;
#[cfg(target_family = "wasm")]
pub mod serve;
#[cfg(target_family = "wasm")]
pub mod shelf;
#[cfg(target_family = "wasm")]
pub mod sse;
#[cfg(target_family = "wasm")]
pub mod sweep;

pub use extract::{Json, Path, Query};
pub use identity::Caller;
pub use page::Page;
pub use problem::Problem;

pub use utoipa_axum::router::OpenApiRouter as Router;
pub use utoipa_axum::routes;
#[cfg(target_family = "wasm")]
pub use {uuid, wasip3};
