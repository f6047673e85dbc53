//! What German words say of a noun's gender and number: an option that does not go with the words around
//! the gap gives the key away.

use std::collections::HashMap;

use corpus::terms::fold;

use crate::material::Fact;

/// The genders and numbers that a noun may have, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forms(u8);

const M: u8 = 1;
const F: u8 = 2;
const N: u8 = 4;
const PLURAL: u8 = 8;

impl Forms {
    /// Nothing is known.
    pub const ANY: Self = Self(M | F | N | PLURAL);

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether one noun can stand where the other does. Behind a word that has no gender, only the
    /// number tells.
    pub fn stands_for(self, other: Self, behind: Option<&str>) -> bool {
        if self == Self::ANY || other == Self::ANY {
            // One that nothing is known of stands nowhere but beside its like.
            return self == other;
        }
        let both = self.likely().and(other.likely());
        match behind.and_then(determiner) {
            Some(forms) => both.and(forms).0 != 0,
            None => (self.likely().0 == PLURAL) == (other.likely().0 == PLURAL),
        }
    }

    /// What may be singular is.
    fn likely(self) -> Self {
        match self.0 & !PLURAL {
            0 => self,
            singular => Self(singular),
        }
    }
}

/// What can follow the word, where it is an article or its like.
fn determiner(word: &str) -> Option<Forms> {
    Some(Forms(match fold(word).as_str() {
        "der" => M | F | PLURAL,
        "die" => F | PLURAL,
        "das" | "ins" | "jedes" | "dieses" => N,
        "des" | "eines" | "dem" | "einem" | "im" | "am" | "zum" | "vom" | "beim" | "jedem"
        | "ein" | "kein" => M | N,
        "den" => M | PLURAL,
        "einen" | "keinen" | "jeden" => M,
        "eine" | "einer" | "zur" | "jede" => F,
        "jeder" => M | F,
        "viele" | "vielen" | "alle" | "allen" | "beide" | "manche" | "mehrere" | "zwei"
        | "drei" | "vier" | "fünf" | "zehn" => PLURAL,
        _ => return None,
    }))
}

/// What a noun's ending says.
fn ending(noun: &str) -> Option<Forms> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| noun.ends_with(ending));
    match () {
        () if ends(&["ungen", "heiten", "keiten", "schaften", "ionen"]) => Some(Forms(PLURAL)),
        () if ends(&[
            "ung", "heit", "keit", "schaft", "tion", "sion", "ität", "ose", "these", "enz", "anz",
            "ur",
        ]) =>
        {
            Some(Forms(F))
        }
        () if ends(&["ismus", "ling", "stoff", "dampf", "handel"]) => Some(Forms(M)),
        () if ends(&["chen", "lein", "ment", "ium", "oxid"]) => Some(Forms(N)),
        () => None,
    }
}

/// The forms of each capitalised word, by the articles before it and its ending.
pub fn forms(facts: &[Fact]) -> HashMap<String, Forms> {
    let mut all: HashMap<String, Forms> = HashMap::new();
    for fact in facts {
        let words: Vec<&str> = fact.text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let noun = word.trim_matches(|c: char| !c.is_alphanumeric());
            if !noun.starts_with(char::is_uppercase) {
                continue;
            }
            let article =
                before(&words[..at]).map(|forms| narrowed(forms, noun, words.get(at + 1)));
            let seen = article.into_iter().chain(ending(noun));
            for forms in seen {
                let known = all.entry(noun.to_owned()).or_insert(Forms::ANY);
                // Two that exclude each other are two forms that look alike.
                let both = known.and(forms);
                *known = if both.0 == 0 {
                    Forms(known.0 | forms.0)
                } else {
                    both
                };
            }
        }
    }
    all
}

/// What the article leaves open, the noun's own ending or the verb behind it says: "der Fabriken", "die
/// Einwohnerzahl stieg".
fn narrowed(forms: Forms, noun: &str, next: Option<&&str>) -> Forms {
    if noun.ends_with("en") && forms.0 & PLURAL != 0 && forms.0 & M != 0 {
        return Forms(PLURAL);
    }
    let verb = next.filter(|next| next.chars().all(char::is_lowercase));
    let is_one = |verb: &&str| {
        verb.ends_with('t')
            || verb.ends_with("te")
            || matches!(*verb, "war" | "wurde" | "stieg" | "ging")
    };
    if forms.0 & PLURAL != 0 && verb.is_some_and(is_one) {
        return Forms(forms.0 & !PLURAL);
    }
    forms
}

/// By the article that stands before a noun, adjectives between them.
fn before(words: &[&str]) -> Option<Forms> {
    let near = words.iter().rev().take(3);
    for word in near {
        if let Some(forms) = determiner(word) {
            return Some(forms);
        }
        if !word.chars().all(char::is_lowercase) {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Source;

    fn known(text: &str) -> HashMap<String, Forms> {
        forms(&[Fact {
            text: text.to_owned(),
            source: Source::default(),
            rank: 1.0,
        }])
    }

    #[test]
    fn a_noun_is_known_by_its_articles_and_its_ending() {
        let known = known(
            "Der Zellkern liegt in der Zelle, das Licht im Blatt, die Fotosynthese nimmt den grünen Farbstoff und viele Blätter.",
        );
        assert_eq!(known["Fotosynthese"], Forms(F));
        assert_eq!(known["Licht"], Forms(N));
        assert_eq!(known["Farbstoff"], Forms(M));
        assert_eq!(known["Blätter"], Forms(PLURAL));
    }

    #[test]
    fn a_noun_s_ending_and_its_verb_say_more_than_its_article() {
        let known = known("in den Fabriken stieg, die Einwohnerzahl stieg auf");
        assert_eq!(known["Fabriken"], Forms(PLURAL));
        assert_eq!(known["Einwohnerzahl"], Forms(F));
    }

    #[test]
    fn what_does_not_go_with_the_article_stands_for_nothing() {
        let known = known("das Licht, die Teilung, der Farbstoff, viele Blätter, die Atmung");
        let stands = |a: &str, b: &str, behind| known[a].stands_for(known[b], behind);
        assert!(stands("Teilung", "Atmung", Some("die")));
        assert!(!stands("Licht", "Teilung", Some("die")));
        assert!(!stands("Farbstoff", "Teilung", Some("der")));
        assert!(stands("Farbstoff", "Teilung", Some("mit")));
        assert!(!stands("Blätter", "Teilung", Some("mit")));
        assert!(!Forms::ANY.stands_for(known["Licht"], None));
        assert!(Forms::ANY.stands_for(Forms::ANY, Some("die")));
    }
}
