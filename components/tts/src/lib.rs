//! Text to speech: audio from text, kept for a while, counted to the sample.
//!
//! The domain is plain Rust, tested natively; [`component`] binds it to the sandbox.

pub mod chunk;
pub mod format;
pub mod joint;
pub mod key;
pub mod marks;
pub mod mp3;
pub mod ogg;
pub mod pace;
pub mod range;
pub mod refusal;
pub mod request;
#[cfg(test)]
mod samples;
pub mod ssml;
pub mod voice;
pub mod wav;

#[cfg(target_family = "wasm")]
mod component;
