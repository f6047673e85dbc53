//! What the attributes of Polly's tags may say. <https://docs.aws.amazon.com/polly/latest/dg/supportedtags.html>

/// Polly's limit of one break, in seconds.
const LONGEST_BREAK: f64 = 10.0;
/// Of a speaking rate, in percent.
const RATES: std::ops::RangeInclusive<f64> = 20.0..=200.0;
/// Of a language's tag, in bytes: RFC 5646, section 4.4.1.
const LONGEST_LANGUAGE: usize = 35;

/// What a value may be, besides one of the words.
#[derive(Clone, Copy)]
enum Form {
    /// One of the words alone.
    Word,
    /// As in `+6dB`.
    Decibels,
    /// As in `85%`, within [`RATES`].
    Rate,
    /// As in `+5%`.
    Shift,
    /// As in `+15%` or `110%`; Polly clips what is out of range.
    Percent,
    /// As in `500ms`; at most so many seconds.
    Time(f64),
    /// BCP 47.
    Language,
    /// As in `amazon:VB`.
    Role,
    /// Anything but nothing.
    Text,
}

struct Rule {
    tag: &'static str,
    attribute: &'static str,
    words: &'static [&'static str],
    form: Form,
}

const fn rule(
    tag: &'static str,
    attribute: &'static str,
    words: &'static [&'static str],
    form: Form,
) -> Rule {
    Rule {
        tag,
        attribute,
        words,
        form,
    }
}

const VOLUMES: &[&str] = &[
    "default", "silent", "x-soft", "soft", "medium", "loud", "x-loud",
];
const BREATH_VOLUMES: &[&str] = &["default", "x-soft", "soft", "medium", "loud", "x-loud"];
const BREATHS: &[&str] = &["default", "x-short", "short", "medium", "long", "x-long"];
const PITCHES: &[&str] = &["default", "x-low", "low", "medium", "high", "x-high"];
const SPEEDS: &[&str] = &["x-slow", "slow", "medium", "fast", "x-fast"];
const STRENGTHS: &[&str] = &["none", "x-weak", "weak", "medium", "strong", "x-strong"];
const KINDS: &[&str] = &[
    "characters",
    "spell-out",
    "cardinal",
    "number",
    "ordinal",
    "digits",
    "fraction",
    "unit",
    "date",
    "time",
    "address",
    "expletive",
    "telephone",
];
const DATES: &[&str] = &[
    "mdy", "dmy", "ymd", "md", "dm", "ym", "my", "d", "m", "y", "yyyymmdd",
];
const ALPHABETS: &[&str] = &[
    "ipa",
    "x-sampa",
    "x-amazon-pinyin",
    "x-amazon-jyutping",
    "x-amazon-pron-kana",
    "x-amazon-yomigana",
];

#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule("speak", "xml:lang", &[], Form::Language),
    rule("break", "strength", STRENGTHS, Form::Word),
    rule("break", "time", &[], Form::Time(LONGEST_BREAK)),
    rule("emphasis", "level", &["strong", "moderate", "reduced"], Form::Word),
    rule("lang", "xml:lang", &[], Form::Language),
    rule("mark", "name", &[], Form::Text),
    rule("phoneme", "alphabet", ALPHABETS, Form::Word),
    rule("phoneme", "ph", &[], Form::Text),
    rule("prosody", "volume", VOLUMES, Form::Decibels),
    rule("prosody", "rate", SPEEDS, Form::Rate),
    rule("prosody", "pitch", PITCHES, Form::Shift),
    rule("prosody", "amazon:max-duration", &[], Form::Time(f64::MAX)),
    rule("say-as", "interpret-as", KINDS, Form::Word),
    rule("say-as", "format", DATES, Form::Word),
    rule("sub", "alias", &[], Form::Text),
    rule("w", "role", &[], Form::Role),
    rule("amazon:auto-breaths", "volume", BREATH_VOLUMES, Form::Word),
    rule("amazon:auto-breaths", "frequency", PITCHES, Form::Word),
    rule("amazon:auto-breaths", "duration", BREATHS, Form::Word),
    rule("amazon:breath", "volume", BREATH_VOLUMES, Form::Word),
    rule("amazon:breath", "duration", BREATHS, Form::Word),
    rule("amazon:domain", "name", &["news", "conversational"], Form::Word),
    rule("amazon:effect", "name", &["whispered", "drc"], Form::Word),
    rule("amazon:effect", "phonation", &["soft"], Form::Word),
    rule("amazon:effect", "vocal-tract-length", &[], Form::Percent),
];

