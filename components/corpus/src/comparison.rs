//! Questions that compare two things: answered by the best sentence on each.

use crate::answer::{Quote, Shown, ranked};
use crate::search::Index;
use crate::terms::fold;
use crate::wanted::symbol;

/// Where the question compares two things and the documents speak of both.
pub(crate) fn compared(question: &str, index: &Index, found: &[Shown]) -> Option<Vec<Quote>> {
    let (one, other) = sides(question)?;
    let best = |side: &str| ranked(side, found, index).into_iter().next();
    let (one, other) = (best(&one)?, best(&other)?);
    let mut quotes = vec![one];
    if quotes
        .iter()
        .all(|quote| (quote.document, quote.start) != (other.document, other.start))
    {
        quotes.push(other);
    }
    quotes.sort_by_key(|quote| (quote.document, quote.start));
    Some(quotes)
}

/// What stands before the sides of a comparison, and between them.
const COMPARISONS: &[(&str, &[&str])] = &[
    ("between ", &[" and "]),
    ("compare ", &[" and ", " with ", " to "]),
    ("zwischen ", &[" und "]),
    ("vergleiche ", &[" und ", " mit "]),
    ("entre ", &[" et ", " y ", " e "]),
    ("does ", &[" differ from "]),
    ("do ", &[" differ from "]),
    ("is ", &[" different from "]),
    ("", &[" versus ", " vs. ", " vs "]),
];

/// The two things that a question compares; none where one is an operator, which stands in few sentences.
fn sides(question: &str) -> Option<(String, String)> {
    let folded = fold(question);
    let compares = [
        "differ",
        "compar",
        "unterschied",
        "vergleich",
        "différence",
        "diferencia",
        " vs",
        "versus",
    ];
    if !compares.iter().any(|word| folded.contains(word)) {
        return None;
    }
    let split = |(before, betweens): &(&str, &[&str])| {
        let (_, rest) = folded.split_once(before)?;
        let (one, other) = betweens
            .iter()
            .find_map(|between| rest.split_once(between))?;
        Some((
            one.to_owned(),
            other.trim_end_matches(['?', '.', '!', ' ']).to_owned(),
        ))
    };
    let (one, other) = COMPARISONS.iter().find_map(split)?;
    let is_plain = |side: &str| side.split_whitespace().all(|word| symbol(word).is_none());
    (is_plain(&one) && is_plain(&other)).then_some((one, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::answer;
    use crate::document::{Document, Page, Passage};
    use crate::samples;

    fn passages() -> Vec<Passage> {
        let pages = vec![Page {
            number: 1,
            text: samples::BIOLOGY.to_owned(),
        }];
        Document { pages }.passages()
    }

    #[test]
    fn a_comparison_has_the_best_sentence_of_each_side() {
        for question in [
            "What's the difference between mitosis and meiosis?",
            "Compare mitosis with meiosis.",
            "mitosis vs meiosis",
            "How does mitosis differ from meiosis?",
        ] {
            let quotes = answer(question, &passages()).unwrap_or_default();
            let said = |start: &str| quotes.iter().any(|quote| quote.text.starts_with(start));
            assert!(
                said("Mitosis is a kind") && said("Meiosis is another"),
                "{question}: {quotes:?}"
            );
        }
        let unknown = "What is the difference between mitosis and quantum chromodynamics?";
        assert!(sides(unknown).is_some());
        assert_eq!(sides("How do cells differ?"), None);
    }
}
