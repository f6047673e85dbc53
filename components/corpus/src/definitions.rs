//! What a document says something is.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::evenly::evenly;
use crate::prose::is_prose;
use crate::sentence::{sentences, unwrap_lines};
use crate::terms::{Tokenizer, fold};

/// What the document says something is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// What is defined.
    pub term: String,
    /// The whole sentence.
    pub text: String,
    /// The page's number.
    pub page: u32,
}

/// What follows a term that is being defined, by language.
const DEFINES: &[&str] = &[
    " is a ",
    " is an ",
    " is the ",
    " are the ",
    " are a ",
    " means ",
    " refers to ",
    " is defined as ",
    " is called a ",
    " is called an ",
    " ist ein ",
    " ist eine ",
    " ist der ",
    " ist die ",
    " ist das ",
    " bezeichnet ",
    " nennt man ",
];

/// After "is the" these say what something is like, not what it is.
const POINTING: &[&str] = &[
    "same",
    "first",
    "last",
    "only",
    "one",
    "following",
    "most",
    "best",
    "case",
    "usual",
    "former",
    "latter",
    "default",
    "responsibility",
    "reason",
    "result",
    "way",
    "number",
    "name",
    "second",
    "next",
    "sum",
    "gleiche",
    "erste",
    "einzige",
    "letzte",
];

/// No term holds one of these: they speak of the text around, or of anything.
const NO_TERM: &[&str] = &[
    "simplest",
    "easiest",
    "important",
    "elementary",
    "corresponding",
    "former",
    "latter",
    "usual",
    "typical",
    "common",
    "suppose",
    "consider",
    "assume",
    "assuming",
    "speaking",
    "chapter",
    "section",
    "figure",
    "table",
    "appendix",
    "case-in-point",
    "current",
    "next",
    "previous",
    "following",
    "above",
    "resulting",
    "default",
    "exact",
    "obvious",
    "alternative",
    "final",
    "actual",
    "third",
    "fourth",
    "desired",
    "whole",
    "entire",
    "different",
    "good",
    "dafür",
    "instead",
    "otherwise",
    "thereby",
    "meanwhile",
    "nevertheless",
    "nonetheless",
    "besides",
    "moreover",
    "furthermore",
    "namely",
    "i.e.",
    "e.g.",
    "notice",
    "remember",
    "recall",
    "unlike",
    "despite",
    "except",
    "unless",
    "according",
    "depending",
    "given",
    "stattdessen",
    "außerdem",
];

/// Words that name something only with what is said around them.
const NO_HEAD: &[&str] = &[
    "result",
    "purpose",
    "goal",
    "reason",
    "problem",
    "answer",
    "idea",
    "example",
    "value",
    "output",
    "input",
    "syntax",
    "rationale",
    "order",
    "way",
    "case",
    "thing",
    "rest",
    "remainder",
    "aim",
    "intention",
    "exception",
    "difference",
    "solution",
    "question",
    "name",
    "number",
    "argument",
    "step",
    "point",
    "effect",
    "consequence",
    "advantage",
    "disadvantage",
    "change",
    "feature",
    "part",
    "choice",
    "option",
    "options",
    "arguments",
    "values",
    "intent",
    "mechanism",
    "effects",
    "file",
    "list",
    "release",
    "version",
    "line",
    "string",
    "use",
    "element",
    "author",
    "ziel",
    "grund",
    "beispiel",
];

/// Words in `-ly` that are things.
const THINGS_IN_LY: &[&str] = &[
    "family",
    "assembly",
    "supply",
    "anomaly",
    "butterfly",
    "ally",
    "reply",
    "jelly",
    "fly",
    "monopoly",
    "melancholy",
];

/// Definitions in the document's order, at most `limit`: of more, those of the terms it uses most,
/// from all over it.
pub fn definitions(document: &Document, tokenizer: &Tokenizer, limit: usize) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    let mut seen = HashSet::new();
    for page in &document.pages {
        for sentence in sentences(&page.text) {
            let text = unwrap_lines(sentence.text);
            let Some(term) = defined(&text, tokenizer).filter(|_| is_prose(&text)) else {
                continue;
            };
            if seen.insert(fold(&term)) {
                found.push(Definition {
                    term,
                    text,
                    page: page.number,
                });
            }
        }
    }
    if found.len() <= limit {
        return found;
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for page in &document.pages {
        for token in tokenizer.tokens(&page.text) {
            *counts.entry(token).or_default() += 1;
        }
    }
    // A term is used as often as its rarest word, or less.
    evenly(found, limit, |definition| {
        let tokens = tokenizer.tokens(&definition.term);
        let count = |token| counts.get(token).copied().unwrap_or_default();
        tokens.iter().map(count).min().unwrap_or_default()
    })
}

/// The term that the sentence defines: what stands before the first defining words, where that is a
/// noun and its company of one to five words, its article apart.
pub fn defined(sentence: &str, tokenizer: &Tokenizer) -> Option<String> {
    parts(sentence, tokenizer).map(|(term, _)| term.to_owned())
}

