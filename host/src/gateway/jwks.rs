//! The keys of an identity provider, by their URL (RFC 7517). They change without notice: a token whose
//! key is not known has the set read again, though not more often than an attacker should make us.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::auth::Denied;

/// So that a key that was withdrawn is no longer taken.
const REFRESH: Duration = Duration::from_secs(300);
/// Between two readings that tokens ask for.
const PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys that a token which names none is checked with: each costs a signature.
const MOST_TRIED: usize = 4;
/// A larger set is nobody's.
const MAX_BYTES: usize = 1 << 20;

/// One of the provider's keys.
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The keys, as they were read last.
pub(super) struct Jwks {
    source: Arc<Source>,
    _refreshing: AbortOnDropHandle<()>,
}

struct Source {
    url: String,
    client: reqwest::Client,
    keys: ArcSwapOption<Vec<Key>>,
    /// A token has one that is not known.
    wanted: Notify,
    is_reading: AtomicBool,
    /// Readings that have ended, well or not.
    attempts: watch::Sender<u64>,
    /// After a reading that a token asked for.
    rests_until: Mutex<Option<Instant>>,
    /// How often they were read.
    readings: AtomicU64,
}

/// Why no keys were read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it is no set of keys: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("it has no key for RS256 or ES256")]
    NoKey,
}

impl Jwks {
    /// Reads the keys in the background. Wants a Tokio runtime. Fails where the system has no TLS roots.
    pub(super) fn new(url: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let source = Arc::new(Source {
            url: url.to_owned(),
            client,
            keys: ArcSwapOption::empty(),
            wanted: Notify::new(),
            is_reading: AtomicBool::new(false),
            attempts: watch::Sender::new(0),
            rests_until: Mutex::default(),
            readings: AtomicU64::new(0),
        });
        let refreshed = source.clone();
        let refreshing = tokio::spawn(async move { refreshed.keep().await });
        Ok(Self {
            source,
            _refreshing: AbortOnDropHandle::new(refreshing),
        })
    }

    /// How often they were read: what was checked with the keys of before may be good no more.
    pub(super) fn readings(&self) -> u64 {
        self.source.readings.load(Ordering::Relaxed)
    }

    /// Runs `check` with the key of a token's header; the keys are read again where there is none. A token may
    /// name no key (RFC 7515, section 4.1.4): then with each, as two are there while they change.
    pub(super) async fn with_key<T>(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        check: impl Fn(&Key) -> Result<T, Denied>,
    ) -> Result<T, Denied> {
        for may_read in [true, false] {
            let keys = self.source.keys.load();
            let fits = |key: &&Key| {
                key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id)
            };
            let fitting = keys.iter().flat_map(|keys| keys.iter()).filter(fits);
            let mut denied = None;
            for key in fitting.take(MOST_TRIED) {
                match check(key) {
                    Err(why @ Denied::Invalid) => denied = Some(why),
                    decided => return decided,
                }
            }
            if let Some(denied) = denied {
                return Err(denied);
            }
            if may_read {
                self.source.ask().await;
            }
        }
        match self.source.keys.load().is_some() {
            true => Err(Denied::Invalid),
            false => Err(Denied::Unavailable),
        }
    }
}

impl Source {
    /// Reads the keys again and again: when they may have changed, and when a token has one that is not known.
    async fn keep(&self) {
        let mut is_asked = false;
        loop {
            let were_known = self.keys.load().is_some();
            self.is_reading.store(true, Ordering::SeqCst);
            self.read().await;
            // The first time, no token has made us ask in vain.
            if is_asked && (were_known || self.keys.load().is_none()) {
                *self.rest() = Some(Instant::now() + PAUSE);
            }
            // Before it is told: who asks afterwards must not take this one for still to end.
            self.is_reading.store(false, Ordering::SeqCst);
            self.attempts.send_modify(|attempts| *attempts += 1);
            is_asked = self.wait().await;
        }
    }

    /// Until they are to be read; whether a token has asked for that.
    async fn wait(&self) -> bool {
        let asked = async {
            loop {
                self.wanted.notified().await;
                if !self.rests() {
                    return;
                }
            }
        };
        tokio::time::timeout(REFRESH, asked).await.is_ok()
    }

    /// For a token whose key is not known: returns when they have been read, at once where that is not to be
    /// now. Holds nothing meanwhile that others wait for.
    async fn ask(&self) {
        let mut attempts = self.attempts.subscribe();
        if !self.is_reading.load(Ordering::SeqCst) {
            if self.rests() {
                return;
            }
            self.wanted.notify_one();
        }
        let _ = tokio::time::timeout(PATIENCE * 2, attempts.changed()).await;
    }

