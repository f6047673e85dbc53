//! SSML as far as Polly is strict about it: well formed, in `<speak>`, of tags that the engine has.
//! <https://docs.aws.amazon.com/polly/latest/dg/supportedtags.html>

use crate::refusal::Refusal;

/// Text between tags.
pub(super) struct Run<'a> {
    /// Byte offset in the input.
    pub(super) start: usize,
    pub(super) text: &'a str,
    /// How much longer than usual it takes.
    pub(super) slowness: f64,
    /// Milliseconds of breaks before it.
    pub(super) pause: usize,
}

impl Run<'_> {
    /// Milliseconds that a beginning of it takes.
    pub(super) fn said(&self, text: &str, voice: usize) -> usize {
        ((text.chars().count() * voice) as f64 * self.slowness) as usize
    }

    /// All of it, and what comes before.
    pub(super) fn milliseconds(&self, voice: usize) -> usize {
        self.pause + self.said(self.text, voice)
    }
}

const TAGS: &[&str] = &[
    "speak",
    "break",
    "emphasis",
    "lang",
    "mark",
    "p",
    "phoneme",
    "prosody",
    "s",
    "say-as",
    "sub",
    "w",
    "amazon:auto-breaths",
    "amazon:breath",
    "amazon:domain",
    "amazon:effect",
];
const STANDARD_ONLY: &[&str] = &["emphasis", "amazon:auto-breaths", "amazon:breath"];
/// Of a `<break>`, in milliseconds.
const LONGEST_BREAK: f64 = 10_000.0;

fn invalid(why: &str) -> Refusal {
    let message = format!("Invalid SSML request: {why}");
    Refusal::caller("InvalidSsmlException", message)
}

/// What is spoken of it.
pub(super) fn runs<'a>(ssml: &'a str, engine: &str) -> Result<Vec<Run<'a>>, Refusal> {
    let (mut runs, mut open, mut at) = (vec![], vec![], 0);
    let (mut closed, mut slow, mut pause) = (false, Vec::<f64>::new(), 0);
    while at < ssml.len() {
        let rest = &ssml[at..];
        let Some(inner) = rest.strip_prefix('<') else {
            let text = &rest[..rest.find('<').unwrap_or(rest.len())];
            check_text(text, open.is_empty())?;
            if !open.is_empty() {
                runs.push(Run {
                    start: at,
                    text,
                    slowness: slow.iter().product(),
                    pause: std::mem::take(&mut pause),
                });
            }
            at += text.len();
            continue;
        };
        let end = inner.find('>').ok_or_else(|| invalid("an open tag"))?;
        if closed {
            return Err(invalid("more than one root"));
        }
        tag(&inner[..end], engine, &mut open)?;
        pause += break_of(&inner[..end]);
        slow.truncate(open.len());
        slow.resize(open.len(), slowness(&inner[..end]));
        closed = open.is_empty();
        at += end + 2;
    }
    if closed {
        runs.push(Run {
            start: at,
            text: "",
            slowness: 1.0,
            pause,
        });
        Ok(runs)
    } else {
        Err(invalid("an open element"))
    }
}

fn check_text(text: &str, outside: bool) -> Result<(), Refusal> {
    if outside && !text.trim().is_empty() {
        return Err(invalid("text outside of <speak>"));
    }
    let ends = |entity: &str| {
        let known = ["amp;", "lt;", "gt;", "quot;", "apos;", "#"];
        known.iter().any(|known| entity.starts_with(known))
    };
    if text.split('&').skip(1).all(ends) {
        Ok(())
    } else {
        Err(invalid("an unescaped &"))
    }
}

fn tag<'a>(tag: &'a str, engine: &str, open: &mut Vec<&'a str>) -> Result<(), Refusal> {
    if let Some(name) = tag.strip_prefix('/') {
        return match open.pop() {
            Some(opened) if opened == name.trim() => Ok(()),
            _ => Err(invalid("a tag that closes another")),
        };
    }
    let (tag, empty) = match tag.strip_suffix('/') {
        Some(tag) => (tag, true),
        None => (tag, false),
    };
    let (name, attributes) = tag
        .split_once(char::is_whitespace)
        .unwrap_or((tag.trim(), ""));
    if !TAGS.contains(&name) || (name == "speak") != open.is_empty() {
        return Err(invalid(&format!("Unsupported tag: {name}")));
    }
    if engine != "standard" && STANDARD_ONLY.contains(&name) {
        return Err(invalid(&format!("Unsupported {engine} feature: {name}")));
    }
    if attributes.matches('"').count() % 2 == 1 {
        return Err(invalid("an open attribute"));
    }
    check_break(name, attributes)?;
    if !empty {
        open.push(name);
    }
    Ok(())
}

/// An attribute's value.
fn value<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}="))?;
    let quote = rest.chars().next()?;
    rest[1..].split(quote).next()
}

/// Milliseconds that nothing is said at a `<break>` with a time.
fn break_of(tag: &str) -> usize {
    let time = value(tag, "time").filter(|_| tag.starts_with("break"));
    let of = |time: &str| match time.strip_suffix("ms") {
        Some(number) => number.parse::<f64>().ok(),
        None => Some(time.strip_suffix('s')?.parse::<f64>().ok()? * 1_000.0),
    };
    time.and_then(of).unwrap_or_default() as usize
}

/// How much longer than usual what stands in it takes.
fn slowness(tag: &str) -> f64 {
    let rate = value(tag, "rate").filter(|_| tag.starts_with("prosody"));
    match rate {
        Some("x-slow") => 2.0,
        Some("slow") => 1.25,
        Some(rate) => {
            let percent = rate
                .strip_suffix('%')
                .and_then(|rate| rate.parse::<f64>().ok());
            100.0 / percent.unwrap_or(100.0)
        }
        None => 1.0,
    }
}

fn check_break(name: &str, attributes: &str) -> Result<(), Refusal> {
    let time = attributes.trim().strip_prefix("time=\"");
    let Some(time) = time.filter(|_| name == "break") else {
        return Ok(());
    };
    let time = time.trim_end_matches('"');
    let (number, unit) = match time.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (time.trim_end_matches('s'), 1_000.0),
    };
    let time = number.parse::<f64>().map(|number| number * unit);
    if time.is_ok_and(|time| (0.0..=LONGEST_BREAK).contains(&time)) {
        Ok(())
    } else {
        Err(invalid("break time is out of range"))
    }
}
