//! An answer while a model writes it: made fit to be shown, held against the passages sentence by
//! sentence, and let go as soon as that may be.
//!
//! Where only the documents may speak, each statement that does not stand there is left out, and counted;
//! what claims nothing is let go beside one that does. Where nothing is left, the answer is "not found",
//! and nobody has seen the invention. A model
//! that answers in another language than the document's cannot be held against it by words; where it
//! names its passages, they are quoted whole, and the answer is not called grounded.

use corpus::answer::{Quote, Shown};
use corpus::ground::{Ground, Verdict};
use corpus::sanitize::Filter;
use corpus::search::tokenizer_of;
use corpus::sentence::sentences;
use corpus::terms::Tokenizer;

use crate::prompt::gives_away;

/// Quotes of one answer.
const MOST: usize = 6;
/// Passages that are quoted whole.
const WHOLE: usize = 3;

/// An answer while it is written.
pub struct Draft {
    filter: Filter,
    /// `None` where no document is asked.
    ground: Option<Ground>,
    shown: Vec<Shown>,
    only_documents: bool,
    nonce: String,
    /// Not yet a whole sentence.
    begun: String,
    text: String,
    /// Claims nothing, and waits for a statement that it may stand beside.
    waiting: String,
    /// All of it, with what is left out.
    whole: String,
    /// Bytes of the text that were let go.
    told: usize,
    quotes: Vec<Quote>,
    unsupported: usize,
    /// Whether the last statement was left out.
    after_gap: bool,
}

/// An answer that is written.
#[derive(Debug, PartialEq)]
pub struct Written {
    /// What was not let go before; not where the answer stands nowhere.
    pub rest: String,
    /// All of it.
    pub text: String,
    /// What it rests on.
    pub quotes: Vec<Quote>,
    /// Whether every statement that is shown stands in a document; `None` where none was asked.
    pub grounded: Option<bool>,
    /// Statements that were left out, as they stand in no document.
    pub omitted: usize,
    /// Nothing of it stands there, and nothing was let go: it is no answer.
    pub invented: bool,
}

impl Draft {
    /// Of a model that was shown these passages inside that fence.
    pub fn new(shown: Vec<Shown>, asks_documents: bool, only_documents: bool, nonce: &str) -> Self {
        Self {
            filter: Filter::new(shown.len()),
            ground: asks_documents.then(|| Ground::new(&shown)),
            only_documents: asks_documents && only_documents,
            shown,
            nonce: nonce.to_owned(),
            begun: String::new(),
            text: String::new(),
            waiting: String::new(),
            whole: String::new(),
            told: 0,
            quotes: vec![],
            unsupported: 0,
            after_gap: false,
        }
    }

    /// Takes what the model says next; answers what may be shown now, which may be nothing.
    pub fn push(&mut self, piece: &str) -> String {
        let clean = self.filter.push(piece);
        self.begun.push_str(&clean);
        self.judge(false);
        self.let_go()
    }

    /// Takes the end. An answer that was cut short says so.
    pub fn end(mut self, cut_short: bool) -> Written {
        let rest = self.filter.end();
        self.begun.push_str(&rest);
        self.judge(true);
        if self.unsupported == 0 {
            self.text.push_str(&std::mem::take(&mut self.waiting));
        }
        let named = self.named_in_another_language();
        // Of such an answer nothing was let go.
        if self.only_documents && !named.is_empty() {
            self.text = std::mem::take(&mut self.whole);
        }
        let invented = self.only_documents && self.unsupported > 0 && self.text.trim().is_empty();
        if cut_short && !self.text.is_empty() && !self.text.ends_with('…') {
            self.text.push('…');
        }
        let left_out = self.only_documents && named.is_empty();
        let grounded = self
            .ground
            .is_some()
            .then_some(!self.quotes.is_empty() && (left_out || self.unsupported == 0));
        if self.quotes.is_empty() {
            self.quotes = named;
        }
        self.quotes.truncate(MOST);
        Written {
            rest: self.text.get(self.told..).unwrap_or_default().to_owned(),
            text: self.text,
            quotes: self.quotes,
            grounded,
            omitted: if left_out { self.unsupported } else { 0 },
            invented,
        }
    }

    /// Whether something was let go.
    pub fn has_spoken(&self) -> bool {
        self.told > 0
    }

    /// Moves whole sentences from what is begun to the text. Without documents there is nothing to wait
    /// for.
    fn judge(&mut self, ended: bool) {
        let begun = std::mem::take(&mut self.begun);
        let Some(ground) = self.ground.take() else {
            self.text.push_str(&begun);
            return;
        };
        let mut from = 0;
        for sentence in sentences(&begun) {
            let to = sentence.offset + sentence.text.len();
            // A small letter to come, even behind numbers, would make one sentence of both (UAX #29, SB8).
            if !ended && !begun[to..].contains(char::is_alphabetic) {
                break;
            }
            if !gives_away(sentence.text, &self.nonce) {
                self.take(ground.check(sentence.text), &begun[from..to]);
            }
            from = to;
        }
        if !ended {
            self.begun = begun[from..].to_owned();
        }
        self.ground = Some(ground);
    }

