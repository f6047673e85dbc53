//! What the operator sets: flags and environment variables, read once. The only place that reads
//! the environment.

pub mod backends;
pub mod edge;
mod environment;
pub mod identity;
pub mod limits;
pub mod settings;
pub mod telemetry;

use std::collections::BTreeMap;
use std::env;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use backends::Backends;
use edge::Edge;
use environment::Environment;
use identity::Identity;
use limits::Limits;
use secrecy::SecretString;
use settings::Settings;
use telemetry::Otlp;

/// HS256 wants a key at least as long as its hash: RFC 7518, section 3.2.
const SECRET_BYTES: usize = 32;

/// A month to look at what went wrong.
const DEAD_LETTER_DAYS: u32 = 30;
/// As many as `make_interval` and a person can make sense of.
const MAX_DEAD_LETTER_DAYS: u32 = 3_650;

/// Everything the host can be told.
#[derive(Clone)]
pub struct Config {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where the admin API listens.
    pub admin_listen: SocketAddr,
    /// Where single services listen too, by name.
    pub service_ports: Vec<(String, SocketAddr)>,
    /// Where the host keeps what it keeps.
    pub data_dir: PathBuf,
    /// Where the components and their manifests lie.
    pub components: PathBuf,
    /// Where compiled components are kept.
    pub compiled: PathBuf,
    /// What stands behind the capabilities.
    pub backends: Backends,
    /// How learners' clients reach the host.
    pub edge: Edge,
    /// Whose tokens are believed.
    pub identity: Identity,
    /// `LECTERN_SECRET_NAME`, by `NAME`: what manifests may ask for.
    pub secrets: BTreeMap<String, String>,
    /// The contract's variables that components read, by component and name; one before a component's own
    /// manifest.
    pub settings: Settings,
    /// `LECTERN_DEAD_LETTER_DAYS`: how long events are kept that nobody could handle.
    pub dead_letter_days: u32,
    /// How much one may ask.
    pub limits: Limits,
    /// With `LECTERN_OUTBOUND_PRIVATE=1`: a granted host may have a private address.
    pub outbound_private: bool,
    /// Where traces go, if anywhere.
    pub otlp: Option<Otlp>,
}

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Missing beside another.
    #[error("{0} is not set, though {1}")]
    Missing(String, String),
    /// Not what it should be.
    #[error("{0} {1}")]
    Invalid(String, String),
    /// An open door.
    #[error(
        "neither JWT_SECRET_KEY nor JWT_JWKS_URL is set: without them any client can be anybody, so the host listens on loopback only, \
         and {0} is not loopback. Set JWT_SECRET_KEY (32 bytes or more), or listen on 127.0.0.1"
    )]
    Exposed(SocketAddr),
}

impl Config {
    /// From the flags and the environment.
    pub fn load(
        listen: SocketAddr,
        admin_listen: SocketAddr,
        data_dir: PathBuf,
        components: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let environment = Environment::read();
        let identity = Identity::of(configured_secret()?, &environment)?;
        if identity.is_development() && !listen.ip().is_loopback() {
            return Err(ConfigError::Exposed(listen));
        }
        Ok(Self {
            listen,
            admin_listen,
            service_ports: vec![],
            compiled: data_dir.join("compiled"),
            data_dir,
            components: components.unwrap_or_else(built_components),
            backends: Backends::of(&environment)?,
            edge: Edge::of(&environment)?,
            limits: Limits::of(&environment, identity.is_development())?,
            identity,
            secrets: secrets(&environment),
            settings: Settings::of(&environment)?,
            dead_letter_days: dead_letter_days(&environment)?,
            outbound_private: is_outbound_private(&environment),
            otlp: Otlp::of(&environment)?,
        })
    }
}

/// The contract's ports, on that address.
pub fn service_ports(address: IpAddr) -> Vec<(String, SocketAddr)> {
    let services = ["chat", "documents", "quiz", "stt", "tts"].into_iter();
    services
        .zip(5_000..)
        .map(|(name, port)| (name.to_owned(), SocketAddr::new(address, port)))
        .collect()
}

/// `LECTERN_OUTBOUND_PRIVATE`.
pub fn outbound_private() -> bool {
    is_outbound_private(&Environment::read())
}

fn is_outbound_private(environment: &Environment) -> bool {
    environment.get("LECTERN_OUTBOUND_PRIVATE").as_deref() == Some("1")
}

