//! Study notes without a language model: the sentences that tell most, under the document's own
//! headings, with its terms and definitions.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::definitions::{Definition, definitions};
use crate::document::Document;
use crate::evenly::evenly;
use crate::prose::{is_contents, is_prose};
use crate::rank::{MOST, text_rank};
use crate::sentence::{BULLETS, sentences, unwrap_lines};
use crate::terms::{Term, Tokenizer, fold, key_terms};

const SECTIONS: usize = 40;
const POINTS: usize = 5;
const TERMS: usize = 20;
const DEFINITIONS: usize = 20;
/// Pages of a section in a document without headings.
const PAGES: u32 = 5;
/// Pages of a section under one heading; what follows is the heading's next section.
const LONG: u32 = 15;

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

/// A paragraph on its way into a section.
enum Block {
    Heading(String),
    Sentence(Point),
}

impl Notes {
    /// Notes of at most 40 sections with 5 points each, 20 terms and 20 definitions. Of more sections
    /// the longest of each stretch of the document are chosen.
    pub fn extract(document: &Document) -> Self {
        Self::extract_under(document, &[])
    }

    /// The same where the file itself says which lines are its headings; others are told by their look.
    pub fn extract_under(document: &Document, headings: &[String]) -> Self {
        let text = document.text();
        let tokenizer = Tokenizer::detect(&text);
        let mut seen = HashSet::new();
        let definitions = definitions(document, &tokenizer, DEFINITIONS);
        let known = headings.iter().map(|heading| fold(&unwrap_lines(heading)));
        let groups = grouped(document, &tokenizer, &known.collect());
        let sections = evenly(groups, SECTIONS, |(_, points)| points.len())
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
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "## {}\n", escape(&section.title()));
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

impl Section {
    /// The heading, else the pages.
    fn title(&self) -> String {
        if let Some(heading) = &self.heading {
            return heading.clone();
        }
        let page = |point: Option<&Point>| point.map_or(1, |point| point.page);
        match (page(self.points.first()), page(self.points.last())) {
            (first, last) if first == last => format!("Page {first}"),
            (first, last) => format!("Pages {first}–{last}"),
        }
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

fn blocks(document: &Document, tokenizer: &Tokenizer, known: &HashSet<String>) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut repeated = std::collections::HashMap::<String, usize>::new();
    for page in &document.pages {
        for sentence in sentences(&page.text) {
            let text = unwrap_lines(sentence.text);
            let is_known = !known.is_empty() && known.contains(&fold(&text));
            let looks = is_heading(&text, tokenizer) && !sentence.text.starts_with(BULLETS);
            if is_known || looks {
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

fn is_heading(text: &str, tokenizer: &Tokenizer) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_short = (1..=10).contains(&words.len()) && text.chars().count() <= 80;
    let has_letters = text.chars().filter(|c| c.is_alphabetic()).count() >= 4;
    let is_numbered = words.len() > 1 && words[0].bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let capitals = words
        .iter()
        .filter(|word| word.starts_with(char::is_uppercase))
        .count();
    let contents = is_contents(text) || text.ends_with(|c: char| c.is_ascii_digit());
    let code = text.contains(['@', '=', '*', '[', ']', '{', '}', '<', '>', '|', '\\', '$']);
    // A sentence that goes on elsewhere, as before a formula.
    let goes_on = words
        .last()
        .is_some_and(|word| word.starts_with(char::is_lowercase) && tokenizer.is_stop_word(word));
    is_short
        && has_letters
        && !contents
        && !code
        && !goes_on
        && !text.ends_with(['.', ',', ';', ':', '?', '!', '-', '。'])
        && (is_numbered || capitals * 2 > words.len())
}

/// Sentences under their headings, or by runs of pages where there are none to speak of. However many.
fn grouped(
    document: &Document,
    tokenizer: &Tokenizer,
    known: &HashSet<String>,
) -> Vec<(Option<String>, Vec<Point>)> {
    let mut groups: Vec<(Option<String>, Vec<Point>)> = vec![(None, vec![])];
    for block in blocks(document, tokenizer, known) {
        match (block, groups.last_mut()) {
            (Block::Heading(heading), Some((current, points))) => {
                if points.is_empty() {
                    *current = Some(heading);
                } else {
                    groups.push((Some(heading), vec![]));
                }
            }
            (Block::Sentence(point), Some((heading, points))) => {
                let most = if heading.is_none() { PAGES } else { LONG };
                let first = points.first().map_or(point.page, |first| first.page);
                if point.page.saturating_sub(first) >= most {
                    let heading = heading.clone();
                    groups.push((heading, vec![point]));
                } else {
                    points.push(point);
                }
            }
            (_, None) => {}
        }
    }
    groups.retain(|(_, points)| !points.is_empty());
    groups
}

/// The sentences of a section that tell most, in their order, none said before.
fn best(points: Vec<Point>, tokenizer: &Tokenizer, seen: &mut HashSet<String>) -> Vec<Point> {
    // More than are ranked together are sampled evenly, not cut.
    let wanted = (points.len() / 3).clamp(1, POINTS);
    let step = points.len().div_ceil(MOST).max(1);
    let points: Vec<Point> = points.into_iter().step_by(step).collect();
    let texts: Vec<&str> = points.iter().map(|point| point.text.as_str()).collect();
    let ranks = text_rank(&texts, tokenizer);
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]).then(a.cmp(&b)));
    let mut chosen: Vec<usize> = order
        .into_iter()
        .filter(|&at| seen.insert(fold(texts[at])))
        .take(wanted)
        .collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|at| points[at].clone()).collect()
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
    fn numbered_headings_without_blank_lines_have_sections_and_definitions() {
        let text = "1. Osmosis\nOsmosis is the movement of water through a membrane that lets only some things pass.\n\
                    2. Diffusion\nDiffusion is the movement of particles from where many are to where few are.\n";
        let notes = Notes::extract(&document(&[text]));
        let headings: Vec<_> = notes.sections.iter().map(Section::title).collect();
        assert_eq!(headings, ["1. Osmosis", "2. Diffusion"]);
        let terms: Vec<_> = notes
            .definitions
            .iter()
            .map(|found| found.term.as_str())
            .collect();
        assert_eq!(terms, ["Osmosis", "Diffusion"]);
    }

