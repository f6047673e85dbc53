//! Whether the document says what a question's key claims, by words: the sentence that is quoted and
//! those around it against the question with each option.

use std::collections::HashSet;

use corpus::Passage;
use corpus::denial::denies;
use corpus::sentence::sentences;
use corpus::terms::{Tokenizer, fold};

use crate::grader::squeezed;
use crate::question::{Kind, Question};
use crate::true_false;

/// Share of a key's words that its sentence must have; the rest is the asker's wording.
const KEY: f64 = 0.6;
/// Of a model answer, which is in words of one's own.
const MODEL_ANSWER: f64 = 0.4;
/// Share of a question's words that the sentences must have.
const RELATED: f64 = 0.25;
/// Of a false statement's words, those that are the sentence's: else it is about something else.
const TWISTED: f64 = 0.5;
/// Share of the words that keep their order in what says the same.
pub const ORDER: f64 = 0.8;
/// Of an option, the share of the key's evidence at which it fits too.
const RIVAL: f64 = 0.75;
/// Letters that two forms of one word share.
const STEM: usize = 5;

/// Small words that turn a statement round: the tokenizer drops them.
const CONTRASTS: &[&str] = &[
    "before", "after", "above", "below", "more", "less", "fewer", "most", "least", "over", "under",
    "only", "all", "none", "always", "into", "without", "vor", "nach", "über", "unter", "mehr",
    "weniger", "alle", "immer", "nur", "avant", "après", "plus", "moins", "antes", "después",
    "más", "menos",
];

/// A sentence, as stems in their order.
struct Line {
    stems: Vec<String>,
    text: String,
    is_quoted: bool,
}

/// The sentences that a question rests on.
pub struct Support {
    tokenizer: Tokenizer,
    /// All of the passage.
    lines: Vec<Line>,
}

impl Support {
    /// Of the passage that has the quote.
    pub fn new(passage: &Passage, quote: &str) -> Self {
        let tokenizer = Tokenizer::detect(&passage.text);
        let wanted = squeezed(quote);
        let lines = sentences(&passage.text).into_iter().map(|sentence| {
            let said = squeezed(sentence.text);
            Line {
                stems: tokenizer.tokens(sentence.text),
                text: sentence.text.to_owned(),
                is_quoted: !said.is_empty() && (wanted.contains(&said) || said.contains(&wanted)),
            }
        });
        Self {
            lines: lines.collect(),
            tokenizer,
        }
    }

    /// Whether the sentences speak of the question, and say its key rather than anything else.
    pub fn supports(&self, question: &Question) -> bool {
        match question.kind {
            Kind::MultipleChoice => self.supports_choice(question),
            Kind::TrueFalse => self.supports_verdict(question),
            Kind::ShortAnswer => self.supports_answer(question),
        }
    }

    fn stems(&self, text: &str) -> Vec<String> {
        let stems = self.tokenizer.tokens(text);
        if !stems.is_empty() {
            return stems;
        }
        // Nothing but small words and signs is still something to look for.
        let folded = fold(text);
        let words = folded.split(|c: char| !c.is_alphanumeric());
        let words: Vec<String> = words
            .filter(|word| !word.is_empty())
            .map(ToOwned::to_owned)
            .collect();
        words
    }

    /// The quoted sentences and those beside them.
    fn near(&self) -> Vec<&Line> {
        let is_quoted = |at: usize| self.lines.get(at).is_some_and(|line| line.is_quoted);
        let beside = |at: usize| is_quoted(at) || is_quoted(at + 1) || at > 0 && is_quoted(at - 1);
        let near = self.lines.iter().enumerate();
        near.filter(|(at, _)| beside(*at))
            .map(|(_, line)| line)
            .collect()
    }

    fn supports_choice(&self, question: &Question) -> bool {
        let asked = self.stems(&question.stem);
        let key = self.stems(&question.answer);
        let near = self.near();
        let around: Vec<String> = near.iter().flat_map(|line| line.stems.clone()).collect();
        if !is_related(&asked, &around) || !near.iter().any(|line| line.says(&key)) {
            return false;
        }
        let own = self.evidence(&asked, &key);
        let others = question
            .options
            .iter()
            .filter(|option| **option != question.answer);
        others
            .map(|option| self.evidence(&asked, &self.stems(option)))
            .all(|other| other < own * RIVAL)
    }

