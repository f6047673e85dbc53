//! Speech to text: takes recordings, has them transcribed, keeps what was said.
//!
//! The domain is plain Rust, tested natively; [`component`] binds it to the sandbox.

pub mod failure;
pub mod limits;
pub mod probe;
pub mod request;
pub mod subtitles;
pub mod transcript;

#[cfg(target_family = "wasm")]
mod component;
