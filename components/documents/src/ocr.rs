//! Pages that were read from their image, and what is said of those that could not be.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::read::{MAX_BYTES, NeedsOcr, Reading, Reason, clean};

/// A line that the engine is less sure of is noise: what it sees in a photograph.
const SURE: f32 = 0.4;

/// How reading a page from its image stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not read yet.
    Pending,
    /// It has text now.
    Read,
    /// There is no engine, or it found nothing.
    Unread,
}

/// A page that has to be looked at, and whether it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OcrPage {
    /// From 1.
    pub page: u32,
    /// Why.
    pub reason: Reason,
    /// How it stands.
    pub status: State,
}

/// A line as an engine reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its words.
    pub text: String,
    /// 0 to 1.
    pub confidence: f32,
}

/// Something that a reader should know of a document that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Warning {
    /// Stable.
    pub code: &'static str,
    /// For a person.
    pub message: String,
    /// Those it is about; none where it is about all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<u32>,
}

/// The pages that wait for an engine.
pub fn pending(reading: &Reading) -> Vec<OcrPage> {
    states(&reading.needs_ocr, |_| State::Pending)
}

fn states(pages: &[NeedsOcr], state: impl Fn(u32) -> State) -> Vec<OcrPage> {
    let page = |NeedsOcr { page, reason }: &NeedsOcr| OcrPage {
        page: *page,
        reason: *reason,
        status: state(*page),
    };
    pages.iter().map(page).collect()
}

/// Puts what the engine read in the place of what the file says; how each page stands then.
pub fn merge(
    reading: &mut Reading,
    read: impl IntoIterator<Item = (u32, Vec<Line>)>,
) -> Vec<OcrPage> {
    let wanted: Vec<u32> = reading.needs_ocr.iter().map(|needs| needs.page).collect();
    let mut done = Vec::new();
    let mut bytes: usize = reading
        .document
        .pages
        .iter()
        .map(|page| page.text.len())
        .sum();
    for (number, lines) in read {
        let pages = &mut reading.document.pages;
        let Some(page) = pages.iter_mut().find(|page| page.number == number) else {
            continue;
        };
        let text = text(&lines);
        if text.is_empty() || !wanted.contains(&number) {
            continue;
        }
        bytes = bytes - page.text.len() + text.len();
        if bytes > MAX_BYTES {
            reading.truncated = true;
            break;
        }
        page.text = text;
        done.push(number);
    }
    let state = |page| match done.contains(&page) {
        true => State::Read,
        false => State::Unread,
    };
    states(&reading.needs_ocr, state)
}

fn text(lines: &[Line]) -> String {
    let sure = lines.iter().filter(|line| line.confidence >= SURE);
    let lines: Vec<String> = sure.map(|line| clean(line.text.trim()).collect()).collect();
    lines.join("\n").trim().to_owned()
}

/// What is to be said of the text as it is now.
pub fn warnings(reading: &Reading) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let pages = &reading.document.pages;
    let is_empty = |number: u32| {
        let page = pages.iter().find(|page| page.number == number);
        page.is_none_or(|page| page.text.trim().is_empty())
    };
    if pages.iter().all(|page| page.text.trim().is_empty()) {
        warnings.push(Warning {
            code: "NO_TEXT",
            message: "no text was found in the document".into(),
            pages: vec![],
        });
    }
    let without = reading.needs_ocr.iter().map(|needs| needs.page);
    let without: Vec<u32> = without.filter(|&page| is_empty(page)).collect();
    if !without.is_empty() {
        warnings.push(Warning {
            code: "PAGES_WITHOUT_TEXT",
            message: "these pages show something, but their text could not be read".into(),
            pages: without,
        });
    }
    if reading.truncated {
        warnings.push(Warning {
            code: "TRUNCATED",
            message: "the document is longer than what is read; its end is left out".into(),
            pages: vec![],
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use corpus::{Document, Page};

    use super::*;

    fn scan() -> Reading {
        let page = |number, text: &str| Page {
            number,
            text: text.into(),
        };
        let needs = |page| NeedsOcr {
            page,
            reason: Reason::ImageOnly,
        };
        Reading {
            document: Document {
                pages: vec![page(1, "A text."), page(2, "2"), page(3, "")],
            },
            needs_ocr: vec![needs(2), needs(3)],
            ..Reading::default()
        }
    }

    fn line(text: &str, confidence: f32) -> Line {
        Line {
            text: text.into(),
            confidence,
        }
    }

    #[test]
    fn an_image_s_text_takes_its_page_s_place_and_no_other() {
        let mut reading = scan();
        let read = [
            (1, vec![line("not asked for", 1.0)]),
            (
                2,
                vec![
                    line("Seen\u{0}", 0.9),
                    line("n0ise", 0.1),
                    line("twice", 0.8),
                ],
            ),
            (9, vec![line("no page", 1.0)]),
        ];
        let states = merge(&mut reading, read);
        assert_eq!(reading.document.text(), "A text.\n\nSeen\ntwice\n\n");
        let states: Vec<_> = states.iter().map(|page| (page.page, page.status)).collect();
        assert_eq!(states, [(2, State::Read), (3, State::Unread)]);
        let warnings = warnings(&reading);
        assert_eq!(
            (warnings.len(), warnings[0].code),
            (1, "PAGES_WITHOUT_TEXT")
        );
        assert_eq!(warnings[0].pages, [3]);
    }

    #[test]
    fn a_document_without_any_text_says_so_first() {
        let mut reading = scan();
        reading.document.pages.remove(0);
        reading.document.pages[0].text.clear();
        let codes: Vec<_> = warnings(&reading)
            .iter()
            .map(|warning| warning.code)
            .collect();
        assert_eq!(codes, ["NO_TEXT", "PAGES_WITHOUT_TEXT"]);
    }
}
