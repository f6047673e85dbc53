//! XML as a part has it: streamed, without a document type, no deeper than it may be.

use std::io::{BufRead, ErrorKind};

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::read::Unreadable;

/// Open elements at most; Word writes a few dozen.
const MAX_DEPTH: usize = 400;

/// A part as it is read.
pub(super) struct Xml<R> {
    reader: Reader<R>,
    buffer: Vec<u8>,
    depth: usize,
}

/// What comes next.
pub(super) enum Node<'a> {
    /// An element begins; an empty one ends at once.
    Open(Tag<'a>),
    /// The local name of the element that ends.
    Close(String),
    /// Characters, references resolved.
    Text(String),
    /// The part ends.
    End,
}

/// An element's beginning.
pub(super) struct Tag<'a>(BytesStart<'a>);

impl Tag<'_> {
    /// The name without its prefix.
    pub(super) fn local(&self) -> &str {
        local(self.0.name().0)
    }

    /// An attribute by its name without prefix, as it is written.
    pub(super) fn attribute(&self, name: &str) -> Result<Option<String>, Unreadable> {
        for attribute in self.0.attributes() {
            let attribute = attribute.map_err(|e| Unreadable::Corrupt(format!("no XML: {e}")))?;
            if local(attribute.key.0) == name {
                return Ok(Some(attribute.value.into_owned()));
            }
        }
        Ok(None)
    }

    /// `w:val`.
    pub(super) fn value(&self) -> Result<Option<String>, Unreadable> {
        self.attribute("val")
    }

    /// Whether it switches its property on: `<w:b/>` and `<w:b w:val="1"/>` do.
    pub(super) fn is_on(&self) -> Result<bool, Unreadable> {
        let value = self.value()?;
        Ok(!matches!(value.as_deref(), Some("0" | "false" | "off")))
    }
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

impl<R: BufRead> Xml<R> {
    pub(super) fn new(part: R) -> Self {
        let mut reader = Reader::from_reader(part);
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            depth: 0,
        }
    }

    pub(super) fn next(&mut self) -> Result<Node<'_>, Unreadable> {
        loop {
            self.buffer.clear();
            let event = self.reader.read_event_into(&mut self.buffer);
            let node = match event.map_err(fault)? {
                Event::Start(tag) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(Unreadable::TooComplex);
                    }
                    Node::Open(Tag(tag.into_owned()))
                }
                Event::End(tag) => {
                    self.depth = self.depth.saturating_sub(1);
                    Node::Close(local(tag.name().0).to_owned())
                }
                Event::Text(text) => Node::Text(text.to_string()),
                Event::CData(text) => Node::Text(text.to_string()),
                Event::GeneralRef(reference) => Node::Text(character(&reference)?),
                Event::DocType(_) => {
                    return Err(Unreadable::Corrupt("it has a document type".into()));
                }
                Event::Eof if self.depth > 0 => {
                    return Err(Unreadable::Corrupt("its XML breaks off".into()));
                }
                Event::Eof => Node::End,
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
            };
            return Ok(node);
        }
    }
}

fn character(reference: &BytesRef<'_>) -> Result<String, Unreadable> {
    let unknown = || Unreadable::Corrupt("its XML has an unknown reference".into());
    if let Some(character) = reference.resolve_char_ref().map_err(|_| unknown())? {
        return Ok(character.into());
    }
    let named = quick_xml::escape::resolve_predefined_entity(reference);
    named.map(ToOwned::to_owned).ok_or_else(unknown)
}

/// One that ran into the package's bounds is no damage.
pub(super) fn fault(error: quick_xml::Error) -> Unreadable {
    match &error {
        quick_xml::Error::Io(io) if io.kind() == ErrorKind::FileTooLarge => Unreadable::TooComplex,
        quick_xml::Error::Io(_) => Unreadable::Corrupt("a part cannot be unpacked".into()),
        _ => Unreadable::Corrupt("a part is no XML".into()),
    }
}
