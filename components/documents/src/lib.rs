//! The document reader: takes files, reads their text, makes notes.
//!
//! The domain is plain Rust, tested natively; [`component`] binds it to the sandbox.

pub mod docx;
mod encoding;
pub mod notes;
pub mod ocr;
pub mod pdf;
pub mod piece;
pub mod read;
pub mod seal;
pub mod sniff;

#[cfg(any(test, feature = "samples"))]
pub mod samples;

#[cfg(test)]
mod nasty;

#[cfg(target_family = "wasm")]
mod component;
