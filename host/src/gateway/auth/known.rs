//! Tokens that were checked: a client sends the same one again and again.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moka::future::Cache;
use sha2::{Digest, Sha256};

use super::LEEWAY_SECONDS;
use crate::token::Claims;

/// Clients to each send one; more are checked again.
const MOST: u64 = 20_000;
/// Whatever a token says: keys of an identity provider are read as often.
const LIFE: Duration = Duration::from_secs(300);

/// Who calls.
pub(crate) struct Known {
    pub(crate) claims: Claims,
    /// A hash of tenant and subject.
    pub(crate) user: u128,
    /// A hash; none where the token names no tenant: those users have nothing in common.
    pub(crate) tenant: Option<u128>,
}

impl Known {
    pub(super) fn new(claims: Claims) -> Self {
        let tenant = claims.tenant.as_deref();
        Self {
            // No name has a NUL, which no header can carry.
            user: hash(&[tenant.unwrap_or_default(), "\0", &claims.sub]),
            tenant: tenant.map(|tenant| hash(&[tenant])),
            claims,
        }
    }

    fn is_over(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        self.claims.exp < now.saturating_sub(LEEWAY_SECONDS)
    }
}

/// By a hash of the token, so that no token is kept.
pub(super) struct Remembered(Cache<[u8; 32], (u64, Arc<Known>)>);

impl Remembered {
    pub(super) fn new() -> Self {
        let cache = Cache::builder().max_capacity(MOST).time_to_live(LIFE);
        Self(cache.build())
    }

    /// Whose token it is, where it was checked with the same `readings` of the keys, and is not over.
    pub(super) async fn find(&self, token: &str, readings: u64) -> Option<Arc<Known>> {
        let (then, known) = self.0.get(&key(token)).await?;
        (then == readings && !known.is_over()).then_some(known)
    }

    pub(super) async fn add(&self, token: &str, readings: u64, known: Arc<Known>) {
        self.0.insert(key(token), (readings, known)).await;
    }
}

fn key(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn hash(parts: &[&str]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        <[u8; 32]>::from(hash.finalize());
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Role;

    fn known(tenant: Option<&str>, user: &str, ttl: Duration) -> Known {
        Known::new(Claims {
            tenant: tenant.map(ToOwned::to_owned),
            ..Claims::new(user, Role::User, ttl)
        })
    }

    #[tokio::test]
    async fn a_token_is_remembered_until_it_is_over_or_its_keys_are_read_again() {
        let remembered = Remembered::new();
        let alice = Arc::new(known(None, "alice", Duration::from_secs(60)));
        remembered.add("a", 1, alice).await;
        assert!(remembered.find("a", 1).await.is_some());
        assert!(remembered.find("a", 2).await.is_none());
        assert!(remembered.find("b", 1).await.is_none());
        let mut late = known(None, "bob", Duration::ZERO);
        late.claims.exp -= LEEWAY_SECONDS + 1;
        remembered.add("c", 1, Arc::new(late)).await;
        assert!(remembered.find("c", 1).await.is_none());
    }

    #[test]
    fn a_user_is_one_of_a_tenant() {
        let of = |tenant, user| known(tenant, user, Duration::ZERO);
        assert_eq!(of(Some("a"), "b").user, of(Some("a"), "b").user);
        assert_ne!(of(Some("a"), "b").user, of(Some("c"), "b").user);
        assert_ne!(of(Some("ab"), "c").user, of(Some("a"), "bc").user);
        assert_eq!(of(None, "b").tenant, None);
        assert_eq!(of(Some("a"), "b").tenant, of(Some("a"), "c").tenant);
    }
}
