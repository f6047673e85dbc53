//! Who signs the tokens that are believed.

use secrecy::SecretString;

use super::ConfigError;
use super::environment::Environment;

/// Tokens are wanted where there is a secret, a set of keys, or both; else it is development mode.
#[derive(Clone, Default)]
pub struct Identity {
    /// `JWT_SECRET_KEY`, for HS256.
    pub secret: Option<SecretString>,
    /// `JWT_JWKS_URL`, for RS256 and ES256: where the provider has its keys.
    pub jwks_url: Option<String>,
    /// `JWT_ISSUER`: the only `iss` that is taken; any where there is none.
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`: what `aud` must name; anything where there is none.
    pub audience: Option<String>,
}

impl Identity {
    pub(super) fn of(
        secret: Option<SecretString>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let jwks_url = environment.get("JWT_JWKS_URL");
        if let Some(url) = jwks_url.as_deref().filter(|url| !is_trustworthy(url)) {
            let why = format!("is {url}: keys come by https, or from this machine");
            return Err(ConfigError::Invalid("JWT_JWKS_URL".into(), why));
        }
        Ok(Self {
            secret,
            jwks_url,
            issuer: environment.get("JWT_ISSUER"),
            audience: environment.get("JWT_AUDIENCE"),
        })
    }

    /// Whether any client can be anybody.
    pub fn is_development(&self) -> bool {
        self.secret.is_none() && self.jwks_url.is_none()
    }
}

/// Whoever can change the keys on their way can be anybody.
fn is_trustworthy(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let here = ["127.0.0.1", "localhost", "[::1]"];
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => true,
        ("http", Some(host)) => here.contains(&host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_https_or_from_this_machine() {
        for (url, is_fine) in [
            ("https://id.example/jwks", true),
            ("http://127.0.0.1:9/jwks", true),
            ("http://[::1]/jwks", true),
            ("http://id.example/jwks", false),
            ("http://localhost.evil/jwks", false),
            ("file:///etc/passwd", false),
            ("jwks", false),
        ] {
            let identity = Identity::of(None, &[("JWT_JWKS_URL", url)].into());
            assert_eq!(identity.is_ok(), is_fine, "{url}");
        }
    }

    #[test]
    fn without_keys_of_any_kind_it_is_development_mode() {
        let of = |url| Identity {
            jwks_url: url,
            ..Identity::default()
        };
        assert!(of(None).is_development());
        assert!(!of(Some("https://id.example/jwks".into())).is_development());
    }
}
