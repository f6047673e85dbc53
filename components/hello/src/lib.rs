//! hello: greets. A component of WASI 0.2.
//!
//! The domain and the routes are plain Rust, tested natively; [`component`] binds them to the sandbox.

pub mod greeting;
pub mod reply;

#[cfg(target_family = "wasm")]
mod component;
