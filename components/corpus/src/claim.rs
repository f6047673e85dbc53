//! A statement taken apart: what must stand in a sentence that says it.

use std::collections::{BTreeSet, HashSet};

use unicode_segmentation::UnicodeSegmentation;

use crate::denial::numerals;
use crate::forms::shares_part;
use crate::terms::{Tokenizer, fold, is_cjk};

/// Words that speak of the answer, not of the thing.
const ABOUT_THE_ANSWER: &[&str] = &[
    "according",
    "answer",
    "answers",
    "text",
    "texts",
    "passage",
    "passages",
    "document",
    "documents",
    "source",
    "says",
    "states",
    "mentions",
    "sure",
    "yes",
    "summary",
    "short",
    "basically",
    "generally",
    "overall",
    "therefore",
    "thus",
    "furthermore",
    "moreover",
    "additionally",
    "however",
    "laut",
    "dokument",
    "antwort",
    "kurz",
    "also",
    "zudem",
    "außerdem",
    "selon",
    "réponse",
    "según",
    "documento",
    "respuesta",
];
/// Behind a subject.
const COPULAS: &[&str] = &[
    "is", "are", "was", "were", "has", "have", "had", "can", "does", "may", "ist", "sind", "war",
    "waren", "hat", "haben", "wird", "werden", "wurde", "est", "sont", "était", "es", "son", "era",
    "è", "sono", "é", "são",
];
/// A subject of more words is none that must stand there.
const SUBJECT: usize = 4;
/// Marks of a passive's agent.
const AGENTS: &[&str] = &["by", "von", "durch", "par", "por", "da", "door"];
const BE: &[&str] = &["is", "are", "was", "were", "be", "been", "being"];
/// Participles that do not end in -ed.
const IRREGULAR: &[&str] = &[
    "made", "built", "written", "known", "given", "taken", "shown", "found", "sent", "lent",
    "born", "broken", "seen", "done", "drawn", "driven", "begun", "brought", "held", "kept", "led",
    "lost", "put", "read", "said", "set", "sold", "told", "thrown",
];
/// A beginning that speaks of a sentence before.
const PRONOUNS: &[&str] = &[
    "it", "its", "they", "their", "he", "she", "his", "her", "this", "these", "that", "those",
    "there", "here", "such", "both", "er", "sie", "es", "ihr", "ihre", "sein", "seine", "dies",
    "diese", "dieser", "dieses", "diesen", "dort", "darunter", "il", "elle", "ils", "elles", "son",
    "sa", "ce", "cette", "ces", "él", "ella", "ellos", "este", "esta", "estos", "eso", "su", "它",
    "他", "她", "这", "這", "其",
];
const ARTICLES: &[&str] = &[
    "the", "der", "die", "das", "le", "la", "les", "el", "los", "las",
];
/// Words that a sentence begins with.
const BEGINNING: usize = 3;

/// What a statement claims.
pub(crate) struct Claim {
    pub(crate) text: String,
    /// In one order, so that sums are the same each time.
    pub(crate) tokens: BTreeSet<String>,
    /// Those that speak of something, clause by clause, in their order.
    pub(crate) clauses: Vec<Vec<String>>,
    /// What it is about.
    pub(crate) subject: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) numbers: HashSet<String>,
    /// In words.
    pub(crate) numerals: HashSet<String>,
    pub(crate) is_cjk: bool,
    pub(crate) things: Vec<String>,
    pub(crate) directed: Vec<(&'static str, String, String)>,
    pub(crate) voice: Voice,
}

impl Claim {
    pub(crate) fn new(statement: &str, tokenizer: &Tokenizer) -> Self {
        let aside: HashSet<String> = ABOUT_THE_ANSWER
            .iter()
            .flat_map(|word| tokenizer.tokens(word))
            .collect();
        let telling = |text: &str| -> Vec<String> {
            let tokens = tokenizer.tokens(text).into_iter();
            tokens.filter(|token| !aside.contains(token)).collect()
        };
        let clauses: Vec<Vec<String>> = clauses(statement).map(telling).collect();
        let tokens: BTreeSet<String> = clauses.iter().flatten().cloned().collect();
        Self {
            is_cjk: tokens.iter().any(|token| token.chars().all(is_cjk)),
            voice: Voice::of(statement, tokenizer),
            subject: subject(statement, telling),
            names: names(statement, tokenizer)
                .into_iter()
                .filter(|name| !aside.contains(name))
                .collect(),
            things: things(statement, tokenizer)
                .into_iter()
                .filter(|thing| !aside.contains(thing))
                .collect(),
            directed: directed(statement, tokenizer),
            numbers: numbers(statement),
            numerals: numerals(statement),
            text: statement.to_owned(),
            tokens,
            clauses,
        }
    }

