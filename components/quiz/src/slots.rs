//! What a gap asks of the term that fills it, by the small words around it, and what a document shows of a
//! term: "a _" wants one that can be counted, "many _" several, "of _" one that goes without an article.
//! An option that cannot stand there is seen through, and one of another kind is absurd.

use std::collections::HashSet;

use corpus::Passage;
use corpus::terms::{Tokenizer, fold};

use crate::nouns::{capitalised, is_of_title};
use crate::words::occurrences;

/// Passages that are looked at; of more, as many from all over.
const EVIDENCE: usize = 400;
/// Words between an article and its noun: "a stiff cell wall".
const ADJECTIVES: usize = 2;

/// Where a term stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Behind "a" and its like.
    One,
    /// Behind "many" and its like.
    Several,
    /// Behind "the" and its like.
    Known,
    /// Behind none of them.
    Bare,
    /// Before "is" and its like.
    Singular,
    /// Before "are" and its like.
    Plural,
}

const ONE: &[&str] = &[
    "a", "an", "each", "every", "another", "one", "ein", "eine", "einen", "einem", "einer",
    "eines", "jede", "jeder", "jedes", "jeden", "kein", "un", "une", "una",
];
const SEVERAL: &[&str] = &[
    "many", "few", "several", "these", "those", "both", "two", "three", "four", "five", "six",
    "viele", "vielen", "einige", "mehrere", "beide", "beiden", "zwei", "drei", "vier",
];
const KNOWN: &[&str] = &[
    "the", "its", "their", "his", "her", "this", "that", "our", "your", "der", "die", "das", "den",
    "dem", "des", "im", "am", "vom", "zum", "zur", "ins", "ihr", "ihre", "ihren", "seine",
    "seinen", "dieser", "diese", "dieses", "le", "la", "les", "el", "los", "las", "du", "del",
];
const SINGULAR: &[&str] = &[
    "is", "was", "has", "does", "ist", "war", "hat", "wird", "wurde",
];
const PLURAL: &[&str] = &[
    "are", "were", "have", "do", "sind", "waren", "haben", "werden", "wurden",
];

/// Endings of what happens, as against what is there.
const HAPPENING: &[&str] = &[
    "tion", "tions", "sion", "sions", "sis", "ment", "ments", "ing", "ung", "ungen",
];
/// These are there, though they end so.
const THERE: &[&str] = &[
    "thing",
    "things",
    "string",
    "ring",
    "king",
    "building",
    "ceiling",
    "spring",
    "wing",
    "document",
    "segment",
    "element",
    "instrument",
    "solution",
    "nation",
    "station",
    "region",
    "population",
    "environment",
    "government",
    "section",
    "position",
    "fraction",
    "zeitung",
];

/// The slots of a term that stands between these texts.
pub fn slots(before: &str, after: &str, tokenizer: &Tokenizer) -> Vec<Slot> {
    let mut found = vec![behind(before, tokenizer)];
    if after.starts_with(char::is_whitespace)
        && let Some(next) = after.split_whitespace().next().map(fold)
    {
        let is = |list: &[&str]| list.contains(&next.as_str());
        found.extend(is(SINGULAR).then_some(Slot::Singular));
        found.extend(is(PLURAL).then_some(Slot::Plural));
    }
    found
}

/// By the article, which adjectives may follow.
fn behind(before: &str, tokenizer: &Tokenizer) -> Slot {
    for word in before.split_whitespace().rev().take(ADJECTIVES + 1) {
        let small = fold(word);
        let is = |list: &[&str]| list.contains(&small.as_str());
        match () {
            () if is(ONE) => return Slot::One,
            () if is(SEVERAL) => return Slot::Several,
            () if is(KNOWN) => return Slot::Known,
            () if !word.ends_with(char::is_alphanumeric) || tokenizer.is_stop_word(word) => {
                return Slot::Bare;
            }
            () => {}
        }
    }
    Slot::Bare
}

