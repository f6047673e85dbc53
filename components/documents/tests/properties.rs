//! What holds for every file that may be uploaded, whatever it is and whoever broke it.

use corpus::{Document, Page};
use documents::piece;
use documents::read::{MAX_BYTES, MAX_CHARACTERS, MAX_PAGES, Reading, Unreadable, read};
use documents::samples::{docx, docx_of, package, pdf};
use documents::sniff::{HEAD, Kind, Sniffer};
use guest::filename;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One of these parts.
fn one_of(parts: &'static str) -> impl Strategy<Value = String> {
    select(parts.split('|').map(str::to_owned).collect::<Vec<_>>())
}

/// Nothing is written beside the tests: what fails goes into a commit's message.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

const TEXT: &str = "Cells divide. Größe: 5 µm & <b>. 細胞は分裂する。";

fn sound() -> impl Strategy<Value = Vec<u8>> {
    let list = "<w:p><w:pPr><w:pStyle w:val=\"Heading1\"/><w:numPr><w:ilvl w:val=\"1\"/><w:numId w:val=\"1\"/></w:numPr>\
                </w:pPr><w:r><w:t>Cells</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p/></w:tc></w:tr></w:tbl>";
    select(vec![
        pdf::text(&["Cells divide.", "Plants grow."]),
        pdf::rotated("Cells divide.", 90),
        pdf::composite("Zellen", Some),
        pdf::encrypted("Cells divide.", "secret"),
        pdf::cyclic_form(),
        docx_of(TEXT),
        docx(list),
        package::zip64("Cells divide."),
        package::referring("Cells divide."),
    ])
}

/// A sound file of which bytes are changed, dropped, doubled or cut off.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), 0..5_u8, any::<u8>(), 1..40_usize);
    (sound(), vec(change, 1..8)).prop_map(|(mut bytes, changes)| {
        for (at, how, byte, length) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + length).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => drop(bytes.drain(at..end)),
                2 => bytes.extend_from_within(at..end),
                3 => bytes.truncate(at.max(bytes.len() / 2)),
                _ => bytes[at..end].fill(byte),
            }
        }
        bytes
    })
}

/// As an upload: what it is by its pieces, then what stands in it.
fn sniffed(bytes: &[u8], size: usize) -> Option<Kind> {
    let (head, rest) = bytes.split_at(bytes.len().min(HEAD));
    let mut sniffer = Sniffer::new(head).ok()?;
    rest.chunks(size.max(1))
        .for_each(|piece| sniffer.feed(piece));
    sniffer.verdict().ok()
}

fn is_within_limits(read: &Result<Reading, Unreadable>) -> Result<(), TestCaseError> {
    let Ok(reading) = read else { return Ok(()) };
    let pages = &reading.document.pages;
    prop_assert!(pages.len() <= MAX_PAGES && pages.is_sorted_by(|a, b| a.number < b.number));
    let text: String = pages.iter().map(|page| page.text.as_str()).collect();
    prop_assert!(text.len() <= MAX_BYTES && text.chars().count() <= MAX_CHARACTERS);
    let hides = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{200B}' | '\u{FEFF}')
    };
    prop_assert!(!text.contains(hides), "{text:?}");
    Ok(())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_bytes_end_in_text_or_a_typed_error(bytes in vec(any::<u8>(), 0..600), size in 1..300_usize) {
        prop_assert_eq!(sniffed(&bytes, size), sniffed(&bytes, usize::MAX));
        for kind in [Kind::Pdf, Kind::Docx, Kind::Text] {
            is_within_limits(&read(kind, &bytes, Some("secret")))?;
        }
    }

    #[test]
    fn a_broken_file_ends_in_text_or_a_typed_error(bytes in mutated()) {
        for kind in sniffed(&bytes, 64).into_iter().chain([Kind::Pdf, Kind::Docx]) {
            is_within_limits(&read(kind, &bytes, Some("secret")))?;
        }
    }

    #[test]
    fn a_sound_file_is_what_it_is_in_any_pieces(bytes in sound(), size in 1..300_usize) {
        let kind = sniffed(&bytes, size);
        prop_assert!(matches!(kind, Some(Kind::Pdf | Kind::Docx)));
        prop_assert!(read(kind.unwrap(), &bytes, Some("secret")).is_ok());
    }
}

/// What a text file is read as.
fn decoded(bytes: &[u8]) -> String {
    let reading = read(Kind::Text, bytes, None).expect("any bytes are a text");
    reading.document.text()
}

/// What a reader may drop or change is not in it.
fn plain() -> impl Strategy<Value = String> {
    let drops = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{200B}' | '\u{2060}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}'
            )
    };
    let any = any::<String>().prop_map(move |text| text.replace(drops, ""));
    prop_oneof![
        any,
        "[a-zA-Zäéßñ ,.]{1,80}",
        "[а-яА-Я ,.]{1,80}",
        "[\u{4E00}-\u{5000}。]{1,60}"
    ]
}

fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_text_is_read_as_it_was_written(text in plain()) {
        prop_assert_eq!(&decoded(text.as_bytes()), &text);
        prop_assert_eq!(&decoded(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()), &text);
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            prop_assert_eq!(&decoded(&utf_16(&format!("\u{FEFF}{text}"), bytes)), &text);
        }
    }

    #[test]
    fn a_text_of_words_needs_no_mark_to_be_read(words in vec(one_of("cells|divide,|and|grow.|Größe|Zelle"), 2..40)) {
        let text = words.join(" ");
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let file = utf_16(&text, bytes);
            prop_assert_eq!(sniffed(&file, 64), Some(Kind::Text));
            prop_assert_eq!(&decoded(&file), &text);
        }
    }

    #[test]
    fn a_file_name_is_a_label_and_stays_one(
        parts in vec(one_of("a|ä|..|.|/|\\|\u{202E}|\u{200B}|\u{2028}|\u{61C}|\0|\r\n| |\u{A0}|C:|pdf|👩\u{200D}👧|細"), 0..40),
        any in any::<String>(), times in 1..30_usize,
    ) {
        for name in [parts.concat(), any, parts.concat().repeat(times)] {
            let clean = filename::clean(&name, "document");
            prop_assert!((1..=255).contains(&clean.len()));
            let hides = |c: char| c.is_control() || matches!(c, '/' | '\\' | '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
            prop_assert!(!clean.contains(hides), "{clean:?}");
            prop_assert!(!clean.starts_with('.') && clean.trim() == clean, "{clean:?}");
            prop_assert_eq!(filename::clean(&clean, "document"), clean);
        }
    }

    #[test]
    fn the_pieces_of_a_document_are_the_document(texts in vec(prop_oneof![any::<String>(), "[a-z.\n ]{0,80}".prop_map(|text| text.repeat(60))], 0..4)) {
        let pages = texts.into_iter().zip(1..).map(|(text, number)| Page { number, text });
        let document = Document { pages: pages.collect() };
        let whole: Vec<char> = document.text().chars().collect();
        let pieces: Vec<_> = piece::pieces(&document).collect();
        for piece in &pieces {
            let length = piece.text.chars().count();
            prop_assert!((1..=2_000).contains(&length));
            let start = piece.start as usize;
            prop_assert_eq!(&whole[start..start + length].iter().collect::<String>(), &piece.text);
        }
        for page in &document.pages {
            let of_page = pieces.iter().filter(|piece| piece.page == page.number);
            prop_assert_eq!(&of_page.map(|piece| piece.text.as_str()).collect::<String>(), &page.text);
        }
    }
}
