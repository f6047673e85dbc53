//! SSML as Amazon Polly takes it: checked before it costs anything, and taken apart into units that
//! are never cut. <https://docs.aws.amazon.com/polly/latest/dg/supportedtags.html>

mod attribute;

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::chunk::{self, Cut, Kind, Unit};
use crate::pace;

/// Tags within tags.
const DEEPEST: usize = 16;
/// Of a tag with its attributes, in bytes.
const LONGEST_TAG: usize = 500;
/// Characters of an element that is taken whole, its tags included.
const LONGEST_ELEMENT: usize = 2_000;

/// A document that can be spoken.
#[derive(Debug, PartialEq, Eq)]
pub struct Ssml {
    /// In their order.
    pub units: Vec<Unit>,
    /// Characters between the tags.
    pub spoken: usize,
}

/// What an element may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Nothing.
    Nothing,
    /// Text that is cut like any other, and elements.
    Mixed,
    /// Text that means something only as a whole.
    Whole,
}

struct Tag {
    name: &'static str,
    attributes: &'static [&'static str],
    /// One of them.
    required: Option<&'static str>,
    content: Content,
}

const fn tag(
    name: &'static str,
    attributes: &'static [&'static str],
    required: Option<&'static str>,
    content: Content,
) -> Tag {
    Tag {
        name,
        attributes,
        required,
        content,
    }
}

#[rustfmt::skip]
const TAGS: &[Tag] = &[
    tag("speak", &["version", "xml:lang"], None, Content::Mixed),
    tag("break", &["time", "strength"], None, Content::Nothing),
    tag("emphasis", &["level"], None, Content::Mixed),
    tag("lang", &["xml:lang"], Some("xml:lang"), Content::Mixed),
    tag("mark", &["name"], Some("name"), Content::Nothing),
    tag("p", &[], None, Content::Mixed),
    tag("phoneme", &["alphabet", "ph"], Some("ph"), Content::Whole),
    tag("prosody", &["volume", "rate", "pitch", "amazon:max-duration"], None, Content::Mixed),
    tag("s", &[], None, Content::Mixed),
    tag("say-as", &["interpret-as", "format"], Some("interpret-as"), Content::Whole),
    tag("sub", &["alias"], Some("alias"), Content::Whole),
    tag("w", &["role"], Some("role"), Content::Whole),
    tag("amazon:auto-breaths", &["volume", "frequency", "duration"], None, Content::Mixed),
    tag("amazon:breath", &["volume", "duration"], None, Content::Nothing),
    tag("amazon:domain", &["name"], Some("name"), Content::Mixed),
    tag("amazon:effect", &["name", "phonation", "vocal-tract-length"], None, Content::Mixed),
];

/// Reads a document; an error says what is wrong with it, for who wrote it.
pub fn read(ssml: &str) -> Result<Ssml, String> {
    let mut reader = Reader::from_str(ssml);
    let mut reading = Reading::new(ssml);
    loop {
        let from = position(reader.buffer_position());
        let event = reader
            .read_event()
            .map_err(|e| format!("the SSML is no XML: {e}"))?;
        let source = from..position(reader.buffer_position());
        match event {
            Event::Start(tag) => reading.open(&tag, source)?,
            Event::Empty(tag) => reading.empty(&tag, source)?,
            Event::End(_) => reading.close(source)?,
            Event::Text(_) => reading.text(source)?,
            Event::GeneralRef(reference) => reading.reference(&reference, source)?,
            Event::Comment(_) => {}
            Event::Decl(_) if reading.units.is_empty() => {}
            Event::CData(_) => return Err("the SSML has a CDATA section".into()),
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {
                return Err("the SSML has an instruction or a document type".into());
            }
            Event::Eof => return reading.end(),
        }
    }
}

fn position(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

struct Reading<'a> {
    ssml: &'a str,
    units: Vec<Unit>,
    open: Vec<&'static Tag>,
    /// How much longer than usual what stands in each of them takes to say: nothing is faster.
    slowness: Vec<f64>,
    spoken: usize,
    whole: Option<Whole>,
    is_done: bool,
}

