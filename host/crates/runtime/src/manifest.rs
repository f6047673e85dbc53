//! A component's manifest, `component.toml`: what it may have, how much of it, and where it answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use capability::ComponentName;
use serde::Deserialize;

/// What the manifest says. Unknown keys are errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1 to 40 characters of `[a-z0-9_]`.
    #[serde(deserialize_with = "component_name")]
    pub name: ComponentName,
    /// What it answers over HTTP.
    #[serde(default)]
    pub http: Http,
    /// What it may import. What is not here is not linked.
    #[serde(default)]
    pub grants: Grants,
    /// Of each request.
    #[serde(default)]
    pub limits: Limits,
    /// Of each event it handles.
    #[serde(default)]
    pub event_limits: EventLimits,
    /// How instances are used again.
    #[serde(default)]
    pub instance: Instance,
    /// The component's environment variables.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// What it answers over HTTP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Paths such as `/chat`: that path and everything below it.
    #[serde(default)]
    pub routes: Vec<String>,
}

/// What it may import.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// `lectern:platform/postgres`
    pub postgres: Option<PostgresGrant>,
    /// `lectern:platform/events`, and what is delivered to the exported `event-handler`.
    pub events: Option<EventsGrant>,
    /// `lectern:platform/blobs`
    pub blobs: Option<BlobsGrant>,
    /// `lectern:platform/cache`
    pub cache: Option<CacheGrant>,
    /// `lectern:platform/llm`
    pub llm: Option<LlmGrant>,
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

/// Of each request.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// All linear memories and tables of an instance together.
    pub memory_mib: u64,
    /// Time spent executing in the guest.
    pub cpu_ms: u64,
    /// From the request to the response's head.
    pub deadline_ms: u64,
    /// From the response's head to its end.
    pub response_ms: u64,
    /// Requests at once.
    pub concurrency: usize,
    /// Requests that wait for their turn; one more is refused.
    pub queue: usize,
    /// Of a request's body.
    pub body_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 128,
            cpu_ms: 10_000,
            deadline_ms: 30_000,
            response_ms: 600_000,
            concurrency: 64,
            queue: 256,
            body_mib: 1,
        }
    }
}

impl Limits {
    /// From the request to the response's head.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// Of a request's body, in bytes.
    pub fn body_bytes(&self) -> u64 {
        self.body_mib << 20
    }
}

/// Of each event it handles.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventLimits {
    /// All linear memories and tables of the instance together.
    pub memory_mib: u64,
    /// Time spent executing in the guest.
    pub cpu_ms: u64,
    /// From the delivery to its disposition.
    pub deadline_ms: u64,
    /// Events at once, each in an instance of its own.
    pub concurrency: usize,
    /// Deliveries of one event before it becomes a dead letter.
    pub max_attempts: u32,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            memory_mib: 256,
            cpu_ms: 60_000,
            deadline_ms: 300_000,
            concurrency: 4,
            max_attempts: 8,
        }
    }
}

/// How instances are used again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Instance {
    /// Requests until an instance is replaced.
    pub reuse: usize,
    /// Requests that share an instance at once: one that traps takes the others with it.
    pub concurrency: usize,
    /// How long an instance waits for its next request.
    pub idle_ms: u64,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            reuse: 1_000,
            concurrency: 16,
            idle_ms: 10_000,
        }
    }
}

/// The manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, an unknown key, a wrong type.
    #[error("the manifest cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A value that cannot be.
    #[error("the manifest's `{key}` {why}")]
    Value {
        /// As in the file.
        key: &'static str,
        /// Why.
        why: String,
    },
}

impl Manifest {
    /// Reads and checks it.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let value = |key, why: &str| {
            Err(ManifestError::Value {
                key,
                why: why.to_owned(),
            })
        };
        if let Some(route) = self.http.routes.iter().find(|route| !route_is_fine(route)) {
            return value(
                "http.routes",
                &format!("has `{route}`: a path such as `/chat`"),
            );
        }
        let limits = &self.limits;
        for (key, number, most) in [
            ("limits.memory_mib", limits.memory_mib, 4_096),
            ("limits.cpu_ms", limits.cpu_ms, 3_600_000),
            ("limits.deadline_ms", limits.deadline_ms, 3_600_000),
            ("limits.concurrency", limits.concurrency as u64, 10_000),
            ("limits.body_mib", limits.body_mib, 1 << 20),
            (
                "event_limits.memory_mib",
                self.event_limits.memory_mib,
                4_096,
            ),
            ("event_limits.cpu_ms", self.event_limits.cpu_ms, 3_600_000),
            (
                "event_limits.deadline_ms",
                self.event_limits.deadline_ms,
                3_600_000,
            ),
            (
                "event_limits.concurrency",
                self.event_limits.concurrency as u64,
                256,
            ),
            ("instance.reuse", self.instance.reuse as u64, u64::MAX),
            (
                "instance.concurrency",
                self.instance.concurrency as u64,
                10_000,
            ),
        ] {
            if number == 0 || number > most {
                return value(key, &format!("is {number}: from 1 to {most}"));
            }
        }
        if self.grants.events.is_some() && self.grants.postgres.is_none() {
            return value(
                "grants.events",
                "wants `[grants.postgres]` too: the outbox lives there",
            );
        }
        Ok(())
    }
}

fn route_is_fine(route: &str) -> bool {
    route.starts_with('/')
        && (route == "/" || !route.ends_with('/'))
        && !route.contains("//")
        && route
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b))
}

fn component_name<'de, D: serde::Deserializer<'de>>(from: D) -> Result<ComponentName, D::Error> {
    let name = String::deserialize(from)?;
    ComponentName::parse(&name).map_err(serde::de::Error::custom)
}

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
    fn a_manifest_without_grants_grants_nothing() {
        let manifest = Manifest::parse("name = \"a\"").unwrap();
        let grants = manifest.grants;
        assert!(grants.postgres.is_none() && grants.events.is_none() && grants.blobs.is_none());
        assert!(grants.cache.is_none() && grants.llm.is_none());
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = Manifest::parse("name = \"a\"\n[grants.postgress]\n").unwrap_err();
        assert!(error.to_string().contains("postgress"), "{error}");
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        for bad in [
            "name = \"A b\"",
            "name = \"a\"\n[limits]\nmemory_mib = 0",
            "name = \"a\"\n[limits]\nmemory_mib = 100000",
            "name = \"a\"\n[http]\nroutes = [\"chat\"]",
            "name = \"a\"\n[http]\nroutes = [\"/a/../b?\"]",
            "name = \"a\"\n[grants.events]\npublish = [\"t\"]",
        ] {
            assert!(Manifest::parse(bad).is_err(), "{bad}");
        }
    }
}
