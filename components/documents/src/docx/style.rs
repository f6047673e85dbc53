//! `styles.xml`: which paragraphs are headings, and which items of a list.

use std::collections::HashMap;
use std::io::BufRead;

use super::list::Place;
use super::xml::{Node, Xml};
use crate::read::Unreadable;

/// A style is based on another, and that on a third; a circle ends here.
const MAX_BASES: usize = 16;
/// An outline's levels are 0 to 8; 9 is text.
const LEVELS: u32 = 9;

/// Paragraph styles by their id.
#[derive(Default)]
pub(super) struct Styles(HashMap<String, Style>);

#[derive(Default)]
struct Style {
    is_heading: Option<bool>,
    place: Option<Place>,
    based_on: Option<String>,
}

impl Styles {
    pub(super) fn read(mut xml: Xml<impl BufRead>) -> Result<Self, Unreadable> {
        let mut styles = Self::default();
        let (mut id, mut style) = (None, Style::default());
        loop {
            match xml.next()? {
                Node::Open(tag) => match tag.local() {
                    "style" => (id, style) = (tag.attribute("styleId")?, Style::default()),
                    "name" => {
                        let name = tag.value()?.unwrap_or_default().to_lowercase();
                        if name == "title" || name.starts_with("heading ") {
                            style.is_heading = Some(true);
                        }
                    }
                    "basedOn" => style.based_on = tag.value()?,
                    "outlineLvl" => style.is_heading = Some(is_outline(tag.value()?)),
                    "numId" => style.place.get_or_insert_default().list = tag.value()?,
                    "ilvl" => style.place.get_or_insert_default().set_level(tag.value()?),
                    _ => {}
                },
                Node::Close(name) if name == "style" => {
                    if let Some(id) = id.take() {
                        styles.0.insert(id, std::mem::take(&mut style));
                    }
                }
                Node::End => return Ok(styles),
                _ => {}
            }
        }
    }

    pub(super) fn is_heading(&self, id: &str) -> bool {
        self.chain(id)
            .find_map(|style| style.is_heading)
            .unwrap_or_default()
    }

    /// The list that paragraphs of the style stand in.
    pub(super) fn place(&self, id: &str) -> Option<Place> {
        self.chain(id).find_map(|style| style.place.clone())
    }

    fn chain<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Style> {
        let base = |style: &&'a Style| style.based_on.as_ref().and_then(|id| self.0.get(id));
        std::iter::successors(self.0.get(id), base).take(MAX_BASES)
    }
}

/// Whether an outline's level is a heading's.
pub(super) fn is_outline(level: Option<String>) -> bool {
    level
        .and_then(|level| level.parse::<u32>().ok())
        .is_some_and(|level| level < LEVELS)
}