/// An error names the tag and the attribute, and says what that may be.
pub(super) fn check(tag: &str, attribute: &str, value: &str) -> Result<(), String> {
    let known = |rule: &&Rule| rule.tag == tag && rule.attribute == attribute;
    let Some(rule) = RULES.iter().find(known) else {
        return Ok(());
    };
    match rule.words.contains(&value) || rule.form.fits(value) {
        true => Ok(()),
        false => Err(format!("`{attribute}` of `<{tag}>` is {}", rule.possible())),
    }
}

impl Rule {
    fn possible(&self) -> String {
        let words = self.words.join(", ");
        match (self.form.possible(), words.is_empty()) {
            (None, _) => format!("one of {words}"),
            (Some(form), true) => form,
            (Some(form), false) => format!("one of {words}, or {form}"),
        }
    }
}

impl Form {
    fn fits(self, value: &str) -> bool {
        match self {
            Self::Word => false,
            Self::Decibels => value.strip_suffix("dB").is_some_and(is_shift),
            Self::Rate => percent(value).is_some_and(|rate| RATES.contains(&rate)),
            Self::Shift => value.strip_suffix('%').is_some_and(is_shift),
            Self::Percent => percent(value.trim_start_matches(['+', '-'])).is_some(),
            Self::Time(most) => seconds(value).is_some_and(|seconds| seconds <= most),
            Self::Language => is_language(value),
            Self::Role => value.strip_prefix("amazon:").is_some_and(is_role),
            Self::Text => !value.trim().is_empty(),
        }
    }

    fn possible(self) -> Option<String> {
        Some(match self {
            Self::Word => return None,
            Self::Decibels => "decibels such as `+6dB`".into(),
            Self::Rate => format!("from {}% to {}%", RATES.start(), RATES.end()),
            Self::Shift => "a difference such as `+5%`".into(),
            Self::Percent => "a percentage such as `+15%` or `110%`".into(),
            Self::Time(LONGEST_BREAK) => {
                format!("a time such as `500ms` or `1.5s`, {LONGEST_BREAK} s at most")
            }
            Self::Time(_) => "a time such as `500ms` or `1.5s`".into(),
            Self::Language => "a language such as `en-US`".into(),
            Self::Role => "a role such as `amazon:VB`".into(),
            Self::Text => "not empty".into(),
        })
    }
}

/// How much longer than usual something takes to say at that rate; nothing is faster, to be sure.
pub(super) fn slowness(rate: &str) -> f64 {
    let slowness = match rate {
        "x-slow" => 2.5,
        "slow" => 1.5,
        rate => 100.0 / percent(rate).unwrap_or(100.0).max(1.0),
    };
    slowness.max(1.0)
}

/// Milliseconds of a break.
pub(super) fn pause(time: Option<&str>, strength: Option<&str>) -> u64 {
    let of_time = time.and_then(seconds).map(|seconds| seconds * 1_000.0);
    let of_strength = match strength {
        Some("none") => 0.0,
        Some("x-strong") => 1_500.0,
        _ => 1_000.0,
    };
    // Saturates.
    of_time.unwrap_or(of_strength) as u64
}

/// Digits, and digits behind a point: neither a sign nor an exponent nor infinity.
fn number(digits: &str) -> Option<f64> {
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain && is_number)
}