fn dead_letter_days(environment: &Environment) -> Result<u32, ConfigError> {
    let name = "LECTERN_DEAD_LETTER_DAYS";
    let Some(days) = environment.get(name) else {
        return Ok(DEAD_LETTER_DAYS);
    };
    let days = days.parse().ok();
    let days = days.filter(|days| (1..=MAX_DEAD_LETTER_DAYS).contains(days));
    let why = format!("is a number of days, 1 to {MAX_DEAD_LETTER_DAYS}");
    days.ok_or_else(|| ConfigError::Invalid(name.into(), why))
}

fn secrets(environment: &Environment) -> BTreeMap<String, String> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    environment
        .beginning("LECTERN_SECRET_")
        .map(owned)
        .collect()
}

impl Config {
    /// What a bare machine has: loopback ports that are free, a private database, no model, no
    /// limits, development mode.
    pub fn embedded(data_dir: &Path, components: PathBuf) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: anywhere,
            admin_listen: anywhere,
            service_ports: vec![],
            data_dir: data_dir.to_owned(),
            components,
            compiled: data_dir.join("compiled"),
            backends: Backends::embedded(),
            edge: Edge::default(),
            identity: Identity::default(),
            secrets: BTreeMap::new(),
            settings: Settings::default(),
            dead_letter_days: DEAD_LETTER_DAYS,
            limits: Limits::off(),
            outbound_private: false,
            otlp: None,
        }
    }
}

/// Who signs the tokens that are believed.
pub fn configured_identity() -> Result<Identity, ConfigError> {
    Identity::of(configured_secret()?, &Environment::read())
}

/// `JWT_SECRET_KEY`. One that cannot be read is an error: without a secret anybody is let in.
fn configured_secret() -> Result<Option<SecretString>, ConfigError> {
    match env::var("JWT_SECRET_KEY") {
        Ok(secret) => jwt_secret(Some(secret)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(ConfigError::Invalid(
            "JWT_SECRET_KEY".into(),
            "is not UTF-8".into(),
        )),
    }
}

/// A secret that guards something.
pub fn jwt_secret(value: Option<String>) -> Result<Option<SecretString>, ConfigError> {
    let Some(secret) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let letters: String = secret
        .to_lowercase()
        .chars()
        .filter(char::is_ascii_alphabetic)
        .collect();
    if letters.starts_with("changeinproduction") || letters.starts_with("changeme") {
        let why = "is a placeholder: make one with `openssl rand -base64 48`";
        return Err(ConfigError::Invalid("JWT_SECRET_KEY".into(), why.into()));
    }
    if secret.len() < SECRET_BYTES {
        let why = format!(
            "has {} bytes: HS256 wants {SECRET_BYTES} at least",
            secret.len()
        );
        return Err(ConfigError::Invalid("JWT_SECRET_KEY".into(), why));
    }
    Ok(Some(secret.into()))
}

/// `target/components` as `just build` leaves it: beside the program's own folder, else here.
fn built_components() -> PathBuf {
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.join("components")));
    match beside {
        Some(folder) if folder.is_dir() => folder,
        _ => Path::new("target/components").to_owned(),
    }
}

impl Config {
    /// Whether any client can be anybody.
    pub fn is_development(&self) -> bool {
        self.identity.is_development()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_guards_nothing_is_refused() {
        for bad in [
            "Change in production",
            "change-in-production-please-now-it-is-long",
            "short",
        ] {
            assert!(jwt_secret(Some(bad.into())).is_err(), "{bad}");
        }
        assert!(jwt_secret(Some(String::new())).unwrap().is_none());
        assert!(jwt_secret(Some("x".repeat(32))).unwrap().is_some());
    }

    #[test]
    fn dead_letters_are_kept_for_days() {
        let days = |value: &str| {
            let environment = [("LECTERN_DEAD_LETTER_DAYS", value)];
            let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
            dead_letter_days(&Environment::of(environment.into_iter())).ok()
        };
        let kept = ["", "7", "0", "3651", "a month"].map(days);
        assert_eq!(kept, [Some(30), Some(7), None, None, None]);
    }

    #[test]
    fn development_mode_listens_on_loopback_only() {
        let everywhere = "0.0.0.0:8080".parse().unwrap();
        let refused = Config::load(everywhere, everywhere, "x".into(), None);
        assert!(
            matches!(refused, Err(ConfigError::Exposed(_))),
            "JWT_SECRET_KEY must be unset for the tests"
        );
    }
}
