//! {{name}}: greets.
//!
//! The domain is plain Rust, tested natively; [`component`] binds it to the sandbox.

pub mod greeting;

#[cfg(target_family = "wasm")]
mod component;
