//! Who is calling: the token's subject, or, in development mode, whoever the request says.

mod known;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::ExposeSecret;

pub(crate) use self::known::Known;
use self::known::Remembered;
use super::jwks::{Jwks, Key};
use crate::config::identity::Identity;
use crate::token::{Claims, Role};

const USER: HeaderName = HeaderName::from_static("x-lectern-user");
const TENANT: HeaderName = HeaderName::from_static("x-lectern-tenant");
const ROLE: HeaderName = HeaderName::from_static("x-lectern-role");
/// The components trust these: only the host may set them.
const OURS: &str = "x-lectern-";
/// Clocks differ; RFC 7519, section 4.1.4 suggests "a few minutes" at most.
pub(super) const LEEWAY_SECONDS: u64 = 60;
/// A longer one is not looked at.
const MAX_TOKEN: usize = 8 << 10;

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Missing,
    Expired,
    Invalid,
    /// The provider's keys were never read.
    Unavailable,
}

/// Why tokens cannot be checked.
#[derive(Debug, thiserror::Error)]
#[error("the keys at JWT_JWKS_URL cannot be asked for: {0}")]
pub struct IdentityError(#[from] reqwest::Error);

/// Checks tokens, or is development mode.
pub(crate) struct Authenticator {
    secret: Option<DecodingKey>,
    jwks: Option<Jwks>,
    validations: [(Algorithm, Validation); 3],
    remembered: Remembered,
}

impl Authenticator {
    /// Wants a Tokio runtime where keys are to be fetched.
    pub(crate) fn new(identity: &Identity) -> Result<Self, IdentityError> {
        let secret = identity.secret.as_ref();
        let secret = secret.map(|secret| secret.expose_secret().as_bytes());
        let jwks = identity.jwks_url.as_deref().map(Jwks::new).transpose()?;
        Ok(Self {
            secret: secret.map(DecodingKey::from_secret),
            jwks,
            validations: each(&validation(identity)),
            remembered: Remembered::new(),
        })
    }

    /// With tokens of that key alone, and as `identity` wants them else.
    pub(crate) fn with_key(key: &[u8], identity: &Identity) -> Self {
        Self {
            secret: Some(DecodingKey::from_secret(key)),
            jwks: None,
            validations: each(&validation(identity)),
            remembered: Remembered::new(),
        }
    }

    /// Who calls; `None` in development mode. A token is checked once for as long as its keys are.
    pub(crate) async fn know(&self, headers: &HeaderMap) -> Result<Option<Arc<Known>>, Denied> {
        if self.is_open() {
            return Ok(None);
        }
        let readings = self.jwks.as_ref().map_or(0, Jwks::readings);
        let token = bearer(headers)?;
        if let Some(known) = self.remembered.find(token, readings).await {
            return Ok(Some(known));
        }
        let Some(claims) = self.authenticate(headers).await? else {
            return Ok(None);
        };
        let known = Arc::new(Known::new(claims));
        // With the keys of before the check: one that was made meanwhile is made again.
        let remembered = self.remembered.add(token, readings, known.clone());
        remembered.await;
        Ok(Some(known))
    }

    /// Development mode: nobody needs a token.
    pub(crate) fn is_open(&self) -> bool {
        self.secret.is_none() && self.jwks.is_none()
    }

    /// The claims; `None` in development mode.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Claims>, Denied> {
        if self.is_open() {
            return Ok(None);
        }
        let token = bearer(headers)?;
        let header = jsonwebtoken::decode_header(token).map_err(|_| Denied::Invalid)?;
        // None of what a token may insist on is known here: RFC 7515, section 4.1.11.
        if header.crit.is_some() {
            return Err(Denied::Invalid);
        }
        // A secret is never tried as a public key, nor the reverse: the algorithm chooses, and is checked.
        let claims = match (header.alg, &self.secret, &self.jwks) {
            (Algorithm::HS256, Some(secret), _) => self.decode(token, header.alg, secret),
            (Algorithm::RS256 | Algorithm::ES256, _, Some(jwks)) => {
                let check = |key: &Key| self.decode(token, header.alg, &key.decoding);
                jwks.with_key(header.kid.as_deref(), header.alg, check)
                    .await
            }
            _ => Err(Denied::Invalid),
        };
        claims.map(Some)
    }

    fn decode(
        &self,
        token: &str,
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Result<Claims, Denied> {
        let mut validations = self.validations.iter();
        let (_, validation) = validations
            .find(|(of, _)| *of == algorithm)
            .ok_or(Denied::Invalid)?;
        match jsonwebtoken::decode::<Claims>(token, key, validation) {
            Ok(data) if is_sound(&data.claims) => Ok(data.claims),
            Err(e) if matches!(e.kind(), ErrorKind::ExpiredSignature) => Err(Denied::Expired),
            Err(e) => {
                tracing::debug!("a token is refused: {}", why(e.kind()));
                Err(Denied::Invalid)
            }
            Ok(_) => Err(Denied::Invalid),
        }
    }
}

/// One algorithm each: what a token's header asks for chooses among them, and nothing else is taken.
fn each(validation: &Validation) -> [(Algorithm, Validation); 3] {
    [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256].map(|algorithm| {
        let algorithms = vec![algorithm];
        let validation = Validation {
            algorithms,
            ..validation.clone()
        };
        (algorithm, validation)
    })
}

fn validation(identity: &Identity) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "sub"]);
    if let Some(issuer) = &identity.issuer {
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".into());
    }
    if let Some(audience) = &identity.audience {
        validation.set_audience(&[audience]);
        validation.validate_aud = true;
        validation.required_spec_claims.insert("aud".into());
    }
    validation
}

