//! The part of SSML that the local voice can keep to: sentences, paragraphs and breaks.
//! <https://www.w3.org/TR/speech-synthesis11/>

use std::ops::Range;
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Polly's limit of one break.
const LONGEST_BREAK: Duration = Duration::from_secs(10);
/// Of all breaks together.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

/// Spoken without a tag in between, or silence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Speech(Stretch),
    Silence(Duration),
}

/// Text, and where it comes from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) text: String,
    runs: Vec<Run>,
}

/// From here on the text is the input from there on: byte by byte, or as one reference.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    at: usize,
    source: Range<usize>,
    verbatim: bool,
}

impl Part {
    pub(super) fn characters(&self) -> usize {
        match self {
            Self::Speech(stretch) => stretch.text.chars().count(),
            Self::Silence(_) => 0,
        }
    }
}

impl Stretch {
    /// All of the input.
    pub(super) fn plain(text: &str) -> Self {
        let mut stretch = Self::default();
        stretch.push(text, 0..text.len(), true);
        stretch
    }

    fn push(&mut self, text: &str, source: Range<usize>, verbatim: bool) {
        self.runs.push(Run {
            at: self.text.len(),
            source,
            verbatim,
        });
        self.text.push_str(text);
    }

    /// Where that part of the text stands in the input.
    pub(super) fn source(&self, text: Range<usize>) -> Range<usize> {
        let start = self.run(text.start).map_or(0, |run| match run.verbatim {
            true => run.source.start + (text.start - run.at),
            false => run.source.start,
        });
        // By its last byte: what follows may be another run's.
        let last = text.end.saturating_sub(1);
        let end = self.run(last).map_or(0, |run| match run.verbatim {
            true => run.source.start + (text.end - run.at),
            false => run.source.end,
        });
        start..end.max(start)
    }

    fn run(&self, at: usize) -> Option<&Run> {
        let after = self.runs.partition_point(|run| run.at <= at);
        self.runs.get(after.checked_sub(1)?)
    }
}

/// Reads a document; an error says what is wrong with it, for who wrote it.
pub(super) fn read(ssml: &str) -> Result<Vec<Part>, String> {
    let mut reader = Reader::from_str(ssml);
    let mut reading = Reading::default();
    loop {
        let from = reader.buffer_position();
        let event = reader
            .read_event()
            .map_err(|e| format!("the SSML is no XML: {e}"))?;
        let source = position(from)..position(reader.buffer_position());
        match event {
            Event::Start(tag) => reading.open(&tag)?,
            Event::Empty(tag) => {
                reading.open(&tag)?;
                reading.close()?;
            }
            Event::End(_) => reading.close()?,
            Event::Text(text) => reading.text(&text, source, true)?,
            Event::CData(text) => {
                let start = source.start + "<![CDATA[".len();
                reading.text(&text, start..start + text.len(), true)?;
            }
            Event::GeneralRef(reference) => {
                reading.text(&character(&reference)?, source, false)?;
            }
            Event::Comment(_) | Event::Decl(_) => {}
            Event::PI(_) | Event::DocType(_) => {
                return Err("the SSML has an instruction or a document type".into());
            }
            Event::Eof => return reading.end(),
        }
    }
}

fn position(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn character(reference: &BytesRef<'_>) -> Result<String, String> {
    let unknown = || format!("the SSML has the unknown reference `&{};`", &**reference);
    if let Some(character) = reference.resolve_char_ref().map_err(|_| unknown())? {
        return Ok(character.into());
    }
    let named = quick_xml::escape::resolve_predefined_entity(reference);
    named.map(ToOwned::to_owned).ok_or_else(unknown)
}

#[derive(Default)]
struct Reading {
    parts: Vec<Part>,
    open: Vec<String>,
    /// The root has been seen.
    begun: bool,
    silence: Duration,
}

impl Reading {
    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        let attributes = attributes(tag)?;
        let name = tag.name().0.to_owned();
        let within = self.open.last().map(String::as_str);
        match (within, name.as_str()) {
            (None, "speak") if !self.begun => self.begun = true,
            (None, _) => return Err("SSML is one `<speak>`".into()),
            (Some("break"), _) => return Err("`<break>` holds nothing".into()),
            (Some("speak"), "p") | (Some("speak" | "p"), "s") => {}
            (Some(_), "break") => self.pause(&attributes)?,
            (Some(within), name) => {
                return Err(format!(
                    "the local engine has no `<{name}>` in `<{within}>`: it has p, s and break"
                ));
            }
        }
        self.open.push(name);
        self.parts.push(Part::Speech(Stretch::default()));
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        // The reader has compared the names.
        self.open.pop().ok_or("the SSML closes what is not open")?;
        self.parts.push(Part::Speech(Stretch::default()));
        Ok(())
    }

    fn text(&mut self, text: &str, source: Range<usize>, verbatim: bool) -> Result<(), String> {
        match self.open.last().map(String::as_str) {
            None | Some("break") if text.trim().is_empty() => return Ok(()),
            None => return Err("the SSML has text outside of `<speak>`".into()),
            Some("break") => return Err("`<break>` holds nothing".into()),
            Some(_) => {}
        }
        if let Some(Part::Speech(stretch)) = self.parts.last_mut() {
            stretch.push(text, source, verbatim);
        }
        Ok(())
    }

    fn pause(&mut self, attributes: &[(String, String)]) -> Result<(), String> {
        let time = pause(attributes)?;
        self.silence += time;
        if self.silence > LONGEST_SILENCE {
            let most = LONGEST_SILENCE.as_secs();
            return Err(format!("the breaks are longer than {most} s together"));
        }
        self.parts.push(Part::Silence(time));
        Ok(())
    }

    fn end(self) -> Result<Vec<Part>, String> {
        if let Some(open) = self.open.last() {
            return Err(format!("the SSML does not close `<{open}>`"));
        }
        if !self.begun {
            return Err("SSML is one `<speak>`".into());
        }
        let said = |part: &Part| !matches!(part, Part::Speech(s) if s.text.is_empty());
        Ok(self.parts.into_iter().filter(said).collect())
    }
}

