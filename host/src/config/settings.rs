//! The contract's variables that components read. A manifest's `[config]` gives each its default, and says
//! by that which component reads it; the host passes on no other variable of its environment.

use std::collections::BTreeMap;

use super::ConfigError;
use super::environment::Environment;

/// Where clients find this platform: what addresses in answers begin with.
const PUBLIC_URL: &str = "LECTERN_PUBLIC_URL";
/// Days that audio is kept. 30 of recordings, 7 of what was spoken: so a component can have its own, as in
/// `TTS_AUDIO_RETENTION_DAYS`.
const NAMES: [&str; 2] = ["AUDIO_RETENTION_DAYS", PUBLIC_URL];

/// What the operator set of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(super) fn of(environment: &Environment) -> Result<Self, ConfigError> {
        let named = NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), environment.get(name)?)));
        let own = NAMES.iter().flat_map(|name| {
            let of_components = environment.ending(name);
            of_components
                .filter(|(prefix, _)| prefix.ends_with('_'))
                .map(move |(prefix, value)| (format!("{prefix}{name}"), value.to_owned()))
        });
        let settings: BTreeMap<String, String> = named.chain(own).collect();
        let mut urls = settings
            .iter()
            .filter(|(name, _)| name.ends_with(PUBLIC_URL));
        match urls.find(|(_, url)| !is_public_url(url)) {
            None => Ok(Self(settings)),
            Some((name, _)) => {
                let why = "is an address such as https://learn.example.org, perhaps with a path";
                Err(ConfigError::Invalid(name.clone(), why.into()))
            }
        }
    }

    /// With that variable set.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What of a manifest's `[config]` the operator has set otherwise.
    pub fn over(
        &self,
        component: &str,
        config: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let value = |name: &String| {
            let own = format!("{}_{name}", component.to_ascii_uppercase());
            self.0.get(&own).or_else(|| self.0.get(name))
        };
        let set = config.keys().filter(|name| NAMES.contains(&name.as_str()));
        set.filter_map(|name| Some((name.clone(), value(name)?.clone())))
            .collect()
    }
}

/// Paths are appended to it.
fn is_public_url(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        let is_bare = url.username().is_empty() && url.password().is_none();
        is_web && is_bare && url.query().is_none() && url.fragment().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_reads_what_it_names_and_the_contract_does() {
        let environment = Environment::from([
            ("AUDIO_RETENTION_DAYS", "14"),
            ("TTS_AUDIO_RETENTION_DAYS", "3"),
            ("DB_PASSWORD", "secret"),
        ]);
        let settings = Settings::of(&environment).unwrap();
        let config = ["AUDIO_RETENTION_DAYS", "DB_PASSWORD", "OTHER"]
            .map(|name| (name.to_owned(), "default".to_owned()));
        let over = |component| settings.over(component, &config.clone().into());
        let days = |days: &str| BTreeMap::from([("AUDIO_RETENTION_DAYS".into(), days.to_owned())]);
        assert_eq!(over("stt"), days("14"));
        assert_eq!(over("tts"), days("3"));
        assert_eq!(settings.over("chat", &BTreeMap::new()), BTreeMap::new());
    }

    #[test]
    fn a_public_address_is_one_that_paths_can_follow() {
        let of = |url| Settings::of(&Environment::from([("LECTERN_PUBLIC_URL", url)]));
        for url in ["https://learn.example.org", "http://127.0.0.1:8080/api/"] {
            assert!(of(url).is_ok(), "{url}");
        }
        for url in [
            "learn.example.org",
            "ftp://example.org",
            "https://example.org?a=b",
            "https://example.org#a",
            "https://me:secret@example.org",
        ] {
            let refused = of(url).unwrap_err().to_string();
            assert!(refused.contains("LECTERN_PUBLIC_URL"), "{refused}");
            assert!(!refused.contains("secret"));
        }
    }
}
