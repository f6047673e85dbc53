//! What a file is, by its content. Its name and its declared type are hints, and often wrong.

use memchr::memmem;

use crate::encoding::utf_16;

/// How many bytes of a file's beginning decide.
pub const HEAD: usize = 4_096;

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ISO 32000.
    Pdf,
    /// ECMA-376: a Word document.
    Docx,
    /// Text in any encoding that can be told.
    Text,
}

impl Kind {
    /// Of a stored file.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Text => "txt",
        }
    }

    /// The reverse of [`Kind::extension`].
    pub fn parse(extension: &str) -> Option<Self> {
        [Self::Pdf, Self::Docx, Self::Text]
            .into_iter()
            .find(|kind| kind.extension() == extension)
    }
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// No byte at all.
    Empty,
    /// An Office document in an encrypted envelope: a [`Kind::Docx`] for whoever gives its password.
    Encrypted,
    /// Something else, with its usual name where it has one.
    Other(&'static str),
}

/// First bytes of what people upload by mistake, with the name to tell them.
const OTHERS: &[(&[u8], &str)] = &[
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xFF\xD8\xFF", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"7z\xBC\xAF", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript document"),
    (b"\x7FELF", "a program"),
    (b"MZ", "a program"),
    (b"\0asm", "a WebAssembly module"),
];

/// What a text may begin with, in UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";
/// Of the envelope around an old or an encrypted Office document.
const OLE: &[u8] = b"\xD0\xCF\x11\xE0";
/// The stream that such an envelope holds an encrypted document in, in UTF-16LE.
const ENCRYPTED_PACKAGE: &[u8] = b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";

/// Looks at a file as it passes by: the beginning says what it is, the rest may say that it is not.
#[derive(Debug)]
pub struct Sniffer {
    what: What,
    /// The end of what has passed, for what lies across two pieces.
    tail: Vec<u8>,
    found: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Known(Kind),
    /// Text in which a NUL is none of a character.
    ByteText,
    /// An envelope of an encrypted document, or what is not read in any case; it remains to say which.
    Ole,
}

impl Sniffer {
    /// Decides by the first [`HEAD`] bytes. The head is not part of what is fed.
    pub fn new(head: &[u8]) -> Result<Self, Unsupported> {
        let mut sniffer = Self {
            what: what(head)?,
            tail: Vec::new(),
            found: false,
        };
        sniffer.feed(head);
        Ok(sniffer)
    }

    /// Some more of the file.
    pub fn feed(&mut self, piece: &[u8]) {
        match self.what {
            What::Known(_) => {}
            What::ByteText => self.found |= piece.contains(&0),
            What::Ole => {
                self.tail.extend_from_slice(piece);
                let length = ENCRYPTED_PACKAGE.len();
                self.found |= self.tail.windows(length).any(|w| w == ENCRYPTED_PACKAGE);
                self.tail.drain(..self.tail.len().saturating_sub(length));
            }
        }
    }

    /// What the whole file is.
    pub fn verdict(&self) -> Result<Kind, Unsupported> {
        match (self.what, self.found) {
            (What::Known(kind), _) => Ok(kind),
            (What::ByteText, false) => Ok(Kind::Text),
            (What::ByteText, true) => Err(Unsupported::Other("not text")),
            (What::Ole, true) => Err(Unsupported::Encrypted),
            (What::Ole, false) => Err(Unsupported::Other("an Office document of before 2007")),
        }
    }
}

fn what(head: &[u8]) -> Result<What, Unsupported> {
    let head = &head[..head.len().min(HEAD)];
    if head.is_empty() {
        return Err(Unsupported::Empty);
    }
    if head.starts_with(b"PK\x03\x04") {
        return zip(head).map(What::Known);
    }
    if is_pdf(head) {
        return Ok(What::Known(Kind::Pdf));
    }
    if head.starts_with(OLE) {
        return Ok(What::Ole);
    }
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Unsupported::Other(name));
    }
    text(head).ok_or(Unsupported::Other("not text"))
}

/// Readers accept a PDF's header within its first 1,024 bytes (ISO 32000-1, note 13 of annex H). In what reads
/// as text it may be spoken of: there it begins a line, and objects follow.
fn is_pdf(head: &[u8]) -> bool {
    let first = &head[..head.len().min(1_024)];
    let begins = |at: usize| {
        let (before, after) = head.split_at(at);
        let before = before.strip_prefix(BOM).unwrap_or(before);
        let begins_line = matches!(before.last(), Some(b'\n' | b'\r'));
        before.trim_ascii().is_empty()
            || text(head).is_none()
            || begins_line && is_followed_by_objects(after)
    };
    memmem::find_iter(first, b"%PDF-").any(begins)
}

/// Whether an object begins, as in `12 0 obj`.
fn is_followed_by_objects(after: &[u8]) -> bool {
    let is_numbered = |at: usize| {
        let words = after[..at].rsplit(u8::is_ascii_whitespace);
        let words = words.filter(|word| !word.is_empty()).take(2);
        let is_number = |word: &[u8]| word.iter().all(u8::is_ascii_digit);
        words.filter(|word| is_number(word)).count() == 2
    };
    memmem::find_iter(after, b" obj").any(is_numbered)
}

