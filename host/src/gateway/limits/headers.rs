//! `RateLimit` and `RateLimit-Policy`, as in
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>: structured fields
//! (RFC 9651), one item a rate.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use capability::rates::Standing;

use crate::config::limits::{Rule, Scope};

const STANDING: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What a client is told of its rates.
#[derive(Debug)]
pub(crate) struct Told {
    standing: HeaderValue,
    policy: HeaderValue,
}

impl Told {
    /// Adds the headers.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(STANDING, self.standing.clone());
        headers.insert(POLICY, self.policy.clone());
    }
}

/// `"user";r=50;t=30` and `"user";q=60;w=60`.
pub(super) fn told<'a>(all: impl Iterator<Item = (&'a Rule, &'a Standing)>) -> Option<Told> {
    let (mut standing, mut policy) = (String::with_capacity(64), String::with_capacity(64));
    for (
        rule,
        Standing {
            remaining, reset, ..
        },
    ) in all
    {
        let (name, rate) = (name(rule.scope), rule.rate);
        let comma = if standing.is_empty() { "" } else { ", " };
        let (reset, window) = (seconds(*reset), seconds(rate.period));
        // Writing to a string cannot fail.
        let _ = write!(standing, "{comma}\"{name}\";r={remaining};t={reset}");
        let _ = write!(policy, "{comma}\"{name}\";q={};w={window}", rate.burst);
    }
    Some(Told {
        standing: HeaderValue::try_from(standing).ok()?,
        policy: HeaderValue::try_from(policy).ok()?,
    })
}

pub(crate) fn name(scope: Scope) -> &'static str {
    match scope {
        Scope::User => "user",
        Scope::Tenant => "tenant",
        Scope::Address => "address",
    }
}

/// Rounded up: who comes when it says so is not too early.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use capability::rates::Rate;

    use super::*;
    use crate::config::limits::Counted;

    #[test]
    fn each_rate_is_an_item() {
        let rule = |scope| Rule {
            name: "",
            scope,
            counted: Counted::Denied,
            rate: Rate {
                burst: NonZeroU32::new(60).unwrap(),
                period: Duration::from_secs(60),
            },
        };
        let standing = Standing {
            remaining: 50,
            reset: Duration::from_millis(9_001),
            retry: None,
        };
        let rules = [rule(Scope::User), rule(Scope::Tenant)];
        let mut headers = HeaderMap::new();
        let all = rules.iter().map(|rule| (rule, &standing));
        told(all).unwrap().write(&mut headers);
        assert_eq!(
            headers["ratelimit"],
            r#""user";r=50;t=10, "tenant";r=50;t=10"#
        );
        let policy = r#""user";q=60;w=60, "tenant";q=60;w=60"#;
        assert_eq!(headers["ratelimit-policy"], policy);
    }
}