fn attributes(tag: &BytesStart<'_>) -> Result<Vec<(String, String)>, String> {
    let attribute = |attribute: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
        let attribute = attribute.map_err(|e| format!("the SSML is no XML: {e}"))?;
        Ok((attribute.key.0.to_owned(), attribute.value.into_owned()))
    };
    tag.attributes().map(attribute).collect()
}

/// <https://docs.aws.amazon.com/polly/latest/dg/break-tag.html>
fn pause(attributes: &[(String, String)]) -> Result<Duration, String> {
    let mut time = Duration::from_millis(400);
    for (name, value) in attributes {
        time = match (name.as_str(), value.as_str()) {
            ("strength", "none" | "x-weak") => Duration::ZERO,
            ("strength", "weak" | "medium") => Duration::from_millis(400),
            ("strength", "strong") => Duration::from_millis(700),
            ("strength", "x-strong") => Duration::from_millis(1_200),
            ("time", time) => duration(time).ok_or_else(|| {
                let most = LONGEST_BREAK.as_secs();
                format!("a break's time is such as `500ms` or `1.5s`, {most} s at most")
            })?,
            _ => return Err("a break has a `time` or a `strength`".into()),
        };
    }
    Ok(time)
}

fn duration(time: &str) -> Option<Duration> {
    let (number, unit) = match time.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (time.strip_suffix('s')?, 1.0),
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds: f64 = number.parse().ok().filter(|_| digits)?;
    let time = Duration::try_from_secs_f64(seconds * unit).ok()?;
    (time <= LONGEST_BREAK).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_its_place_in_the_input() {
        let ssml = "<?xml version=\"1.0\"?><speak>a &lt; b<!-- c --><![CDATA[ <d>]]></speak>";
        let parts = read(ssml).unwrap();
        let [Part::Speech(stretch)] = &parts[..] else {
            panic!("{parts:?}");
        };
        assert_eq!(stretch.text, "a < b <d>");
        let of = |range| &ssml[stretch.source(range)];
        assert_eq!((of(0..1), of(2..3), of(4..5)), ("a", "&lt;", "b"));
        assert_eq!(of(6..9), "<d>");
        assert_eq!(of(0..3), "a &lt;");
    }

    #[test]
    fn tags_part_what_is_spoken() {
        let ssml = "<speak><p><s>a</s>b</p>c<break time='1s'/>d<break></break></speak>";
        let parts = read(ssml).unwrap();
        let shown: Vec<String> = parts
            .iter()
            .map(|part| match part {
                Part::Speech(stretch) => stretch.text.clone(),
                Part::Silence(time) => time.as_millis().to_string(),
            })
            .collect();
        assert_eq!(shown, ["a", "b", "c", "1000", "d", "400"]);
    }

    #[test]
    fn what_is_no_ssml_is_refused() {
        for bad in [
            "",
            "text",
            "<speak>",
            "<speak>a",
            "<speak>a</p></speak>",
            "<speak>a</speak>b",
            "<speak>a</speak><speak>b</speak>",
            "<p>a</p>",
            "<speak><p><p>a</p></p></speak>",
            "<speak><emphasis>a</emphasis></speak>",
            "<speak>a &unknown; b</speak>",
            "<speak>a & b</speak>",
            "<speak>a &#xd800; b</speak>",
            "<speak a=b>c</speak>",
            "<speak><break time='1h'/></speak>",
            "<speak><break time='11s'/></speak>",
            "<speak><break time='-1s'/></speak>",
            "<speak><break time='infs'/></speak>",
            "<speak><break>a</break></speak>",
            "<!DOCTYPE speak [<!ENTITY a \"b\">]><speak>&a;</speak>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let long = format!("<speak>{}</speak>", "<break time='10s'/>".repeat(61));
        assert!(read(&long).is_err());
    }
}