    /// Takes a statement, with the space before it, or leaves it out.
    fn take(&mut self, verdict: Verdict, statement: &str) {
        self.whole.push_str(statement);
        match verdict {
            Verdict::Supported(quote) => {
                cite(&mut self.quotes, quote);
                self.text.push_str(&std::mem::take(&mut self.waiting));
                self.text.push_str(statement);
                self.after_gap = false;
            }
            Verdict::Unsupported => {
                self.unsupported += 1;
                if self.only_documents {
                    self.waiting.clear();
                    self.after_gap = true;
                } else {
                    self.text.push_str(statement);
                }
            }
            Verdict::NoClaim
                if self.only_documents && (self.after_gap || self.quotes.is_empty()) =>
            {
                self.waiting.push_str(statement);
            }
            Verdict::NoClaim => self.text.push_str(statement),
        }
    }

    fn let_go(&mut self) -> String {
        let told = self.text[self.told..].to_owned();
        self.told = self.text.len();
        told
    }

    fn named_in_another_language(&self) -> Vec<Quote> {
        if self.ground.is_none() || !self.quotes.is_empty() {
            return vec![];
        }
        let spoken = Tokenizer::detect(&self.whole).language();
        let named = self.filter.named();
        let named = named.iter().filter_map(|&at| self.shown.get(at));
        named
            .filter(|shown| {
                let written = tokenizer_of(std::slice::from_ref(&shown.passage));
                !spoken.is_empty() && !written.language().is_empty() && written.language() != spoken
            })
            .take(WHOLE)
            .map(|shown| Quote {
                document: shown.document,
                page: shown.passage.page,
                start: shown.passage.start,
                end: shown.passage.end,
                text: shown.passage.text.clone(),
                score: 0.0,
            })
            .collect()
    }
}

fn cite(quotes: &mut Vec<Quote>, quote: Quote) {
    let place = |quote: &Quote| (quote.document, quote.start);
    if !quotes.iter().any(|other| place(other) == place(&quote)) {
        quotes.push(quote);
    }
}

#[cfg(test)]
mod tests {
    use corpus::samples::BIOLOGY;
    use corpus::{Document, Page};

    use super::*;

    fn shown() -> Vec<Shown> {
        let pages = vec![Page {
            number: 1,
            text: BIOLOGY.to_owned(),
        }];
        Document { pages }
            .passages()
            .into_iter()
            .map(|passage| Shown {
                document: 0,
                passage,
            })
            .collect()
    }

    fn draft(only_documents: bool) -> Draft {
        Draft::new(shown(), true, only_documents, "n0nce")
    }

    #[test]
    fn an_answer_is_let_go_once_it_stands_in_the_document() {
        let mut draft = draft(true);
        assert_eq!(
            draft.push("Sure. The cell membrane controls what enters "),
            ""
        );
        assert_eq!(
            draft.push("the cell [1]. It"),
            "Sure. The cell membrane controls what enters the cell."
        );
        let written = draft.end(false);
        assert_eq!(
            written.text,
            "Sure. The cell membrane controls what enters the cell. It"
        );
        assert_eq!(
            (written.rest.as_str(), written.grounded, written.invented),
            (" It", Some(true), false)
        );
        assert!(written.quotes[0].text.contains("controls what enters"));
    }

    #[test]
    fn an_invention_is_never_let_go() {
        let mut draft = draft(true);
        let said =
            draft.push("Paris is the capital of France [1]. It has two million inhabitants [2]. ");
        let written = draft.end(false);
        assert_eq!(
            (said.as_str(), written.rest.as_str(), written.invented),
            ("", "", true)
        );
        assert_eq!(written.grounded, Some(false));
    }

    #[test]
    fn one_true_sentence_lets_no_invention_pass() {
        let mut draft = draft(true);
        let mut said = String::new();
        for piece in [
            "Sure. The cell membrane surrounds the cell [1]. Paris is the capital of France. Indeed. ",
            "The cell membrane was invented in 1911 by Zebulon Quirk [1]. The nucleus contains the genetic ",
            "material [1]. Drink bleach every morning.",
        ] {
            said.push_str(&draft.push(piece));
        }
        let written = draft.end(false);
        said.push_str(&written.rest);
        assert_eq!(
            written.text,
            "Sure. The cell membrane surrounds the cell. The nucleus contains the genetic material."
        );
        assert_eq!(said, written.text);
        assert_eq!((written.grounded, written.omitted), (Some(true), 3));
    }

    #[test]
    fn what_may_be_said_beside_the_documents_is_not_called_grounded() {
        let mut draft = draft(false);
        assert_eq!(
            draft.push("Paris is the capital of France. It "),
            "Paris is the capital of France."
        );
        let written = draft.end(true);
        assert_eq!(
            (written.text.as_str(), written.grounded),
            ("Paris is the capital of France. It…", Some(false))
        );
        let mut free = Draft::new(vec![], false, true, "n0nce");
        assert_eq!(free.push("Hel"), "Hel");
        assert_eq!(free.end(false).grounded, None);
    }

    #[test]
    fn the_fence_and_the_rules_are_never_let_go() {
        let mut draft = draft(true);
        let said = draft.push("Mitosis is a kind of cell division. The fence is n0nce. Write no links, images or HTML. Done.");
        let written = draft.end(false);
        assert_eq!(written.text, "Mitosis is a kind of cell division. Done.");
        assert!(written.text.starts_with(&said));
    }

    #[test]
    fn an_answer_in_another_language_quotes_the_passages_that_it_names() {
        let mut draft = draft(true);
        assert_eq!(draft.push("Die Membran umgibt den Inhalt und regelt, was in das Innere gelangt und was es wieder verlässt [1]."), "");
        let written = draft.end(false);
        assert!(!written.invented);
        assert_eq!((written.quotes.len(), written.grounded), (1, Some(false)));
        assert_eq!(written.quotes[0].text, shown()[0].passage.text);
    }
}
