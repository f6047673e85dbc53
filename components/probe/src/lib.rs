//! What tests and the bench run in the sandbox: empty work, a query, a sink, and things that a
//! component must not get away with.

#[cfg(target_family = "wasm")]
mod component;