    /// Whether it has the word, or a part of it.
    pub(crate) fn has(&self, word: &str, tokenizer: &Tokenizer) -> bool {
        self.tokens.contains(word)
            || tokenizer.compounds() && self.tokens.iter().any(|token| shares_part(token, word))
    }
}

/// Active or passive, and who does it.
pub(crate) struct Voice {
    pub(crate) is_passive: bool,
    /// The words behind `by`.
    pub(crate) agent: Vec<String>,
    /// A passive's participle.
    pub(crate) verb: Option<String>,
    /// What stands between a passive's participle and its agent: where, into what, from what.
    pub(crate) complement: Vec<String>,
}

impl Voice {
    pub(crate) fn of(text: &str, tokenizer: &Tokenizer) -> Self {
        let all: Vec<(usize, &str)> = text.unicode_word_indices().collect();
        let is_participle = |word: &str| word.ends_with("ed") || IRREGULAR.contains(&word);
        let passive = all.windows(2).find_map(|pair| match pair {
            [(_, verb), participle]
                if BE.contains(&fold(verb).as_str()) && is_participle(&fold(participle.1)) =>
            {
                Some(*participle)
            }
            _ => None,
        });
        let by = all
            .iter()
            .find(|(_, word)| AGENTS.contains(&fold(word).as_str()));
        let agent = by.and_then(|(at, _)| clauses(&text[*at..]).next());
        let complement = passive.and_then(|(at, participle)| {
            let from = at + participle.len();
            let to = by.map_or(text.len(), |(by, _)| *by).max(from);
            clauses(&text[from..to]).next()
        });
        Self {
            is_passive: passive.is_some() || by.is_some() && tokenizer.language() != "eng",
            agent: agent.map_or_else(Vec::new, |agent| tokenizer.tokens(agent)),
            verb: passive.and_then(|(_, word)| tokenizer.tokens(word).into_iter().next()),
            complement: complement.map_or_else(Vec::new, |words| tokenizer.tokens(words)),
        }
    }
}

/// Marks of where something comes from, or of what it is compared to: what stands on their two sides cannot
/// change places.
const DIRECTED: &[&str] = &["from", "into", "than", "aus", "als", "dans", "que", "hacia"];

/// The words next to such a mark, with the mark.
pub(crate) fn directed(text: &str, tokenizer: &Tokenizer) -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    for clause in clauses(text) {
        for (at, word) in clause.unicode_word_indices() {
            let folded = fold(word);
            let Some(mark) = DIRECTED.iter().find(|mark| **mark == folded) else {
                continue;
            };
            let before = tokenizer.tokens(&clause[..at]).pop();
            let after = tokenizer
                .tokens(&clause[at + word.len()..])
                .into_iter()
                .next();
            found.extend(
                before
                    .zip(after)
                    .map(|(before, after)| (*mark, before, after)),
            );
        }
    }
    found
}

/// Behind these a thing is named.
const DETERMINERS: &[&str] = &[
    "the", "a", "an", "der", "die", "das", "den", "dem", "ein", "eine", "einen", "einem", "le",
    "la", "les", "un", "une", "el", "los", "las", "una",
];
/// Things that name nothing in particular.
const GENERIC: &[&str] = &[
    "process",
    "way",
    "type",
    "kind",
    "form",
    "part",
    "result",
    "role",
    "number",
    "amount",
    "thing",
    "substance",
    "structure",
    "place",
    "method",
    "example",
    "person",
    "people",
    "group",
    "reason",
    "use",
    "term",
    "name",
    "lot",
    "variety",
    "series",
    "set",
    "range",
    "case",
    "fact",
    "means",
    "one",
    "same",
    "other",
    "following",
    "latter",
    "former",
    "author",
    "authors",
    "user",
    "users",
    "prozess",
    "art",
    "teil",
    "form",
    "ergebnis",
    "rolle",
    "anzahl",
    "menge",
    "autor",
];

/// The things that a statement names alone behind an article, as `telephone` in "patented the telephone in".
pub(crate) fn things(text: &str, tokenizer: &Tokenizer) -> Vec<String> {
    let mut found = Vec::new();
    for clause in clauses(text) {
        let words: Vec<&str> = clause.unicode_words().collect();
        let is_plain = |word: &&str| tokenizer.tokens(word).is_empty();
        for (at, word) in words.iter().enumerate().skip(1) {
            let is_alone = words.get(at + 1).is_none_or(is_plain);
            let before = fold(words[at - 1]);
            if is_alone
                && DETERMINERS.contains(&before.as_str())
                && !GENERIC.contains(&fold(word).as_str())
            {
                found.extend(tokenizer.tokens(word));
            }
        }
    }
    found
}

