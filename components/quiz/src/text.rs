//! A document to ask about.

use corpus::terms::{fold, key_terms};
use corpus::{Document, Page, Passage};

use crate::question::Question;
use crate::words::find_words;

/// A document's id, passages and terms.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// Its id.
    pub document_id: String,
    /// In their order.
    pub passages: Vec<Passage>,
    /// Terms from its notes, best first; may be empty.
    pub terms: Vec<String>,
}

impl Text {
    /// What it is about, best first: by its notes, or else by itself.
    pub fn topics(&self) -> Vec<String> {
        if !self.terms.is_empty() {
            return self.terms.clone();
        }
        let found = key_terms(&self.document(), 40);
        found.into_iter().map(|term| term.text).collect()
    }

    /// A page for each passage.
    pub fn document(&self) -> Document {
        let pages = self.passages.iter().map(|passage| Page {
            number: passage.page,
            text: passage.text.clone(),
        });
        Document {
            pages: pages.collect(),
        }
    }

    /// With as many passages from all over it as have `most` bytes together.
    pub fn thinned(mut self, most: usize) -> Self {
        let all: usize = self.passages.iter().map(|passage| passage.text.len()).sum();
        let step = all.div_ceil(most.max(1)).max(1);
        self.passages = self.passages.into_iter().step_by(step).collect();
        self
    }
}

/// The first of the topics that the question is about; empty where it is about none of them.
pub fn topic(question: &Question, topics: &[String]) -> String {
    let said = fold(&format!(
        "{} {} {}",
        question.answer, question.stem, question.source.quote
    ));
    let said: Vec<&str> = said.split_whitespace().collect();
    let said = said.join(" ");
    let is_said = |topic: &&String| find_words(&said, &fold(topic)).is_some();
    let found = topics.iter().find(is_said).map(String::as_str);
    // As the table holds it.
    found.unwrap_or_default().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::{Kind, Source};

    #[test]
    fn a_question_is_about_the_best_term_that_it_speaks_of() {
        let question = Question {
            stem: "What surrounds the cell?".into(),
            options: vec![],
            answer: "membrane".into(),
            rubric: vec![],
            kind: Kind::ShortAnswer,
            explanation: String::new(),
            source: Source {
                quote: "The cell\nmembrane surrounds the Cell.".into(),
                ..Source::default()
            },
        };
        let about = |topics: &[&str]| {
            let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
            topic(&question, &topics)
        };
        assert_eq!(
            about(&["nucleus", "Cell Membrane", "cell"]),
            "Cell Membrane"
        );
        assert_eq!(about(&["nucleus", "cellulose"]), "");
        assert_eq!(about(&[]), "");
    }

    #[test]
    fn a_long_text_is_thinned_evenly() {
        let passage = |ordinal| Passage {
            ordinal,
            page: 1,
            start: 0,
            end: 10,
            text: "0123456789".into(),
        };
        let text = Text {
            passages: (0..100).map(passage).collect(),
            ..Text::default()
        };
        let thin = text.clone().thinned(200);
        assert_eq!(thin.passages.len(), 20);
        assert!(thin.passages.last().unwrap().ordinal >= 90);
        assert_eq!(text.thinned(5_000).passages.len(), 100);
    }
}
