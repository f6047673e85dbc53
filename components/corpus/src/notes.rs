//! Study notes without a language model: the sentences that tell most, under the document's own
//! headings, with its terms and definitions.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::rank::{MOST, text_rank};
use crate::sentence::{sentences, unwrap_lines};
use crate::terms::{Term, Tokenizer, fold, key_terms};

const SECTIONS: usize = 40;
const POINTS: usize = 5;
const TERMS: usize = 20;
const DEFINITIONS: usize = 20;
/// Pages of a section in a document without headings.
const PAGES: usize = 5;

/// Notes on a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// In the document's order.
    pub sections: Vec<Section>,
    /// Best first.
    pub terms: Vec<Term>,
    /// In the document's order.
    pub definitions: Vec<Definition>,
}

/// What stands under one heading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// The document's own; `None` where it has none.
    pub heading: Option<String>,
    /// In the document's order.
    pub points: Vec<Point>,
}

/// A sentence of the document, its wrapped lines joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The sentence.
    pub text: String,
    /// The page's number.
    pub page: u32,
}

/// What the document says something is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// What is defined.
    pub term: String,
    /// The whole sentence.
    pub text: String,
    /// The page's number.
    pub page: u32,
}

/// Whether a sentence can stand alone: not a caption, a table's row, a reference, a line of contents.
pub fn is_prose(sentence: &str) -> bool {
    let words = sentence.split_whitespace().count();
    let characters = sentence.chars().count();
    let letters = sentence.chars().filter(|c| c.is_alphabetic()).count();
    let spaces = sentence.chars().filter(|c| c.is_whitespace()).count();
    let is_cjk = words < 4 && characters >= 10 && !sentence.is_ascii();
    let lower = sentence.to_lowercase();
    (is_cjk || (8..=40).contains(&words))
        && sentence.trim_end().ends_with(['.', '!', '。', '！'])
        && (letters + spaces) * 100 >= characters * 70
        && sentence.starts_with(|c: char| c.is_uppercase() || !c.is_ascii())
        && ![
            "....",
            ". . .",
            "http",
            "www.",
            "©",
            "isbn",
            "doi:",
            "all rights reserved",
        ]
        .iter()
        .any(|bad| lower.contains(bad))
        && !["figure ", "fig. ", "table ", "abb. ", "tab. ", "chapter "]
            .iter()
            .any(|bad| lower.starts_with(bad))
}

/// A paragraph on its way into a section.
enum Block {
    Heading(String),
    Sentence(Point),
}

impl Notes {
    /// Notes of at most 40 sections with 5 points each, 20 terms and 20 definitions.
    pub fn extract(document: &Document) -> Self {
        let text = document.text();
        let tokenizer = Tokenizer::detect(&text);
        let mut seen = std::collections::HashSet::new();
        let definitions = definitions(document);
        let sections = grouped(document)
            .into_iter()
            .filter_map(|(heading, points)| {
                let points = best(points, &tokenizer, &mut seen);
                (!points.is_empty()).then_some(Section { heading, points })
            })
            .collect();
        Self {
            sections,
            terms: key_terms(document, TERMS),
            definitions,
        }
    }

    /// `## heading`, `- point (p. 3)`, then `### Key terms` and `### Definitions`.
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let heading = section.heading.as_deref().unwrap_or("Notes");
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "## {}\n", escape(heading));
            for point in &section.points {
                let _ = writeln!(text, "- {} (p. {})", escape(&point.text), point.page);
            }
            text.push('\n');
        }
        if !self.terms.is_empty() {
            let terms: Vec<_> = self.terms.iter().map(|term| escape(&term.text)).collect();
            let _ = writeln!(text, "### Key terms\n\n{}\n", terms.join(" · "));
        }
        if !self.definitions.is_empty() {
            text.push_str("### Definitions\n\n");
            for definition in &self.definitions {
                let (term, said) = (escape(&definition.term), escape(&definition.text));
                let _ = writeln!(text, "- **{term}**: {said} (p. {})", definition.page);
            }
        }
        text.trim_end().to_owned()
    }
}