/// An element that is taken whole, and is open.
struct Whole {
    start: usize,
    /// Tags that it stands in.
    depth: usize,
    /// Milliseconds that nothing is said.
    pause: u64,
}

impl<'a> Reading<'a> {
    fn new(ssml: &'a str) -> Self {
        Self {
            ssml,
            units: vec![],
            open: vec![],
            slowness: vec![],
            spoken: 0,
            whole: None,
            is_done: false,
        }
    }

    fn open(&mut self, start: &BytesStart<'_>, source: Range<usize>) -> Result<(), String> {
        let tag = self.checked(start, &source)?;
        if self.whole.is_none() && tag.content != Content::Mixed {
            self.whole = Some(Whole {
                start: source.start,
                depth: self.open.len(),
                pause: pause(tag, start),
            });
        }
        if self.whole.is_none() {
            self.push(source, Kind::Open, Cut::Never, 0, 0);
        }
        self.open.push(tag);
        let slower = value(start, "rate").map_or(1.0, |rate| attribute::slowness(&rate));
        self.slowness.push(self.slowed_by() * slower);
        Ok(())
    }

    fn slowed_by(&self) -> f64 {
        self.slowness.last().copied().unwrap_or(1.0)
    }

    fn slowed(&self, milliseconds: u64) -> u64 {
        // Saturates.
        (milliseconds as f64 * self.slowed_by()) as u64
    }

    fn empty(&mut self, start: &BytesStart<'_>, source: Range<usize>) -> Result<(), String> {
        let tag = self.checked(start, &source)?;
        if tag.name == "speak" {
            self.is_done = true;
        } else if self.whole.is_none() {
            let pause = pause(tag, start);
            self.push(source, Kind::Element, after(tag), 0, pause);
        }
        Ok(())
    }

    fn close(&mut self, source: Range<usize>) -> Result<(), String> {
        // The reader has compared the names.
        let tag = self.open.pop().ok_or("the SSML closes what is not open")?;
        self.slowness.pop();
        self.is_done = self.open.is_empty();
        match self.whole.take_if(|whole| whole.depth == self.open.len()) {
            Some(whole) => {
                let source = whole.start..source.end;
                let element = self.ssml.get(source.clone()).unwrap_or_default();
                if element.chars().count() > LONGEST_ELEMENT {
                    return Err(format!(
                        "the SSML has a `<{}>` of more than {LONGEST_ELEMENT} characters",
                        tag.name
                    ));
                }
                let spoken = unspoken_left_out(element);
                let said = self.slowed(said(tag, element, spoken));
                self.push(
                    source,
                    Kind::Element,
                    after(tag),
                    spoken,
                    said + whole.pause,
                );
            }
            None if self.whole.is_some() => {}
            None => self.push(source, Kind::Close, after(tag), 0, rest_after(tag)),
        }
        Ok(())
    }

