//! The things in a document's sentences that can be gapped or swapped, each with its class: numbers,
//! dates, names, terms.

use std::collections::{HashMap, HashSet};

use corpus::terms::{Tokenizer, fold};

use crate::calendar::{DAYS, is_in_calendar};
use crate::grammar::{self, Forms};
use crate::material::Fact;
use crate::names;
use crate::nouns::{BEFORE_VERBS, ends_term};
use crate::phrases::Language;
use crate::slots::Slot;
use crate::terms::terms;
use crate::text::Text;
use crate::words::{find_exactly, find_words};

/// Things that are told apart in one document.
const THINGS: usize = 300;
/// A thing in more of the sentences than one in so many is what the document is about; to ask for it
/// asks nothing.
const COMMON: u32 = 8;

/// What class a thing is of; distractors are of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 1000 to 2100, not counting anything.
    Year,
    /// Any other number.
    Number,
    /// Of the year.
    Month,
    /// Of the week.
    Day,
    /// So many words, capitalised within sentences.
    Name(usize),
    /// An abbreviation: a name in capitals.
    Acronym,
    /// A key term of so many words.
    Term(usize),
}

impl Class {
    /// Whether one can be taken for the other.
    pub fn stands_for(self, other: Self) -> bool {
        match (self, other) {
            (Self::Term(words), Self::Term(others)) | (Self::Name(words), Self::Name(others)) => {
                words.abs_diff(others) <= 1
            }
            _ => self == other,
        }
    }
}

/// Something in a sentence that can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    /// As the document writes it.
    pub text: String,
    /// What it is.
    pub class: Class,
    /// How often the document has it.
    pub count: u32,
    /// The words beside it: what stands in the same company is more easily confused.
    pub beside: HashSet<String>,
    /// Whether so many sentences have it that it makes a poor key.
    pub common: bool,
    /// What a name names.
    pub kind: names::Kind,
    /// Gender and number of a German noun.
    pub forms: Forms,
    /// Whether the document's notes name it: somebody found that it matters.
    pub noted: bool,
    /// Whether the language tells a noun by the words beside it.
    pub judged: bool,
    /// Where the document has a term.
    pub slots: HashSet<Slot>,
}

impl Thing {
    /// Where the thing stands in the text, in bytes. A name is told from a word by its letters' case;
    /// a term may begin a sentence.
    pub fn find(&self, text: &str) -> Option<usize> {
        match self.class {
            Class::Term(_) => find_words(text, &self.text),
            _ => find_exactly(text, &self.text),
        }
    }

    /// Where the sentence can be asked for it: a term must be a noun there, not a verb or the
    /// beginning of another term.
    pub fn asked(&self, sentence: &str) -> Option<usize> {
        let at = self.find(sentence)?;
        if !matches!(self.class, Class::Term(_)) || !self.judged {
            return Some(at);
        }
        let before = sentence[..at].split_whitespace().next_back().map(fold);
        let is_verb = before.is_some_and(|before| BEFORE_VERBS.contains(&before.as_str()));
        (!is_verb && ends_term(&sentence[at + self.text.len()..])).then_some(at)
    }

    /// Whether it has stood in the place where the sentence has a thing: behind the same word, or
    /// before the same.
    pub fn fits(&self, places: &[String]) -> bool {
        // Anything can stand there.
        let says_nothing =
            |place: &str| matches!(place, "of _" | "and _" | "_ and" | "the _" | "von _");
        places
            .iter()
            .any(|place| !says_nothing(place) && self.beside.contains(place))
    }
}

/// The places of a thing in a sentence, as [`Thing::beside`] has them.
pub fn places(sentence: &str, at: usize, thing: &str) -> Vec<String> {
    let before: Vec<&str> = sentence[..at].split_whitespace().collect();
    let after = &sentence[at + thing.len()..];
    let after = if after.starts_with(char::is_whitespace) {
        after.split_whitespace().next()
    } else {
        None
    };
    places_between(before.last().copied(), after)
}

fn places_between(before: Option<&str>, after: Option<&str>) -> Vec<String> {
    let shape = |word: &str| {
        if word.contains(|c: char| c.is_ascii_digit()) {
            "#".to_owned()
        } else {
            fold(bare(word))
        }
    };
    let before = before.filter(|word| word.ends_with(char::is_alphanumeric));
    before
        .map(|word| format!("{} _", shape(word)))
        .into_iter()
        .chain(after.map(|word| format!("_ {}", shape(word))))
        .collect()
}

