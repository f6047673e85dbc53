//! Documents made by code, for tests here and of the host: sound ones and hostile ones.
#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail like the test itself"
)]

pub mod package;
pub mod pdf;

const TYPES: &str =
    "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>";
const RELS: &str = "<Relationships><Relationship Id=\"r1\" \
    Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
    Target=\"word/document.xml\"/></Relationships>";
const STYLES: &str = "<w:styles xmlns:w=\"w\"><w:style w:type=\"paragraph\" w:styleId=\"Heading1\">\
    <w:name w:val=\"heading 1\"/></w:style></w:styles>";
const NUMBERING: &str = "<w:numbering xmlns:w=\"w\"><w:abstractNum w:abstractNumId=\"0\">\
    <w:lvl w:ilvl=\"0\"><w:start w:val=\"1\"/><w:numFmt w:val=\"decimal\"/></w:lvl>\
    <w:lvl w:ilvl=\"1\"><w:start w:val=\"1\"/><w:numFmt w:val=\"lowerLetter\"/></w:lvl></w:abstractNum>\
    <w:num w:numId=\"1\"><w:abstractNumId w:val=\"0\"/></w:num>\
    <w:num w:numId=\"2\"><w:abstractNumId w:val=\"7\"/></w:num></w:numbering>";

/// A Word document with this body.
pub fn docx(body: &str) -> Vec<u8> {
    docx_parts(&[], body)
}

/// A Word document of one paragraph a line.
pub fn docx_of(text: &str) -> Vec<u8> {
    let escape = |line: &str| line.replace('&', "&amp;").replace('<', "&lt;");
    let paragraph = |line| format!("<w:p><w:r><w:t>{}</w:t></w:r></w:p>", escape(line));
    docx(&text.lines().map(paragraph).collect::<String>())
}

/// A Word document with this body and these parts, which replace the usual ones.
pub fn docx_parts(replaced: &[(&str, &str)], body: &str) -> Vec<u8> {
    let document = document(body);
    let all = parts(replaced, &document);
    let all: Vec<_> = all
        .iter()
        .map(|(name, content)| (*name, content.as_slice()))
        .collect();
    package::archive(&all)
}

fn document(body: &str) -> String {
    format!("<w:document xmlns:w=\"w\"><w:body>{body}</w:body></w:document>")
}

fn parts<'a>(replaced: &[(&'a str, &str)], document: &str) -> Vec<(&'a str, Vec<u8>)> {
    let mut all: Vec<(&str, Vec<u8>)> = vec![
        ("[Content_Types].xml", TYPES.into()),
        ("_rels/.rels", RELS.into()),
        ("word/document.xml", document.into()),
        ("word/styles.xml", STYLES.into()),
        ("word/numbering.xml", NUMBERING.into()),
    ];
    for (name, content) in replaced {
        match all.iter_mut().find(|(usual, _)| usual == name) {
            Some((_, usual)) => *usual = content.as_bytes().to_vec(),
            None => all.push((name, content.as_bytes().to_vec())),
        }
    }
    all
}