    fn rests(&self) -> bool {
        self.rest().is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the keys; those that are known stay where it fails.
    async fn read(&self) {
        match self.fetch().await {
            Ok(keys) => {
                self.keys.store(Some(Arc::new(keys)));
                self.readings.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!("the keys at {} cannot be read: {error}", self.url),
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, Unread> {
        let mut response = self
            .client
            .get(&self.url)
            .send()
            .await?
            .error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BYTES {
                return Err(Unread::TooLarge);
            }
        }
        // A key of a kind that is not known here is no reason to refuse the others.
        let set: JwkSet = serde_json::from_slice(&body)?;
        let keys: Vec<Key> = set.keys.iter().filter_map(usable).collect();
        if keys.is_empty() {
            Err(Unread::NoKey)
        } else {
            Ok(keys)
        }
    }
}

/// A public key that signs by RS256 or ES256. A symmetric one in a public place is nobody's secret.
fn usable(jwk: &Jwk) -> Option<Key> {
    let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::EllipticCurve(key), None | Some(KeyAlgorithm::ES256))
            if key.curve == EllipticCurve::P256 =>
        {
            Algorithm::ES256
        }
        _ => return None,
    };
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    Some(Key {
        id: jwk.common.key_id.clone(),
        algorithm,
        decoding: DecodingKey::from_jwk(jwk).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(json: &str) -> Vec<(Option<String>, Algorithm)> {
        let set: JwkSet = serde_json::from_str(json).unwrap();
        let usable = set.keys.iter().filter_map(usable);
        usable.map(|key| (key.id, key.algorithm)).collect()
    }

    #[test]
    fn only_public_keys_that_sign_are_taken() {
        let set = r#"{"keys":[
            {"kty":"RSA","kid":"a","n":"sXchTg","e":"AQAB"},
            {"kty":"RSA","kid":"enc","use":"enc","n":"sXchTg","e":"AQAB"},
            {"kty":"RSA","kid":"ps","alg":"PS256","n":"sXchTg","e":"AQAB"},
            {"kty":"oct","kid":"secret","k":"c2VjcmV0"},
            {"kty":"EC","kid":"b","crv":"P-256","alg":"ES256",
             "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
            {"kty":"EC","kid":"c","crv":"P-384",
             "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
        ]}"#;
        let expected = [
            (Some("a".to_owned()), Algorithm::RS256),
            (Some("b".to_owned()), Algorithm::ES256),
        ];
        assert_eq!(keys(set), expected);
    }

    #[test]
    fn a_token_of_rs256_is_checked_with_its_public_key() {
        let set = r#"{"keys":[{"kty":"RSA","kid":"rsa-1","e":"AQAB","n":"rJFH7R5_83Q_RSH0ugmK3CI68SrI3e_v2WsMriVc1FFMYA_olQXzarCH3FzUiAajZupwLh0ePvaBDIjmvdCtkVpSpE0XjIaSCMuq3W8hVfAsWSKOWknrirsG5esCrOpwATDiZWKFyge574tRnlQPPiI4Kcoxp8wwepXgJfuGerfx9HBfNG4AyT7eJUUo6adf4E_VFNgx5sVSVrrz65Qv4xAiElcrPhH1Q79LiQaw6PnGCcYCZwPCb7qA5y_m1h4H5btchh6RnFU1aadBpgx_sMeNS1Gbrm9YgnHYMwQvdMMGuXWN3itn_wYoU_FNYL4DYx9Q23v-Q0CNqplGduHxIw"}]}"#;
        let set: JwkSet = serde_json::from_str(set).unwrap();
        let key = usable(&set.keys[0]).unwrap();
        let token = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vaWQuZXhhbXBsZSIsImF1ZCI6ImxlY3Rlcm4iLCJleHAiOjk5OTk5OTk5OTl9.QLdhMy8YhQtd0FrMl80N1jp4hEoxB5mU6KCE66pjnnGMCaEEFGH9FV1A5u9CO_FnLHhdt4EidBqFNjDGbJNBbmHTFaQ_DPvVbqlO544FPwbokUzLVFfeze1qaQPiN0JNRfbkIksaiPvXq6IeZWs8-l8ZYgDhsJNHs6N5y57bHta3sjZfhU0xbDN87HRc6d2YvUqy7l4hDckgGEdrZ819txXyyNj-euezdZT9c1ibiq7GmsJPc2CemO-qHsQ2i2yXQlFPXQAvc0G7T6g8-Miq5ZphyXsC7gptoDWKBEyeE6A8FaiAfkkPlLzMZOGf9_05WWuTIneaBS1N-Cm4jL---w";
        let mut validation = jsonwebtoken::Validation::new(key.algorithm);
        validation.set_audience(&["lectern"]);
        let good = jsonwebtoken::decode::<crate::token::Claims>(token, &key.decoding, &validation);
        assert_eq!(good.unwrap().claims.sub, "alice");
    }
}
