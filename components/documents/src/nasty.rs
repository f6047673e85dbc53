//! Documents that mean harm, or are merely odd: each ends in text or in a typed error, soon. The table is
//! printed with `--nocapture`.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use std::time::{Duration, Instant};

use crate::read::{Reason, Unreadable, read};
use crate::samples::{docx_of, package, pdf};
use crate::sniff::{Kind, Sniffer, Unsupported};
use corpus::samples::BIOLOGY;

/// Unoptimised, on a machine that others use too.
const SOON: Duration = Duration::from_secs(60);

/// What became of a file, in a word or two.
fn outcome(file: &[u8], password: Option<&str>) -> String {
    let mut sniffer = match Sniffer::new(file) {
        Ok(sniffer) => sniffer,
        Err(why) => return refused(why),
    };
    sniffer.feed(file);
    let kind = match sniffer.verdict() {
        Ok(kind) => kind,
        Err(why) => return refused(why),
    };
    match read(kind, file, password) {
        Ok(reading) => {
            let mut told = vec![kind.extension().to_owned()];
            let reasons = reading.needs_ocr.iter().map(|needs| match needs.reason {
                Reason::NoText => "no_text",
                Reason::GarbledText => "garbled_text",
                Reason::ImageOnly => "image_only",
            });
            told.extend(reasons.take(2).map(ToOwned::to_owned));
            if reading.truncated {
                told.push("truncated".into());
            }
            let text = reading.document.text();
            if !text.trim().is_empty() {
                told.push("text".into());
            }
            told.join(" ")
        }
        Err(why) => why.code().to_owned(),
    }
}

fn refused(why: Unsupported) -> String {
    match why {
        Unsupported::Empty => "EMPTY_DOCUMENT".into(),
        Unsupported::Encrypted => Unreadable::Encrypted.code().into(),
        Unsupported::Other(what) => format!("UNSUPPORTED_MEDIA_TYPE ({what})"),
    }
}

