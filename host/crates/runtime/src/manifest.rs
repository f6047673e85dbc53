//! A component's manifest, `component.toml`: what it may have, how much of it, and where it answers.

mod classes;
mod grants;
pub mod schedule;

use std::collections::BTreeMap;
use std::time::Duration;

use capability::ComponentName;
use serde::Deserialize;

pub use self::classes::{Classes, RouteClass};
pub use self::grants::{
    BlobsGrant, CacheGrant, EventsGrant, HttpGrant, LlmGrant, OcrGrant, PostgresGrant, SpeechGrant,
    TranscriptionGrant,
};
use self::schedule::Timer;

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
    /// `[schedule.NAME]`: when the exported `schedule-handler` is called.
    #[serde(default)]
    pub schedule: BTreeMap<String, Timer>,
    /// How instances are used again.
    #[serde(default)]
    pub instance: Instance,
    /// The component's environment variables.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Further environment variables, whose values only the host knows: `NAME` is what the host has
    /// in `LECTERN_SECRET_NAME`, and is refused where it has none.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// How it takes over from another revision.
    #[serde(default)]
    pub rollout: Rollout,
    /// What a revision on trial must keep to.
    #[serde(default)]
    pub canary: CanaryBounds,
}

/// What it answers over HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Paths such as `/chat`: that path and everything below it.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Asked before the component gets traffic, and by `/{component}/health`: a status of 200 to 299
    /// says that it can serve.
    #[serde(default = "health")]
    pub health: String,
    /// `[http.classes]`: which requests are dear, for the limits of who asks.
    #[serde(default)]
    pub classes: Classes,
}

fn health() -> String {
    "/health".into()
}

impl Default for Http {
    fn default() -> Self {
        Self {
            routes: vec![],
            health: health(),
            classes: Classes::default(),
        }
    }
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
    /// `lectern:platform/speech`
    pub speech: Option<SpeechGrant>,
    /// `lectern:platform/transcription`
    pub transcription: Option<TranscriptionGrant>,
    /// `lectern:platform/ocr`
    pub ocr: Option<OcrGrant>,
    /// `wasi:http/client` (0.3), `wasi:http/outgoing-handler` (0.2)
    pub http: Option<HttpGrant>,
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
    /// How long a request waits for its turn where the queue is never empty; ten times as long where it
    /// is at times.
    pub queue_ms: u64,
    /// Of a request's body.
    pub body_mib: u64,
    /// What an instance may print into the log in its life.
    pub log_kib: u64,
    /// What one call between the guest and the host may carry over.
    pub hostcall_mib: u64,
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
            queue_ms: 100,
            body_mib: 1,
            log_kib: 1_024,
            hostcall_mib: 64,
        }
    }
}

impl Limits {
    /// From the request to the response's head.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// How long a request waits for its turn where the queue is never empty.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.queue_ms)
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
    /// Attempts at one event that may trap or run into a limit before it becomes a dead letter.
    pub max_attempts: u32,
    /// How long, in seconds, a handler may ask for one more attempt: for what is away to come back.
    pub retry_for_s: u64,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            memory_mib: 256,
            cpu_ms: 60_000,
            deadline_ms: 300_000,
            concurrency: 4,
            max_attempts: 8,
            retry_for_s: 86_400,
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

/// How it takes over from another revision, and how it goes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rollout {
    /// How long its requests, streams and events may take to end once another revision serves.
    pub drain_ms: u64,
    /// Former revisions that stay compiled, so that a rollback is a switch.
    pub warm: usize,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            drain_ms: 60_000,
            warm: 2,
        }
    }
}

/// What a revision on trial must keep to; past it, traffic goes back to the stable one.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CanaryBounds {
    /// Of its requests, 0 to 1: those that end with a status of 500 or more, or without an answer.
    pub max_error_rate: f64,
    /// To a response's head.
    pub max_p99_ms: Option<u64>,
    /// Beyond the stable revision's p99 of the same time.
    pub max_added_p99_ms: u64,
    /// Traps and exhausted limits.
    pub max_traps: u64,
    /// Before errors and times are judged.
    pub min_requests: u64,
    /// Becomes the stable one after so long within its bounds; by request only where not given.
    pub promote_after_s: Option<u64>,
}

