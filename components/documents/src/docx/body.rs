//! The text part: what shows, block by block.

use std::collections::HashMap;
use std::io::BufRead;

use super::list::{Lists, Place};
use super::style::{Styles, is_outline};
use super::xml::{Node, Tag, Xml};
use crate::read::{Collector, MAX_BYTES, Reading, Unreadable};

/// Elements whose text does not show, or shows a second time.
const UNSEEN: &[&str] = &[
    "Fallback",
    "delInstrText",
    "delText",
    "instrText",
    "moveFrom",
    "pPrChange",
    "rPrChange",
    "rt",
    "sdtPr",
    "sectPr",
    "tabs",
    "tblGrid",
    "tblPr",
    "tblPrEx",
    "tcPr",
    "trPr",
];
/// Headings that are remembered.
const MAX_HEADINGS: usize = 2_000;
/// Notes that are remembered.
const MAX_NOTES: usize = 20_000;

/// Blocks on their way to a page.
#[derive(Default)]
pub(super) struct Text {
    text: String,
    headings: Vec<String>,
    in_list: bool,
    full: bool,
}

impl Text {
    /// Whether there is no room for more.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    fn block(&mut self, block: &str, is_item: bool) {
        let block = block.trim_end();
        if block.trim_start().is_empty() || self.full {
            return;
        }
        if !self.text.is_empty() {
            let between = if is_item && self.in_list {
                "\n"
            } else {
                "\n\n"
            };
            self.text.push_str(between);
        }
        self.text.push_str(block);
        self.in_list = is_item;
        self.full = self.text.len() > MAX_BYTES;
    }

    fn heading(&mut self, heading: &str) {
        if self.headings.len() < MAX_HEADINGS {
            self.headings.push(heading.trim().to_owned());
        }
    }

    /// `[1] …`, in the order of their calls.
    pub(super) fn append_notes(&mut self, references: &[String], notes: &HashMap<String, String>) {
        for (number, reference) in references.iter().enumerate() {
            if let Some(note) = notes.get(reference) {
                self.block(&format!("[{}] {}", number + 1, note.trim()), false);
            }
        }
    }

    pub(super) fn into_reading(self) -> Reading {
        let mut collector = Collector::default();
        // A full collector breaks; there is nothing left to tell it.
        let _ = collector.page(1, &self.text);
        let mut reading = collector.into_reading();
        reading.truncated |= self.full;
        reading.headings = self.headings;
        reading
    }
}

/// Text of footnotes and endnotes by kind and id, as in `footnote 2`.
pub(super) struct Notes;

impl Notes {
    pub(super) fn read(
        mut xml: Xml<impl BufRead>,
        kind: &str,
        styles: &Styles,
        notes: &mut HashMap<String, String>,
    ) -> Result<(), Unreadable> {
        let mut lists = Lists::default();
        let mut id = None;
        let mut text = Text::default();
        let mut body = Body::new(styles, &mut lists);
        loop {
            match xml.next()? {
                Node::Open(tag) if tag.local() == kind => {
                    (id, text) = (tag.attribute("id")?, Text::default());
                }
                Node::Open(tag) => body.open(&tag)?,
                Node::Close(name) if name == kind => {
                    if let Some(id) = id.take().filter(|_| notes.len() < MAX_NOTES) {
                        notes.insert(format!("{kind} {id}"), std::mem::take(&mut text.text));
                    }
                }
                Node::Close(name) => body.close(&name, &mut text),
                Node::Text(found) => body.text(&found),
                Node::End => return Ok(()),
            }
        }
    }
}

#[derive(Default)]
struct Paragraph {
    text: String,
    is_heading: bool,
    place: Option<Place>,
}

#[derive(Default)]
struct Table {
    rows: Vec<String>,
    cells: Vec<String>,
    cell: String,
}

