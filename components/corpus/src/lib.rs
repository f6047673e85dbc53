//! What a document's text is made of, and what can be found in it without a language model: pages,
//! sentences, terms, passages; search, quotes, notes.
//!
//! Pure: no I/O, no clock, no chance. Positions in a document count Unicode scalar values, so that a
//! client can slice the text it was given.

pub mod answer;
mod claim;
mod comparison;
pub mod definitions;
pub mod denial;
pub mod document;
mod evenly;
mod expected;
pub mod forms;
pub mod ground;
pub mod notes;
pub mod overview;
#[cfg(test)]
mod paraphrases;
pub mod prose;
pub mod rank;
pub mod sanitize;
pub mod search;
pub mod sentence;
pub mod stop_words;
pub mod terms;
mod wanted;

pub use document::{Document, Page, Passage};
pub use notes::Notes;
pub use terms::Term;

#[cfg(any(test, feature = "samples"))]
pub mod samples;