/// Names, numbers, dates and terms, each class most frequent first.
pub fn things(text: &Text, facts: &[Fact], tokenizer: &Tokenizer) -> Vec<Thing> {
    let mut found = dates(facts);
    let names = names(facts, tokenizer);
    let nouns_have_capitals = names.is_none();
    found.extend(names.unwrap_or_default());
    found.extend(numbers(facts, tokenizer));
    found.extend(terms(text, facts, nouns_have_capitals, tokenizer));
    let mut seen = HashSet::new();
    found.retain(|thing| seen.insert(fold(&thing.text)));
    found.truncate(THINGS);
    let forms = if Language::of(tokenizer) == Language::German {
        grammar::forms(facts)
    } else {
        HashMap::new()
    };
    for thing in &mut found {
        if let Some(forms) = forms.get(&thing.text) {
            thing.forms = *forms;
        }
        let with = facts
            .iter()
            .filter(|fact| thing.find(&fact.text).is_some())
            .count();
        thing.common = with > 3 && with * COMMON as usize > facts.len();
    }
    found
}

/// What has been counted of a thing on the way.
#[derive(Default)]
struct Tally {
    count: u32,
    votes: names::Votes,
    beside: HashSet<String>,
}

type Tallies = HashMap<String, Tally>;

fn sorted(tallies: Tallies, class: impl Fn(&str) -> Class) -> Vec<Thing> {
    let mut things: Vec<Thing> = tallies
        .into_iter()
        .map(|(text, tally)| Thing {
            class: class(&text),
            kind: tally.votes.kind(&text),
            text,
            count: tally.count,
            beside: tally.beside,
            common: false,
            judged: false,
            forms: Forms::ANY,
            noted: false,
            slots: HashSet::new(),
        })
        .collect();
    things.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
    things
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// Months and days beside a number: "May" alone may be a word.
fn dates(facts: &[Fact]) -> Vec<Thing> {
    let mut tallies = Tallies::new();
    let has_digit =
        |word: Option<&&str>| word.is_some_and(|word| word.contains(|c: char| c.is_ascii_digit()));
    for fact in facts {
        let words: Vec<&str> = fact.text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let dated = has_digit(words.get(at + 1)) || at > 0 && has_digit(words.get(at - 1));
            if dated && is_in_calendar(bare(word)) {
                tallies.entry(bare(word).to_owned()).or_default().count += 1;
            }
        }
    }
    let is_day = |text: &str| DAYS.iter().any(|days| days.contains(&text));
    sorted(tallies, |text| {
        if is_day(text) {
            Class::Day
        } else {
            Class::Month
        }
    })
}

/// Runs of capitalised words that do not begin their sentence; `None` where every noun has a capital,
/// as in German, and a capital says nothing.
fn names(facts: &[Fact], tokenizer: &Tokenizer) -> Option<Vec<Thing>> {
    let mut tallies = Tallies::new();
    for fact in facts {
        let words: Vec<&str> = fact.text.split_whitespace().collect();
        let mut from = 1;
        while from < words.len() {
            let to = run_end(&words, from);
            add_name(&words, from, to, tokenizer, &mut tallies);
            from = to.max(from + 1);
        }
    }
    beginnings(facts, &mut tallies);
    let words: usize = facts
        .iter()
        .map(|fact| fact.text.split_whitespace().count())
        .sum();
    let capitals: u32 = tallies.values().map(|tally| tally.count).sum();
    if capitals as usize * 6 > words {
        return None;
    }
    // A word that is as often written small is a word: "Document" in a licence, "NOT" in a rule.
    let small = |name: &str| -> usize {
        let small = fold(name);
        facts
            .iter()
            .filter(|fact| find_exactly(&fact.text, &small).is_some())
            .count()
    };
    tallies.retain(|name, tally| small(name) < tally.count as usize);
    Some(sorted(tallies, |name| {
        let words = name.split_whitespace().count();
        if words == 1
            && name.chars().filter(|c| c.is_uppercase()).count() * 2 > name.chars().count()
        {
            Class::Acronym
        } else {
            Class::Name(words)
        }
    }))
}