/// The term that the sentence defines, and what it says the term is, with its article: the sentence from
/// there to its end, without the full stop.
pub fn parts<'a>(sentence: &'a str, tokenizer: &Tokenizer) -> Option<(&'a str, &'a str)> {
    let (at, defines) = DEFINES
        .iter()
        .filter_map(|defines| Some((sentence.find(defines)?, *defines)))
        .min()?;
    let before = sentence[..at].trim();
    let bare = ["The ", "A ", "An ", "Der ", "Die ", "Das ", "Ein ", "Eine "]
        .iter()
        .find_map(|article| before.strip_prefix(article))
        .unwrap_or(before);
    let after = fold(sentence[at + defines.len()..].split_whitespace().next()?);
    let fits = is_noun_phrase(bare, tokenizer) && !POINTING.contains(&after.as_str());
    // The article that ends the defining words belongs to what is said.
    let article = ["a", "an", "the", "ein", "eine", "der", "die", "das"]
        .iter()
        .find(|article| defines.trim_end().ends_with(&format!(" {article}")));
    let from = at + defines.len() - article.map_or(0, |article| article.len() + 1);
    fits.then(|| (bare, sentence[from..].trim().trim_end_matches('.')))
}

fn is_noun_phrase(phrase: &str, tokenizer: &Tokenizer) -> bool {
    let words: Vec<String> = phrase.split_whitespace().map(fold).collect();
    let (Some(first), Some(last)) = (words.first(), words.last()) else {
        return false;
    };
    let links = |word: &str| matches!(word, "of" | "von" | "des" | "de" | "du" | "del");
    let tells = |word: &String| !tokenizer.is_stop_word(word) && !NO_TERM.contains(&word.as_str());
    let is_adverb = |word: &String| word.ends_with("ly") && !THINGS_IN_LY.contains(&word.as_str());
    let head = words.iter().take_while(|word| !links(word)).last();
    let is_empty = (words.len() == 1 || words.iter().any(|word| links(word)))
        && head.is_some_and(|head| NO_HEAD.contains(&head.as_str()));
    words.len() <= 5
        && phrase.chars().filter(|c| c.is_alphabetic()).count() >= 3
        && phrase
            .chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace() || "-()'’_.".contains(c))
        && phrase.matches('(').count() == phrase.matches(')').count()
        && phrase.starts_with(char::is_alphanumeric)
        && tells(first)
        && tells(last)
        && words.iter().all(|word| tells(word) || links(word))
        && !words.iter().any(is_adverb)
        && !is_empty
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Page;
    use crate::samples;

    fn term(sentence: &str) -> Option<String> {
        defined(sentence, &Tokenizer::detect(samples::BIOLOGY))
    }

    #[test]
    fn definitions_are_what_the_document_says_something_is() {
        let pages = vec![Page {
            number: 1,
            text: samples::BIOLOGY.to_owned(),
        }];
        let tokenizer = Tokenizer::detect(samples::BIOLOGY);
        let found = definitions(&Document { pages }, &tokenizer, 20);
        let terms: Vec<_> = found.iter().map(|found| found.term.as_str()).collect();
        assert!(terms.contains(&"cytoplasm"), "{terms:?}");
    }

    #[test]
    fn a_term_is_a_noun_and_its_company() {
        for (sentence, expected) in [
            ("The cytoplasm is a jelly-like substance.", "cytoplasm"),
            ("Mitosis is a kind of cell division.", "Mitosis"),
            ("The base system is a minimum subset.", "base system"),
            (
                "Rate of photosynthesis refers to speed.",
                "Rate of photosynthesis",
            ),
        ] {
            assert_eq!(term(sentence).as_deref(), Some(expected), "{sentence}");
        }
    }

    #[test]
    fn a_definition_has_two_parts() {
        let tokenizer = Tokenizer::detect(samples::BIOLOGY);
        for (sentence, said) in [
            (
                "The cytoplasm is a jelly-like substance.",
                "a jelly-like substance",
            ),
            ("Mitosis refers to cell division.", "cell division"),
        ] {
            assert_eq!(
                parts(sentence, &tokenizer).map(|(_, said)| said),
                Some(said)
            );
        }
    }

    #[test]
    fn what_only_looks_like_a_definition_defines_nothing() {
        for sentence in [
            "Absence indicates the package is a native package.",
            "Broadly speaking the preinst is called a script.",
            "N is the major version number.",
            "Since the FreeDesktop menu is a cross-distribution standard, it is used.",
            "Technically R is an expression language.",
            "Thus the former is the first object.",
            "Similarly character() is a empty character vector.",
            "The syntax is the same as for the Maintainer field.",
            "The value is a vector of function results.",
            "It is a cell.",
            "Otherwise day is an integer from 1 to 7.",
            "I.e. the minimum is the first of them.",
            "The Debian Social Contract simply refers to areas.",
            "The value of lm() is a fitted model object.",
            "The third number is the desired length of labels.",
            "Even an assignment is an expression.",
        ] {
            assert_eq!(term(sentence), None, "{sentence}");
        }
    }

    #[test]
    fn definitions_come_from_all_over_a_long_document() {
        let pages = (1..=60).map(|number| Page {
            number,
            text: format!("Thing{number}x is a part of the machine that everybody knows well."),
        });
        let document = Document {
            pages: pages.collect(),
        };
        let tokenizer = Tokenizer::detect(&document.text());
        let found = definitions(&document, &tokenizer, 20);
        assert_eq!(found.len(), 20);
        assert!(found[0].page <= 3 && found[19].page >= 58, "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].page < pair[1].page));
    }
}
