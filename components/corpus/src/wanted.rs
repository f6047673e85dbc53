//! What a question asks for, and how much of it a sentence has.

use std::collections::{BTreeSet, HashSet};

use crate::denial::numerals;
use crate::expected::Expected;
use crate::forms::shares_part;
use crate::search::Index;
use crate::terms::{Tokenizer, fold, is_cjk};

/// What is asked for.
pub(crate) struct Wanted {
    /// In one order, so that sums are the same each time.
    pub(crate) tokens: BTreeSet<String>,
    /// Operators, as `<<-`, which are no words.
    symbols: HashSet<String>,
    /// Of all of them.
    weight: f32,
    /// In the question's order.
    sequence: Vec<String>,
    pub(crate) question: String,
    pub(crate) expected: Expected,
    wants_reason: bool,
    wants_moment: bool,
    /// Whether a name or a number of the question stands nowhere.
    pub(crate) strange: bool,
    /// Whether a capital tells a name.
    pub(crate) capitals: bool,
}

/// What an operator weighs, about as much as a rare word.
const SYMBOL: f32 = 4.0;
/// Words that ask, and say nothing of what for; of the languages whose stop words are our own.
const ASKING: &[&str] = &[
    "difference",
    "differences",
    "differ",
    "compare",
    "comparison",
    "kinds",
    "types",
    "name",
    "list",
    "unterschied",
    "unterscheiden",
    "vergleiche",
    "arten",
    "macht",
    "machen",
    "tut",
    "différence",
    "diferencia",
    "explain",
    "describe",
    "define",
    "tell",
    "please",
    "exactly",
    "work",
    "works",
    "happen",
    "happens",
    "happened",
    "mean",
    "does",
    "warum",
    "weshalb",
    "wann",
    "wozu",
    "wofür",
    "woraus",
    "wodurch",
    "worin",
    "heißt",
    "bedeutet",
    "erkläre",
    "beschreibe",
    "nenne",
    "pourquoi",
    "quand",
    "quel",
    "quelle",
    "quels",
    "quelles",
    "comment",
    "combien",
    "explique",
    "cuál",
    "cuándo",
    "dónde",
    "cómo",
    "quién",
    "explica",
    "significa",
];
/// What asks for a reason, and what gives one.
const WHY: &[&str] = &["why", "warum", "weshalb", "wieso", "pourquoi"];
const WHEN: &[&str] = &["when", "wann", "quand", "cuándo"];
const REASONS: &[&str] = &[
    "because",
    "since",
    "therefore",
    "reason",
    "due",
    "thus",
    "hence",
    "weil",
    "da",
    "denn",
    "daher",
    "deshalb",
    "wegen",
    "grund",
    "parce",
    "car",
    "porque",
];
/// What a term follows that is explained.
const CALLED: &[&str] = &[
    "called ",
    "known as ",
    "referred to as ",
    "we call ",
    "heißt ",
    "nennt man ",
    "genannt ",
];