/// Where the document has the term.
pub fn shown(term: &str, passages: &[Passage], tokenizer: &Tokenizer) -> HashSet<Slot> {
    let capital = capitalised(term);
    let mut found = HashSet::new();
    let step = passages.len().div_ceil(EVIDENCE).max(1);
    for passage in passages.iter().step_by(step) {
        let text = &passage.text;
        for form in [term, capital.as_str()] {
            for at in occurrences(text, form) {
                let after = &text[at + form.len()..];
                // Of German, where every noun has a capital, a title is not told.
                if form == term || !is_of_title(form, after) {
                    found.extend(slots(&text[..at], after, tokenizer));
                }
            }
            if capital == term {
                break;
            }
        }
    }
    found
}

/// Whether a term that was shown there can fill a gap that wants this.
pub fn fill(wanted: &[Slot], shown: &HashSet<Slot>) -> bool {
    let has = |slot: Slot| shown.contains(&slot);
    let is_plural = (has(Slot::Plural) || has(Slot::Several)) && !has(Slot::One);
    let is_singular = (has(Slot::Singular) || has(Slot::One)) && !has(Slot::Several);
    wanted.iter().all(|slot| match slot {
        Slot::One => has(Slot::One),
        Slot::Several => !is_singular && (has(Slot::Several) || has(Slot::Bare)),
        Slot::Known => has(Slot::Known) || has(Slot::One) || is_plural,
        Slot::Bare => has(Slot::Bare),
        Slot::Singular => !is_plural,
        Slot::Plural => !is_singular,
    })
}

/// Whether both are one or both are several, as far as the document shows.
pub fn agree(one: &HashSet<Slot>, other: &HashSet<Slot>) -> bool {
    let is_several = |slots: &HashSet<Slot>| {
        let several = slots.contains(&Slot::Several) || slots.contains(&Slot::Plural);
        let single = slots.contains(&Slot::One) || slots.contains(&Slot::Singular);
        (several != single).then_some(several)
    };
    match (is_several(one), is_several(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// Whether a term names what happens, as "respiration", rather than what is there.
pub fn happens(term: &str) -> bool {
    let last = term.split_whitespace().next_back().map(fold);
    last.is_some_and(|last| {
        last.chars().count() > 5
            && HAPPENING.iter().any(|ending| last.ends_with(ending))
            && !THERE
                .iter()
                .any(|there| last.trim_end_matches('s') == there.trim_end_matches('s'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::samples::BIOLOGY;
    use corpus::{Document, Page};

    fn passages() -> Vec<Passage> {
        let pages = vec![Page {
            number: 1,
            text: BIOLOGY.to_owned(),
        }];
        Document { pages }.passages()
    }

    fn shown_in_biology(term: &str) -> HashSet<Slot> {
        shown(term, &passages(), &Tokenizer::detect(BIOLOGY))
    }

    fn fits(before: &str, after: &str, term: &str) -> bool {
        let wanted = slots(before, after, &Tokenizer::detect(BIOLOGY));
        fill(&wanted, &shown_in_biology(term))
    }

    #[test]
    fn a_gap_wants_what_has_stood_so() {
        assert!(fits("contains many ", ".", "mitochondria"));
        assert!(!fits("contains many ", ".", "cytoplasm"));
        assert!(fits("surrounds the ", " and", "nucleus"));
        assert!(fits("glucose reacts with ", ", and", "glucose"));
        assert!(!fits("reacts with ", ", and", "cell membrane"));
        assert!(fits("In plants a stiff ", " made", "cell wall"));
        assert!(!fits("makes a ", " of itself", "oxygen"));
    }

    #[test]
    fn one_and_several_do_not_agree() {
        let (many, one) = (
            shown_in_biology("mitochondria"),
            shown_in_biology("cytoplasm"),
        );
        assert!(!agree(&many, &one));
        assert!(agree(&one, &one) && agree(&many, &many));
    }

    #[test]
    fn what_happens_is_told_from_what_is_there() {
        for term in [
            "cell division",
            "respiration",
            "photosynthesis",
            "Zellteilung",
        ] {
            assert!(happens(term), "{term}");
        }
        for term in ["cell wall", "string", "elements", "station", "glucose"] {
            assert!(!happens(term), "{term}");
        }
    }
}