    /// How well one sentence says this of what is asked: clauses that speak of both count most, the
    /// quoted sentence before others.
    fn evidence(&self, asked: &[String], option: &[String]) -> f64 {
        let of = |line: &Line| {
            let whole = line.share(option) * (0.1 + share(asked, &line.stems));
            let clauses = line.text.split([',', ';', ':']).map(|clause| {
                let stems = self.tokenizer.tokens(clause);
                share(option, &stems) * share(asked, &stems)
            });
            let quoted = if line.is_quoted { 0.05 } else { 0.0 };
            whole + 0.1 * clauses.fold(0.0, f64::max) + quoted * line.share(option)
        };
        self.lines.iter().map(of).fold(0.0, f64::max)
    }

    fn supports_verdict(&self, question: &Question) -> bool {
        let said = self.stems(&question.stem);
        let is_said = self
            .lines
            .iter()
            .any(|line| line.states(&question.stem, &said));
        if question.answer == true_false::OPTIONS[0] {
            return is_said;
        }
        let quoted = self.lines.iter().filter(|line| line.is_quoted);
        let closest = quoted.map(|line| share(&said, &line.stems));
        !is_said && closest.fold(0.0, f64::max) >= TWISTED
    }

    fn supports_answer(&self, question: &Question) -> bool {
        let near = self.near();
        let around: Vec<String> = near.iter().flat_map(|line| line.stems.clone()).collect();
        let said = share(&self.stems(&question.answer), &around);
        said >= KEY || said >= MODEL_ANSWER && is_related(&self.stems(&question.stem), &around)
    }
}

impl Line {
    fn share(&self, wanted: &[String]) -> f64 {
        share(wanted, &self.stems)
    }

    /// Most of the words, and every number.
    fn says(&self, wanted: &[String]) -> bool {
        let is_number = |stem: &&String| stem.contains(|c: char| c.is_numeric());
        self.share(wanted) >= KEY
            && wanted
                .iter()
                .filter(is_number)
                .all(|number| self.stems.contains(number))
    }

    /// Whether the statement is the sentence or a part of it: every word, in its order, and neither
    /// denied nor turned round.
    fn states(&self, statement: &str, stems: &[String]) -> bool {
        let order = common(stems, &self.stems) as f64 / stems.len().max(1) as f64;
        !stems.is_empty()
            && share(stems, &self.stems) >= 1.0
            && order >= ORDER
            && denies(statement) == denies(&self.text)
            && contrasts(statement).is_subset(&contrasts(&self.text))
    }
}

/// Whether enough of the question's words stand there.
fn is_related(asked: &[String], around: &[String]) -> bool {
    share(asked, around) >= RELATED
}

/// Share of the words wanted that are there, as they are or in another form.
fn share(wanted: &[String], there: &[String]) -> f64 {
    let is_there = |word: &&String| there.iter().any(|other| is_same(word, other));
    wanted.iter().filter(is_there).count() as f64 / wanted.len().max(1) as f64
}

fn is_same(a: &str, b: &str) -> bool {
    a == b || {
        let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
        let shorter = a.chars().count().min(b.chars().count());
        common >= STEM && common + 1 >= shorter && !a.contains(|c: char| c.is_numeric())
    }
}

/// The words that turn a statement round, as far as it has them.
pub fn contrasts(text: &str) -> HashSet<&'static str> {
    let folded = fold(text);
    let words: HashSet<&str> = folded.split(|c: char| !c.is_alphanumeric()).collect();
    let found = CONTRASTS.iter().filter(|word| words.contains(**word));
    found.copied().collect()
}

