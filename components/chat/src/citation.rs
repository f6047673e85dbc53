//! What an answer rests on: quotes that stand in the document, letter by letter.

use corpus::Passage;
use corpus::answer::{Quote, support};
use serde::{Deserialize, Serialize};

/// A quote and where it stands. `start` and `end` count Unicode scalar values of the document's
/// `extracted_text`, end exclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// `null` for a text that came with the question.
    pub document_id: Option<String>,
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

/// Most that one answer carries.
const MOST: usize = 3;

/// The quotes of one document.
pub fn of(document_id: Option<&str>, quotes: Vec<Quote>) -> Vec<Citation> {
    let cite = |quote: Quote| Citation {
        document_id: document_id.map(ToOwned::to_owned),
        page: document_id.map(|_| quote.page),
        quote: quote.text,
        start: quote.start,
        end: quote.end,
        score: quote.score,
    };
    quotes.into_iter().map(cite).collect()
}

/// Which of the shown passages a model's answer names as `[1]`, `[2]`…, and the answer without.
pub fn marks(answer: &str, shown: usize) -> (String, Vec<usize>) {
    let (mut text, mut named) = (String::with_capacity(answer.len()), Vec::new());
    let mut rest = answer;
    while let Some(open) = rest.find('[') {
        let inside = rest[open + 1..].split(']').next().unwrap_or_default();
        let numbers: Option<Vec<usize>> =
            inside.split(',').map(|n| n.trim().parse().ok()).collect();
        let closed = rest[open + 1 + inside.len()..].starts_with(']');
        let (kept, skip) = match numbers {
            Some(numbers) if closed && numbers.iter().all(|&n| (1..=shown).contains(&n)) => {
                named.extend(numbers.iter().map(|n| n - 1));
                (rest[..open].trim_end_matches(' '), open + inside.len() + 2)
            }
            _ => (&rest[..=open], open + 1),
        };
        text.push_str(kept);
        rest = &rest[skip..];
    }
    text.push_str(rest);
    named.sort_unstable();
    named.dedup();
    (text.trim().to_owned(), named)
}

/// The sentences that stand behind a model's answer: of the passages it named, else of those shown.
pub fn behind(answer: &str, named: &[usize], shown: &[Passage]) -> Vec<Quote> {
    let chosen: Vec<Passage> = named
        .iter()
        .filter_map(|&at| shown.get(at).cloned())
        .collect();
    support(
        answer,
        if chosen.is_empty() { shown } else { &chosen },
        MOST,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_out_and_counted_once() {
        let (text, named) = marks("Cells divide [2]. They grow [1, 2] [2].", 3);
        assert_eq!(
            (text.as_str(), named),
            ("Cells divide. They grow.", vec![0, 1])
        );
    }

    #[test]
    fn what_is_no_mark_stays() {
        for text in [
            "an array[0] of x",
            "[9] is not shown",
            "open [1",
            "[a] [",
            "ü[ü]",
            "[]",
        ] {
            assert_eq!(marks(text, 3), (text.to_owned(), vec![]), "{text}");
        }
    }
}
