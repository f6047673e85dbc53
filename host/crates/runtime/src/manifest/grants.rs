//! `[grants.NAME]`: what the component may have of each capability.

use std::path::PathBuf;

use capability::ComponentName;
use serde::Deserialize;

/// Requests to the outside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGrant {
    /// Hosts by name, as in `api.example.org`; `*.example.org` for all below it; `*` for all. An
    /// address that is private, loopback or link-local is refused, whatever name leads to it.
    pub hosts: Vec<String>,
    /// Requests at once, over all instances.
    #[serde(default = "sixteen")]
    pub connections: usize,
}

fn sixteen() -> usize {
    16
}

impl HttpGrant {
    /// Whether it names that host.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts
            .iter()
            .any(|granted| match granted.strip_prefix('*') {
                Some(below) => host.ends_with(&below.to_ascii_lowercase()),
                None => granted.eq_ignore_ascii_case(&host),
            })
    }
}

/// A schema of its own, which its own role owns.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresGrant {
    /// A folder of `NNNN_name.sql`, relative to the manifest.
    pub migrations: Option<PathBuf>,
    /// Connections in the pool.
    #[serde(default = "eight")]
    pub connections: u32,
    /// The longest a statement may take.
    #[serde(default = "thirty_seconds")]
    pub statement_timeout_ms: u64,
}

fn eight() -> u32 {
    8
}

fn thirty_seconds() -> u64 {
    30_000
}

/// Topics by their exact names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsGrant {
    /// It may publish on these.
    #[serde(default)]
    pub publish: Vec<String>,
    /// These are delivered to it.
    #[serde(default)]
    pub consume: Vec<String>,
}

/// A scope of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobsGrant {
    /// Components whose blobs it may also read.
    #[serde(default, deserialize_with = "component_names")]
    pub read: Vec<ComponentName>,
    /// What a request puts is the caller's, and counts as the caller's storage until it is deleted.
    #[serde(default)]
    pub counted: bool,
}

/// A scope of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheGrant {}

/// The configured model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlmGrant {
    /// Of one answer at most.
    #[serde(default = "four_thousand")]
    pub max_tokens: u32,
}

fn four_thousand() -> u32 {
    4_000
}

/// The host's voices.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechGrant {
    /// These by their ids; all where none is named.
    #[serde(default)]
    pub voices: Vec<String>,
}

impl SpeechGrant {
    /// Whether it names that voice.
    pub fn covers(&self, voice: &str) -> bool {
        self.voices.is_empty() || self.voices.iter().any(|granted| granted == voice)
    }
}

/// The configured engine, on recordings among the component's own blobs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TranscriptionGrant {}

/// The configured engine, on images and on documents among the component's own blobs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OcrGrant {}

fn component_names<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Vec<ComponentName>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    let parsed = names.iter().map(|name| ComponentName::parse(name));
    parsed
        .collect::<Result<_, _>>()
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_of_speech_is_one_of_all_voices_or_of_those_it_names() {
        let grant = |text: &str| crate::Manifest::parse(text).unwrap().grants.speech.unwrap();
        assert!(grant("name = \"a\"\n[grants.speech]").covers("Joanna"));
        let one = grant("name = \"a\"\n[grants.speech]\nvoices = [\"Joanna\"]");
        assert!(one.covers("Joanna") && !one.covers("Matthew"));
    }

    #[test]
    fn a_host_is_covered_by_its_name_or_what_it_is_below() {
        let grant = |hosts: &[&str]| HttpGrant {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            connections: 1,
        };
        let some = grant(&["api.example.org", "*.wiki.test"]);
        for (host, covered) in [
            ("api.example.org", true),
            ("API.example.org", true),
            ("en.wiki.test", true),
            ("wiki.test", false),
            ("evilwiki.test", false),
            ("example.org", false),
            ("api.example.org.evil.test", false),
        ] {
            assert_eq!(some.covers(host), covered, "{host}");
        }
        assert!(grant(&["*"]).covers("anything"));
        assert!(!grant(&[]).covers("anything"));
    }
}
