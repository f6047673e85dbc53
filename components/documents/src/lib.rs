//! The document reader: takes files, reads their text, makes notes.
//!
//! The domain is plain Rust, tested natively; [`component`] binds it to the sandbox.

pub mod filename;
pub mod notes;
pub mod read;
pub mod sniff;

#[cfg(target_family = "wasm")]
mod component;
