//! What an answer rests on: quotes that stand in the document, letter by letter.

use corpus::answer::Quote;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A document that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `None` for a text that came with the question.
    pub id: Option<String>,
    /// As it was uploaded.
    pub name: String,
}

/// A quote and where it stands. `start` and `end` count Unicode scalar values of the document's
/// `extracted_text`, end exclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// `null` for a text that came with the question.
    pub document_id: Option<String>,
    /// `null` for a text that came with the question.
    pub filename: Option<String>,
    /// From 1; `null` for a text that came with the question.
    pub page: Option<u32>,
    /// The document's own words.
    pub quote: String,
    /// Of the first character.
    pub start: u32,
    /// Behind the last one.
    pub end: u32,
    /// Higher is closer; comparable within an answer.
    pub score: f32,
}

/// The quotes with the documents that they are of.
pub fn of(sources: &[Source], quotes: Vec<Quote>) -> Vec<Citation> {
    let cite = |quote: Quote| {
        let source = sources.get(quote.document)?;
        let id = source.id.clone();
        Some(Citation {
            filename: id.as_ref().map(|_| source.name.clone()),
            page: id.as_ref().map(|_| quote.page),
            document_id: id,
            quote: quote.text,
            start: quote.start,
            end: quote.end,
            score: quote.score,
        })
    };
    quotes.into_iter().filter_map(cite).collect()
}
