//! From a file's bytes to its pages, within bounds.

use std::ops::ControlFlow;

use corpus::{Document, Page};
use encoding_rs::{Encoding, UTF_8};
use unpdf::parser::{PageStreamOptions, ParseEvent, ParseOptions, PdfParser};

use crate::sniff::Kind;

/// More pages are left out.
pub const MAX_PAGES: usize = 2_000;
/// More characters are left out.
pub const MAX_CHARACTERS: usize = 5_000_000;
/// More bytes of UTF-8 are left out.
pub const MAX_BYTES: usize = 12 << 20;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The text by page. A text file is one page.
    pub document: Document,
    /// As the file has it; a text file has none.
    pub page_count: Option<u32>,
    /// Whether something was left out.
    pub truncated: bool,
}

/// Why nothing was read. Each has its code in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It wants a password.
    Encrypted,
    /// It is damaged beyond reading, or is not what it began as.
    Corrupt(String),
    /// It reads, and has no text.
    NoText,
    /// It took more time or memory than a document may.
    TooComplex,
}

impl Unreadable {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encrypted => "ENCRYPTED_DOCUMENT",
            Self::Corrupt(_) => "CORRUPT_DOCUMENT",
            Self::NoText => "NO_TEXT",
            Self::TooComplex => "DOCUMENT_TOO_COMPLEX",
        }
    }

    /// For a person.
    pub fn message(&self) -> String {
        match self {
            Self::Encrypted => "the document is protected by a password".into(),
            Self::Corrupt(why) => format!("the document is damaged: {why}"),
            Self::NoText => "the document has no text: it may be a scan".into(),
            Self::TooComplex => {
                "reading the document took more time or memory than a document may".into()
            }
        }
    }
}

/// Reads a whole file.
pub fn read(kind: Kind, bytes: &[u8]) -> Result<Reading, Unreadable> {
    let reading = match kind {
        Kind::Pdf => pdf(bytes)?,
        Kind::Text => text(bytes),
    };
    if reading
        .document
        .pages
        .iter()
        .all(|page| page.text.trim().is_empty())
    {
        return Err(Unreadable::NoText);
    }
    Ok(reading)
}

fn pdf(bytes: &[u8]) -> Result<Reading, Unreadable> {
    // One thread: there is no other in the sandbox.
    let options = ParseOptions::new().sequential();
    let parser = PdfParser::from_bytes_with_options(bytes, options.clone()).map_err(unreadable)?;
    let mut collect = Collector::default();
    let outcome = parser.for_each_page(PageStreamOptions::from(&options), |event| match event {
        ParseEvent::PageParsed(page) => collect.page(page.number, &page.plain_text()),
        // Best effort: one bad page never fails a document.
        ParseEvent::PageFailed { page, .. } => collect.page(page, ""),
        _ => ControlFlow::Continue(()),
    });
    outcome.map_err(unreadable)?;
    let mut reading = collect.reading;
    reading.page_count = Some(parser.page_count());
    Ok(reading)
}

/// Keeps pages while there is room.
#[derive(Default)]
struct Collector {
    reading: Reading,
    characters: usize,
    bytes: usize,
}

impl Collector {
    fn page(&mut self, number: u32, text: &str) -> ControlFlow<()> {
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
}

/// What a database can hold and a page should show: no NUL, no control characters but line breaks
/// and tabs, no zero-width characters that hide instructions in a text.
fn clean(text: &str) -> impl Iterator<Item = char> {
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

fn unreadable(error: unpdf::Error) -> Unreadable {
    match error {
        unpdf::Error::Encrypted | unpdf::Error::InvalidPassword => Unreadable::Encrypted,
        other => Unreadable::Corrupt(other.to_string().chars().take(200).collect()),
    }
}

fn text(bytes: &[u8]) -> Reading {
    let decoded = decode(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let mut collect = Collector::default();
    // A full collector breaks; there is nothing left to tell it.
    let _ = collect.page(1, &decoded);
    collect.reading
}

/// By byte order mark, else UTF-8 where it is valid, else by the statistics of legacy encodings.
fn decode(bytes: &[u8]) -> String {
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None if std::str::from_utf8(bytes).is_ok() => UTF_8,
        None => {
            let mut detector =
                chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
            detector.feed(bytes, true);
            detector.guess(None, chardetng::Utf8Detection::Allow)
        }
    };
    encoding.decode(bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8]) -> String {
        read(Kind::Text, bytes).unwrap().document.text()
    }

    #[test]
    fn text_is_read_in_its_own_encoding() {
        assert_eq!(text_of("Grüße, 世界".as_bytes()), "Grüße, 世界");
        assert_eq!(text_of(b"\xEF\xBB\xBFbom"), "bom");
        assert_eq!(text_of(b"\xFF\xFEh\0i\0"), "hi");
        assert_eq!(
            text_of(
                "Der Käse und die Brötchen sind für Jürgen."
                    .chars()
                    .map(|c| c as u8)
                    .collect::<Vec<_>>()
                    .as_slice()
            ),
            "Der Käse und die Brötchen sind für Jürgen."
        );
        assert_eq!(text_of(b"a\r\nb\rc"), "a\nb\nc");
    }

    #[test]
    fn what_a_database_cannot_hold_is_left_out() {
        assert_eq!(text_of("a\u{0}b\u{7}c\u{200B}d".as_bytes()), "abcd");
    }

    #[test]
    fn a_text_without_words_says_so() {
        assert_eq!(read(Kind::Text, b" \n\t "), Err(Unreadable::NoText));
    }

    #[test]
    fn too_long_a_text_is_cut_and_says_so() {
        for (long, kept) in [
            ("ä".repeat(MAX_CHARACTERS + 5), MAX_CHARACTERS),
            ("世".repeat(MAX_CHARACTERS), MAX_BYTES / 3),
        ] {
            let reading = read(Kind::Text, long.as_bytes()).unwrap();
            assert!(reading.truncated);
            assert_eq!(reading.document.pages[0].text.chars().count(), kept);
        }
    }

    #[test]
    fn broken_pdfs_are_typed_errors() {
        for broken in [
            &b"%PDF-1.7"[..],
            b"%PDF-1.4\n1 0 obj\n<<",
            b"%PDF-1.4\ntrailer<</Root 1 0 R>>\n%%EOF",
        ] {
            let code = read(Kind::Pdf, broken).unwrap_err().code();
            assert!(["CORRUPT_DOCUMENT", "NO_TEXT"].contains(&code), "{code}");
        }
    }
}
