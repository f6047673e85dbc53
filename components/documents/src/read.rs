//! From a file's bytes to its pages, within bounds.

use std::ops::ControlFlow;

use corpus::{Document, Page};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sniff::Kind;
use crate::{docx, encoding, pdf};

/// More pages are left out.
pub const MAX_PAGES: usize = 2_000;
/// More characters are left out.
pub const MAX_CHARACTERS: usize = 5_000_000;
/// More bytes of UTF-8 are left out.
pub const MAX_BYTES: usize = 12 << 20;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The text by page. A text file and a Word document are one page.
    pub document: Document,
    /// As the file has it; only a PDF has pages.
    pub page_count: Option<u32>,
    /// Whether something was left out.
    pub truncated: bool,
    /// Lines of the text that the file calls headings.
    pub headings: Vec<String>,
    /// Pages whose text is not to be had from the file, in their order.
    pub needs_ocr: Vec<NeedsOcr>,
}

/// A page that has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedsOcr {
    /// From 1.
    pub page: u32,
    /// Why.
    pub reason: Reason,
}

/// Why a page has to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It shows something, and has no text.
    NoText,
    /// Its fonts do not say which characters they draw.
    GarbledText,
    /// It is a picture.
    ImageOnly,
}

/// Why nothing was read. Each has its code in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It wants a password, or another one.
    Encrypted,
    /// It is damaged beyond reading, or is not what it began as.
    Corrupt(String),
    /// It took more time, memory or room than a document may.
    TooComplex,
    /// It is sound, and something else; with its usual name.
    Unsupported(&'static str),
}

impl Unreadable {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encrypted => "ENCRYPTED_DOCUMENT",
            Self::Corrupt(_) => "CORRUPT_DOCUMENT",
            Self::TooComplex => "DOCUMENT_TOO_COMPLEX",
            Self::Unsupported(_) => "UNSUPPORTED_MEDIA_TYPE",
        }
    }

    /// For a person.
    pub fn message(&self) -> String {
        match self {
            Self::Encrypted => {
                "the document is protected by a password: give it as `password`".into()
            }
            Self::Corrupt(why) => format!("the document is damaged: {why}"),
            Self::TooComplex => {
                "reading the document took more time or memory than a document may".into()
            }
            Self::Unsupported(what) => {
                format!("the file is {what}; PDF, DOCX and text can be read")
            }
        }
    }
}

/// Reads a whole file. A PDF is opened without a password first; a Word document's envelope has to have one.
pub fn read(kind: Kind, bytes: &[u8], password: Option<&str>) -> Result<Reading, Unreadable> {
    match kind {
        Kind::Pdf => pdf::read(bytes, password),
        Kind::Docx => docx::read(bytes, password),
        Kind::Text => Ok(text(bytes)),
    }
}

fn text(bytes: &[u8]) -> Reading {
    let mut collector = Collector::default();
    // A full collector breaks; there is nothing left to tell it.
    let _ = collector.page(1, &encoding::decode(bytes));
    collector.into_reading()
}

/// Keeps pages while there is room.
#[derive(Default)]
pub(crate) struct Collector {
    reading: Reading,
    characters: usize,
    bytes: usize,
}

impl Collector {
    pub(crate) fn page(&mut self, number: u32, text: &str) -> ControlFlow<()> {
        if self.reading.truncated || self.reading.document.pages.len() == MAX_PAGES {
            self.reading.truncated = true;
            return ControlFlow::Break(());
        }
        let mut kept = String::new();
        for c in clean(text) {
            self.characters += 1;
            self.bytes += c.len_utf8();
            if self.characters > MAX_CHARACTERS || self.bytes > MAX_BYTES {
                self.reading.truncated = true;
                break;
            }
            kept.push(c);
        }
        let text = kept;
        self.reading.document.pages.push(Page { number, text });
        ControlFlow::Continue(())
    }

    pub(crate) fn needs_ocr(&mut self, page: u32, reason: Reason) {
        self.reading.needs_ocr.push(NeedsOcr { page, reason });
    }

    /// Whether there is no room for more.
    pub(crate) fn is_full(&self) -> bool {
        self.reading.truncated
    }

    pub(crate) fn into_reading(self) -> Reading {
        self.reading
    }
}

/// What a database can hold and a page should show: no NUL, no control characters but line breaks
/// and tabs, no zero-width characters that hide instructions in a text.
pub(crate) fn clean(text: &str) -> impl Iterator<Item = char> {
    let keep = |&c: &char| {
        matches!(c, '\n' | '\t')
            || !(c.is_control()
                || matches!(
                    c,
                    '\u{200B}' | '\u{2060}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}'
                ))
    };
    text.chars().filter(keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8]) -> String {
        read(Kind::Text, bytes, None).unwrap().document.text()
    }

    #[test]
    fn what_a_database_cannot_hold_is_left_out() {
        assert_eq!(text_of("a\u{7}c\u{200B}d".as_bytes()), "acd");
        assert_eq!(text_of(b"a caf\xE9\0b"), "a café".to_owned() + "b");
    }

    #[test]
    fn too_long_a_text_is_cut_and_says_so() {
        for (long, kept) in [
            ("ä".repeat(MAX_CHARACTERS + 5), MAX_CHARACTERS),
            ("世".repeat(MAX_CHARACTERS), MAX_BYTES / 3),
        ] {
            let reading = read(Kind::Text, long.as_bytes(), None).unwrap();
            assert!(reading.truncated);
            assert_eq!(reading.document.pages[0].text.chars().count(), kept);
        }
    }
}
