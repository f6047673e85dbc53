//! Which terms are nouns where they stand, by the words beside them.

use corpus::Passage;
use corpus::terms::fold;

use crate::material::Fact;
use crate::words::occurrences;

/// Passages that are looked at; of more, as many from all over.
const EVIDENCE: usize = 1_000;

/// What stands before a noun.
const BEFORE_NOUNS: &[&str] = &[
    "the", "a", "an", "this", "these", "of", "in", "for", "with", "by", "from", "on", "each",
    "every", "any", "no", "its", "their", "your", "all", "some", "both", "as", "into", "between",
    "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "eines",
    "im", "am", "vom", "zum", "zur", "von", "mit", "für", "le", "la", "les", "un", "une", "du",
    "de", "el", "los", "las", "una", "del",
];

/// Whether the language has such words; else nouns cannot be told.
pub fn judges_nouns(facts: &[Fact]) -> bool {
    let words = || facts.iter().flat_map(|fact| fact.text.split_whitespace());
    let before = words()
        .filter(|word| BEFORE_NOUNS.contains(&fold(word).as_str()))
        .count();
    before * 12 > words().count()
}

/// Whether the document has the term as a noun rather than as a verb or as part of a longer one:
/// behind an article or a preposition, and before what is none of its own. A word that has stood as a
/// verb is none.
pub fn stands_as_noun(term: &str, passages: &[Passage]) -> bool {
    let (mut all, mut nouns) = (0, 0);
    let is_word = !term.contains(char::is_whitespace);
    let step = passages.len().div_ceil(EVIDENCE).max(1);
    for passage in passages.iter().step_by(step) {
        let forms = [term.to_owned(), capitalised(term)];
        let forms = if forms[0] == forms[1] {
            &forms[..1]
        } else {
            &forms
        };
        for (at, form) in forms.iter().flat_map(|form| {
            let found = occurrences(&passage.text, form);
            found.map(move |at| (at, form))
        }) {
            let (before, rest) = (&passage.text[..at], &passage.text[at + form.len()..]);
            if is_of_title(form, rest) {
                continue;
            }
            all += 1;
            let before = before.split_whitespace().next_back().map(fold);
            if is_word && stands_as_verb(before.as_deref(), rest) {
                return false;
            }
            let is_behind = before.is_some_and(|before| BEFORE_NOUNS.contains(&before.as_str()));
            if is_behind && (ends_term(rest) || is_subject(rest))
                || begins_sentence(&passage.text[..at]) && is_subject(rest)
            {
                nouns += 1;
            }
        }
    }
    nouns > 0 && nouns * 4 >= all
}

/// Whether a word stands there as a verb: behind what only a verb follows, or behind what is no article
/// or preposition and before what an object begins with, as in "the tree splits the data".
fn stands_as_verb(before: Option<&str>, rest: &str) -> bool {
    let Some(before) = before else { return false };
    if SUBJECTS.contains(&before) || before != "to" && BEFORE_VERBS.contains(&before) {
        return true;
    }
    let is_joined = rest.starts_with(char::is_whitespace);
    let mut after = rest.split_whitespace().map(fold);
    let begins = after.next();
    let has_object = begins.is_some_and(|after| BEFORE_OBJECTS.contains(&after.as_str()))
        // "twelve hours a day"
        && !after.next().is_some_and(|after| {
            UNITS.contains(&after.trim_end_matches(|c: char| !c.is_alphanumeric()))
        });
    // "the data the tree has": a noun behind an article may stand before another one.
    is_joined
        && has_object
        && before.ends_with(char::is_alphanumeric)
        && !BEFORE_NOUNS.contains(&before)
}

/// With a capital, as at the beginning of a sentence.
pub fn capitalised(term: &str) -> String {
    let mut letters = term.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// Whether it stands in a title, where every word has a capital and none an article.
pub fn is_of_title(form: &str, rest: &str) -> bool {
    let next = rest.split([' ', '\n']).find(|word| !word.is_empty());
    form.starts_with(char::is_uppercase)
        && (rest.trim_start_matches(' ').starts_with('\n')
            || next.is_some_and(|next| next.starts_with(char::is_uppercase)))
}

/// Whether a verb follows: "is" and its like, or a word before what an object begins with.
fn is_subject(rest: &str) -> bool {
    let mut words = rest.split_whitespace().map(fold);
    let Some(verb) = words
        .next()
        .filter(|_| rest.starts_with(char::is_whitespace))
    else {
        return false;
    };
    TO_BE.contains(&verb.as_str())
        || verb.ends_with(char::is_alphabetic)
            && words
                .next()
                .is_some_and(|object| BEFORE_OBJECTS.contains(&object.as_str()))
}

fn begins_sentence(before: &str) -> bool {
    let before = before.trim_end_matches(' ');
    before.is_empty() || before.ends_with(['.', '!', '?', '\n'])
}

/// Whether what follows is none of the term's own.
pub fn ends_term(rest: &str) -> bool {
    let after = rest.split_whitespace().next().map(fold);
    rest.starts_with(|c: char| !c.is_whitespace())
        || after.is_none_or(|after| AFTER_NOUNS.contains(&after.as_str()))
}

/// A short document repeats few of its terms: nouns that stand there once do too.
pub fn rare_nouns(facts: &[Fact], nouns_have_capitals: bool) -> Vec<String> {
    let mut all = Vec::new();
    for fact in facts {
        let words: Vec<&str> = fact.text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let noun = word.trim_matches(|c: char| !c.is_alphanumeric());
            let rest: String = words[at + 1..]
                .iter()
                .take(2)
                .map(|word| format!(" {word}"))
                .collect();
            let rest = format!(
                "{}{rest}",
                &word[word.find(noun).unwrap_or(0) + noun.len()..]
            );
            let before = at.checked_sub(1).and_then(|at| words.get(at));
            let is_noun = match before {
                _ if nouns_have_capitals => at > 0 && noun.starts_with(char::is_uppercase),
                None => is_subject(&rest),
                Some(before) => {
                    noun.chars().all(char::is_lowercase)
                        && BEFORE_NOUNS.contains(&fold(before).as_str())
                        && (ends_term(&rest) || is_subject(&rest))
                }
            };
            if is_noun && noun.chars().count() >= 4 && noun.chars().all(char::is_alphabetic) {
                all.push(noun.to_owned());
            }
        }
    }
    all
}

