//! What a webhook is told, and how it knows who tells it:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use backend::webhooks::Owner;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::gateway::problem::rfc3339;

/// Of an event, beside ids.
const TOLD: [&str; 2] = ["status", "code"];
/// Bytes of a secret's fingerprint.
const FINGERPRINT: usize = 8;

/// Every webhook's secret comes from it, so that none is stored.
pub struct Key(SecretSlice<u8>);

impl Key {
    /// From the host's own secret; hosts on one database have the same.
    pub fn new(secret: Vec<u8>) -> Self {
        Self(secret.into())
    }

    /// Of that webhook.
    pub(super) fn secret(&self, webhook: Uuid) -> Vec<u8> {
        let name = [b"lectern webhook ", webhook.as_bytes().as_slice()].concat();
        mac(self.0.expose_secret(), &name)
    }
}

/// Of the webhook that its owner makes with that key, each time.
pub(super) fn id(owner: &Owner, key: &str) -> Uuid {
    // No name has a NUL.
    let name = [owner.tenant.as_str(), &owner.user, key].join("\0");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// HMAC-SHA256.
fn mac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return vec![];
    };
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

/// Tells a secret from another, and nothing of it.
pub(super) fn fingerprint(secret: &[u8]) -> Vec<u8> {
    Sha256::digest(secret)[..FINGERPRINT].to_vec()
}

/// As its owner keeps it.
pub(super) fn shown(secret: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

/// Of the message, at that moment (seconds since the Unix epoch).
pub(super) fn signature(secret: &[u8], message: Uuid, timestamp: i64, body: &str) -> String {
    let signed = format!("{message}.{timestamp}.{body}");
    format!("v1,{}", STANDARD.encode(mac(secret, signed.as_bytes())))
}

/// The event's ids and how it ended: no name, text or transcript.
pub(super) fn body(topic: &str, occurred_at: u64, payload: &Value) -> String {
    let is_told =
        |name: &str| name.ends_with("_id") || name.ends_with("_ids") || TOLD.contains(&name);
    let members = payload.as_object().into_iter().flatten();
    let told = members.filter(|(name, value)| is_told(name) && !value.is_null());
    let data: Map<_, _> = told.map(|(k, v)| (k.clone(), v.clone())).collect();
    let occurred = OffsetDateTime::from_unix_timestamp_nanos(i128::from(occurred_at) * 1_000_000);
    let timestamp = rfc3339(occurred.unwrap_or(OffsetDateTime::UNIX_EPOCH));
    json!({ "type": topic, "timestamp": timestamp, "data": data }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_ids_and_no_word_of_the_learner_s() {
        let payload = json!({
            "event_id": "e", "document_id": "d", "user_id": "alice", "filename": "diary.pdf",
            "document_ids": ["d"], "status": "failed", "code": "CORRUPT_DOCUMENT",
            "error": "a sentence", "request_id": null, "terms": ["secret"],
        });
        let told: Value =
            serde_json::from_str(&body("document.processed", 1_000, &payload)).unwrap();
        assert_eq!(
            told,
            json!({
                "type": "document.processed", "timestamp": "1970-01-01T00:00:01Z",
                "data": {
                    "event_id": "e", "document_id": "d", "user_id": "alice", "document_ids": ["d"],
                    "status": "failed", "code": "CORRUPT_DOCUMENT",
                },
            })
        );
    }

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // Made with the reference's own key and message, by Python's `hmac`.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let message = Uuid::from_u128(0x0b8b_2a0e_7f0d_4a0b_9a53_3c1f_3c1d_7d7e);
        let signature = signature(&secret, message, 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, EXPECTED);
    }

    const EXPECTED: &str = "v1,n2m2KGZzLFE5+FjO3pI1l2pBmVQDuhbUd/rwdI7kmFM=";

    #[test]
    fn each_webhook_has_a_secret_of_its_own() {
        let key = Key::new(vec![7; 32]);
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(key.secret(one), key.secret(one));
        assert_ne!(key.secret(one), key.secret(two));
        assert_ne!(key.secret(one), Key::new(vec![8; 32]).secret(one));
        assert_eq!(key.secret(one).len(), 32);
    }
}
