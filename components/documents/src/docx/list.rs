//! `numbering.xml`: what stands before the items of a list.

use std::collections::HashMap;
use std::io::BufRead;

use super::xml::{Node, Xml};
use crate::read::Unreadable;

/// Levels of a list.
const LEVELS: usize = 9;

/// Where a paragraph stands in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The list's id; `0` is no list.
    pub(super) list: Option<String>,
    level: usize,
}

impl Place {
    pub(super) fn set_level(&mut self, level: Option<String>) {
        let level = level
            .and_then(|level| level.parse().ok())
            .unwrap_or_default();
        self.level = usize::min(level, LEVELS - 1);
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Bullet,
    Letter,
    Number,
}

/// The lists of a document, and how far each has been counted.
#[derive(Default)]
pub(super) struct Lists {
    formats: HashMap<String, [Level; LEVELS]>,
    /// A list's id, and whose formats it has.
    lists: HashMap<String, String>,
    counted: HashMap<String, [u32; LEVELS]>,
}

#[derive(Clone, Copy, Default)]
struct Level {
    format: Format,
    start: Option<u32>,
}

impl Lists {
    pub(super) fn read(mut xml: Xml<impl BufRead>) -> Result<Self, Unreadable> {
        let mut lists = Self::default();
        let (mut whose, mut list, mut level) = (String::new(), None, 0);
        loop {
            match xml.next()? {
                Node::Open(tag) => match tag.local() {
                    "abstractNum" => whose = tag.attribute("abstractNumId")?.unwrap_or_default(),
                    "num" => list = tag.attribute("numId")?,
                    "lvl" if list.is_none() => {
                        let given = tag.attribute("ilvl")?.and_then(|level| level.parse().ok());
                        level = usize::min(given.unwrap_or_default(), LEVELS - 1);
                    }
                    "numFmt" if list.is_none() => {
                        lists.level(&whose, level).format = format(tag.value()?.as_deref());
                    }
                    "start" if list.is_none() => {
                        let start = tag.value()?.and_then(|start| start.parse().ok());
                        lists.level(&whose, level).start = start;
                    }
                    "abstractNumId" => {
                        if let (Some(list), Some(whose)) = (list.clone(), tag.value()?) {
                            lists.lists.insert(list, whose);
                        }
                    }
                    _ => {}
                },
                Node::Close(name) if name == "num" => list = None,
                Node::End => return Ok(lists),
                _ => {}
            }
        }
    }

    fn level(&mut self, whose: &str, level: usize) -> &mut Level {
        &mut self.formats.entry(whose.to_owned()).or_default()[level]
    }

    /// What stands before the next item there; nothing outside of a list.
    pub(super) fn mark(&mut self, place: &Place) -> Option<String> {
        let list = place.list.as_ref().filter(|list| *list != "0")?;
        let formats = self
            .lists
            .get(list)
            .and_then(|whose| self.formats.get(whose));
        let level = formats
            .map(|levels| levels[place.level])
            .unwrap_or_default();
        let counted = self.counted.entry(list.clone()).or_default();
        counted[place.level] = counted[place.level].saturating_add(1);
        counted[place.level + 1..].fill(0);
        let first = level.start.unwrap_or(1);
        let number = first.saturating_add(counted[place.level] - 1);
        let mark = match level.format {
            Format::Bullet => "•".to_owned(),
            Format::Letter => format!("{}.", letter(number)),
            Format::Number => format!("{number}."),
        };
        Some(format!("{}{mark} ", "  ".repeat(place.level)))
    }
}

fn format(name: Option<&str>) -> Format {
    match name {
        Some("bullet" | "none") | None => Format::Bullet,
        Some("lowerLetter" | "upperLetter") => Format::Letter,
        Some(_) => Format::Number,
    }
}

/// a to z, then aa, bb as Word has it; a number where that would be absurd.
fn letter(number: u32) -> String {
    let (Some(at), true) = (number.checked_sub(1), number <= 26 * 4) else {
        return number.to_string();
    };
    let letter = char::from_u32(u32::from('a') + at % 26).unwrap_or('a');
    letter.to_string().repeat((at / 26 + 1) as usize)
}
