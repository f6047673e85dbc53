//! What a file is, by its content. Its name and its declared type are hints, and often wrong.

/// How many bytes of a file's beginning decide.
pub const HEAD: usize = 4_096;

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ISO 32000.
    Pdf,
    /// Text in any encoding that can be told.
    Text,
}

impl Kind {
    /// Of a stored file.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Text => "txt",
        }
    }

    /// The reverse of [`Kind::extension`].
    pub fn parse(extension: &str) -> Option<Self> {
        [Self::Pdf, Self::Text]
            .into_iter()
            .find(|kind| kind.extension() == extension)
    }
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// No byte at all.
    Empty,
    /// Something else, with its usual name where it has one.
    Other(&'static str),
}

/// First bytes of what people upload by mistake, with the name to tell them.
const OTHERS: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xD0\xCF\x11\xE0", "an old or encrypted Office document"),
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

/// Decides by the first [`HEAD`] bytes.
pub fn sniff(head: &[u8]) -> Result<Kind, Unsupported> {
    if head.is_empty() {
        return Err(Unsupported::Empty);
    }
    // Readers accept a PDF's header within its first 1,024 bytes (ISO 32000-1, note 13 of annex H).
    if head[..head.len().min(1_024)]
        .windows(5)
        .any(|window| window == b"%PDF-")
    {
        return Ok(Kind::Pdf);
    }
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Unsupported::Other(name));
    }
    if is_text(head) {
        Ok(Kind::Text)
    } else {
        Err(Unsupported::Other("not text"))
    }
}

fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return true;
    }
    let control = |b: &&u8| matches!(b, 0..=8 | 14..=26 | 28..=31 | 127);
    // One stray control byte in a hundred is a text from a terminal; NUL is none.
    !head.contains(&0) && head.iter().filter(control).count() * 100 <= head.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        assert_eq!(sniff(b"%PDF-1.7\n"), Ok(Kind::Pdf));
        assert_eq!(sniff(b"junk before\n%PDF-1.4"), Ok(Kind::Pdf));
        assert_eq!(sniff("Grüße aus Köln\n".as_bytes()), Ok(Kind::Text));
        assert_eq!(sniff(b"\xFF\xFEh\0i\0"), Ok(Kind::Text));
        assert_eq!(sniff(b"caf\xE9\n"), Ok(Kind::Text));
    }

    #[test]
    fn what_is_no_document_is_named() {
        assert_eq!(sniff(b""), Err(Unsupported::Empty));
        assert_eq!(
            sniff(b"PK\x03\x04..."),
            Err(Unsupported::Other("a ZIP archive or an Office document"))
        );
        assert_eq!(
            sniff(b"\x89PNG\r\n"),
            Err(Unsupported::Other("a PNG image"))
        );
        assert_eq!(sniff(b"some\0bytes"), Err(Unsupported::Other("not text")));
        assert_eq!(sniff(&[1, 2, 3, 4, 5]), Err(Unsupported::Other("not text")));
    }
}
