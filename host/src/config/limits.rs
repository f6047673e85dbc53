//! How much one may ask: rates, budgets of a day, and what the host takes on at once.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use capability::rates::Rate;
use capability::usage::Budgets;
use ipnet::IpNet;
use runtime::manifest::RouteClass;

use super::ConfigError;
use super::environment::Environment;

/// Whom a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The token's subject, within its tenant.
    User,
    /// All users of a tenant together.
    Tenant,
    /// An IPv4 address, or a /64 of IPv6, which is what one client has.
    Address,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Requests of a class.
    Class(RouteClass),
    /// Tokens that were not taken: guesses.
    Denied,
}

/// One rate of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As in `user.read`.
    pub name: &'static str,
    /// Whom.
    pub scope: Scope,
    /// What.
    pub counted: Counted,
    /// How many.
    pub rate: Rate,
}

/// How much one may ask.
#[derive(Clone)]
pub struct Limits {
    /// `LECTERN_RATE_LIMITS`; none where they are off.
    pub rates: Vec<Rule>,
    /// `LECTERN_TRUSTED_PROXIES`: whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
    /// `LECTERN_QUOTA_*`: of a user and day.
    pub budgets: Budgets,
    /// `LECTERN_MAX_IN_FLIGHT`: requests that the host has in hand at once.
    pub in_flight: usize,
}

const MINUTE: Duration = Duration::from_secs(60);
/// More than any machine serves at once; what a component takes at once, its manifest says.
const IN_FLIGHT: usize = 4_096;

/// What no client at a person's pace meets, and a school behind one address does not either.
const DEFAULTS: [(&str, Scope, Counted, u32); 13] = {
    use Counted::{Class, Denied};
    use RouteClass::{Model, Read, Upload, Write};
    use Scope::{Address, Tenant, User};
    [
        ("user.read", User, Class(Read), 1_200),
        ("user.write", User, Class(Write), 300),
        ("user.upload", User, Class(Upload), 60),
        ("user.model", User, Class(Model), 120),
        ("tenant.read", Tenant, Class(Read), 60_000),
        ("tenant.write", Tenant, Class(Write), 15_000),
        ("tenant.upload", Tenant, Class(Upload), 3_000),
        ("tenant.model", Tenant, Class(Model), 6_000),
        ("address.read", Address, Class(Read), 12_000),
        ("address.write", Address, Class(Write), 3_000),
        ("address.upload", Address, Class(Upload), 600),
        ("address.model", Address, Class(Model), 1_200),
        ("address.denied", Address, Denied, 60),
    ]
};

impl Limits {
    /// No rates, no budgets: what tests and benches want, and who develops.
    pub fn off() -> Self {
        Self {
            rates: vec![],
            proxies: vec![],
            budgets: Budgets::default(),
            in_flight: IN_FLIGHT,
        }
    }

    pub(super) fn of(environment: &Environment, development: bool) -> Result<Self, ConfigError> {
        let rates = environment.get("LECTERN_RATE_LIMITS");
        let rates = rates.unwrap_or_else(|| if development { "off" } else { "on" }.to_owned());
        let rates = self::rates(&rates).map_err(|why| invalid("LECTERN_RATE_LIMITS", why))?;
        let proxies = environment.get("LECTERN_TRUSTED_PROXIES");
        let proxies = networks(&proxies.unwrap_or_default());
        Ok(Self {
            rates,
            proxies: proxies.map_err(|why| invalid("LECTERN_TRUSTED_PROXIES", why))?,
            budgets: budgets(environment)?,
            in_flight: number(environment, "LECTERN_MAX_IN_FLIGHT")?
                .map_or(Ok(IN_FLIGHT), usize::try_from)
                .unwrap_or(IN_FLIGHT),
        })
    }
}

fn invalid(name: &str, why: String) -> ConfigError {
    ConfigError::Invalid(name.to_owned(), why)
}

/// `off`, `on`, or what differs from the defaults: `user.model=20/1m tenant.read=off`. An error says what is
/// wrong with it.
pub fn rates(text: &str) -> Result<Vec<Rule>, String> {
    let per_minute = |(name, scope, counted, burst)| Rule {
        name,
        scope,
        counted,
        rate: Rate {
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
            period: MINUTE,
        },
    };
    let mut rules: Vec<Rule> = DEFAULTS.into_iter().map(per_minute).collect();
    match text.trim() {
        "off" => return Ok(vec![]),
        "on" => return Ok(rules),
        _ => {}
    }
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let (name, rate) = word.split_once('=').ok_or_else(|| {
            format!("has `{word}`: `off`, `on`, or rates such as `user.model=20/1m`")
        })?;
        let place = rules.iter().position(|rule| rule.name == name);
        let known = DEFAULTS.iter().any(|(known, ..)| *known == name);
        match (place, rate) {
            (Some(place), "off") => drop(rules.remove(place)),
            (Some(place), rate) => rules[place].rate = parse(rate)?,
            (None, _) if known => return Err(format!("has `{name}` twice")),
            (None, _) => {
                let all: Vec<_> = DEFAULTS.iter().map(|(name, ..)| *name).collect();
                return Err(format!("has `{name}`: it is one of {}", all.join(", ")));
            }
        }
    }
    Ok(rules)
}

