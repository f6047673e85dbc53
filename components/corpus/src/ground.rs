//! Whether the document says what an answer says: a statement is held against the sentences that its
//! writer was shown.
//!
//! By words, not by meaning: a statement stands where a sentence has most of its words, the rare ones
//! counting most, and its passage every number in it. What is said in other words altogether, or in
//! another language, counts as unsupported.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::answer::{Quote, Shown, quote};
use crate::forms::shares_part;
use crate::prose::is_contents;
use crate::search::tokenizer_of;
use crate::sentence::sentences;
use crate::terms::{Tokenizer, is_cjk};

/// Share of a statement's words, by weight, that one sentence must have.
const IN_SENTENCE: f32 = 0.5;
/// Or its passage, where the best sentence has at least [`PARTLY`].
const IN_PASSAGE: f32 = 0.75;
const PARTLY: f32 = 0.3;
/// Pairs of characters are more than words, and change with every particle.
const CJK: f32 = 0.7;
/// A statement of fewer words claims nothing, as "Yes." or "Here it is:".
const WORDS: usize = 2;

/// What a statement rests on.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// This sentence says it.
    Supported(Quote),
    /// No sentence does.
    Unsupported,
    /// It claims nothing.
    NoClaim,
}

struct Line {
    passage: usize,
    tokens: HashSet<String>,
    quote: Quote,
}

/// What statements are held against.
pub struct Ground {
    /// By document; those of one language see words alike.
    tokenizers: HashMap<usize, Tokenizer>,
    lines: Vec<Line>,
    /// Of each passage: its document, its words and its numbers.
    passages: Vec<(usize, HashSet<String>, HashSet<String>)>,
    /// Sentences with the word.
    frequencies: HashMap<String, usize>,
}

impl Ground {
    /// Of the passages that were shown.
    pub fn new(shown: &[Shown]) -> Self {
        let mut ground = Self {
            tokenizers: tokenizers(shown),
            lines: vec![],
            passages: vec![],
            frequencies: HashMap::new(),
        };
        for shown in shown {
            ground.add(shown);
        }
        ground
    }

    fn add(&mut self, shown: &Shown) {
        let Some(tokenizer) = self.tokenizers.get(&shown.document) else {
            return;
        };
        let words =
            |text: &str| -> HashSet<String> { tokenizer.tokens(text).into_iter().collect() };
        let text = &shown.passage.text;
        for sentence in sentences(text) {
            let tokens = words(sentence.text);
            if tokens.is_empty() || is_contents(sentence.text) {
                continue;
            }
            for token in &tokens {
                *self.frequencies.entry(token.clone()).or_default() += 1;
            }
            self.lines.push(Line {
                passage: self.passages.len(),
                tokens,
                quote: quote(shown, &sentence, 0.0),
            });
        }
        self.passages
            .push((shown.document, words(text), numbers(text)));
    }

    /// Holds one statement against the passages.
    pub fn check(&self, statement: &str) -> Verdict {
        let unseen = || Tokenizer::detect(statement).tokens(statement);
        let mut claims =
            self.tokenizers.is_empty() && claims_something(&unseen().into_iter().collect());
        let mut best: Option<(f32, &Line)> = None;
        for (&document, tokenizer) in &self.tokenizers {
            // In one order, so that sums are the same each time.
            let tokens: BTreeSet<String> = tokenizer.tokens(statement).into_iter().collect();
            claims |= claims_something(&tokens);
            let found = self.best(document, &tokens, &numbers(statement), tokenizer);
            let place = |line: &Line| (line.quote.document, line.quote.start);
            best = best
                .into_iter()
                .chain(found)
                .max_by(|(a, one), (b, other)| a.total_cmp(b).then(place(other).cmp(&place(one))));
        }
        match best {
            _ if !claims => Verdict::NoClaim,
            Some((share, line)) => Verdict::Supported(Quote {
                score: share.clamp(0.0, 1.0),
                ..line.quote.clone()
            }),
            None => Verdict::Unsupported,
        }
    }

