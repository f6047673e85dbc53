//! Tokens: JWTs signed with the configured secret (RFC 7519, HS256), and what is read of all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::config::identity::Identity;

/// What a token may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees their own.
    #[default]
    User,
    /// May act for others.
    Admin,
}

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// The user's tenant; those without are of one tenant of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `user` where it is missing, or what a provider calls otherwise.
    #[serde(default, deserialize_with = "role")]
    pub role: Role,
    /// When it was made, in seconds since the Unix epoch.
    #[serde(default, deserialize_with = "seconds")]
    pub iat: u64,
    /// When it ends, in seconds since the Unix epoch.
    #[serde(deserialize_with = "seconds")]
    pub exp: u64,
    /// Who made it. Of a token that is read, the check of its signature has looked at this and `aud`.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// For whom.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

/// A role of another name is one of the provider's, and means nothing here.
fn role<'de, D: Deserializer<'de>>(role: D) -> Result<Role, D::Error> {
    let role = Value::deserialize(role)?;
    Ok(Role::deserialize(role).unwrap_or_default())
}

/// A `NumericDate` may have a fraction: RFC 7519, section 2.
fn seconds<'de, D: Deserializer<'de>>(at: D) -> Result<u64, D::Error> {
    let at = f64::deserialize(at)?;
    match at.is_finite() && at >= 0.0 {
        true => Ok(at as u64),
        false => Err(serde::de::Error::custom("no time since 1970")),
    }
}

impl Claims {
    /// Of `user`, from now on, without a tenant.
    pub fn new(user: &str, role: Role, ttl: Duration) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        Self {
            sub: user.to_owned(),
            tenant: None,
            role,
            iat: now,
            exp: now.saturating_add(ttl.as_secs()),
            iss: None,
            aud: None,
        }
    }

    /// For a host that takes no others' tokens, and none for others.
    #[must_use]
    pub fn of(self, identity: &Identity) -> Self {
        Self {
            iss: identity.issuer.clone(),
            aud: identity.audience.clone(),
            ..self
        }
    }
}

/// A token for `user`, from now on, without a tenant.
pub fn sign(
    key: &[u8],
    user: &str,
    role: Role,
    ttl: Duration,
) -> Result<String, jsonwebtoken::errors::Error> {
    encode(key, &Claims::new(user, role, ttl))
}

/// A token with those claims.
pub fn encode(key: &[u8], claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(key))
}
