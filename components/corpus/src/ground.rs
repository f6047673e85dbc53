//! Whether the document says what an answer says: a statement is held against the sentences that its
//! writer was shown.
//!
//! By words, not by meaning: a statement stands where one sentence has its subject, its names, its
//! numbers and most of its other words, in about its order, and denies nothing that the sentence does not
//! deny. A sentence that begins with a pronoun has the words of the one before it too. What is said in
//! other words altogether, or in another language, counts as unsupported.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::answer::{Quote, Shown, quote};
use crate::claim::{Claim, Voice, clauses, directed, is_anaphoric, is_definite, numbers};
use crate::denial::{denies, numerals, opposes};
use crate::forms::shares_part;
use crate::prose::is_contents;
use crate::search::tokenizer_of;
use crate::sentence::sentences;
use crate::terms::Tokenizer;

/// Share of a statement's words, by weight, that one sentence must have.
const IN_SENTENCE: f32 = 0.75;
/// Of each clause that says something: what is added behind a comma is a statement too.
const IN_CLAUSE: f32 = 0.5;
/// Pairs of characters are more than words, and change with every particle.
const CJK: f32 = 0.8;
/// Share of the pairs of words that stand in the sentence's order.
const IN_ORDER: f32 = 0.5;
/// Words behind a subject, of which one at least must come behind it.
const NEXT: usize = 2;
/// Sentences back that a pronoun may refer to.
const BACK: usize = 4;
/// Words of a beginning that may be another language's.
const PREAMBLE: usize = 3;
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
    /// In their order.
    tokens: Vec<String>,
    /// With those of the sentences that its pronoun may refer to.
    with_referents: HashSet<String>,
    /// The text that numbers and names must stand in.
    referents: String,
    voice: Voice,
    quote: Quote,
}