    #[test]
    fn what_the_file_calls_a_heading_is_one() {
        let text = format!("how to look at cells\n\n{}", sentence(1, 1));
        let document = document(&[&text]);
        let title =
            |headings: &[String]| Notes::extract_under(&document, headings).sections[0].title();
        assert_eq!(title(&[]), "Page 1");
        assert_eq!(
            title(&["How to look\nat cells".into()]),
            "how to look at cells"
        );
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

    /// A prose sentence that no other resembles much.
    fn sentence(page: usize, at: usize) -> String {
        format!("Creature{page}x{at}y lives quietly in the deep green forest of the old country.")
    }

    #[test]
    fn the_notes_of_a_long_document_reach_its_end_and_keep_to_each_heading_s_pages() {
        let texts: Vec<String> = (1..=200)
            .map(|page| {
                let name: String = (0..3)
                    .map(|at| char::from(b'A' + (page / 26usize.pow(at) % 26) as u8))
                    .collect();
                format!(
                    "Section About {name}\n\n{} {} {}",
                    sentence(page, 1),
                    sentence(page, 2),
                    sentence(page, 3)
                )
            })
            .collect();
        let document = document(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let notes = Notes::extract(&document);
        assert_eq!(notes.sections.len(), SECTIONS);
        let pages: Vec<u32> = notes
            .sections
            .iter()
            .map(|section| section.points[0].page)
            .collect();
        assert!(pages[0] <= 5 && pages[SECTIONS - 1] > 190, "{pages:?}");
        for section in &notes.sections {
            let heading = section.heading.as_deref().unwrap();
            for point in &section.points {
                let page = &document.pages[point.page as usize - 1];
                assert!(
                    page.text.contains(heading),
                    "{heading} on page {}",
                    point.page
                );
            }
        }
    }

    #[test]
    fn a_document_without_headings_is_noted_to_its_end() {
        let texts: Vec<String> = (1..=300)
            .map(|page| format!("{} {}", sentence(page, 1), sentence(page, 2)))
            .collect();
        let notes = Notes::extract(&document(
            &texts.iter().map(String::as_str).collect::<Vec<_>>(),
        ));
        assert_eq!(notes.sections.len(), SECTIONS);
        assert!(
            notes
                .sections
                .iter()
                .all(|section| section.heading.is_none())
        );
        assert!(notes.sections[SECTIONS - 1].points[0].page > 285);
        assert!(notes.to_markdown().contains("## Pages "));
    }

    #[test]
    fn the_best_of_a_long_section_are_not_its_first_sentences_only() {
        let long: Vec<String> = (0..2_000).map(|at| sentence(1, at)).collect();
        let tail = "The membrane of the cell protects the cell and the nucleus of the cell.";
        let text = format!(
            "Cells And More\n\n{} {}",
            long.join(" "),
            [tail; 3].join(" ")
        );
        let notes = Notes::extract(&document(&[&text]));
        assert_eq!(notes.sections.len(), 1);
        assert_eq!(notes.sections[0].points.len(), POINTS);
    }

    #[test]
    fn code_list_items_and_unfinished_sentences_are_no_headings() {
        let tokenizer = Tokenizer::detect(samples::BIOLOGY);
        for heading in ["Cell Structure", "1.10 Executing commands from a file"] {
            assert!(is_heading(heading, &tokenizer), "{heading}");
        }
        for no_heading in [
            "DEFINITIONS EXPLICIT TAGS ::=",
            "Nikos Mavrogiannopoulos (help-libtasn1@gnu.org)",
            "4. To quit the R program the command is",
            "2 ASN.1 structure handling . . . . . . .",
        ] {
            assert!(!is_heading(no_heading, &tokenizer), "{no_heading}");
        }
    }

    #[test]
    fn awkward_documents_have_notes_or_none() {
        for awkward in samples::AWKWARD {
            Notes::extract(&document(&[awkward, awkward, awkward])).to_markdown();
        }
    }
}