/// A document's text must not become markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '[' | ']' | '*' | '_' | '`' | '#' | '!' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

fn blocks(document: &Document) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut repeated = std::collections::HashMap::<String, usize>::new();
    for page in &document.pages {
        for sentence in sentences(&page.text) {
            let text = unwrap_lines(sentence.text);
            if is_heading(&text) {
                *repeated.entry(fold(&text)).or_default() += 1;
                blocks.push(Block::Heading(text));
            } else if is_prose(&text) {
                blocks.push(Block::Sentence(Point {
                    text,
                    page: page.number,
                }));
            }
        }
    }
    // A heading that comes again and again is the head of the pages.
    blocks.retain(|block| !matches!(block, Block::Heading(text) if repeated.get(&fold(text)).is_some_and(|&n| n > 2)));
    blocks
}

fn is_heading(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_short = (1..=10).contains(&words.len()) && text.chars().count() <= 80;
    let has_letters = text.chars().filter(|c| c.is_alphabetic()).count() >= 4;
    let is_numbered = words.len() > 1 && words[0].bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let capitals = words
        .iter()
        .filter(|word| word.starts_with(char::is_uppercase))
        .count();
    let contents = text.contains("..") || text.ends_with(|c: char| c.is_ascii_digit());
    is_short
        && has_letters
        && !contents
        && !text.ends_with(['.', ',', ';', ':', '?', '!', '-', '。'])
        && (is_numbered || capitals * 2 > words.len())
}

/// Sentences under their headings, or by runs of pages where there are none to speak of.
fn grouped(document: &Document) -> Vec<(Option<String>, Vec<Point>)> {
    let mut groups: Vec<(Option<String>, Vec<Point>)> = vec![(None, vec![])];
    for block in blocks(document) {
        let full = groups.len() >= SECTIONS;
        match (block, groups.last_mut()) {
            (Block::Heading(heading), Some((current, points))) => {
                if points.is_empty() {
                    *current = Some(heading);
                } else if !full {
                    groups.push((Some(heading), vec![]));
                }
            }
            (Block::Sentence(point), Some((heading, points))) => {
                let apart = points.first().is_some_and(|first| {
                    point.page - first.page >= u32::try_from(PAGES).unwrap_or(5)
                });
                if heading.is_none() && apart && !full {
                    groups.push((None, vec![point]));
                } else {
                    points.push(point);
                }
            }
            (_, None) => {}
        }
    }
    groups
}

/// The sentences of a section that tell most, in their order, none said before.
fn best(
    points: Vec<Point>,
    tokenizer: &Tokenizer,
    seen: &mut std::collections::HashSet<String>,
) -> Vec<Point> {
    let texts: Vec<&str> = points
        .iter()
        .map(|point| point.text.as_str())
        .take(MOST)
        .collect();
    let ranks = text_rank(&texts, tokenizer);
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]).then(a.cmp(&b)));
    let wanted = (points.len() / 3).clamp(1, POINTS);
    let mut chosen: Vec<usize> = order
        .into_iter()
        .filter(|&at| seen.insert(fold(texts[at])))
        .take(wanted)
        .collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|at| points[at].clone()).collect()
}

/// What follows a term that is being defined, by language.
const DEFINES: &[&str] = &[
    " is a ",
    " is an ",
    " is the ",
    " are the ",
    " are a ",
    " means ",
    " refers to ",
    " is defined as ",
    " is called ",
    " ist ein ",
    " ist eine ",
    " ist der ",
    " ist die ",
    " ist das ",
    " bezeichnet ",
    " nennt man ",
];

fn definitions(document: &Document) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    for page in &document.pages {
        for sentence in sentences(&page.text) {
            let text = unwrap_lines(sentence.text);
            let Some(term) = defined(&text).filter(|_| is_prose(&text)) else {
                continue;
            };
            if found.iter().all(|other| fold(&other.term) != fold(&term)) {
                found.push(Definition {
                    term,
                    text,
                    page: page.number,
                });
            }
            if found.len() == DEFINITIONS {
                return found;
            }
        }
    }
    found
}