/// By the names of the first entries. One that is no Word document after all fails when it is read.
fn zip(head: &[u8]) -> Result<Kind, Unsupported> {
    let names: &[(&[u8], &str)] = &[
        (b"word/", ""),
        (b"xl/", "an Excel workbook"),
        (b"ppt/", "a PowerPoint presentation"),
        (b"mimetypeapplication/epub", "an EPUB book"),
        (b"mimetypeapplication/vnd.oasis", "an OpenDocument file"),
        (b"[Content_Types].xml", ""),
        (b"_rels/.rels", ""),
        (b"docProps/", ""),
    ];
    match names.iter().find(|(name, _)| contains(head, name)) {
        Some((_, "")) => Ok(Kind::Docx),
        Some((_, other)) => Err(Unsupported::Other(other)),
        None => Err(Unsupported::Other("a ZIP archive")),
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn text(head: &[u8]) -> Option<What> {
    if head.starts_with(b"\xFF\xFE")
        || head.starts_with(b"\xFE\xFF")
        || utf_16(head).is_some() && !is_utf_8(head)
    {
        return Some(What::Known(Kind::Text));
    }
    let control = |b: &&u8| matches!(b, 0..=8 | 14..=26 | 28..=31 | 127);
    // One stray control byte in a hundred is a text from a terminal; NUL is none.
    let is_text = !head.contains(&0) && head.iter().filter(control).count() * 100 <= head.len();
    is_text.then_some(What::ByteText)
}

/// Whether it is UTF-8 as far as it goes, without NUL.
fn is_utf_8(head: &[u8]) -> bool {
    let whole = std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
    whole && !head.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniff(file: &[u8]) -> Result<Kind, Unsupported> {
        Sniffer::new(file)?.verdict()
    }

    #[test]
    fn content_decides() {
        for (file, kind) in [
            (&b"%PDF-1.7\n"[..], Kind::Pdf),
            (b"\xEF\xBB\xBF\n%PDF-1.7\n", Kind::Pdf),
            (b"junk before\n%PDF-1.4\n%\xE2\xE3\n1 0 obj\n<<", Kind::Pdf),
            (b"junk before\r%PDF-1.4\r12 0 obj", Kind::Pdf),
            (b"\0\0junk in front of it%PDF-1.4", Kind::Pdf),
            ("Grüße aus Köln\n".as_bytes(), Kind::Text),
            (b"\xFF\xFEh\0i\0", Kind::Text),
            (b"T\0h\0e\0 \0c\0e\0l\0l\0.\0", Kind::Text),
            (b"caf\xE9\n", Kind::Text),
            (b"PK\x03\x04....word/document.xml", Kind::Docx),
            (b"PK\x03\x04....[Content_Types].xml", Kind::Docx),
            // A header may stand in a document's own text.
            (b"PK\x03\x04....word/document.xml %PDF-1.4", Kind::Docx),
        ] {
            assert_eq!(sniff(file), Ok(kind));
        }
    }

    #[test]
    fn a_text_may_speak_of_pdf() {
        for file in [
            &b"A PDF begins with %PDF-1.7, and an object with 1 0 obj."[..],
            b"What a PDF begins with:\n%PDF-1.7\nThen objects follow.",
            b"What a PDF begins with:\n%PDF-1.7\nThen every obj follows.",
            "Ein PDF beginnt mit „%PDF-“.".as_bytes(),
        ] {
            assert_eq!(sniff(file), Ok(Kind::Text), "{}", file.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_document_is_named() {
        for (file, why) in [
            (&b""[..], Unsupported::Empty),
            (b"PK\x03\x04...", Unsupported::Other("a ZIP archive")),
            (
                b"PK\x03\x04.[Content_Types].xml.xl/workbook.xml",
                Unsupported::Other("an Excel workbook"),
            ),
            (b"\x89PNG\r\n", Unsupported::Other("a PNG image")),
            (b"some\0bytes", Unsupported::Other("not text")),
            (&[1, 2, 3, 4, 5], Unsupported::Other("not text")),
            (
                b"\xD0\xCF\x11\xE0old",
                Unsupported::Other("an Office document of before 2007"),
            ),
        ] {
            assert_eq!(sniff(file), Err(why));
        }
    }

    #[test]
    fn the_rest_of_a_file_has_its_say() {
        let mut text = Sniffer::new(b"a text").unwrap();
        text.feed(b" that goes on");
        assert_eq!(text.verdict(), Ok(Kind::Text));
        text.feed(b"and\0ends");
        assert_eq!(text.verdict(), Err(Unsupported::Other("not text")));
        let mut office = Sniffer::new(OLE).unwrap();
        for half in ENCRYPTED_PACKAGE.chunks(17) {
            office.feed(half);
        }
        assert_eq!(office.verdict(), Err(Unsupported::Encrypted));
    }
}