impl Default for CanaryBounds {
    fn default() -> Self {
        Self {
            max_error_rate: 0.05,
            max_p99_ms: None,
            max_added_p99_ms: 200,
            max_traps: 0,
            min_requests: 20,
            promote_after_s: None,
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
        if !route_is_fine(&self.http.health) {
            return value("http.health", "is a path such as `/health`");
        }
        if let Some(bad) = self.http.classes.unfit() {
            return value(
                "http.classes",
                &format!("has `{bad}`: a method and a path, as in `POST /chat`"),
            );
        }
        for (key, number, most) in self.numbers() {
            if number == 0 || number > most {
                return value(key, &format!("is {number}: from 1 to {most}"));
            }
        }
        let rate = self.canary.max_error_rate;
        if !(0.0..=1.0).contains(&rate) {
            return value("canary.max_error_rate", &format!("is {rate}: from 0 to 1"));
        }
        if self.rollout.warm > 16 {
            return value("rollout.warm", "is 16 at most");
        }
        if let Some(name) = self.secrets.iter().find(|name| !is_variable(name)) {
            return value(
                "secrets",
                &format!("has `{name}`: capitals, digits and `_`"),
            );
        }
        let hosts = self.grants.http.iter().flat_map(|grant| &grant.hosts);
        if let Some(host) = hosts.into_iter().find(|host| !is_host_pattern(host)) {
            return value(
                "grants.http.hosts",
                &format!("has `{host}`: a name such as `api.example.org`, `*.example.org` or `*`"),
            );
        }
        if self.grants.events.is_some() && self.grants.postgres.is_none() {
            return value(
                "grants.events",
                "wants `[grants.postgres]` too: the outbox lives there",
            );
        }
        match schedule::check(&self.schedule) {
            Ok(()) => Ok(()),
            Err(why) => value("schedule", &why),
        }
    }
}

impl Manifest {
    /// Each limit with its largest value; none may be 0.
    fn numbers(&self) -> [(&'static str, u64, u64); 23] {
        let (limits, events, instance) = (&self.limits, &self.event_limits, &self.instance);
        let pool = self.grants.postgres.as_ref().map_or((1, 1), |grant| {
            (u64::from(grant.connections), grant.statement_timeout_ms)
        });
        let connections = self
            .grants
            .http
            .as_ref()
            .map_or(1, |grant| grant.connections);
        [
            ("grants.postgres.connections", pool.0, 100),
            ("grants.postgres.statement_timeout_ms", pool.1, HOUR_MS),
            ("limits.memory_mib", limits.memory_mib, 4_096),
            ("limits.cpu_ms", limits.cpu_ms, HOUR_MS),
            ("limits.deadline_ms", limits.deadline_ms, HOUR_MS),
            ("limits.response_ms", limits.response_ms, 24 * HOUR_MS),
            ("limits.concurrency", limits.concurrency as u64, 10_000),
            ("limits.queue", limits.queue as u64 + 1, 100_000),
            ("limits.queue_ms", limits.queue_ms, HOUR_MS),
            ("limits.body_mib", limits.body_mib, 1 << 20),
            ("limits.log_kib", limits.log_kib, 1 << 20),
            ("limits.hostcall_mib", limits.hostcall_mib, 1_024),
            ("event_limits.memory_mib", events.memory_mib, 4_096),
            ("event_limits.cpu_ms", events.cpu_ms, HOUR_MS),
            ("event_limits.deadline_ms", events.deadline_ms, HOUR_MS),
            ("event_limits.concurrency", events.concurrency as u64, 256),
            (
                "event_limits.max_attempts",
                events.max_attempts.into(),
                1_000,
            ),
            ("event_limits.retry_for_s", events.retry_for_s, 30 * 86_400),
            ("instance.idle_ms", instance.idle_ms, HOUR_MS),
            ("instance.reuse", instance.reuse as u64, u64::MAX),
            ("instance.concurrency", instance.concurrency as u64, 10_000),
            ("grants.http.connections", connections as u64, 1_000),
            ("rollout.drain_ms", self.rollout.drain_ms, HOUR_MS),
        ]
    }
}

const HOUR_MS: u64 = 3_600_000;

fn is_variable(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_host_pattern(host: &str) -> bool {
    let name = match host.strip_prefix('*') {
        Some("") => return true,
        Some(below) => below.strip_prefix('.').unwrap_or_default(),
        None => host,
    };
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_grants_grants_nothing() {
        let manifest = Manifest::parse("name = \"a\"").unwrap();
        let grants = manifest.grants;
        assert!(grants.postgres.is_none() && grants.events.is_none() && grants.blobs.is_none());
        assert!(grants.cache.is_none() && grants.llm.is_none() && grants.speech.is_none());
        assert!(grants.transcription.is_none() && grants.ocr.is_none());
        assert!(manifest.schedule.is_empty());
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
            "name = \"a\"\n[http.classes]\nmodel = [\"/chat\"]",
            "name = \"a\"\n[http.classes]\ndear = [\"POST /chat\"]",
            "name = \"a\"\n[grants.events]\npublish = [\"t\"]",
            "name = \"a\"\nsecrets = [\"path\"]",
            "name = \"a\"\n[grants.postgres]\nconnections = 0",
            "name = \"a\"\n[grants.postgres]\nconnections = 1000000000",
            "name = \"a\"\n[grants.postgres]\nstatement_timeout_ms = 99999999999",
            "name = \"a\"\n[canary]\nmax_error_rate = 2.0",
            "name = \"a\"\n[grants.http]\nhosts = [\"http://a.b/\"]",
            "name = \"a\"\n[grants.http]\nhosts = [\"*b\"]",
        ] {
            assert!(Manifest::parse(bad).is_err(), "{bad}");
        }
    }
}