fn check(table: &[(&str, Vec<u8>, &str)]) {
    let mut wrong = Vec::new();
    for (name, file, expected) in table {
        let began = Instant::now();
        let outcome = outcome(file, None);
        let took = began.elapsed();
        println!(
            "{name:44} {:>9} B {:>7} ms  {outcome}",
            file.len(),
            took.as_millis()
        );
        assert!(took < SOON, "{name} took {took:?}");
        if !expected.split(" | ").any(|expected| expected == outcome) {
            wrong.push(format!("{name}: {outcome}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_pdf_ends_in_text_or_a_typed_error() {
    let whole = pdf::text(&[BIOLOGY]);
    let half = whole[..whole.len() / 2].to_vec();
    let jpeg = b"\xFF\xD8\xFF\xE0 no picture";
    let many: Vec<&str> = vec!["A page."; 120];
    check(&[
        ("sound", whole, "pdf text"),
        (
            "encrypted",
            pdf::encrypted(BIOLOGY, "geheim"),
            "ENCRYPTED_DOCUMENT",
        ),
        (
            "encrypted with an empty password",
            pdf::encrypted(BIOLOGY, ""),
            "pdf text",
        ),
        (
            "scanned",
            pdf::scanned(2, jpeg, 10, 10),
            "pdf image_only image_only",
        ),
        (
            "half scanned",
            pdf::half_scanned(BIOLOGY, jpeg, 10, 10),
            "pdf image_only text",
        ),
        (
            "font without a mapping",
            pdf::composite("Hello world of cells", |_| None),
            "pdf garbled_text",
        ),
        (
            "font of private characters",
            pdf::composite("Hello world of cells", |c| {
                char::from_u32(0xE000 + u32::from(c))
            }),
            "pdf garbled_text",
        ),
        (
            "Chinese",
            pdf::composite("细胞是生命的基本单位", Some),
            "pdf text",
        ),
        ("broken xref", pdf::broken_xref(BIOLOGY), "pdf text"),
        ("cyclic xref", pdf::cyclic_xref(), "pdf text"),
        ("cyclic page tree", pdf::cyclic_tree(), "CORRUPT_DOCUMENT"),
        ("form that draws itself", pdf::cyclic_form(), "pdf no_text"),
        ("JBIG2 bomb", pdf::jbig2_bomb(), "pdf no_text image_only"),
        (
            "content of 64 MiB",
            pdf::flate_bomb(64, 1),
            "pdf no_text | pdf",
        ),
        (
            "content of 64 MiB, packed twice",
            pdf::flate_bomb(64, 2),
            "pdf no_text | pdf",
        ),
        ("arrays 200 deep", pdf::nested(200), "pdf | pdf no_text"),
        ("120 pages", pdf::text(&many), "pdf text"),
        ("truncated", half, "pdf | pdf text | CORRUPT_DOCUMENT"),
        ("header alone", b"%PDF-1.7".to_vec(), "CORRUPT_DOCUMENT"),
        (
            "dictionary that breaks off",
            b"%PDF-1.4\n1 0 obj\n<<".to_vec(),
            "CORRUPT_DOCUMENT",
        ),
        (
            "no catalogue",
            b"%PDF-1.4\ntrailer<</Root 1 0 R>>\n%%EOF".to_vec(),
            "CORRUPT_DOCUMENT",
        ),
    ]);
}

#[test]
fn every_package_ends_in_text_or_a_typed_error() {
    let whole = docx_of(BIOLOGY);
    let half = whole[..whole.len() / 2].to_vec();
    let opendocument: &[(&str, &[u8])] =
        &[("mimetype", b"application/vnd.oasis.opendocument.text")];
    check(&[
        ("sound", whole, "docx text"),
        ("ZIP64", package::zip64("A text."), "docx text"),
        (
            "70 MiB of spaces, a thousand to one",
            package::bomb(70),
            "DOCUMENT_TOO_COMPLEX",
        ),
        (
            "the same, whose header lies",
            package::lying_bomb(70),
            "DOCUMENT_TOO_COMPLEX | CORRUPT_DOCUMENT",
        ),
        (
            "overlapping entries",
            package::overlapping(),
            "CORRUPT_DOCUMENT",
        ),
        (
            "20,000 entries",
            package::crowded(20_000),
            "DOCUMENT_TOO_COMPLEX",
        ),
        ("XML bomb", package::xml_bomb(), "CORRUPT_DOCUMENT"),
        (
            "external entity",
            package::external_entity(),
            "CORRUPT_DOCUMENT",
        ),
        (
            "100,000 elements deep",
            package::nested(100_000),
            "DOCUMENT_TOO_COMPLEX",
        ),
        (
            "template, chunk and macro",
            package::referring("A text."),
            "docx text",
        ),
        (
            "encrypted by Word",
            package::encrypted_office(),
            "ENCRYPTED_DOCUMENT",
        ),
        (
            "of before 2007",
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1old".to_vec(),
            "UNSUPPORTED_MEDIA_TYPE (an Office document of before 2007)",
        ),
        (
            "workbook",
            package::archive(&[("[Content_Types].xml", b""), ("xl/workbook.xml", b"")]),
            "UNSUPPORTED_MEDIA_TYPE (an Excel workbook)",
        ),
        (
            "OpenDocument",
            package::archive(opendocument),
            "UNSUPPORTED_MEDIA_TYPE (a ZIP archive) | UNSUPPORTED_MEDIA_TYPE (an OpenDocument file)",
        ),
        (
            "other archive",
            package::archive(&[("a.txt", b"text")]),
            "UNSUPPORTED_MEDIA_TYPE (a ZIP archive)",
        ),
        ("truncated", half, "CORRUPT_DOCUMENT"),
    ]);
}

#[test]
fn a_password_opens_its_document_and_no_other() {
    let file = pdf::encrypted(BIOLOGY, "geheim");
    assert_eq!(outcome(&file, Some("geheim")), "pdf text");
    assert_eq!(outcome(&file, Some("falsch")), "ENCRYPTED_DOCUMENT");
    assert_eq!(
        outcome(&pdf::encrypted(BIOLOGY, ""), Some("falsch")),
        "pdf text"
    );
}

#[test]
fn text_comes_out_in_the_order_it_is_read_in() {
    let text = |file: &[u8]| {
        let kind = Sniffer::new(file).unwrap().verdict().unwrap();
        read(kind, file, None).unwrap().document.text()
    };
    assert_eq!(
        text(&pdf::composite("细胞是生命的基本单位", Some)),
        "细胞是生命的基本单位"
    );
    // Drawn from the left: Hebrew stands there backwards.
    let hebrew = "שלום עולם";
    let drawn: String = hebrew.chars().rev().collect();
    assert_eq!(text(&pdf::composite(&drawn, Some)), hebrew);
}

#[test]
fn pages_that_are_turned_are_read_as_they_are_shown() {
    let flat = |file: &[u8]| {
        let text = read(Kind::Pdf, file, None).unwrap().document.text();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let lines = "The first line.\nThe second line.\nA third one, which is longer.";
    for degrees in [0, 90, 180, 270] {
        for entries in [format!("/Rotate {degrees}"), String::new()] {
            assert_eq!(
                flat(&pdf::turned(lines, degrees, &entries)),
                "The first line. The second line. A third one, which is longer.",
                "{degrees} {entries}"
            );
        }
    }
}

#[test]
fn columns_of_a_turned_page_are_read_one_after_the_other() {
    let column = |name: &str| {
        let lines = (1..20).map(|at| format!("The {name} column has its line {at} here"));
        lines.collect::<Vec<_>>()
    };
    let (left, right) = (column("left"), column("right"));
    let whole = [left.join(" "), right.join(" ")].join(" ");
    for degrees in [0, 90, 180, 270] {
        let text = read(Kind::Pdf, &pdf::columns(&left, &right, degrees), None);
        let text = text.unwrap().document.text();
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(flat, whole, "{degrees}");
    }
}
