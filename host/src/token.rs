//! Tokens: JWTs signed with the configured secret (RFC 7519, HS256).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Serialize};

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
    /// `user` where it is missing.
    #[serde(default)]
    pub role: Role,
    /// When it was made, in seconds since the Unix epoch.
    #[serde(default)]
    pub iat: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: u64,
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