/// For whoever set the host up: nothing of the token itself.
fn why(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "another key has signed it",
        ErrorKind::InvalidIssuer => "its `iss` is not JWT_ISSUER",
        ErrorKind::InvalidAudience => "its `aud` is not JWT_AUDIENCE",
        ErrorKind::ImmatureSignature => "its time has not come",
        ErrorKind::MissingRequiredClaim(_) => "a claim is missing: exp, sub, iss or aud",
        _ => "it is malformed",
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Denied::Missing)?;
    let value = value.to_str().map_err(|_| Denied::Invalid)?;
    let (scheme, token) = value.split_once(' ').ok_or(Denied::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") && token.len() <= MAX_TOKEN {
        Ok(token.trim())
    } else {
        Err(Denied::Invalid)
    }
}

/// As the services' tables hold, and as a header can carry.
fn is_sound(claims: &Claims) -> bool {
    let fits = |name: &str| {
        (1..=255).contains(&name.len()) && HeaderValue::from_bytes(name.as_bytes()).is_ok()
    };
    fits(&claims.sub) && claims.tenant.as_deref().is_none_or(fits)
}

/// Replaces whatever the client set by what the host knows.
pub(crate) fn set_identity(headers: &mut HeaderMap, claims: Option<&Claims>) {
    let forged: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(OURS))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    // The token is the gateway's business.
    headers.remove(header::AUTHORIZATION);
    if let Some(claims) = claims
        && let Ok(subject) = HeaderValue::from_bytes(claims.sub.as_bytes())
    {
        headers.insert(USER, subject);
        let tenant = claims.tenant.as_deref().map(str::as_bytes);
        if let Some(Ok(tenant)) = tenant.map(HeaderValue::from_bytes) {
            headers.insert(TENANT, tenant);
        }
        let role = if claims.role == Role::Admin {
            "admin"
        } else {
            "user"
        };
        headers.insert(ROLE, HeaderValue::from_static(role));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::token;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    async fn outcome(value: &str) -> Result<Option<String>, Denied> {
        let claims = Authenticator::with_key(KEY, &Identity::default())
            .authenticate(&headers(value))
            .await?;
        Ok(claims.map(|claims| claims.sub))
    }

    #[tokio::test]
    async fn a_token_of_our_own_names_its_subject() {
        let token = token::sign(KEY, "alice", Role::User, Duration::from_secs(60)).unwrap();
        assert_eq!(
            outcome(&format!("Bearer {token}")).await,
            Ok(Some("alice".into()))
        );
        assert_eq!(
            outcome(&format!("bearer {token}")).await,
            Ok(Some("alice".into()))
        );
    }

    #[tokio::test]
    async fn every_other_token_is_refused() {
        let good = token::sign(KEY, "alice", Role::User, Duration::from_secs(60)).unwrap();
        let other = token::sign(&[1; 32], "alice", Role::User, Duration::from_secs(60)).unwrap();
        // {"alg":"none"}.{"sub":"alice","exp":9999999999}.
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OX0.";
        for bad in [
            other.as_str(),
            none,
            "",
            "a.b.c",
            &good[..good.len() - 2],
            &"x".repeat(9_000),
        ] {
            assert_eq!(
                outcome(&format!("Bearer {bad}")).await,
                Err(Denied::Invalid),
                "{bad:.40}"
            );
        }
        assert_eq!(
            outcome(&format!("Basic {good}")).await,
            Err(Denied::Invalid)
        );
        assert_eq!(
            Authenticator::with_key(KEY, &Identity::default())
                .authenticate(&HeaderMap::new())
                .await
                .unwrap_err(),
            Denied::Missing
        );
        let nobody = token::sign(KEY, "", Role::User, Duration::from_secs(60)).unwrap();
        assert_eq!(
            outcome(&format!("Bearer {nobody}")).await,
            Err(Denied::Invalid)
        );
    }

    #[tokio::test]
    async fn an_expired_token_is_told_from_a_bad_one() {
        let old = Claims {
            exp: 2,
            ..Claims::new("alice", Role::User, Duration::ZERO)
        };
        let token = token::encode(KEY, &old).unwrap();
        assert_eq!(
            outcome(&format!("Bearer {token}")).await,
            Err(Denied::Expired)
        );
    }

    #[test]
    fn what_a_client_says_of_itself_is_stripped() {
        let mut headers = HeaderMap::new();
        headers.insert("X-Lectern-User", HeaderValue::from_static("root"));
        headers.insert("x-lectern-role", HeaderValue::from_static("admin"));
        headers.insert("x-lectern-tenant", HeaderValue::from_static("other"));
        headers.insert("x-lectern-else", HeaderValue::from_static("x"));
        set_identity(&mut headers, None);
        assert!(headers.is_empty());
        let claims = Claims {
            tenant: Some("school".into()),
            ..Claims::new("alice", Role::User, Duration::ZERO)
        };
        headers.append("x-lectern-user", HeaderValue::from_static("root"));
        set_identity(&mut headers, Some(&claims));
        assert_eq!(
            headers.get_all("x-lectern-user").iter().collect::<Vec<_>>(),
            ["alice"]
        );
        assert_eq!(headers["x-lectern-role"], "user");
        assert_eq!(headers["x-lectern-tenant"], "school");
    }
}
