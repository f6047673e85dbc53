//! Chat: questions about documents, answered with quotes; sessions and their history.
//!
//! The domain is plain Rust, tested natively; [`component`] binds it to the sandbox.

pub mod citation;
pub mod draft;
pub mod export;
pub mod language;
pub mod prompt;
pub mod request;
pub mod title;
pub mod tokens;

#[cfg(target_family = "wasm")]
mod component;