/// A sentence that begins with two capitals or more begins with a name, mostly a person's: "Clyde Tombaugh
/// found …"; one that begins with a name that is known already says what that is.
fn beginnings(facts: &[Fact], tallies: &mut Tallies) {
    for fact in facts {
        let words: Vec<&str> = fact.text.split_whitespace().collect();
        let end = run_end(&words, 0);
        let name = words[..end].join(" ");
        let is_plain =
            (1..=3).contains(&end) && name.chars().all(|c| c.is_alphabetic() || c == ' ');
        let is_long = end >= 2 && words[..end].iter().all(|word| word.chars().count() > 2);
        if is_plain && (tallies.contains_key(&name) || is_long && !is_article(words[0])) {
            let tally = tallies.entry(name).or_default();
            tally.count += 1;
            tally.votes.count(None, &words[end..]);
        }
    }
}

fn is_article(word: &str) -> bool {
    matches!(
        fold(word).as_str(),
        "the"
            | "der"
            | "die"
            | "das"
            | "les"
            | "los"
            | "las"
            | "all"
            | "most"
            | "some"
            | "many"
            | "eine"
    )
}

/// Behind the last word of a run of capitalised words; punctuation and dates end one.
fn run_end(words: &[&str], from: usize) -> usize {
    let mut at = from;
    while let Some(word) = words.get(at) {
        let begins = word.starts_with(char::is_uppercase) || at == from;
        let is_name = begins
            && bare(word).starts_with(char::is_uppercase)
            && bare(word).chars().all(char::is_alphabetic)
            && !is_in_calendar(bare(word));
        if !is_name {
            return at;
        }
        at += 1;
        if !word.ends_with(char::is_alphabetic) {
            return at;
        }
    }
    at
}

fn add_name(words: &[&str], from: usize, to: usize, tokenizer: &Tokenizer, tallies: &mut Tallies) {
    // "In The Beginning" is of a title; "New" is of a place.
    let empty = |word: &str| tokenizer.is_stop_word(bare(word)) && bare(word) != "New";
    let (mut first, mut last) = (from, to);
    while first < last && empty(words[first]) {
        first += 1;
    }
    while first < last && empty(words[last - 1]) {
        last -= 1;
    }
    let name: Vec<&str> = words[first..last].iter().map(|word| bare(word)).collect();
    let joined = name.join(" ");
    if (1..=3).contains(&name.len()) && joined.chars().count() >= 3 && joined != "New" {
        let tally = tallies.entry(joined).or_default();
        tally.count += 1;
        let before = first.checked_sub(1).and_then(|at| words.get(at)).copied();
        let stops = !words[last - 1].ends_with(char::is_alphanumeric);
        let after = words.get(last).copied().filter(|_| !stops);
        tally.beside.extend(places_between(before, after));
        let rest = if stops { &[][..] } else { &words[last..] };
        tally.votes.count(before, rest);
    }
}

/// What a number after one of these is no statement but a place in the document.
const POINTERS: &[&str] = &[
    "chapter",
    "section",
    "page",
    "figure",
    "fig",
    "table",
    "appendix",
    "rfc",
    "p",
    "pp",
    "item",
    "step",
    "kapitel",
    "abschnitt",
    "seite",
    "abbildung",
    "tabelle",
    "chapitre",
    "capítulo",
];

fn numbers(facts: &[Fact], tokenizer: &Tokenizer) -> Vec<Thing> {
    let mut tallies = Tallies::new();
    let mut counting: HashSet<String> = HashSet::new();
    for fact in facts {
        let words: Vec<&str> = fact.text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let digits = word.trim_matches(|c: char| !c.is_ascii_digit());
            let before = at
                .checked_sub(1)
                .and_then(|at| words.get(at))
                .map_or(String::new(), |word| fold(bare(word)));
            if value(digits).is_none()
                || word.contains(|c: char| c.is_alphabetic() || "-/".contains(c))
                || POINTERS.contains(&before.as_str())
                || word.ends_with(';')
            {
                continue;
            }
            tallies.entry(digits.to_owned()).or_default().count += 1;
            // "1500 packages", and not "2000 das".
            let plural = |word: &&str| {
                word.ends_with('s')
                    && word.chars().all(char::is_lowercase)
                    && !tokenizer.is_stop_word(word)
            };
            if word.ends_with('+') || words.get(at + 1).is_some_and(plural) || before == "than" {
                counting.insert(digits.to_owned());
            }
        }
    }
    sorted(tallies, |text| {
        if is_year(text) && !counting.contains(text) {
            Class::Year
        } else {
            Class::Number
        }
    })
}

