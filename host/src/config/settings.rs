//! The contract's variables that components read. A manifest's `[config]` gives each its default, and says
//! by that which component reads it; the host passes on no other variable of its environment.

use std::collections::BTreeMap;

use super::environment::Environment;

/// Days that audio is kept. 30 of recordings, 7 of what was spoken: so a component can have its own, as in
/// `TTS_AUDIO_RETENTION_DAYS`.
const NAMES: [&str; 1] = ["AUDIO_RETENTION_DAYS"];

/// What the operator set of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(super) fn of(environment: &Environment) -> Self {
        let named = NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), environment.get(name)?)));
        let own = NAMES.iter().flat_map(|name| {
            let of_components = environment.ending(name);
            of_components
                .filter(|(prefix, _)| prefix.ends_with('_'))
                .map(move |(prefix, value)| (format!("{prefix}{name}"), value.to_owned()))
        });
        Self(named.chain(own).collect())
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
        let settings = Settings::of(&environment);
        let config = ["AUDIO_RETENTION_DAYS", "DB_PASSWORD", "OTHER"]
            .map(|name| (name.to_owned(), "default".to_owned()));
        let over = |component| settings.over(component, &config.clone().into());
        let days = |days: &str| BTreeMap::from([("AUDIO_RETENTION_DAYS".into(), days.to_owned())]);
        assert_eq!(over("stt"), days("14"));
        assert_eq!(over("tts"), days("3"));
        assert_eq!(settings.over("chat", &BTreeMap::new()), BTreeMap::new());
    }
}