/// What statements are held against.
pub struct Ground {
    /// By document; those of one language see words alike.
    tokenizers: HashMap<usize, Tokenizer>,
    lines: Vec<Line>,
    /// Of each passage its document.
    passages: Vec<usize>,
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
        let first = self.lines.len();
        for sentence in sentences(&shown.passage.text) {
            let tokens = tokenizer.tokens(sentence.text);
            if tokens.is_empty() || is_contents(sentence.text) {
                continue;
            }
            let mut with_referents: HashSet<String> = tokens.iter().cloned().collect();
            for token in &with_referents {
                *self.frequencies.entry(token.clone()).or_default() += 1;
            }
            let mut referents = sentence.text.to_owned();
            for before in self.referents(first, sentence.text, &tokens) {
                with_referents.extend(before.tokens.iter().cloned());
                referents = format!("{} {referents}", before.quote.text);
            }
            self.lines.push(Line {
                passage: self.passages.len(),
                tokens,
                with_referents,
                referents,
                voice: Voice::of(sentence.text, tokenizer),
                quote: quote(shown, &sentence, 0.0),
            });
        }
        self.passages.push(shown.document);
    }

    /// The sentences of a passage that its next one refers to: by a pronoun, or as "the rule" to a rule.
    fn referents(&self, first: usize, sentence: &str, tokens: &[String]) -> Vec<&Line> {
        let before = self.lines.iter().skip(first).rev().take(BACK);
        let mut refers = is_anaphoric(sentence);
        let mut found = Vec::new();
        for (at, line) in before.enumerate() {
            let names_again = || {
                let known = tokens
                    .first()
                    .is_some_and(|word| line.tokens.contains(word));
                at == 0 && is_definite(sentence) && known
            };
            if !refers && !names_again() {
                break;
            }
            found.push(line);
            refers = is_anaphoric(&line.quote.text);
        }
        found
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
            let claim = Claim::new(self.without_preamble(statement, tokenizer), tokenizer);
            let found = self.best(document, &claim, tokenizer);
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

    /// The statement without a beginning that no sentence has a word of, as "Well:" or "Kurz gesagt,".
    fn without_preamble<'a>(&self, statement: &'a str, tokenizer: &Tokenizer) -> &'a str {
        let Some((head, rest)) = statement.split_once([':', ',', '：', '，']) else {
            return statement;
        };
        let tokens = tokenizer.tokens(head);
        let is_known = |token: &String| self.frequencies.contains_key(token) || is_number(token);
        let is_preamble = tokens.len() <= PREAMBLE && !tokens.iter().any(is_known);
        if is_preamble && tokenizer.tokens(rest).len() >= WORDS {
            rest
        } else {
            statement
        }
    }

    /// The sentence of that document that supports the claim best, if any does.
    fn best(&self, document: usize, claim: &Claim, tokenizer: &Tokenizer) -> Option<(f32, &Line)> {
        let mut best: Option<(f32, &Line)> = None;
        for (at, line) in self.lines.iter().enumerate() {
            if self.passages.get(line.passage) != Some(&document) {
                continue;
            }
            let found = self.share(&claim.tokens, &line.with_referents, tokenizer);
            if best.is_none_or(|(least, _)| found > least) && self.says(claim, at, found, tokenizer)
            {
                best = Some((found, line));
            }
        }
        best
    }

    /// Whether the sentence, which has that share of the claim's words, says what it claims.
    fn says(&self, claim: &Claim, at: usize, share: f32, tokenizer: &Tokenizer) -> bool {
        let Some(line) = self.lines.get(at) else {
            return false;
        };
        let ease = if claim.is_cjk { CJK } else { 1.0 };
        share >= IN_SENTENCE * ease
            && self.has_what_must_stand(claim, line, tokenizer)
            && self.has_each_clause(claim, line, tokenizer)
            && !self.contradicts(claim, line, tokenizer)
            && in_order(claim, line, tokenizer)
            && keeps_sides(claim, line, tokenizer)
    }

    /// Its subject, its names and its numbers.
    fn has_what_must_stand(&self, claim: &Claim, line: &Line, tokenizer: &Tokenizer) -> bool {
        let has = |token: &String| stands(token, &line.with_referents, tokenizer);
        claim.numbers.is_subset(&numbers(&line.referents))
            && claim.numerals.is_subset(&numerals(&line.referents))
            && claim.names.iter().all(has)
            && claim.subject.iter().all(has)
            // What no sentence speaks of is another thing; what another sentence speaks of, another place.
            && claim.things.iter().all(|thing| has(thing) || self.knows(thing))
            && claim.voice.complement.iter().all(|word| has(word) || !self.knows(word))
    }

    /// Whether some sentence has the word.
    fn knows(&self, word: &String) -> bool {
        self.frequencies.contains_key(word) || is_number(word)
    }

    fn has_each_clause(&self, claim: &Claim, line: &Line, tokenizer: &Tokenizer) -> bool {
        let ease = if claim.is_cjk { CJK } else { 1.0 };
        claim.clauses.iter().all(|clause| {
            let words: BTreeSet<String> = clause.iter().cloned().collect();
            words.len() < WORDS
                || self.share(&words, &line.with_referents, tokenizer) >= IN_CLAUSE * ease
        })
    }

    /// Whether one denies what the other says. Of the sentence those clauses count that the claim is of.
    fn contradicts(&self, claim: &Claim, line: &Line, tokenizer: &Tokenizer) -> bool {
        let mut said = String::new();
        for clause in clauses(&line.quote.text) {
            let words: BTreeSet<String> = tokenizer.tokens(clause).into_iter().collect();
            let common = words.iter().filter(|word| claim.has(word, tokenizer));
            if words.is_empty() || common.count() * 2 > words.len() {
                said.push_str(clause);
                said.push(' ');
            }
        }
        let said = if said.trim().is_empty() {
            line.quote.text.as_str()
        } else {
            said.as_str()
        };
        denies(&claim.text) != denies(said) || opposes(&claim.text, said)
    }

    /// The share of the words, by weight, that stand in what was said.
    fn share(
        &self,
        words: &BTreeSet<String>,
        said: &HashSet<String>,
        tokenizer: &Tokenizer,
    ) -> f32 {
        let all: f32 = words.iter().map(|word| self.weight(word)).sum();
        // Numbers are held against the sentence by their value.
        let common = words
            .iter()
            .filter(|word| is_number(word) || stands(word, said, tokenizer));
        common.map(|word| self.weight(word)).sum::<f32>() / all.max(f32::EPSILON)
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

fn stands(token: &str, said: &HashSet<String>, tokenizer: &Tokenizer) -> bool {
    said.contains(token)
        || tokenizer.compounds() && said.iter().any(|said| shares_part(token, said))
}

/// Whether each clause's words stand in about the sentence's order. A passive turns it round, and where
/// there are no spaces a copula does.
fn in_order(claim: &Claim, line: &Line, tokenizer: &Tokenizer) -> bool {
    if claim.is_cjk {
        return true;
    }
    let said = &line.tokens;
    let places = |token: &String| -> Option<(usize, usize)> {
        let is = |said: &String| said == token || tokenizer.compounds() && shares_part(token, said);
        Some((said.iter().position(is)?, said.iter().rposition(is)?))
    };
    if claim.voice.is_passive != line.voice.is_passive {
        return agrees_turned(claim, line, places);
    }
    let (mut kept, mut turned) = (0usize, 0usize);
    for clause in &claim.clauses {
        let found: Vec<_> = clause.iter().filter_map(places).collect();
        for (at, one) in found.iter().enumerate() {
            for other in &found[at + 1..] {
                if one.0 <= other.1 {
                    kept += 1;
                } else {
                    turned += 1;
                }
            }
        }
    }
    kept as f32 >= (kept + turned) as f32 * IN_ORDER && begins_alike(claim, places)
}

/// Whether what stands on the two sides of a `from` does so in the sentence too.
fn keeps_sides(claim: &Claim, line: &Line, tokenizer: &Tokenizer) -> bool {
    let said = directed(&line.quote.text, tokenizer);
    let place = |token: &String| line.tokens.iter().position(|said| said == token);
    claim.directed.iter().all(|(mark, before, after)| {
        let is_marked = said.iter().any(|(other, ..)| other == mark);
        let places = place(before).zip(place(after));
        !is_marked || places.is_none_or(|(before, after)| before <= after)
    })
}

/// Whether the subject does not stand behind the words that come next to it, which may be what it is done
/// to, or another's verb.
fn begins_alike(claim: &Claim, places: impl Fn(&String) -> Option<(usize, usize)>) -> bool {
    let Some(subject) = claim.subject.first() else {
        return true;
    };
    let Some(clause) = claim.clauses.iter().find(|clause| clause.contains(subject)) else {
        return true;
    };
    let Some((first, _)) = places(subject) else {
        return true;
    };
    let others = clause.iter().filter(|word| !claim.subject.contains(word));
    let next: Vec<_> = others.filter_map(&places).take(NEXT).collect();
    next.len() < NEXT || next.iter().any(|place| place.0 >= first)
}

/// One of the two is a passive: its agent is the other's subject.
fn agrees_turned(
    claim: &Claim,
    line: &Line,
    places: impl Fn(&String) -> Option<(usize, usize)>,
) -> bool {
    if claim.voice.is_passive {
        let agent = claim.voice.agent.iter().filter_map(&places);
        let Some(agent) = agent.map(|place| place.0).min() else {
            return true;
        };
        let subject: Vec<_> = claim.subject.iter().filter_map(&places).collect();
        let verb = claim.voice.verb.as_ref().and_then(&places);
        // Nearer to the verb than the agent, it does what the claim says is done to it.
        let does = verb.is_some_and(|verb| {
            let is_between = |place: &(usize, usize)| agent < place.0 && place.1 < verb.0;
            !subject.is_empty() && subject.iter().all(is_between)
        });
        let last = subject.iter().map(|place| place.1).max();
        return !does && last.is_none_or(|it| agent <= it);
    }
    let agent = &line.voice.agent;
    agent.is_empty() || claim.subject.iter().any(|word| agent.contains(word))
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
}