/// Where the reader is in the part.
pub(super) struct Body<'a> {
    styles: &'a Styles,
    lists: &'a mut Lists,
    /// A text box holds paragraphs within a paragraph.
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    /// Notes that were called, as in [`Notes`].
    references: Vec<String>,
    /// Elements that are open within one that does not show.
    unseen: usize,
    in_properties: bool,
    in_text: bool,
    is_hidden: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(styles: &'a Styles, lists: &'a mut Lists) -> Self {
        Self {
            styles,
            lists,
            paragraphs: vec![],
            tables: vec![],
            references: vec![],
            unseen: 0,
            in_properties: false,
            in_text: false,
            is_hidden: false,
        }
    }

    /// Reads until the end, or until there is no room.
    pub(super) fn read(
        &mut self,
        mut xml: Xml<impl BufRead>,
        text: &mut Text,
    ) -> Result<(), Unreadable> {
        while !text.is_full() {
            match xml.next()? {
                Node::Open(tag) => self.open(&tag)?,
                Node::Close(name) => self.close(&name, text),
                Node::Text(found) => self.text(&found),
                Node::End => break,
            }
        }
        Ok(())
    }

    /// The notes that were called, in their order.
    pub(super) fn references(self) -> Vec<String> {
        self.references
    }

    fn open(&mut self, tag: &Tag<'_>) -> Result<(), Unreadable> {
        let name = tag.local();
        if self.unseen > 0 || UNSEEN.contains(&name) {
            self.unseen += 1;
            return Ok(());
        }
        if self.in_properties {
            return self.property(tag);
        }
        match name {
            "p" => self.paragraphs.push(Paragraph::default()),
            "pPr" => self.in_properties = true,
            "rPr" => self.in_properties = true,
            "r" => self.is_hidden = false,
            "t" => self.in_text = true,
            "tbl" => self.tables.push(Table::default()),
            "tab" | "ptab" => self.push("\t"),
            "br" | "cr" => self.push("\n"),
            "noBreakHyphen" => self.push("\u{2011}"),
            "footnoteReference" => self.reference("footnote", tag)?,
            "endnoteReference" => self.reference("endnote", tag)?,
            _ => {}
        }
        Ok(())
    }

    fn property(&mut self, tag: &Tag<'_>) -> Result<(), Unreadable> {
        if tag.local() == "vanish" {
            self.is_hidden = tag.is_on()?;
        }
        let Some(paragraph) = self.paragraphs.last_mut() else {
            return Ok(());
        };
        match tag.local() {
            "pStyle" => {
                let style = tag.value()?.unwrap_or_default();
                paragraph.is_heading |= self.styles.is_heading(&style);
                if paragraph.place.is_none() {
                    paragraph.place = self.styles.place(&style);
                }
            }
            "outlineLvl" => paragraph.is_heading = is_outline(tag.value()?),
            "numId" => paragraph.place.get_or_insert_default().list = tag.value()?,
            "ilvl" => paragraph
                .place
                .get_or_insert_default()
                .set_level(tag.value()?),
            _ => {}
        }
        Ok(())
    }

    fn reference(&mut self, kind: &str, tag: &Tag<'_>) -> Result<(), Unreadable> {
        if let Some(id) = tag
            .attribute("id")?
            .filter(|_| self.references.len() < MAX_NOTES)
        {
            self.references.push(format!("{kind} {id}"));
            let mark = format!("[{}]", self.references.len());
            self.push(&mark);
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.unseen == 0 && self.in_text {
            self.push(text);
        }
    }

    fn push(&mut self, text: &str) {
        if let Some(paragraph) = self.paragraphs.last_mut()
            && !self.is_hidden
            && paragraph.text.len() <= MAX_BYTES
        {
            paragraph.text.push_str(text);
        }
    }

    fn close(&mut self, name: &str, text: &mut Text) {
        if self.unseen > 0 {
            self.unseen -= 1;
            return;
        }
        match name {
            "pPr" | "rPr" => self.in_properties = false,
            "r" => self.is_hidden = false,
            "t" => self.in_text = false,
            "p" => self.end_paragraph(text),
            "tc" => {
                if let Some(table) = self.tables.last_mut() {
                    let cell = std::mem::take(&mut table.cell);
                    table.cells.push(cell.trim().replace(['\n', '\t'], " "));
                }
            }
            "tr" => {
                if let Some(table) = self.tables.last_mut() {
                    let row = std::mem::take(&mut table.cells).join("\t");
                    table.rows.push(row);
                }
            }
            "tbl" => {
                if let Some(table) = self.tables.pop() {
                    self.place(&table.rows.join("\n"), false, text);
                }
            }
            _ => {}
        }
    }

    fn end_paragraph(&mut self, text: &mut Text) {
        let Some(paragraph) = self.paragraphs.pop() else {
            return;
        };
        if paragraph.text.trim().is_empty() {
            return;
        }
        let mark = paragraph.place.and_then(|place| self.lists.mark(&place));
        let is_item = mark.is_some() && !paragraph.is_heading;
        let whole = mark.unwrap_or_default() + paragraph.text.trim();
        if paragraph.is_heading && self.tables.is_empty() {
            text.heading(&whole);
        }
        self.place(&whole, is_item, text);
    }

    /// Within a cell, or on its own.
    fn place(&mut self, block: &str, is_item: bool, text: &mut Text) {
        match self.tables.last_mut() {
            Some(table) if table.cell.len() <= MAX_BYTES => {
                table.cell.push_str(block);
                table.cell.push('\n');
            }
            Some(_) => {}
            None => text.block(block, is_item),
        }
    }
}