/// How many words both have in the same order: the longest common subsequence.
pub fn common(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (at, other) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if is_same(word, other) {
                diagonal + 1
            } else {
                above.max(row[at])
            };
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::{Defect, lint};
    use crate::reply;
    use crate::text::Text;
    use serde_json::{Value, json};

    const TEXT: &str = "The nucleus stores the genetic information of the cell. Mitochondria release energy by \
                        respiration. Thomas Newcomen built a steam engine in 1712. James Watt patented a separate \
                        condenser in 1769. Ribosomes assemble proteins after the nucleus has sent its message. \
                        The cell wall does not control what enters the cell.";

    /// What becomes of a model's question.
    fn scripted(kind: Kind, item: &Value) -> Result<(), Defect> {
        let passage = Passage {
            ordinal: 0,
            page: 1,
            start: 0,
            end: u32::try_from(TEXT.chars().count()).unwrap(),
            text: TEXT.to_owned(),
        };
        let texts = [Text {
            document_id: "d".into(),
            passages: vec![passage],
            terms: vec![],
        }];
        let reply = json!({ "questions": [item] }).to_string();
        let found = reply::questions(&reply, kind, &texts);
        lint(found.first().unwrap(), &texts)
    }

    fn choice(stem: &str, answer: &str, quote: &str, options: [&str; 4]) -> Result<(), Defect> {
        let item = json!({ "stem": stem, "options": options, "answer": answer, "quote": quote });
        scripted(Kind::MultipleChoice, &item)
    }

    fn statement(stem: &str, answer: &str, quote: &str) -> Result<(), Defect> {
        let item = json!({ "stem": stem, "answer": answer, "quote": quote });
        scripted(Kind::TrueFalse, &item)
    }

    const ENERGY: &str = "Mitochondria release energy by respiration.";
    const PARTS: [&str; 4] = ["Mitochondria", "Ribosomes", "The nucleus", "The cell wall"];
    const UNSUPPORTED: Result<(), Defect> = Err(Defect::Unsupported);

    #[test]
    fn a_key_that_the_quote_does_not_say_is_dropped() {
        let stem = "What releases energy?";
        assert_eq!(choice(stem, "Mitochondria", ENERGY, PARTS), Ok(()));
        for wrong in &PARTS[1..] {
            assert_eq!(choice(stem, wrong, ENERGY, PARTS), UNSUPPORTED, "{wrong}");
        }
        let years = ["1712", "1769", "1804", "1830"];
        let watt = "James Watt patented a separate condenser in 1769.";
        let stem = "When did Thomas Newcomen build a steam engine?";
        assert_eq!(choice(stem, "1769", watt, years), UNSUPPORTED);
        let newcomen = "Thomas Newcomen built a steam engine in 1712.";
        assert_eq!(choice(stem, "1712", newcomen, years), Ok(()));
        assert_eq!(choice(stem, "1830", newcomen, years), UNSUPPORTED);
    }

    #[test]
    fn a_quote_about_something_else_supports_nothing() {
        let stem = "Which planet has the largest rings?";
        assert_eq!(choice(stem, "Mitochondria", ENERGY, PARTS), UNSUPPORTED);
        let item = json!({ "stem": "Why do leaves fall?", "answer": "Days grow short in autumn", "quote": ENERGY });
        assert_eq!(scripted(Kind::ShortAnswer, &item), UNSUPPORTED);
    }

    #[test]
    fn a_true_statement_is_the_document_s() {
        assert_eq!(statement(ENERGY, "True", ENERGY), Ok(()));
        for (twisted, quote) in [
            ("Mitochondria release proteins by respiration.", ENERGY),
            ("Mitochondria do not release energy by respiration.", ENERGY),
            ("Respiration releases mitochondria by energy.", ENERGY),
            (
                "James Watt patented a separate condenser in 1796.",
                "James Watt patented a separate condenser in 1769.",
            ),
            (
                "Ribosomes assemble proteins before the nucleus has sent its message.",
                "Ribosomes assemble proteins after the nucleus has sent its message.",
            ),
            (
                "The cell wall does control what enters the cell.",
                "The cell wall does not control what enters the cell.",
            ),
        ] {
            assert_eq!(statement(twisted, "True", quote), UNSUPPORTED, "{twisted}");
            assert_eq!(statement(twisted, "False", quote), Ok(()), "{twisted}");
        }
    }

    #[test]
    fn a_false_statement_is_the_document_s_twisted() {
        assert_eq!(statement(ENERGY, "False", ENERGY), UNSUPPORTED);
        // Another sentence says it.
        let other = "The nucleus stores the genetic information of the cell.";
        assert_eq!(statement(other, "False", ENERGY), UNSUPPORTED);
        let unrelated = "Saturn has the largest rings of all planets.";
        assert_eq!(statement(unrelated, "False", ENERGY), UNSUPPORTED);
    }
}