fn percent(value: &str) -> Option<f64> {
    number(value.strip_suffix('%')?)
}

fn seconds(value: &str) -> Option<f64> {
    match value.strip_suffix("ms") {
        Some(milliseconds) => Some(number(milliseconds)? / 1_000.0),
        None => number(value.strip_suffix('s')?),
    }
}

fn is_shift(value: &str) -> bool {
    let unsigned = value.strip_prefix(['+', '-']);
    unsigned.and_then(number).is_some()
}

fn is_language(value: &str) -> bool {
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let first = value.split('-').next().unwrap_or_default();
    let is_first = matches!(first.len(), 2 | 3) && first.bytes().all(|b| b.is_ascii_alphabetic());
    value.len() <= LONGEST_LANGUAGE && is_first && value.split('-').all(is_part)
}

fn is_role(name: &str) -> bool {
    let is_of_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    !name.is_empty() && name.bytes().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_polly_documents_is_taken() {
        for (tag, attribute, values) in [
            (
                "prosody",
                "rate",
                &["slow", "x-fast", "20%", "85%", "200%"][..],
            ),
            (
                "prosody",
                "volume",
                &["silent", "+6dB", "-4.5dB", "default"],
            ),
            ("prosody", "pitch", &["x-high", "+5%", "-33.3%"]),
            ("prosody", "amazon:max-duration", &["2s", "1500ms"]),
            ("break", "time", &["10s", "10000ms", "0ms", "1.5s"]),
            ("break", "strength", &["none", "x-strong"]),
            ("emphasis", "level", &["moderate"]),
            (
                "say-as",
                "interpret-as",
                &["telephone", "spell-out", "date"],
            ),
            ("say-as", "format", &["yyyymmdd", "dm"]),
            ("lang", "xml:lang", &["fr-FR", "cmn-CN", "en-GB-WLS"]),
            ("w", "role", &["amazon:VBD", "amazon:SENSE_1"]),
            ("phoneme", "alphabet", &["ipa", "x-sampa"]),
            (
                "amazon:effect",
                "vocal-tract-length",
                &["+15%", "110%", "-60%"],
            ),
            ("amazon:auto-breaths", "frequency", &["x-low"]),
            ("speak", "version", &["1.1"]),
        ] {
            for value in values {
                assert_eq!(
                    check(tag, attribute, value),
                    Ok(()),
                    "{tag} {attribute} {value}"
                );
            }
        }
    }

    #[test]
    fn what_it_does_not_is_refused_by_tag_and_attribute() {
        for (tag, attribute, values) in [
            (
                "prosody",
                "rate",
                &["19%", "201%", "1e2%", "+50%", "quick", "%", ""][..],
            ),
            ("prosody", "volume", &["6dB", "+6", "+6db", "+infdB", "11"]),
            ("prosody", "pitch", &["5%", "+5Hz", "+-5%"]),
            ("prosody", "amazon:max-duration", &["2", "-2s", "s"]),
            (
                "break",
                "time",
                &["11s", "10001ms", "1h", "-1s", "nans", ".5s", "s"],
            ),
            ("break", "strength", &["strongest"]),
            ("emphasis", "level", &["none"]),
            ("say-as", "interpret-as", &["currency", ""]),
            ("say-as", "format", &["dmyy"]),
            ("lang", "xml:lang", &["english", "en_US", "e", "en-"]),
            ("w", "role", &["VB", "amazon:", "amazon:vb"]),
            ("sub", "alias", &["", " "]),
            ("amazon:effect", "name", &["shouted"]),
            ("amazon:effect", "vocal-tract-length", &["tall", "15"]),
        ] {
            for value in values {
                let why = check(tag, attribute, value).unwrap_err();
                let named = format!("`{attribute}` of `<{tag}>` is ");
                assert!(why.starts_with(&named), "{value}: {why}");
            }
        }
    }
}