/// Words that a document on anything has, too empty to be asked for.
pub const GENERIC: &[&str] = &[
    "time",
    "times",
    "example",
    "examples",
    "case",
    "cases",
    "number",
    "result",
    "results",
    "order",
    "value",
    "values",
    "name",
    "names",
    "user",
    "users",
    "call",
    "calls",
    "default",
    "form",
    "forms",
    "change",
    "changes",
    "part",
    "parts",
    "kind",
    "type",
    "types",
    "line",
    "lines",
    "point",
    "place",
    "fact",
    "problem",
    "problems",
    "note",
    "notes",
    "page",
    "pages",
    "section",
    "chapter",
    "document",
    "manual",
    "information",
    "year",
    "years",
    "days",
    "people",
    "reason",
    "need",
    "needs",
    "help",
    "work",
    "addition",
    "purpose",
    "manner",
    "level",
    "different",
    "following",
    "general",
    "current",
    "available",
    "certain",
    "possible",
    "title",
    "text",
    "term",
    "terms",
    "item",
    "items",
    "sort",
    "rest",
    "most",
    "good idea",
    "process",
    "rate",
    "copy",
    "repair",
    "amount",
    "means",
    "half",
    "side",
    "beginning",
    "middle",
    "size",
    "group",
    "set",
    "piece",
    "cause",
    "effect",
    "idea",
    "matter",
    "thing",
    "things",
    "place",
    "places",
    "ways",
    "cost",
    "step",
    "steps",
    "hours",
    "life",
    "jahr",
    "jahre",
    "zeit",
    "beispiel",
    "ersten mal",
];

/// Behind one of these stands a verb.
pub const BEFORE_VERBS: &[&str] = &[
    "to", "can", "may", "must", "should", "will", "would", "could", "might", "not", "cannot",
    "who", "they", "we", "you", "i", "please", "zu", "nicht",
];

const TO_BE: &[&str] = &[
    "is", "are", "was", "were", "has", "have", "ist", "sind", "war", "waren",
];

/// A subject that its verb follows.
const SUBJECTS: &[&str] = &["that", "which", "it", "he", "she"];

/// What there is so much of "a day".
const UNITS: &[&str] = &["second", "minute", "hour", "day", "week", "month", "year"];

/// What an object begins with.
const BEFORE_OBJECTS: &[&str] = &["the", "a", "an", "its", "their", "each", "every"];

/// What may stand behind a noun, and seldom stands behind an adjective.
const AFTER_NOUNS: &[&str] = &[
    "of", "in", "for", "with", "by", "from", "on", "to", "at", "as", "is", "are", "was", "were",
    "and", "or", "that", "which", "who", "must", "should", "may", "can", "will", "has", "have",
    "had", "does", "do", "when", "if", "into", "between", "before", "after", "during", "than",
    "but", "so", "would", "could", "might", "cannot", "be", "without", "within", "through", "der",
    "die", "das", "des", "ist", "sind", "war", "wurde", "wurden", "und", "oder", "im", "mit",
    "für", "von", "zu", "auf", "hat", "kann", "wird", "werden", "de", "du", "et", "est", "y", "es",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_is_told_by_the_words_beside_it() {
        let text = "The list of files lies with the current files. A list is a file.".to_owned();
        let passage = Passage {
            ordinal: 0,
            page: 1,
            start: 0,
            end: 0,
            text,
        };
        assert!(stands_as_noun("list", std::slice::from_ref(&passage)));
        assert!(!stands_as_noun("current", std::slice::from_ref(&passage)));
        let verbs =
            "The tree splits the data. A model which finds patterns is fitted in splits by finds.";
        let passage = Passage {
            text: verbs.to_owned(),
            ..passage
        };
        assert!(!stands_as_noun("splits", std::slice::from_ref(&passage)));
        assert!(!stands_as_noun("finds", std::slice::from_ref(&passage)));
        assert!(stands_as_noun("data", std::slice::from_ref(&passage)));
        assert!(ends_term(" of files") && ends_term(".") && !ends_term(" files"));
    }
}
