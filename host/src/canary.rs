//! The trial of a revision: who is sent there, and when it ends. Pure; [`crate::deploy`] acts on it.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use runtime::manifest::CanaryBounds;
use runtime::stats::Snapshot;
use sha2::{Digest, Sha256};

/// The header that sends a request to the canary: a name, or a name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    name: HeaderName,
    value: Option<HeaderValue>,
}

impl Marker {
    /// From `x-canary` or `x-canary: yes`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.trim())),
            None => (text, None),
        };
        if value == Some("") {
            return None;
        }
        let value = value.map(HeaderValue::from_str).transpose().ok()?;
        Some(Self {
            name: name.trim().parse().ok()?,
            value,
        })
    }

    /// Whether the request carries it.
    pub fn is_on(&self, headers: &HeaderMap) -> bool {
        match &self.value {
            Some(value) => headers
                .get_all(&self.name)
                .iter()
                .any(|found| found == value),
            None => headers.contains_key(&self.name),
        }
    }
}

/// Whether somebody, told by `who`, is among the `weight` of 100 that try that revision. The same on
/// every host and at every request, and another choice of people for every revision.
pub fn is_chosen(revision: &str, who: &str, weight: u8) -> bool {
    if weight == 0 || weight >= 100 {
        return weight >= 100;
    }
    let hash = Sha256::new()
        .chain_update(revision)
        .chain_update([0])
        .chain_update(who)
        .finalize();
    let number = hash[..8]
        .iter()
        .fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    number % 100 < u64::from(weight)
}

/// What is to be done with a canary.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// Go on watching.
    Wait,
    /// It broke a bound; why, for the record.
    RollBack(String),
    /// The manifest's rule says that it has proved itself.
    Promote,
}

/// Judges a canary by what it did since its trial began, beside what the stable did meanwhile.
pub fn judge(
    bounds: &CanaryBounds,
    canary: &Snapshot,
    stable: &Snapshot,
    running: Duration,
) -> Judgement {
    if canary.traps > bounds.max_traps {
        return Judgement::RollBack(format!(
            "{} traps, of which {} are let pass",
            canary.traps, bounds.max_traps
        ));
    }
    if canary.requests + canary.events >= bounds.min_requests {
        if let Some(why) = errors(bounds, canary, stable).or_else(|| slow(bounds, canary, stable)) {
            return Judgement::RollBack(why);
        }
        let proved = bounds
            .promote_after_s
            .is_some_and(|seconds| running >= Duration::from_secs(seconds));
        // Both may suffer from the same; that proves nothing.
        if proved && canary.error_rate() <= bounds.max_error_rate {
            return Judgement::Promote;
        }
    }
    Judgement::Wait
}

/// Errors that the stable has too are not the canary's fault.
fn errors(bounds: &CanaryBounds, canary: &Snapshot, stable: &Snapshot) -> Option<String> {
    let (rate, most) = (canary.error_rate(), bounds.max_error_rate);
    (rate > most && rate > 2.0 * stable.error_rate()).then(|| {
        let (all, errors) = (canary.requests + canary.events, canary.errors);
        format!("{errors} errors in {all} requests and events, of which {most} is let pass")
    })
}

fn slow(bounds: &CanaryBounds, canary: &Snapshot, stable: &Snapshot) -> Option<String> {
    let p99 = canary.quantile(0.99)?;
    if let Some(most) = bounds.max_p99_ms.map(Duration::from_millis)
        && p99 > most
    {
        return Some(format!("p99 of {p99:?}, of which {most:?} is let pass"));
    }
    let usual = stable.quantile(0.99)?;
    let added = Duration::from_millis(bounds.max_added_p99_ms);
    (p99 > usual + added)
        .then(|| format!("p99 of {p99:?} beside {usual:?}, to which {added:?} may be added"))
}

#[cfg(test)]
mod tests {
    use runtime::stats::{Ended, Stats};

    use super::*;

    #[test]
    fn the_weight_is_the_share_of_people_and_nobody_changes_sides() {
        for weight in [0, 1, 10, 50, 99, 100] {
            let chosen = (0..20_000)
                .filter(|n| is_chosen("rev", &format!("user-{n}"), weight))
                .count();
            let share = chosen as f64 / 200.0;
            assert!((share - f64::from(weight)).abs() < 1.0, "{weight}: {share}");
        }
        for n in 0..1_000 {
            let who = format!("user-{n}");
            assert!(!is_chosen("rev", &who, 10) || is_chosen("rev", &who, 20));
        }
        let both = (0..1_000)
            .filter(|n| is_chosen("a", &n.to_string(), 50) && is_chosen("b", &n.to_string(), 50))
            .count();
        assert!(
            (150..350).contains(&both),
            "the same people every time: {both}"
        );
    }

    #[test]
    fn a_marker_is_a_name_or_a_name_and_its_value() {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("x-canary"),
            HeaderValue::from_static("yes"),
        )]);
        for (text, on) in [
            ("x-canary", true),
            ("X-Canary: yes", true),
            ("x-canary: no", false),
            ("x-other", false),
        ] {
            assert_eq!(Marker::parse(text).unwrap().is_on(&headers), on, "{text}");
        }
        for bad in ["", "a b", "x: \n", ":"] {
            assert_eq!(Marker::parse(bad), None, "{bad:?}");
        }
    }

    fn after(answered: u64, errors: u64, traps: u64, ms: u64) -> Snapshot {
        let stats = Stats::default();
        for (ended, count) in [(Ended::Answered, answered), (Ended::Failed, errors)] {
            for _ in 0..count {
                stats.request(ended, Duration::from_millis(ms));
            }
        }
        (0..traps).for_each(|_| stats.trap());
        stats.snapshot()
    }

    fn judged(bounds: &CanaryBounds, canary: &Snapshot, stable: &Snapshot) -> &'static str {
        match judge(bounds, canary, stable, Duration::from_secs(60)) {
            Judgement::Wait => "wait",
            Judgement::RollBack(_) => "roll back",
            Judgement::Promote => "promote",
        }
    }

    #[test]
    fn a_canary_past_its_bounds_is_rolled_back() {
        let bounds = CanaryBounds {
            promote_after_s: Some(30),
            ..CanaryBounds::default()
        };
        let good = after(100, 0, 0, 10);
        for (canary, stable, verdict) in [
            (after(3, 0, 0, 10), &good, "wait"),
            (after(100, 0, 0, 10), &good, "promote"),
            (after(90, 10, 0, 10), &good, "roll back"),
            (after(1, 0, 1, 10), &good, "roll back"),
            (after(100, 0, 0, 310), &good, "roll back"),
            (after(100, 0, 0, 150), &good, "promote"),
            // The database is down for both.
            (after(20, 80, 0, 10), &after(20, 80, 0, 10), "wait"),
            (after(2, 3, 0, 10), &good, "wait"),
        ] {
            assert_eq!(judged(&bounds, &canary, stable), verdict, "{canary:?}");
        }
        let patient = CanaryBounds::default();
        assert_eq!(judged(&patient, &after(100, 0, 0, 10), &good), "wait");
    }
}