/// `20/1m`: twenty at once, and all of them back after a minute.
fn parse(text: &str) -> Result<Rate, String> {
    let wrong =
        || format!("has the rate `{text}`: a number and a time of up to a day, as in `20/1m`");
    let (burst, period) = text.split_once('/').ok_or_else(wrong)?;
    let burst = burst.parse().map_err(|_| wrong())?;
    let period = humantime::parse_duration(period).map_err(|_| wrong())?;
    let fits = (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&period);
    fits.then_some(Rate { burst, period }).ok_or_else(wrong)
}

/// Networks such as `10.0.0.0/8`, or single addresses.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let network = |word: &str| {
        let address = || word.parse::<IpAddr>().map(IpNet::from).ok();
        let parsed = word.parse().ok().or_else(address);
        parsed.ok_or_else(|| format!("has `{word}`: networks such as `10.0.0.0/8`, with commas"))
    };
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(network).collect()
}

fn budgets(environment: &Environment) -> Result<Budgets, ConfigError> {
    let of = |name| number(environment, name);
    Ok(Budgets {
        llm_tokens: of("LECTERN_QUOTA_LLM_TOKENS")?,
        speech_characters: of("LECTERN_QUOTA_TTS_CHARACTERS")?,
        transcription_seconds: of("LECTERN_QUOTA_STT_SECONDS")?,
        storage_bytes: of("LECTERN_QUOTA_STORAGE_BYTES")?,
    })
}

/// 0 counts as unset.
fn number(environment: &Environment, name: &str) -> Result<Option<u64>, ConfigError> {
    let Some(text) = environment.get(name) else {
        return Ok(None);
    };
    let number: Result<u64, _> = text.parse();
    let number = number.map_err(|_| invalid(name, format!("is {text}: a number")))?;
    Ok((number > 0).then_some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(name: &str, value: &str) -> Result<Limits, ConfigError> {
        Limits::of(&[(name, value)].into(), false)
    }

    #[test]
    fn rates_are_on_with_tokens_and_off_in_development_mode() {
        let none = Environment::default();
        assert_eq!(Limits::of(&none, false).unwrap().rates.len(), 13);
        assert!(Limits::of(&none, true).unwrap().rates.is_empty());
        let asked = [("LECTERN_RATE_LIMITS", "on")].into();
        assert_eq!(Limits::of(&asked, true).unwrap().rates.len(), 13);
        assert!(
            limits("LECTERN_RATE_LIMITS", "off")
                .unwrap()
                .rates
                .is_empty()
        );
    }

    #[test]
    fn what_differs_from_the_defaults_is_named() {
        let rates = limits("LECTERN_RATE_LIMITS", "user.model=20/10s, tenant.read=off");
        let rates = rates.unwrap().rates;
        let find = |name| rates.iter().find(|rule| rule.name == name);
        let model = find("user.model").unwrap().rate;
        assert_eq!(
            (model.burst.get(), model.period),
            (20, Duration::from_secs(10))
        );
        assert!(find("tenant.read").is_none());
        assert_eq!(find("user.read").unwrap().rate.burst.get(), 1_200);
        for bad in [
            "yes",
            "user.model=20",
            "user.model=0/1m",
            "user.model=-1/1m",
            "user.model=1/0s",
            "user.model=1/2days",
            "user.anything=1/1m",
            "tenant.read=off tenant.read=1/1s",
        ] {
            assert!(limits("LECTERN_RATE_LIMITS", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn proxies_are_networks_or_addresses() {
        let proxies = limits("LECTERN_TRUSTED_PROXIES", "10.0.0.0/8,::1")
            .unwrap()
            .proxies;
        assert_eq!(proxies.len(), 2);
        assert!(proxies[0].contains(&"10.1.2.3".parse::<IpAddr>().unwrap()));
        for bad in ["localhost", "10.0.0.0/33", "*"] {
            assert!(limits("LECTERN_TRUSTED_PROXIES", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_budget_of_nothing_is_none() {
        let budget =
            |value| limits("LECTERN_QUOTA_LLM_TOKENS", value).map(|l| l.budgets.llm_tokens);
        assert_eq!(budget("0").unwrap(), None);
        assert_eq!(budget("100").unwrap(), Some(100));
        assert!(budget("many").is_err());
    }
}
