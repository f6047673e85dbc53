//! What a name names, by the words beside it: a place among persons answers itself.

use corpus::terms::fold;

use crate::material::Fact;
use crate::words::occurrences;

/// What a name names, as far as the document shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing shows it.
    #[default]
    Unknown,
    /// Somebody.
    Person,
    /// Somewhere.
    Place,
    /// A firm, a law, a war: whatever its last word says.
    Thing,
}

/// For and against, counted on the way through a document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Votes {
    person: u32,
    place: u32,
}

/// In or at these one can be.
const BEFORE_PLACES: &[&str] = &[
    "in",
    "at",
    "near",
    "across",
    "throughout",
    "reached",
    "reaches",
    "left",
    "nach",
    "nahe",
    "bei",
    "en",
    "à",
];
/// From and to somewhere, or somebody.
const OFTEN_BEFORE_PLACES: &[&str] = &["from", "to", "between", "around", "aus", "zwischen"];
const BEFORE_PERSONS: &[&str] = &[
    "by",
    "mr",
    "mrs",
    "ms",
    "dr",
    "sir",
    "lord",
    "lady",
    "king",
    "queen",
    "prince",
    "princess",
    "captain",
    "professor",
    "physicist",
    "chemist",
    "engineer",
    "president",
    "saint",
    "durch",
    "herr",
    "frau",
    "könig",
    "kaiser",
];
const AFTER_PERSONS: &[&str] = &[
    "was born",
    "wrote",
    "invented",
    "discovered",
    "patented",
    "built",
    "founded",
    "observed",
    "found",
    "saw",
    "showed",
    "died",
    "married",
    "argued",
    "proposed",
    "published",
    "said",
    "sailed",
    "mapped",
    "understood",
    "received",
    "collected",
    "carried",
    "painted",
    "left",
    "crossed",
    "led",
    "became",
    "was killed",
    "was knighted",
    "had calculated",
    "brought",
    "gründete",
    "baute",
    "erfand",
    "entdeckte",
    "schrieb",
    "starb",
    "übernahm",
    "führte",
    "lieferte",
];
/// Last words of places, and first ones.
const PLACE_WORDS: &[&str] = &[
    "river",
    "ocean",
    "sea",
    "lake",
    "mountains",
    "mountain",
    "mount",
    "island",
    "islands",
    "bay",
    "street",
    "city",
    "valley",
    "desert",
    "canal",
    "bridge",
    "county",
    "kingdom",
    "states",
    "republic",
    "empire",
    "cape",
    "peninsula",
    "alps",
    "zealand",
    "circle",
    "observatory",
    "hope",
    "north",
    "south",
    "new",
];
const THING_WORDS: &[&str] = &[
    "act",
    "war",
    "treaty",
    "revolution",
    "party",
    "company",
    "university",
    "society",
    "institute",
    "project",
    "system",
    "spot",
    "law",
    "laws",
    "agreement",
    "constitution",
    "prize",
    "contract",
    "license",
    "team",
];

impl Votes {
    /// One more occurrence: the word before the name, and what comes after it.
    pub fn count(&mut self, before: Option<&str>, after: &[&str]) {
        let before = before.map(|word| fold(word.trim_matches(|c: char| !c.is_alphanumeric())));
        let is_before = |list: &[&str]| {
            before
                .as_ref()
                .is_some_and(|word| list.contains(&word.as_str()))
        };
        if is_before(BEFORE_PLACES) {
            self.place += 2;
        }
        if is_before(OFTEN_BEFORE_PLACES) {
            self.place += 1;
        }
        if is_before(BEFORE_PERSONS) {
            self.person += 2;
        }
        let after: Vec<String> = after.iter().take(2).map(|word| fold(word)).collect();
        let after = after.join(" ");
        let follows = |list: &[&str]| {
            let starts = |said: &&str| after == **said || after.starts_with(&format!("{said} "));
            list.iter().any(starts)
        };
        if follows(AFTER_PERSONS) {
            self.person += 2;
        }
    }

    /// What the name names.
    pub fn kind(self, name: &str) -> Kind {
        let words: Vec<String> = name.split_whitespace().map(fold).collect();
        let ends = |list: &[&str]| {
            let mut at = words.first().into_iter().chain(words.last());
            at.any(|word| list.contains(&word.as_str()))
        };
        match () {
            () if ends(THING_WORDS) => Kind::Thing,
            () if words.len() > 1 && ends(PLACE_WORDS) => Kind::Place,
            () if self.person > self.place => Kind::Person,
            () if self.place > self.person => Kind::Place,
            () => Kind::Unknown,
        }
    }
}

/// Articles and their like: before a name none stands.
const ARTICLES: &[&str] = &[
    "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "eines",
    "im", "am", "vom", "zum", "zur", "ins", "beim", "jede", "jeder", "jedes", "viele", "kein",
    "keine", "mehr", "diese", "dieser", "dieses",
];

/// What a German noun names, which has a capital in any case: what an article has stood before is a word.
pub fn german(noun: &str, facts: &[Fact]) -> Kind {
    let mut votes = Votes::default();
    for fact in facts {
        for at in occurrences(&fact.text, noun) {
            let before = fact.text[..at].split_whitespace().next_back();
            if before.is_some_and(|before| ARTICLES.contains(&fold(before).as_str())) {
                return Kind::Unknown;
            }
            let rest: Vec<&str> = fact.text[at + noun.len()..].split_whitespace().collect();
            votes.count(before, &rest);
        }
    }
    votes.kind(noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, sentences: &[&str]) -> Kind {
        let mut votes = Votes::default();
        for sentence in sentences {
            let (before, after) = sentence.split_once(name).unwrap();
            let after: Vec<&str> = after.split_whitespace().collect();
            votes.count(before.split_whitespace().next_back(), &after);
        }
        votes.kind(name)
    }

    #[test]
    fn a_name_is_known_by_its_company() {
        assert_eq!(kind("Paris", &["He lived in Paris then."]), Kind::Place);
        assert_eq!(kind("Watt", &["It was built by Watt there."]), Kind::Person);
        assert_eq!(kind("Kepler", &["Then Kepler found it."]), Kind::Person);
        assert_eq!(
            kind("Factory Act", &["until the Factory Act of 1833"]),
            Kind::Thing
        );
        assert_eq!(
            kind("New Zealand", &["the coast of New Zealand"]),
            Kind::Place
        );
        assert_eq!(kind("Pluto", &["that Pluto is small"]), Kind::Unknown);
    }
}