/// The term before the first defining words: one to four words, no pronoun among them.
fn defined(sentence: &str) -> Option<String> {
    let at = DEFINES
        .iter()
        .filter_map(|defines| sentence.find(defines))
        .min()?;
    let before = sentence[..at].trim();
    let bare = ["The ", "A ", "An ", "Der ", "Die ", "Das ", "Ein ", "Eine "]
        .iter()
        .find_map(|article| before.strip_prefix(article))
        .unwrap_or(before);
    let words: Vec<String> = bare.split_whitespace().map(fold).collect();
    const NOT_TERMS: &[&str] = &[
        "it",
        "this",
        "that",
        "these",
        "those",
        "there",
        "he",
        "she",
        "they",
        "we",
        "you",
        "i",
        "what",
        "which",
        "who",
        "here",
        "one",
        "es",
        "dies",
        "das",
        "er",
        "sie",
        "wir",
        "and",
        "of",
        "in",
        "if",
        "when",
        "but",
        "so",
        "result",
        "first",
        "next",
        "other",
        "purpose",
        "goal",
        "reason",
        "problem",
        "answer",
        "idea",
        "following",
        "example",
    ];
    let fits = (1..=4).contains(&words.len())
        && words.iter().all(|word| !NOT_TERMS.contains(&word.as_str()))
        && bare
            .chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace() || "-()'".contains(c));
    fits.then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Page;
    use crate::samples;

    fn document(texts: &[&str]) -> Document {
        let pages = texts.iter().zip(1..);
        Document {
            pages: pages
                .map(|(text, number)| Page {
                    number,
                    text: (*text).to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn notes_stand_under_the_document_s_headings() {
        let notes = Notes::extract(&document(&[samples::BIOLOGY, samples::HISTORY]));
        let headings: Vec<_> = notes
            .sections
            .iter()
            .filter_map(|section| section.heading.as_deref())
            .collect();
        assert!(
            headings.contains(&"Cell Structure") && headings.contains(&"The Steam Engine"),
            "{headings:?}"
        );
        assert!(
            notes
                .sections
                .iter()
                .all(|section| (1..=POINTS).contains(&section.points.len()))
        );
        let markdown = notes.to_markdown();
        assert!(
            markdown.contains("## Cell Structure\n\n- ") && markdown.contains("(p. 2)"),
            "{markdown}"
        );
    }

    #[test]
    fn definitions_are_what_the_document_says_something_is() {
        let notes = Notes::extract(&document(&[samples::BIOLOGY]));
        let terms: Vec<_> = notes
            .definitions
            .iter()
            .map(|definition| definition.term.as_str())
            .collect();
        assert!(terms.contains(&"cytoplasm"), "{terms:?}");
    }

    #[test]
    fn captions_contents_and_links_are_no_prose() {
        assert!(is_prose(
            "The cell membrane surrounds the cell and protects what is inside."
        ));
        for bad in [
            "Figure 3 shows the cell with its membrane and other parts.",
            "Introduction .......................................... 3",
            "See http://example.org for more about this and that and other things.",
            "12 34 56 78 90 12 34 56 78 90.",
            "Too short.",
        ] {
            assert!(!is_prose(bad), "{bad}");
        }
    }

    #[test]
    fn a_document_s_text_does_not_become_markup() {
        let hostile = "The image ![x](http://evil) is a thing that <script> people put into their texts today.";
        let notes = Notes {
            sections: vec![Section {
                heading: None,
                points: vec![Point {
                    text: hostile.into(),
                    page: 1,
                }],
            }],
            terms: vec![],
            definitions: vec![],
        };
        let markdown = notes.to_markdown();
        assert!(
            !markdown.contains("![") && !markdown.contains("<script"),
            "{markdown}"
        );
    }

    #[test]
    fn awkward_documents_have_notes_or_none() {
        for awkward in samples::AWKWARD {
            Notes::extract(&document(&[awkward, awkward, awkward])).to_markdown();
        }
    }
}
