//! Text of a Word document (ECMA-376): paragraphs, headings, lists, tables and notes in their order.
//!
//! Only the parts that hold text are opened, and each is streamed. Nothing outside of the file is ever
//! asked for: templates, `altChunk`s, macros and linked images are not looked at.

mod body;
mod envelope;
mod list;
mod package;
mod style;
mod xml;

use std::collections::HashMap;

use self::body::{Body, Notes, Text};
use self::list::Lists;
use self::package::Package;
use self::style::Styles;
use self::xml::{Node, Xml};
use crate::read::{Reading, Unreadable};

/// What begins a footnote's or an endnote's place in [`Notes`].
const NOTES: [(&str, &str); 2] = [("footnotes.xml", "footnote"), ("endnotes.xml", "endnote")];

/// Reads a whole file; one with a password wants it. The text is one page: Word's pages exist only where it
/// has drawn them.
pub fn read(bytes: &[u8], password: Option<&str>) -> Result<Reading, Unreadable> {
    if envelope::is_one(bytes) {
        read_package(&envelope::open(bytes, password)?)
    } else {
        read_package(bytes)
    }
}

fn read_package(bytes: &[u8]) -> Result<Reading, Unreadable> {
    let mut package = Package::open(bytes)?;
    let main = main_part(&mut package)?;
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = |name: &str| match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    let styles = match package.part(&beside("styles.xml"))? {
        Some(part) => Styles::read(Xml::new(part))?,
        None => Styles::default(),
    };
    let mut lists = match package.part(&beside("numbering.xml"))? {
        Some(part) => Lists::read(Xml::new(part))?,
        None => Lists::default(),
    };
    let part = package.part(&main)?;
    let part = part.ok_or_else(|| Unreadable::Corrupt("it has no text part".into()))?;
    let mut text = Text::default();
    let mut body = Body::new(&styles, &mut lists);
    body.read(Xml::new(part), &mut text)?;
    let references = body.references();
    if !references.is_empty() && !text.is_full() {
        let mut notes = HashMap::new();
        for (name, kind) in NOTES {
            if let Some(part) = package.part(&beside(name))? {
                Notes::read(Xml::new(part), kind, &styles, &mut notes)?;
            }
        }
        text.append_notes(&references, &notes);
    }
    Ok(text.into_reading())
}

/// The part that the package calls its document.
fn main_part(package: &mut Package<'_>) -> Result<String, Unreadable> {
    let mut target = None;
    if let Some(part) = package.part("_rels/.rels")? {
        let mut xml = Xml::new(part);
        loop {
            match xml.next()? {
                Node::Open(tag) if tag.local() == "Relationship" => {
                    let kind = tag.attribute("Type")?.unwrap_or_default();
                    if kind.ends_with("/officeDocument") && target.is_none() {
                        target = tag.attribute("Target")?;
                    }
                }
                Node::End => break,
                _ => {}
            }
        }
    }
    let target = target.unwrap_or_else(|| "word/document.xml".into());
    let target = target.trim_start_matches('/').to_owned();
    match target.split('/').next() {
        Some("xl") => return Err(Unreadable::Unsupported("an Excel workbook")),
        Some("ppt") => return Err(Unreadable::Unsupported("a PowerPoint presentation")),
        _ => {}
    }
    if package.part(&target)?.is_none() {
        return Err(if package.part("[Content_Types].xml")?.is_some() {
            Unreadable::Corrupt("the Word document has no text part".into())
        } else {
            Unreadable::Unsupported("a ZIP archive")
        });
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{docx, docx_parts};

    fn text(body: &str) -> String {
        read(&docx(body), None).unwrap().document.text()
    }

    #[test]
    fn paragraphs_and_headings_are_blocks() {
        let file = docx(
            "<w:p><w:pPr><w:pStyle w:val=\"Heading1\"/></w:pPr><w:r><w:t>the cell</w:t></w:r></w:p>\
             <w:p><w:r><w:t>A cell is </w:t></w:r><w:r><w:t xml:space=\"preserve\">small &amp; r&#xE4;re.</w:t></w:r></w:p>",
        );
        let reading = read(&file, None).unwrap();
        assert_eq!(
            reading.document.text(),
            "the cell\n\nA cell is small & räre."
        );
        assert_eq!(reading.headings, ["the cell"]);
        assert_eq!(reading.page_count, None);
    }

    #[test]
    fn lists_are_numbered_and_tables_are_rows() {
        let item = |id: u32, level: u32, text: &str| {
            format!(
                "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"{level}\"/><w:numId w:val=\"{id}\"/></w:numPr></w:pPr>\
                 <w:r><w:t>{text}</w:t></w:r></w:p>"
            )
        };
        let cell = |text: &str| format!("<w:tc><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:tc>");
        let body = [
            item(1, 0, "first"),
            item(1, 1, "inner"),
            item(1, 0, "second"),
            item(2, 0, "point"),
            format!(
                "<w:tbl><w:tr>{}{}</w:tr><w:tr>{}{}</w:tr></w:tbl>",
                cell("a"),
                cell("b"),
                cell("c"),
                cell("d")
            ),
        ];
        assert_eq!(
            text(&body.concat()),
            "1. first\n  a. inner\n2. second\n• point\n\na\tb\nc\td"
        );
    }

    #[test]
    fn notes_stand_at_the_end_and_where_they_are_called() {
        let notes = "<w:footnotes xmlns:w=\"w\"><w:footnote w:id=\"2\"><w:p><w:r><w:footnoteRef/>\
                     <w:t>See Darwin.</w:t></w:r></w:p></w:footnote></w:footnotes>";
        let body = "<w:p><w:r><w:t>Species change</w:t></w:r><w:r><w:footnoteReference w:id=\"2\"/></w:r></w:p>";
        let file = docx_parts(&[("word/footnotes.xml", notes)], body);
        let text = read(&file, None).unwrap().document.text();
        assert_eq!(text, "Species change[1]\n\n[1] See Darwin.");
    }

    #[test]
    fn what_does_not_show_is_left_out() {
        assert_eq!(
            text(
                "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:t>shown</w:t></w:r>\
                 <w:del><w:r><w:delText>deleted</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r>\
                 <w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom><w:r><w:tab/><w:t>end</w:t><w:br/></w:r></w:p>\
                 <w:altChunk r:id=\"rId9\"/>"
            ),
            "shown\tend"
        );
        let twice = "<w:p><w:r><mc:AlternateContent><mc:Choice><w:t>once</w:t></mc:Choice>\
                     <mc:Fallback><w:t>twice</w:t></mc:Fallback></mc:AlternateContent></w:r></w:p>";
        assert_eq!(text(twice), "once");
    }

    #[test]
    fn what_is_no_word_document_says_so() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><w:document xmlns:w=\"w\"/>";
        let file = docx_parts(&[("word/document.xml", bomb)], "");
        assert_eq!(read(&file, None).unwrap_err().code(), "CORRUPT_DOCUMENT");
        for bad in [&b"PK\x03\x04"[..], b"PK\x05\x06", b""] {
            assert_eq!(read(bad, None).unwrap_err().code(), "CORRUPT_DOCUMENT");
        }
    }
}
