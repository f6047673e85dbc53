//! Quizzes: made from documents, graded, remembered.
//!
//! The domain is plain Rust, tested natively; [`component`] binds it to the sandbox.

pub mod cloze;
pub mod compose;
pub mod grade;
pub mod lint;
pub mod material;
pub mod question;
pub mod reply;
pub mod request;
pub mod shuffle;
pub mod true_false;

#[cfg(target_family = "wasm")]
mod component;