    fn text(&mut self, source: Range<usize>) -> Result<(), String> {
        let text = self.ssml.get(source.clone()).unwrap_or_default();
        let Some(within) = self.open.last() else {
            return match text.trim().is_empty() {
                true => Ok(()),
                false => Err("the SSML has text outside of `<speak>`".into()),
            };
        };
        if within.content == Content::Nothing && !text.trim().is_empty() {
            return Err(format!("`<{}>` holds nothing", within.name));
        }
        self.spoken += text.chars().count();
        if self.whole.is_none() {
            let slowed = |unit: Unit| Unit {
                milliseconds: self.slowed(unit.milliseconds),
                ..unit
            };
            let words = chunk::words(text, source.start);
            let words: Vec<_> = words.into_iter().map(slowed).collect();
            self.units.extend(words);
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>, source: Range<usize>) -> Result<(), String> {
        let unknown = || format!("the SSML has the unknown reference `&{};`", &**reference);
        let number = reference.resolve_char_ref().map_err(|_| unknown())?;
        if number.is_none() && quick_xml::escape::resolve_predefined_entity(reference).is_none() {
            return Err(unknown());
        }
        match self.open.last() {
            None => return Err("the SSML has text outside of `<speak>`".into()),
            Some(tag) if tag.content == Content::Nothing => {
                return Err(format!("`<{}>` holds nothing", tag.name));
            }
            Some(_) => self.spoken += 1,
        }
        if self.whole.is_none() {
            let said = self.slowed(pace::text("&"));
            self.push(source, Kind::Text, Cut::Character, 1, said);
        }
        Ok(())
    }

    fn push(
        &mut self,
        source: Range<usize>,
        kind: Kind,
        after: Cut,
        spoken: usize,
        milliseconds: u64,
    ) {
        self.units.push(Unit {
            source,
            spoken,
            milliseconds,
            kind,
            after,
        });
    }

    /// The tag, where it may stand here with its attributes.
    fn checked(
        &self,
        start: &BytesStart<'_>,
        source: &Range<usize>,
    ) -> Result<&'static Tag, String> {
        let name = start.name();
        let shown = || name.0.chars().take(40).collect::<String>();
        let tag = TAGS.iter().find(|tag| tag.name == name.0);
        let tag = tag.ok_or_else(|| format!("`<{}>` is not supported", shown()))?;
        let is_root = tag.name == "speak";
        if self.is_done || is_root != self.open.is_empty() {
            return Err("SSML is one `<speak>`".into());
        }
        if self.open.len() >= DEEPEST || source.len() > LONGEST_TAG {
            return Err(format!(
                "the SSML has a `<{}>` too deep or too long",
                tag.name
            ));
        }
        let within = |name: &str| self.open.iter().any(|open| open.name == name);
        match (self.open.last(), tag.name) {
            (Some(open), _) if open.content == Content::Nothing => {
                return Err(format!("`<{}>` holds nothing", open.name));
            }
            (_, "p") if within("p") || within("s") => {
                return Err("`<p>` stands in no `<p>` or `<s>`".into());
            }
            (_, "s") if within("s") => return Err("`<s>` stands in no `<s>`".into()),
            _ => {}
        }
        check_attributes(tag, start)?;
        Ok(tag)
    }

    fn end(self) -> Result<Ssml, String> {
        match self.open.last() {
            Some(open) => Err(format!("the SSML does not close `<{}>`", open.name)),
            None if !self.is_done => Err("SSML is one `<speak>`".into()),
            None => Ok(Ssml {
                units: self.units,
                spoken: self.spoken,
            }),
        }
    }
}

/// Characters of an element outside of its tags; of a reference each counts, which is more than is paid for.
fn unspoken_left_out(element: &str) -> usize {
    let mut is_tag = false;
    let spoken = element.chars().filter(|character| {
        is_tag |= *character == '<';
        let is_spoken = !is_tag;
        is_tag &= *character != '>';
        is_spoken
    });
    spoken.count()
}

/// Of an element that is taken whole: what is said may stand in its attributes.
fn said(tag: &Tag, element: &str, spoken: usize) -> u64 {
    match (tag.name, tag.content) {
        (_, Content::Nothing) => 0,
        ("say-as", _) => pace::spelled(spoken),
        _ => pace::text(element),
    }
}

/// What a break's attributes say, in milliseconds.
fn pause(tag: &Tag, start: &BytesStart<'_>) -> u64 {
    match tag.name {
        "break" => {
            let (time, strength) = (value(start, "time"), value(start, "strength"));
            attribute::pause(time.as_deref(), strength.as_deref())
        }
        _ => 0,
    }
}

fn value<'a>(start: &'a BytesStart<'_>, name: &str) -> Option<Cow<'a, str>> {
    let mut attributes = start.attributes().flatten();
    attributes
        .find(|attribute| attribute.key.0 == name)
        .map(|attribute| attribute.value)
}

/// Milliseconds of quiet at its end.
fn rest_after(tag: &Tag) -> u64 {
    match tag.name {
        "p" => 1_500,
        "s" => 1_000,
        _ => 0,
    }
}

fn after(tag: &Tag) -> Cut {
    match tag.name {
        "p" | "s" => Cut::Sentence,
        "break" => Cut::Clause,
        _ => Cut::Character,
    }
}