/// The number that a word is: digits, with commas between thousands or one point.
pub fn value(word: &str) -> Option<f64> {
    let fits = !word.is_empty()
        && word.len() <= 12
        && word
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b',' || b == b'.');
    word.replace(',', "").parse().ok().filter(|_| fits)
}

fn is_year(text: &str) -> bool {
    text.len() == 4
        && text
            .parse::<u32>()
            .is_ok_and(|year| (1000..=2100).contains(&year))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Source;
    use corpus::{Document, Page};

    fn found(texts: &[&str]) -> Vec<(String, Class)> {
        let facts: Vec<Fact> = texts
            .iter()
            .map(|text| Fact {
                text: (*text).to_owned(),
                source: Source::default(),
                rank: 1.0,
            })
            .collect();
        let pages = vec![Page {
            number: 1,
            text: texts.join(" "),
        }];
        let tokenizer = Tokenizer::detect(&texts.join(" "));
        let text = Text {
            passages: Document { pages }.passages(),
            ..Text::default()
        };
        things(&text, &facts, &tokenizer)
            .into_iter()
            .map(|thing| (thing.text, thing.class))
            .collect()
    }

    fn class(found: &[(String, Class)], text: &str) -> Option<Class> {
        found
            .iter()
            .find(|(other, _)| other == text)
            .map(|(_, class)| *class)
    }

    #[test]
    fn a_stop_word_is_no_name_and_an_article_no_part_of_one() {
        let found = found(&[
            "We all know that The Debian Project was once begun by Ian Murdock in the north of it.",
            "Somebody wrote that The result of it all was then NOT what anybody in the north wanted.",
            "It was then begun again by New York people who knew a lot about The old days of it.",
        ]);
        for name in ["The", "NOT", "The Debian Project", "New"] {
            assert_eq!(class(&found, name), None, "{found:?}");
        }
        assert_eq!(
            class(&found, "Debian Project"),
            Some(Class::Name(2)),
            "{found:?}"
        );
        assert_eq!(class(&found, "Ian Murdock"), Some(Class::Name(2)));
        assert_eq!(class(&found, "New York"), Some(Class::Name(2)));
    }

    #[test]
    fn a_date_is_no_name_and_ends_one() {
        let found = found(&[
            "The release that they called Debian Buster (July 2019) was named for the pet dog of it.",
            "They say that the old system called Etch was released on Monday 8 April by all of them.",
        ]);
        assert_eq!(class(&found, "July"), Some(Class::Month), "{found:?}");
        assert_eq!(class(&found, "April"), Some(Class::Month));
        assert_eq!(class(&found, "Monday"), Some(Class::Day));
        assert_eq!(class(&found, "Debian Buster"), Some(Class::Name(2)));
        assert!(
            found
                .iter()
                .all(|(text, _)| !text.contains(' ') || !text.contains("July"))
        );
    }

    #[test]
    fn what_counts_things_is_a_number_and_not_a_year() {
        let found = found(&[
            "At the time there were 1500 packages and more than 2000 of them were kept until 1999.",
        ]);
        assert_eq!(class(&found, "1500"), Some(Class::Number), "{found:?}");
        assert_eq!(class(&found, "2000"), Some(Class::Number));
        assert_eq!(class(&found, "1999"), Some(Class::Year));
    }

    #[test]
    fn a_verb_is_no_thing() {
        let found = found(&[
            "A regression tree predicts a continuous value from input features of the model.",
            "The algorithm finds the best threshold for each of the features in a node.",
            "A decision tree splits the data into regions, which reduces the variance of the outputs.",
            "Gradient boosting which predicts residuals of the earlier trees finds errors of the ensemble.",
        ]);
        for verb in ["predicts", "finds", "splits", "reduces"] {
            assert_eq!(class(&found, verb), None, "{verb}");
        }
        assert!(class(&found, "features").is_some(), "{found:?}");
    }

    #[test]
    fn a_term_is_a_noun_of_the_sentences() {
        let found = found(&[
            "The function that allows a user to change the search path is a part of the package.",
            "A vector in the search path allows the user to read a vector without a search path.",
            "The current value of the vector is in the search path, which allows all of the rest.",
            "Nobody knows the current way of the vector that allows a package to be in the other.",
        ]);
        assert_eq!(
            class(&found, "search path"),
            Some(Class::Term(2)),
            "{found:?}"
        );
        assert_eq!(class(&found, "vector"), Some(Class::Term(1)));
        for verb in ["allows", "current", "change"] {
            assert_eq!(class(&found, verb), None, "{found:?}");
        }
    }
}
