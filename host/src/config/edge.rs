//! How learners' clients reach the host: TLS, the web pages that may ask, how many connections there are.

use std::path::PathBuf;

use secrecy::SecretString;

use super::environment::Environment;
use super::{ConfigError, SECRET_BYTES};

/// Ten thousand learners with a live connection each, and room for their requests.
const MAX_CONNECTIONS: usize = 20_000;

/// What the operator set of it.
#[derive(Clone, Debug)]
pub struct Edge {
    /// `LECTERN_TLS_CERT` and `LECTERN_TLS_KEY`; plain HTTP where there are none.
    pub tls: Option<TlsFiles>,
    /// `LECTERN_CORS_ORIGINS`, as browsers write them: `https://app.example`.
    pub origins: Vec<String>,
    /// `LECTERN_MAX_CONNECTIONS`: of all learners' listeners together.
    pub max_connections: usize,
    /// `LECTERN_WEBHOOK_KEY`: what webhooks' secrets come from, where it is not `JWT_SECRET_KEY`: hosts on
    /// one database need the same.
    pub webhook_key: Option<SecretString>,
    /// `LECTERN_WEBHOOK_LOOPBACK=1`: in development mode, webhooks may go to this machine, by http too.
    pub webhook_loopback: bool,
}

/// A certificate with its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that vouch for it.
    pub certificates: PathBuf,
    /// PKCS #8, SEC1 or PKCS #1.
    pub key: PathBuf,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            tls: None,
            origins: vec![],
            max_connections: MAX_CONNECTIONS,
            webhook_key: None,
            webhook_loopback: false,
        }
    }
}

impl Edge {
    pub(super) fn of(environment: &Environment) -> Result<Self, ConfigError> {
        let origins = environment.get("LECTERN_CORS_ORIGINS").unwrap_or_default();
        let origins = origins.split(',').map(str::trim);
        let origins = origins.filter(|origin| !origin.is_empty());
        Ok(Self {
            tls: tls(environment)?,
            origins: origins.map(origin).collect::<Result<_, _>>()?,
            max_connections: max_connections(environment)?,
            webhook_key: webhook_key(environment)?,
            webhook_loopback: environment.get("LECTERN_WEBHOOK_LOOPBACK").as_deref() == Some("1"),
        })
    }
}

fn tls(environment: &Environment) -> Result<Option<TlsFiles>, ConfigError> {
    let [certificates, key] = ["LECTERN_TLS_CERT", "LECTERN_TLS_KEY"].map(|n| environment.get(n));
    let missing = |name: &str, beside: &str| {
        Err(ConfigError::Missing(
            name.into(),
            format!("{beside} is set"),
        ))
    };
    match (certificates, key) {
        (Some(certificates), Some(key)) => Ok(Some(TlsFiles {
            certificates: certificates.into(),
            key: key.into(),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => missing("LECTERN_TLS_KEY", "LECTERN_TLS_CERT"),
        (None, Some(_)) => missing("LECTERN_TLS_CERT", "LECTERN_TLS_KEY"),
    }
}

/// RFC 6454, section 6.2. Not `*`: whoever wants all of the web to ask names what of it.
fn origin(text: &str) -> Result<String, ConfigError> {
    let parsed = reqwest::Url::parse(text).ok();
    let written = parsed.filter(|url| ["http", "https"].contains(&url.scheme()));
    let written = written.map(|url| url.origin().ascii_serialization());
    match written {
        Some(origin) if origin == text.trim_end_matches('/') => Ok(origin),
        _ => Err(ConfigError::Invalid(
            "LECTERN_CORS_ORIGINS".into(),
            format!("has {text}: an origin is as in https://app.example or http://localhost:3000"),
        )),
    }
}

fn max_connections(environment: &Environment) -> Result<usize, ConfigError> {
    let name = "LECTERN_MAX_CONNECTIONS";
    let Some(text) = environment.get(name) else {
        return Ok(MAX_CONNECTIONS);
    };
    match text.parse() {
        // More than a machine has ports and descriptors for is a slip of the pen.
        Ok(connections @ 1..=1_000_000) => Ok(connections),
        _ => Err(ConfigError::Invalid(
            name.into(),
            format!("is {text}: a number from 1 to 1000000"),
        )),
    }
}

fn webhook_key(environment: &Environment) -> Result<Option<SecretString>, ConfigError> {
    let name = "LECTERN_WEBHOOK_KEY";
    match environment.get(name) {
        Some(key) if key.len() < SECRET_BYTES => Err(ConfigError::Invalid(
            name.into(),
            format!("has {} bytes: {SECRET_BYTES} are the least", key.len()),
        )),
        key => Ok(key.map(SecretString::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(name: &str, value: &str) -> Result<Edge, ConfigError> {
        Edge::of(&[(name, value)].into())
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        let two = edge(
            "LECTERN_CORS_ORIGINS",
            "https://app.example, http://localhost:3000/",
        );
        assert_eq!(
            two.unwrap().origins,
            ["https://app.example", "http://localhost:3000"]
        );
        for bad in [
            "*",
            "app.example",
            "https://app.example/path",
            "ftp://app.example",
            "https://APP.example",
            "null",
        ] {
            assert!(edge("LECTERN_CORS_ORIGINS", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        assert!(edge("LECTERN_TLS_CERT", "cert.pem").is_err());
        assert!(edge("LECTERN_TLS_KEY", "key.pem").is_err());
        let both = [
            ("LECTERN_TLS_CERT", "cert.pem"),
            ("LECTERN_TLS_KEY", "key.pem"),
        ];
        assert!(Edge::of(&both.into()).unwrap().tls.is_some());
    }

    #[test]
    fn there_are_so_many_connections_as_can_be() {
        for bad in ["0", "-1", "many", "1000001"] {
            assert!(edge("LECTERN_MAX_CONNECTIONS", bad).is_err(), "{bad}");
        }
        let few = edge("LECTERN_MAX_CONNECTIONS", "7").unwrap();
        assert_eq!(few.max_connections, 7);
    }
}
