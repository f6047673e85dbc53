//! The terms of a document that its sentences have as nouns, and what they stand beside.

use std::collections::HashSet;

use corpus::terms::{Tokenizer, fold};

use crate::calendar::is_in_calendar;
use crate::grammar::Forms;
use crate::material::Fact;
use crate::names;
use crate::nouns::{GENERIC, judges_nouns, rare_nouns, stands_as_noun};
use crate::slots::shown;
use crate::text::Text;
use crate::things::{Class, Thing};

/// A document with fewer key terms is short.
const FEW_TERMS: usize = 60;

/// Key terms that the sentences themselves have, as nouns.
pub fn terms(
    source: &Text,
    facts: &[Fact],
    nouns_have_capitals: bool,
    tokenizer: &Tokenizer,
) -> Vec<Thing> {
    let found = corpus::terms::key_terms(&source.document(), 200);
    let rare = if found.len() < FEW_TERMS {
        rare_nouns(facts, nouns_have_capitals)
    } else {
        vec![]
    };
    let known = source.terms.iter().map(|text| (text.clone(), 3, true));
    let all = known
        .chain(found.into_iter().map(|term| (term.text, term.count, false)))
        .chain(rare.into_iter().map(|text| (text, 1, false)));
    let judges = judges_nouns(facts) || tokenizer.language() == "eng";
    all.filter_map(|(text, count, noted)| {
        let text = if nouns_have_capitals {
            text
        } else {
            fold(&text)
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let capital = |word: &str| word.starts_with(char::is_uppercase);
        let is_head = |word: &&str| {
            !word.ends_with("ed")
                && !word.ends_with("ly")
                && (!nouns_have_capitals || capital(word))
        };
        let sound = text.chars().count() >= 4
            && !GENERIC.contains(&fold(&text).as_str())
            && words.last().is_some_and(is_head)
            && words
                .iter()
                .all(|word| !tokenizer.is_stop_word(word) && !is_in_calendar(word));
        let thing = Thing {
            class: Class::Term(words.len()),
            beside: HashSet::new(),
            common: false,
            judged: judges,
            kind: if nouns_have_capitals {
                names::german(&text, facts)
            } else {
                names::Kind::Unknown
            },
            forms: Forms::ANY,
            noted,
            count,
            slots: shown(&text, &source.passages, tokenizer),
            text,
        };
        // A term of the headings alone is no match for one of the sentences.
        let stated = || facts.iter().any(|fact| thing.find(&fact.text).is_some());
        let is_noun = || noted || !judges || stands_as_noun(&thing.text, &source.passages);
        (sound && stated() && is_noun()).then_some(thing)
    })
    .collect()
}