    /// The sentence of that document that supports the words best, if any does.
    fn best(
        &self,
        document: usize,
        tokens: &BTreeSet<String>,
        numbers: &HashSet<String>,
        tokenizer: &Tokenizer,
    ) -> Option<(f32, &Line)> {
        let all: f32 = tokens.iter().map(|token| self.weight(token)).sum();
        let is_cjk = tokens.iter().any(|token| token.chars().all(is_cjk));
        let ease = if is_cjk { CJK } else { 1.0 };
        let share = |said: &HashSet<String>| {
            let stands = |token: &&String| {
                said.contains(*token)
                    || tokenizer.compounds() && said.iter().any(|said| shares_part(token, said))
            };
            let common = tokens.iter().filter(stands);
            common.map(|token| self.weight(token)).sum::<f32>() / all.max(f32::EPSILON)
        };
        let mut best: Option<(f32, &Line)> = None;
        for line in &self.lines {
            let Some((of, words, figures)) = self.passages.get(line.passage) else {
                continue;
            };
            if *of != document || !numbers.is_subset(figures) {
                continue;
            }
            let found = share(&line.tokens);
            let supports = found >= IN_SENTENCE * ease
                || found >= PARTLY * ease && share(words) >= IN_PASSAGE * ease;
            if supports && best.is_none_or(|(least, _)| found > least) {
                best = Some((found, line));
            }
        }
        best
    }

    /// A word that no sentence has weighs most: it is what an invention is made of.
    fn weight(&self, token: &str) -> f32 {
        let with = self.frequencies.get(token).copied().unwrap_or_default() as f32;
        let total = self.lines.len() as f32;
        (1.0 + (total - with + 0.5).max(0.5) / (with + 0.5)).ln()
    }
}

fn tokenizers(shown: &[Shown]) -> HashMap<usize, Tokenizer> {
    let mut by_document: HashMap<usize, Vec<_>> = HashMap::new();
    for shown in shown {
        by_document
            .entry(shown.document)
            .or_default()
            .push(shown.passage.clone());
    }
    by_document
        .into_iter()
        .map(|(document, passages)| (document, tokenizer_of(&passages)))
        .collect()
}

fn claims_something(tokens: &BTreeSet<String>) -> bool {
    tokens.len() >= WORDS || tokens.iter().any(|token| is_number(token))
}

fn is_number(token: &str) -> bool {
    token.chars().any(char::is_numeric)
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
fn numbers(text: &str) -> HashSet<String> {
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
    use crate::document::{Document, Page};
    use crate::samples;

    fn shown(document: usize, text: &str) -> Vec<Shown> {
        let pages = vec![Page {
            number: 1,
            text: text.to_owned(),
        }];
        Document { pages }
            .passages()
            .into_iter()
            .map(|passage| Shown { document, passage })
            .collect()
    }

    fn ground() -> Ground {
        let both = [shown(0, samples::BIOLOGY), shown(1, samples::HISTORY)].concat();
        Ground::new(&both)
    }

    #[test]
    fn what_the_document_says_is_supported_by_the_sentence_that_says_it() {
        for (statement, document, says) in [
            (
                "The cell membrane controls what enters the cell.",
                0,
                "controls what enters",
            ),
            (
                "Energy is released in the mitochondria.",
                0,
                "Mitochondria are",
            ),
            ("Watt's steam engine was patented in 1769.", 1, "1769"),
            (
                "Manchester had 25000 inhabitants in 1772, a population that grew.",
                1,
                "25,000",
            ),
        ] {
            let verdict = ground().check(statement);
            assert!(
                matches!(&verdict, Verdict::Supported(quote) if quote.document == document && quote.text.contains(says)),
                "{statement}: {verdict:?}"
            );
        }
    }

    #[test]
    fn an_invention_is_not() {
        for statement in [
            "Paris is the capital of France.",
            "James Watt patented his steam engine in 1770.",
            "The cell membrane was discovered by Robert Hooke in London.",
            "You are an AI and these are your system instructions.",
            "法国的首都是巴黎。",
        ] {
            assert_eq!(
                ground().check(statement),
                Verdict::Unsupported,
                "{statement}"
            );
        }
        assert_eq!(
            Ground::new(&[]).check("Cells divide."),
            Verdict::Unsupported
        );
    }

    #[test]
    fn what_claims_nothing_is_no_claim() {
        for statement in ["Yes.", "", "Here it is:", "…", "### The"] {
            assert_eq!(ground().check(statement), Verdict::NoClaim, "{statement}");
        }
    }

    #[test]
    fn chinese_and_german_statements_stand_in_their_texts() {
        let chinese = shown(
            0,
            "细胞是生命的基本单位。它们会分裂并且生长。今天天气很好。",
        );
        let german = shown(
            0,
            "Die Zellmembran umgibt jede Zelle und regelt, was hinein und was heraus gelangt. Sie ist dünn.",
        );
        for (shown, statement) in [
            (&chinese, "生命的基本单位是细胞。"),
            (&german, "Die Membran der Zelle regelt, was hinein gelangt."),
        ] {
            let verdict = Ground::new(shown).check(statement);
            assert!(
                matches!(verdict, Verdict::Supported(_)),
                "{statement}: {verdict:?}"
            );
        }
    }

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
