//! Whether an answer is a model answer in nearly its own words. What is, needs nobody to understand it;
//! all else does: a word that is added, left out or moved may turn round what is said.

use std::collections::HashSet;

use corpus::denial::{numerals, opposes};
use corpus::terms::{Tokenizer, fold, is_cjk};

/// Share of the key's words, in percent, that must be there.
const THERE: usize = 85;
/// Letters of a word in which a slip of the pen makes no other word.
const SLIP: usize = 7;

/// Small words that may come and go: articles, forms of "to be", what points back.
const FREE: &[&str] = &[
    "a", "an", "the", "is", "are", "was", "were", "be", "it", "its", "this", "that", "these",
    "those", "which", "who", "they", "their", "der", "die", "das", "den", "dem", "des", "ein",
    "eine", "einen", "einem", "einer", "eines", "ist", "sind", "war", "waren", "es", "dies",
    "diese", "dieser", "dieses", "welche", "welcher", "welches", "le", "la", "les", "un", "une",
    "est", "sont", "ce", "cette", "qui", "que", "el", "los", "las", "una", "es", "son",
];

/// What may stand before a name that is asked for.
const BEFORE_NAMES: &[&str] = &[
    "in", "at", "on", "by", "of", "to", "from", "for", "with", "im", "am", "bei", "von", "vom",
    "durch", "mit", "aus", "par", "de", "en", "à", "por", "con",
];

struct Word {
    form: String,
    stem: String,
    /// It says nothing alone, as "of".
    small: bool,
    /// A number or a name: without it another thing is said.
    telling: bool,
}

impl Word {
    fn is(&self, other: &Self) -> bool {
        self.stem == other.stem || is_slip(&self.form, &other.form)
    }

    fn is_free(&self) -> bool {
        FREE.contains(&self.form.as_str())
    }
}

/// Whether the answer says the key, a statement, in nearly its words. Before it may stand words of the
/// question, as in "Osmosis is …".
pub fn is_nearly(key: &str, stem: &str, given: &str, tokenizer: &Tokenizer) -> bool {
    if key.chars().chain(given.chars()).any(is_cjk)
        || numerals(key) != numerals(given)
        || opposes(key, given)
    {
        return false;
    }
    let wanted = words(key, tokenizer);
    let asked = words(stem, tokenizer);
    let said = words(given, tokenizer);
    let said = behind_question(&said, &wanted, &asked);
    let Some(left_out) = follows(said, &wanted) else {
        return false;
    };
    let all = wanted.iter().filter(|word| !word.small).count();
    let there = all - left_out.len();
    let rest = wanted
        .iter()
        .enumerate()
        .filter(|(at, _)| !left_out.contains(at));
    let rest: Vec<&Word> = rest.map(|(_, word)| word).collect();
    let said: Vec<&Word> = said.iter().collect();
    there * 100 >= all * THERE
        && there > 0
        && !left_out.iter().any(|at| wanted[*at].telling)
        && keeps_joints(&joints(&said), &joints(&rest))
}

/// Whether the answer names what the key, a name, names: its words in their order, and none besides.
pub fn is_name(key: &str, given: &str, tokenizer: &Tokenizer) -> bool {
    let (wanted, said) = (words(key, tokenizer), words(given, tokenizer));
    let known: HashSet<&str> = wanted.iter().map(|word| word.form.as_str()).collect();
    let may_stand = |word: &Word| {
        !word.small
            || word.is_free()
            || known.contains(word.form.as_str())
            || BEFORE_NAMES.contains(&word.form.as_str())
    };
    let has_words = wanted.iter().any(|word| !word.small);
    has_words
        && follows(&said, &wanted).is_some_and(|left_out| left_out.is_empty())
        && said.iter().all(may_stand)
}

fn words(text: &str, tokenizer: &Tokenizer) -> Vec<Word> {
    let numbers = numerals(text);
    let forms = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’');
    let forms = forms.map(|form| form.trim_matches(['\'', '’']));
    let word = |(at, written): (usize, &str)| {
        let form = fold(written);
        Word {
            small: tokenizer.is_stop_word(&form),
            stem: tokenizer.stem(&form),
            telling: form.contains(|c: char| c.is_numeric())
                || numbers.contains(&form)
                || at > 0 && written.starts_with(char::is_uppercase),
            form,
        }
    };
    let forms = forms.filter(|form| !form.is_empty());
    forms.enumerate().map(word).collect()
}

