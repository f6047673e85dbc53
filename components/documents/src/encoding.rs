//! Text files: which encoding they are in.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// The whole text, decoded; line breaks become `\n`.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let encoding = encoding(bytes);
    let decoded = encoding.decode(bytes).0;
    decoded.replace("\r\n", "\n").replace('\r', "\n")
}

/// By byte order mark, else UTF-8 where it is valid, else UTF-16 where it reads as text, else by the
/// statistics of legacy encodings.
fn encoding(bytes: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return encoding;
    }
    if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) {
        return UTF_8;
    }
    if let Some(encoding) = utf_16(bytes) {
        return encoding;
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, chardetng::Utf8Detection::Allow)
}

/// Bytes that decide about UTF-16.
const SAMPLE: usize = 4_096;
/// The share of a sample's characters that a text is sure to have: letters, spaces and the commonest
/// marks.
const PLAIN: f32 = 0.9;
/// The share of them that tells one byte order from the other: both may give letters, as U+4E00 and
/// U+004E are both some.
const COMMON: f32 = 0.02;
/// The share of the other characters that may be two letters of ASCII: in Chinese it is a fifth, in bytes
/// that are none of UTF-16 it is nearly all.
const PAIRS: f32 = 0.5;

/// UTF-16 without a byte order mark, where the beginning reads as text in one byte order.
pub(crate) fn utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(SAMPLE) & !1];
    if sample.len() < 4 {
        return None;
    }
    let score = |encoding: &'static Encoding, of: fn([u8; 2]) -> u16| {
        let units = sample.as_chunks::<2>().0.iter().map(|&pair| of(pair));
        Some((score(units)?, encoding))
    };
    let little = score(UTF_16LE, u16::from_le_bytes);
    let big = score(UTF_16BE, u16::from_be_bytes);
    let best = [little, big].into_iter().flatten();
    let best = best.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(score, _)| *score >= COMMON)
        .map(|(_, encoding)| encoding)
}

/// The share of common characters; `None` where it is no text.
fn score(units: impl Iterator<Item = u16>) -> Option<f32> {
    let (mut all, mut plain, mut common, mut pairs) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
    let mut decoded = char::decode_utf16(units).peekable();
    while let Some(unit) = decoded.next() {
        let c = match unit {
            Ok(c) => c,
            // The sample may end within a pair.
            Err(_) if decoded.peek().is_none() => break,
            Err(_) => return None,
        };
        if c.is_control() && !c.is_whitespace() || matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{FFFE}')
        {
            return None;
        }
        all += 1.0;
        let is_common =
            c.is_ascii() || matches!(c, '\u{3001}' | '\u{3002}' | '\u{FF0C}' | '\u{3000}');
        plain += f32::from(u8::from(is_common || c.is_alphanumeric()));
        common += f32::from(u8::from(is_common));
        pairs += f32::from(u8::from(is_pair(c)));
    }
    let is_text = plain >= all * PLAIN && pairs <= (all - common) * PAIRS;
    is_text.then_some(common / all)
}

/// Whether its two bytes are both letters of ASCII.
fn is_pair(c: char) -> bool {
    let of = |byte: u32| (0x20..0x7F).contains(&byte);
    of(u32::from(c) >> 8) && of(u32::from(c) & 0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf_16_bytes(text: &str, of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(of).collect()
    }

    #[test]
    fn text_is_read_in_its_own_encoding() {
        let latin = "Der Käse und die Brötchen sind für Jürgen.";
        let latin_bytes: Vec<u8> = latin.chars().map(|c| c as u8).collect();
        for (bytes, text) in [
            ("Grüße, 世界".as_bytes(), "Grüße, 世界"),
            (b"\xEF\xBB\xBFbom", "bom"),
            (b"\xFF\xFEh\0i\0", "hi"),
            (b"\xFE\xFF\0h\0i", "hi"),
            (&latin_bytes, latin),
            (b"a\r\nb\rc", "a\nb\nc"),
            // Shift_JIS and GB18030.
            (
                b"\x8d\xd7\x96\x45\x82\xcd\x90\xb6\x96\xbd\x82\xcc\x8a\xee\x96\x7b\x92\x50\x88\xca\x82\xc5\x82\xb7\x81\x42",
                "細胞は生命の基本単位です。",
            ),
            (
                b"\xcf\xb8\xb0\xfb\xca\xc7\xc9\xfa\xc3\xfc\xb5\xc4\xbb\xf9\xb1\xbe\xb5\xa5\xce\xbb\xa1\xa3",
                "细胞是生命的基本单位。",
            ),
        ] {
            assert_eq!(decode(bytes), text);
        }
    }

    #[test]
    fn utf_16_needs_no_byte_order_mark() {
        for text in [
            "The cell is small.\nIt lives.",
            "Größe und Höhe, überall.",
            "细胞是生命的基本单位。它们会分裂。",
            "Клетка мала. Она живёт.",
            "الخلية صغيرة. إنها تعيش.",
        ] {
            assert_eq!(decode(&utf_16_bytes(text, u16::to_le_bytes)), text);
            assert_eq!(decode(&utf_16_bytes(text, u16::to_be_bytes)), text);
        }
    }

    #[test]
    fn other_bytes_are_not_taken_for_utf_16() {
        let counting: Vec<u8> = (0..=255).collect();
        for bytes in [&b"some\0bytes"[..], b"\x01\0\x02\0\x03\0", &counting, b"ab"] {
            assert_eq!(utf_16(bytes), None, "{bytes:?}");
        }
    }
}
