//! What Textract takes for an image.
//! <https://docs.aws.amazon.com/textract/latest/dg/limits-document.html>

use crate::refusal::Refusal;

const MAX_BYTES: usize = 10 << 20;
/// On either side.
const MAX_PIXELS: u32 = 10_000;

pub(super) fn unsupported() -> Refusal {
    let message = "Request has unsupported document format";
    Refusal::caller("UnsupportedDocumentException", message)
}

fn bad() -> Refusal {
    let message = "Textract can't read the document";
    Refusal::caller("BadDocumentException", message)
}

/// One page of JPEG, PNG, TIFF or PDF.
pub(super) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() > MAX_BYTES {
        let message = "Document is too large";
        return Err(Refusal::caller("DocumentTooLargeException", message));
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return check_png(bytes);
    }
    if bytes.starts_with(b"%PDF-") {
        return check_pdf(bytes);
    }
    let known: [&[u8]; 3] = [b"\xFF\xD8\xFF", b"II*\0", b"MM\0*"];
    if !known.iter().any(|magic| bytes.starts_with(magic)) {
        return Err(unsupported());
    }
    if bytes.len() < 64 { Err(bad()) } else { Ok(()) }
}

fn check_png(bytes: &[u8]) -> Result<(), Refusal> {
    let side = |at: usize| {
        let side = bytes.get(at..at + 4)?;
        Some(u32::from_be_bytes(side.try_into().ok()?))
    };
    let (Some(width), Some(height)) = (side(16), side(20)) else {
        return Err(bad());
    };
    let fits = |side| (1..=MAX_PIXELS).contains(&side);
    let ends = bytes.windows(4).any(|part| part == b"IEND");
    if fits(width) && fits(height) && ends {
        Ok(())
    } else {
        Err(bad())
    }
}

fn check_pdf(bytes: &[u8]) -> Result<(), Refusal> {
    let text = String::from_utf8_lossy(bytes);
    if text.contains("/Encrypt") {
        return Err(bad());
    }
    let pages = text.matches("/Type /Page").count() - text.matches("/Type /Pages").count();
    if pages > 1 {
        Err(unsupported())
    } else {
        Ok(())
    }
}