/// Without the words of the question that the answer begins with, unless the key has them.
fn behind_question<'a>(said: &'a [Word], wanted: &[Word], asked: &[Word]) -> &'a [Word] {
    let begins = |word: &&Word| !word.small && wanted.iter().any(|other| other.is(word));
    let from = said.iter().position(|word| begins(&word)).unwrap_or(0);
    let is_asked = |word: &Word| word.small || asked.iter().any(|other| other.is(word));
    if said[..from].iter().all(is_asked) && said[..from].iter().any(|word| !word.small) {
        // What is small before the key's first word is the key's.
        let last = said[..from].iter().rposition(|word| !word.small);
        &said[last.map_or(0, |last| last + 1)..]
    } else {
        said
    }
}

/// Which words of the key are left out, by their places, where all that is said is the key's, in its
/// order.
fn follows(said: &[Word], wanted: &[Word]) -> Option<Vec<usize>> {
    let mut left_out = Vec::new();
    let mut rest = wanted.iter().enumerate().filter(|(_, word)| !word.small);
    for word in said.iter().filter(|word| !word.small) {
        loop {
            match rest.next() {
                Some((_, next)) if next.is(word) => break,
                Some((at, _)) => left_out.push(at),
                None => return None,
            }
        }
    }
    left_out.extend(rest.map(|(at, _)| at));
    Some(left_out)
}

/// Whether the small words that join others stand where the key has them ("from roots to leaves" is not
/// "to roots from leaves"), and not only content words are left of it.
fn keeps_joints(said: &[Joint<'_>], wanted: &[Joint<'_>]) -> bool {
    let kept = wanted.iter().filter(|joint| said.contains(joint)).count();
    said.iter().all(|joint| wanted.contains(joint)) && kept * 2 >= wanted.len()
}

/// A joining word, and the stem that it stands before.
type Joint<'a> = (&'a str, &'a str);

fn joints<'a>(words: &[&'a Word]) -> Vec<Joint<'a>> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if word.small && !word.is_free() {
            let next = words[at..].iter().find(|next| !next.small);
            found.push((
                word.form.as_str(),
                next.map_or("", |next| next.stem.as_str()),
            ));
        }
    }
    found
}

/// Whether a word is another with one letter too many, too few, or two in each other's place. One for
/// another makes another word: sulphate, sulphite.
fn is_slip(one: &str, other: &str) -> bool {
    let (long, short) = (one.chars().count(), other.chars().count());
    long.min(short) >= SLIP
        && one.chars().next() == other.chars().next()
        && !one.contains(|c: char| c.is_numeric())
        && strsim::osa_distance(one, other) == 1
        && (long != short || strsim::levenshtein(one, other) == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corpus::samples::BIOLOGY;

    fn nearly(key: &str, given: &str) -> bool {
        let tokenizer = Tokenizer::detect(BIOLOGY);
        is_nearly(key, "What is meant by “osmosis”?", given, &tokenizer)
    }

    #[test]
    fn small_words_may_come_and_go_and_joints_may_not() {
        let key = "the movement of water from the roots to the leaves";
        assert!(nearly(key, "movement of water from roots to leaves"));
        assert!(nearly(
            key,
            "Osmosis is the movement of water from the roots to the leaves"
        ));
        for given in [
            "the movement of water to the roots from the leaves",
            "movement water roots leaves",
            "the movement of water from the leaves to the roots",
            "the movement of the roots from water to the leaves",
            "the movement of water from the roots to the leaves and the stem",
            "Osmosis",
            "",
        ] {
            assert!(!nearly(key, given), "{given}");
        }
    }

    #[test]
    fn a_number_and_a_name_may_not_be_left_out() {
        let key = "a pump that an engineer of the north, Thomas Newcomen, built for deep coal mines in 1712";
        assert!(nearly(
            key,
            "a pump that an engineer of the north, Thomas Newcomen, built for coal mines in 1712"
        ));
        for given in [
            "a pump that an engineer of the north, Thomas Newcomen, built for deep coal mines",
            "a pump that an engineer of the north, Thomas, built for deep coal mines in 1712",
        ] {
            assert!(!nearly(key, given), "{given}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_makes_no_other_word() {
        for (one, other) in [
            ("cytoplasm", "cytoplasma"),
            ("cytoplasm", "ctyoplasm"),
            ("photosynthesis", "photosyntesis"),
        ] {
            assert!(is_slip(one, other), "{other}");
        }
        for (one, other) in [
            ("sulphate", "sulphite"),
            ("absorption", "adsorption"),
            ("hypothermia", "hyperthermia"),
            ("endothermic", "exothermic"),
            ("mitosis", "meiosis"),
            ("proton", "photon"),
            ("cytoplasm", "cytoplasm"),
        ] {
            assert!(!is_slip(one, other), "{other}");
        }
    }
}