impl Wanted {
    pub(crate) fn new(question: &str, index: &Index, tokenizer: &Tokenizer) -> Self {
        let all: BTreeSet<String> = tokenizer.tokens(question).into_iter().collect();
        let asking: HashSet<String> = ASKING
            .iter()
            .flat_map(|word| tokenizer.tokens(word))
            .filter(|stem| stem != "mean" || !question.contains("meaning"))
            .collect();
        let expected = Expected::of(question);
        let capitals = tokenizer.language() != "deu";
        let stands = |token: &String| expected == Expected::Expansion && token == "stand";
        let tells =
            |token: &&String| !asking.contains(*token) && !asks_in_cjk(token) && !stands(token);
        let telling: BTreeSet<String> = all.iter().filter(tells).cloned().collect();
        let symbols: HashSet<String> = question.split_whitespace().filter_map(symbol).collect();
        let tokens = if telling.is_empty() && symbols.is_empty() {
            all
        } else {
            telling
        };
        let weight = tokens.iter().map(|token| index.weight(token)).sum::<f32>()
            + symbols.len() as f32 * SYMBOL;
        let sequence = tokenizer.tokens(question);
        let asks = |words: &[&str]| {
            let folded = fold(question);
            folded.split_whitespace().any(|word| words.contains(&word))
        };
        Self {
            sequence: sequence
                .into_iter()
                .filter(|t| tokens.contains(t))
                .collect(),
            tokens,
            symbols,
            weight,
            question: question.to_owned(),
            expected,
            wants_reason: asks(WHY),
            wants_moment: asks(WHEN),
            strange: particular(question, capitals)
                .flat_map(|word| tokenizer.tokens(word))
                .any(|token| !index.knows(&token)),
            capitals,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.tokens.len() + self.symbols.len()
    }

    /// Of the question's neighbours, the share that are neighbours in the sentence too.
    pub(crate) fn together(&self, sentence: &str, tokenizer: &Tokenizer) -> f32 {
        let said = tokenizer.tokens(sentence);
        let pairs = self.sequence.windows(2);
        let all = pairs.len().max(1) as f32;
        let stand = |pair: &&[String]| said.windows(2).any(|said| said == *pair);
        pairs.filter(stand).count() as f32 / all
    }

    /// Whether it has the question's numbers in words, or a reason or a date where one is asked for.
    pub(crate) fn is_reasoned(&self, text: &str) -> bool {
        let asked = numerals(&self.question);
        let folded = fold(text);
        let mut words = folded.split(|c: char| !c.is_alphanumeric());
        !asked.is_empty() && asked.is_subset(&numerals(text))
            || self.wants_reason && words.any(|word| REASONS.contains(&word))
            || self.wants_moment && text.contains(|c: char| c.is_numeric())
    }

    /// Whether the sentence says what is called so.
    pub(crate) fn is_called(&self, text: &str, tokenizer: &Tokenizer) -> bool {
        let names = |(at, phrase): (usize, &str)| {
            let rest = text[at + phrase.len()..].split(['.', ',', ';', ':', '(']);
            let named = tokenizer.tokens(rest.into_iter().next().unwrap_or_default());
            named.len() <= self.tokens.len() + 1
                && self.tokens.iter().all(|token| named.contains(token))
        };
        !self.tokens.is_empty()
            && CALLED
                .iter()
                .any(|phrase| text.match_indices(phrase).any(names))
    }

    /// How many of the words stand in the sentence, and their share by weight.
    pub(crate) fn covered(
        &self,
        sentence: &str,
        index: &Index,
        tokenizer: &Tokenizer,
    ) -> (usize, f32) {
        let said: HashSet<String> = tokenizer.tokens(sentence).into_iter().collect();
        let stands = |token: &&String| {
            said.contains(*token)
                || tokenizer.compounds() && said.iter().any(|said| shares_part(token, said))
        };
        let common: Vec<&String> = self.tokens.iter().filter(stands).collect();
        let symbols = self
            .symbols
            .iter()
            .filter(|symbol| has_symbol(sentence, symbol))
            .count();
        let weight =
            common.iter().map(|token| index.weight(token)).sum::<f32>() + symbols as f32 * SYMBOL;
        let share = if self.weight > 0.0 {
            weight / self.weight
        } else {
            0.0
        };
        (common.len() + symbols, share)
    }
}

/// A pair of characters that only asks, as in 什么是 or とは何ですか.
fn asks_in_cjk(token: &str) -> bool {
    let is_kana = |c: char| matches!(c, '\u{3040}'..='\u{309F}');
    token.chars().all(is_cjk)
        && (token.chars().any(|c| "什么怎谁哪吗呢的是为何".contains(c))
            || token.chars().any(is_kana))
}

/// A run of operator characters that stands alone.
pub(crate) fn symbol(word: &str) -> Option<String> {
    let bare = word.trim_matches(|c: char| "?.,;!\"'`’‘“”()".contains(c));
    let fits = bare.len() >= 2 && bare.chars().all(is_operator) && bare != "--";
    fits.then(|| bare.to_owned())
}

fn is_operator(c: char) -> bool {
    "<>=+-*/&|^%$#@~:!\\".contains(c)
}

/// Whether it stands there, and not within another.
fn has_symbol(sentence: &str, symbol: &str) -> bool {
    sentence.match_indices(symbol).any(|(at, _)| {
        !sentence[..at].ends_with(is_operator)
            && !sentence[at + symbol.len()..].starts_with(is_operator)
    })
}

/// The names and numbers of a question: words with a capital behind the first one, words with a digit.
fn particular(question: &str, capitals: bool) -> impl Iterator<Item = &str> {
    let words = question.split_whitespace().enumerate();
    let is_particular = move |(at, word): &(usize, &str)| {
        word.contains(|c: char| c.is_numeric())
            || capitals && *at > 0 && word.starts_with(char::is_uppercase)
    };
    words.filter(is_particular).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_stands_alone() {
        assert!(has_symbol("x <- 5", "<-") && !has_symbol("x <<- 5", "<-"));
        assert_eq!(symbol("`<<-`?").as_deref(), Some("<<-"));
    }

    #[test]
    fn what_is_particular_has_a_capital_or_a_digit() {
        let found = |capitals| particular("What did Watt and 12 of His men do?", capitals);
        assert_eq!(found(true).collect::<Vec<_>>(), ["Watt", "12", "His"]);
        assert_eq!(found(false).collect::<Vec<_>>(), ["12"]);
    }
}