/// The parts between commas, colons and the like.
pub(crate) fn clauses(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ':', '(', ')', '—', '–', '，', '；', '：', '、'])
        .filter(|clause| !clause.trim().is_empty())
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().map(fold)
}

/// What stands before the verb that can be told, or else the first word.
fn subject(statement: &str, telling: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let Some(clause) = clauses(statement).find(|clause| !telling(clause).is_empty()) else {
        return vec![];
    };
    let first = || telling(clause).into_iter().take(1).collect();
    let verb = clause
        .unicode_word_indices()
        .find(|(_, word)| COPULAS.contains(&fold(word).as_str()));
    match verb {
        Some((at, _)) => {
            let before = telling(&clause[..at]);
            if (1..=SUBJECT).contains(&before.len()) {
                before
            } else {
                first()
            }
        }
        None => first(),
    }
}

/// Words with a capital letter that does not begin the statement, and acronyms. A language that writes
/// every noun so tells no names by it.
fn names(statement: &str, tokenizer: &Tokenizer) -> Vec<String> {
    let is_acronym = |word: &str| word.chars().filter(|c| c.is_uppercase()).count() >= 2;
    let (mut names, mut at_start) = (Vec::new(), true);
    for piece in statement.split_word_bounds() {
        if piece.contains(['.', ':', '!', '?', '"', '“', '\n']) {
            at_start = true;
        } else if piece.contains(char::is_alphanumeric) {
            let is_capital =
                piece.starts_with(char::is_uppercase) && !at_start && tokenizer.language() != "deu";
            if is_capital || is_acronym(piece) {
                names.extend(tokenizer.tokens(piece));
            }
            at_start = false;
        }
    }
    names
}

/// Whether a sentence speaks of something that the one before it names.
pub(crate) fn is_anaphoric(sentence: &str) -> bool {
    let mut head = words(sentence).take(BEGINNING);
    head.any(|word| PRONOUNS.contains(&word.as_str()))
}

/// Whether it begins with a thing that is known already.
pub(crate) fn is_definite(sentence: &str) -> bool {
    words(sentence)
        .next()
        .is_some_and(|word| ARTICLES.contains(&word.as_str()))
}

/// Where the digits of other scripts begin: Arabic, Persian, those of India, Thai, Lao, Tibetan, Burmese,
/// Khmer, Mongolian, and the wide ones.
const ZEROS: &[char] = &[
    '\u{660}', '\u{6F0}', '\u{966}', '\u{9E6}', '\u{A66}', '\u{AE6}', '\u{B66}', '\u{BE6}',
    '\u{C66}', '\u{CE6}', '\u{D66}', '\u{E50}', '\u{ED0}', '\u{F20}', '\u{1040}', '\u{17E0}',
    '\u{1810}', '\u{FF10}',
];

/// A decimal digit's value, in any of these scripts.
fn digit(c: char) -> Option<u32> {
    let beyond = |zero: &char| u32::from(c).checked_sub(u32::from(*zero));
    let mut others = ZEROS.iter().filter_map(beyond);
    c.to_digit(10).or_else(|| others.find(|value| *value < 10))
}

/// Runs of digits, without what parts thousands.
pub(crate) fn numbers(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let joined: Vec<char> = text.chars().collect();
    let mut number = String::new();
    for (at, &c) in joined.iter().enumerate() {
        let parts = ",.' \u{A0}\u{202F}".contains(c)
            && joined.get(at + 1..at + 4).is_some_and(|next| {
                next.iter().all(|&c| digit(c).is_some())
                    && joined.get(at + 4).is_none_or(|&c| digit(c).is_none())
            });
        if let Some(digit) = digit(c) {
            number.extend(char::from_digit(digit, 10));
        } else if !number.is_empty() && !parts {
            found.insert(std::mem::take(&mut number));
        }
    }
    if !number.is_empty() {
        found.insert(number);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_and_without_what_parts_thousands() {
        let read = |text| {
            let mut all: Vec<_> = numbers(text).into_iter().collect();
            all.sort();
            all.join(" ")
        };
        assert_eq!(read("25,000 in 1772"), "1772 25000");
        assert_eq!(read("3.14 and 1.000.000"), "1000000 14 3");
        assert_eq!(read("٣٠ x"), "30");
    }
}
