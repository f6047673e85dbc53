//! Quizzes: made from documents, graded, remembered.
//!
//! The domain is plain Rust, tested natively; [`component`] binds it to the sandbox.

pub mod address;
pub mod anki;
pub mod asking;
pub mod calendar;
pub mod cloze;
pub mod compose;
pub mod grade;
pub mod grader;
pub mod grammar;
pub mod kinds;
pub mod lint;
pub mod material;
pub mod meaning;
pub mod memory;
pub mod names;
pub mod nouns;
pub mod phrases;
pub mod question;
pub mod reply;
pub mod request;
pub mod short_answer;
pub mod shuffle;
pub mod slots;
pub mod support;
pub mod terms;
pub mod text;
pub mod things;
pub mod true_false;
pub mod wording;
pub mod words;

#[cfg(target_family = "wasm")]
mod component;
