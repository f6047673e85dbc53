//! `[schedule.NAME]`: how often the clock calls.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// Of one component.
pub const MAX_TIMERS: usize = 16;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// When one timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// From one time to the next: `90s`, `1h 30m`, `7days`; from a second to 30 days.
    #[serde(deserialize_with = "duration")]
    pub every: Duration,
}

fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text)
        .map_err(|e| serde::de::Error::custom(format!("`{text}` is no time such as `1h`: {e}")))
}

/// An error says what is wrong with them.
pub(super) fn check(timers: &BTreeMap<String, Timer>) -> Result<(), String> {
    if timers.len() > MAX_TIMERS {
        return Err(format!("has {}: {MAX_TIMERS} at most", timers.len()));
    }
    for (name, timer) in timers {
        if !is_name(name) {
            return Err(format!("has `{name}`: 1 to 40 characters of [a-z0-9-]"));
        }
        if !(SHORTEST..=LONGEST).contains(&timer.every) {
            let every = humantime::format_duration(timer.every);
            return Err(format!("has `{name}` every {every}: from 1 s to 30 days"));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(fine)
}

#[cfg(test)]
mod tests {
    use crate::Manifest;

    use super::*;

    fn parse(schedule: &str) -> Result<BTreeMap<String, Timer>, String> {
        let manifest = Manifest::parse(&format!("name = \"a\"\n{schedule}"));
        manifest.map(|m| m.schedule).map_err(|e| e.to_string())
    }

    #[test]
    fn a_timer_has_a_name_and_a_time() {
        let timers =
            parse("[schedule.sweep-all]\nevery = \"1h 30m\"\n[schedule.b]\nevery = \"30days\"");
        let timers = timers.unwrap();
        assert_eq!(timers["sweep-all"].every, Duration::from_secs(5_400));
        assert_eq!(timers.len(), 2);
    }

    #[test]
    fn a_timer_that_cannot_be_is_refused() {
        for bad in [
            "[schedule.a]",
            "[schedule.a]\nevery = 5",
            "[schedule.a]\nevery = \"soon\"",
            "[schedule.a]\nevery = \"\"",
            "[schedule.a]\nevery = \"999ms\"",
            "[schedule.a]\nevery = \"31days\"",
            "[schedule.a]\nevery = \"99999999999999999999y\"",
            "[schedule.a]\nevery = \"1h\"\nat = \"noon\"",
            "[schedule.A]\nevery = \"1h\"",
            "[schedule.\"a b\"]\nevery = \"1h\"",
            "[schedule.\"\"]\nevery = \"1h\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = |count: usize| {
            let timer = |number| format!("[schedule.t{number}]\nevery = \"1h\"\n");
            (0..count).map(timer).collect::<String>()
        };
        assert!(parse(&many(16)).is_ok());
        assert!(parse(&many(17)).is_err());
    }
}