fn check_attributes(tag: &Tag, start: &BytesStart<'_>) -> Result<(), String> {
    let mut has_required = tag.required.is_none();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| format!("the SSML is no XML: {e}"))?;
        let name = attribute.key.0;
        let is_namespace = tag.name == "speak" && name.starts_with("xmlns");
        if !is_namespace && !tag.attributes.contains(&name) {
            let name: String = name.chars().take(40).collect();
            return Err(format!("`<{}>` has no attribute `{name}`", tag.name));
        }
        has_required |= tag.required == Some(name);
        attribute::check(tag.name, name, &attribute.value)?;
    }
    match tag.required {
        Some(required) if !has_required => Err(format!("`<{}>` wants `{required}`", tag.name)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::{Limit, cut};

    fn chunks(ssml: &str, spoken: usize) -> Vec<String> {
        let limit = Limit {
            spoken,
            total: spoken + 200,
            milliseconds: u64::MAX,
        };
        let chunks = cut(ssml, &read(ssml).unwrap().units, limit).unwrap();
        chunks.into_iter().map(|chunk| chunk.input).collect()
    }

    #[test]
    fn what_polly_takes_is_taken() {
        for (ssml, spoken) in [
            ("<speak>a &lt; &#x62;</speak>", 5),
            (
                "<?xml version=\"1.0\"?><speak version='1.1' xmlns='x'>a</speak>",
                1,
            ),
            (
                "<speak><p><s>a</s></p><break time='10s'/><break strength=\"weak\"></break></speak>",
                1,
            ),
            (
                "<speak><prosody rate='slow'><emphasis level='strong'>a</emphasis></prosody></speak>",
                1,
            ),
            (
                "<speak><say-as interpret-as='date' format='ymd'>2025</say-as></speak>",
                4,
            ),
            (
                "<speak><amazon:effect name='whispered'>a<amazon:breath/></amazon:effect></speak>",
                1,
            ),
            ("<speak/>", 0),
        ] {
            assert_eq!(read(ssml).map(|read| read.spoken), Ok(spoken), "{ssml}");
        }
    }

    #[test]
    fn what_is_no_ssml_is_refused_by_name() {
        for (bad, named) in [
            ("", "<speak>"),
            ("text", "outside"),
            ("<speak>a", "close"),
            ("<speak>a</p></speak>", "XML"),
            ("<speak>a</speak>b", "outside"),
            ("<speak>a</speak><speak>b</speak>", "one"),
            ("<p>a</p>", "one"),
            ("<speak><speak>a</speak></speak>", "one"),
            ("<speak><p><p>a</p></p></speak>", "`<p>` stands"),
            ("<speak><s><s>a</s></s></speak>", "`<s>` stands"),
            ("<speak><audio src='http://x'/></speak>", "<audio>"),
            ("<speak><voice name='Joanna'>a</voice></speak>", "<voice>"),
            ("<speak><sub>a</sub></speak>", "alias"),
            ("<speak><p x='1'>a</p></speak>", "`x`"),
            ("<speak>a &unknown; b</speak>", "unknown"),
            ("<speak>a & b</speak>", "XML"),
            ("<speak><break time='10001ms'/></speak>", "10 s"),
            (
                "<speak><prosody rate='900%'>a</prosody></speak>",
                "`rate` of `<prosody>`",
            ),
            ("<speak><break>a</break></speak>", "nothing"),
            ("<speak><mark name='a'><p>b</p></mark></speak>", "nothing"),
            ("<speak><![CDATA[a]]></speak>", "CDATA"),
            (
                "<!DOCTYPE speak [<!ENTITY a \"b\">]><speak>&a;</speak>",
                "type",
            ),
        ] {
            let why = read(bad).unwrap_err();
            assert!(why.contains(named), "{bad}: {why}");
        }
        let deep = format!(
            "<speak>{}a{}</speak>",
            "<emphasis>".repeat(20),
            "</emphasis>".repeat(20)
        );
        assert!(read(&deep).unwrap_err().contains("deep"));
        let long = format!("<speak><sub alias='b'>{}</sub></speak>", "a".repeat(2_000));
        assert!(read(&long).unwrap_err().contains("<sub>"));
    }

    #[test]
    fn what_is_open_is_opened_again() {
        let ssml = "<speak><prosody rate=\"slow\"><s>One is here.</s><s>Two is there.</s></prosody></speak>";
        assert_eq!(
            chunks(ssml, 15),
            [
                "<speak><prosody rate=\"slow\"><s>One is here.</s></prosody></speak>",
                "<speak><prosody rate=\"slow\"><s>Two is there.</s></prosody></speak>",
            ]
        );
    }

    #[test]
    fn an_element_and_a_reference_are_never_cut() {
        let ssml = "<speak>The date is <say-as interpret-as=\"date\">1 May 2025</say-as> &amp; so on.</speak>";
        for chunk in chunks(ssml, 16) {
            assert!(read(&chunk).is_ok(), "{chunk}");
            let whole = "<say-as interpret-as=\"date\">1 May 2025</say-as>";
            assert_eq!(chunk.contains("say-as"), chunk.contains(whole), "{chunk}");
        }
    }

    #[test]
    fn pauses_and_slow_speech_are_cut_in_more() {
        let pauses = format!("<speak>a{}b</speak>", "<break time='10s'/>".repeat(61));
        let open = format!(
            "<speak>a{}b</speak>",
            "<break time='10s'></break>".repeat(61)
        );
        let strong = format!(
            "<speak>a{}b</speak>",
            "<break strength='x-strong'/>".repeat(300)
        );
        let words = "Plants make sugar, and light drives it. ".repeat(50);
        let slow = format!("<speak><prosody rate='20%'>{words}</prosody></speak>");
        let nested = format!(
            "<speak><prosody rate='slow'><prosody volume='loud'>{words}<prosody rate='x-slow'>{words}\
             </prosody></prosody></prosody></speak>"
        );
        let digits = "<say-as interpret-as='digits'>123456789</say-as>".repeat(80);
        let digits = format!("<speak>{digits}</speak>");
        for ssml in [&pauses, &open, &strong, &slow, &nested, &digits] {
            let limit = Limit {
                total: usize::MAX,
                ..crate::voice::Engine::Neural.limit()
            };
            let units = read(ssml).unwrap().units;
            let spoken: usize = units.iter().map(|unit| unit.spoken).sum();
            let chunks = cut(ssml, &units, limit).unwrap();
            assert!(
                chunks.len() > spoken.div_ceil(limit.spoken),
                "{}",
                &ssml[..40]
            );
            assert!(chunks.iter().all(|chunk| read(&chunk.input).is_ok()));
        }
        // Two minutes at the usual rate.
        let usual = format!("<speak><prosody rate='medium'>{words}</prosody></speak>");
        let limit = crate::voice::Engine::Neural.limit();
        assert_eq!(
            cut(&usual, &read(&usual).unwrap().units, limit)
                .unwrap()
                .len(),
            1
        );
    }

    fn element() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[a-z ,.]{0,60}",
            Just("<break time='1s'/>".to_owned()),
            Just("&amp;".to_owned()),
            "[a-z]{1,10}".prop_map(|text| format!("<sub alias='x'>{text}</sub>")),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let inner = proptest::collection::vec(inner, 0..6).prop_map(|all| all.concat());
            (inner, prop_oneof![Just("emphasis"), Just("prosody")])
                .prop_map(|(inner, name)| format!("<{name}>{inner}</{name}>"))
        })
    }

    proptest! {
        #[test]
        fn chunks_are_ssml_and_say_all_of_it(element in element()) {
            let ssml = format!("<speak>{element}</speak>");
            let said = |ssml: &str| {
                let read = read(ssml).unwrap();
                let text = read.units.iter().filter(|unit| matches!(unit.kind, Kind::Text | Kind::Element));
                let text: String = text.map(|unit| &ssml[unit.source.clone()]).collect();
                text.split_whitespace().collect::<String>()
            };
            let all: String = chunks(&ssml, 80).iter().map(|chunk| said(chunk)).collect();
            prop_assert_eq!(all, said(&ssml));
        }

        #[test]
        fn no_text_breaks_it(ssml in "[<>/a-z=' &;!\\[\\]-]{0,80}") {
            let _ = read(&ssml);
            let _ = read(&format!("<speak>{ssml}</speak>"));
        }
    }
}
