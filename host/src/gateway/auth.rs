//! Who is calling: the token's subject, or, in development mode, whoever the request says.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use crate::token::{Claims, Role};

const USER: HeaderName = HeaderName::from_static("x-lectern-user");
const TENANT: HeaderName = HeaderName::from_static("x-lectern-tenant");
const ROLE: HeaderName = HeaderName::from_static("x-lectern-role");
/// The components trust these: only the host may set them.
const OURS: &str = "x-lectern-";
/// Clocks differ; RFC 7519, section 4.1.4 suggests "a few minutes" at most.
const LEEWAY_SECONDS: u64 = 60;
/// A longer one is not looked at.
const MAX_TOKEN: usize = 8 << 10;

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Missing,
    Expired,
    Invalid,
}

/// Checks tokens, or is development mode.
pub(crate) struct Authenticator(Option<(DecodingKey, Validation)>);

impl Authenticator {
    pub(crate) fn new(key: Option<&[u8]>) -> Self {
        Self(key.map(|key| {
            // One algorithm, whatever the token's header asks for.
            let mut validation = Validation::new(Algorithm::HS256);
            validation.leeway = LEEWAY_SECONDS;
            validation.validate_nbf = true;
            validation.validate_aud = false;
            validation.set_required_spec_claims(&["exp", "sub"]);
            (DecodingKey::from_secret(key), validation)
        }))
    }

    /// The claims; `None` in development mode.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Claims>, Denied> {
        let Some((key, validation)) = &self.0 else {
            return Ok(None);
        };
        let token = bearer(headers)?;
        match jsonwebtoken::decode::<Claims>(token, key, validation) {
            Ok(data) if is_sound(&data.claims) => Ok(Some(data.claims)),
            Err(e) if matches!(e.kind(), ErrorKind::ExpiredSignature) => Err(Denied::Expired),
            _ => Err(Denied::Invalid),
        }
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

    fn outcome(value: &str) -> Result<Option<String>, Denied> {
        let claims = Authenticator::new(Some(KEY)).authenticate(&headers(value))?;
        Ok(claims.map(|claims| claims.sub))
    }

    #[test]
    fn a_token_of_our_own_names_its_subject() {
        let token = token::sign(KEY, "alice", Role::User, Duration::from_secs(60)).unwrap();
        assert_eq!(
            outcome(&format!("Bearer {token}")),
            Ok(Some("alice".into()))
        );
        assert_eq!(
            outcome(&format!("bearer {token}")),
            Ok(Some("alice".into()))
        );
    }

    #[test]
    fn every_other_token_is_refused() {
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
                outcome(&format!("Bearer {bad}")),
                Err(Denied::Invalid),
                "{bad:.40}"
            );
        }
        assert_eq!(outcome(&format!("Basic {good}")), Err(Denied::Invalid));
        assert_eq!(
            Authenticator::new(Some(KEY))
                .authenticate(&HeaderMap::new())
                .unwrap_err(),
            Denied::Missing
        );
        let nobody = token::sign(KEY, "", Role::User, Duration::from_secs(60)).unwrap();
        assert_eq!(outcome(&format!("Bearer {nobody}")), Err(Denied::Invalid));
    }

    #[test]
    fn an_expired_token_is_told_from_a_bad_one() {
        let old = Claims {
            exp: 2,
            ..Claims::new("alice", Role::User, Duration::ZERO)
        };
        let token = token::encode(KEY, &old).unwrap();
        assert_eq!(outcome(&format!("Bearer {token}")), Err(Denied::Expired));
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
