//! A file's password while it waits: sealed in the database, the key among the blobs, so that neither
//! store alone gives it away. Each key seals once; what tells passwords apart has a key of its own there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a key.
pub const KEY: usize = 32;
/// Characters of a password; PDF takes 127 bytes.
pub const MAX_PASSWORD: usize = 255;

/// A key is used once, so that the nonce may be always the same.
const NONCE: [u8; 12] = [0; 12];

fn cipher(key: &[u8; KEY]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key))
}

/// What can be stored; `None` only for what no memory holds.
pub fn seal(key: &[u8; KEY], password: &str) -> Option<String> {
    let sealed = cipher(key).encrypt(&Nonce::from(NONCE), password.as_bytes());
    sealed.ok().map(|sealed| STANDARD.encode(sealed))
}

/// The password, where the key is its own.
pub fn open(key: &[u8], sealed: &str) -> Option<String> {
    let key: &[u8; KEY] = key.try_into().ok()?;
    let sealed = STANDARD.decode(sealed).ok()?;
    let opened = cipher(key).decrypt(&Nonce::from(NONCE), sealed.as_slice());
    String::from_utf8(opened.ok()?).ok()
}

/// Tells the password from others: always the same under the same key, and to be guessed from by nobody who
/// does not have that. `None` only for what no memory holds.
pub fn print(key: &[u8], password: &str) -> Option<Vec<u8>> {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).ok()?;
    mac.update(password.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_tells_passwords_apart_and_is_its_key_s_own() {
        let of = |key: u8, password| print(&[key; KEY], password).unwrap();
        assert_eq!(of(7, "geheim"), of(7, "geheim"));
        assert_ne!(of(7, "geheim"), of(7, "Geheim"));
        assert_ne!(of(7, "geheim"), of(8, "geheim"));
        assert_eq!(of(7, "").len(), 32);
    }

    #[test]
    fn only_its_own_key_opens_it() {
        let sealed = seal(&[7; KEY], "geheim").unwrap();
        assert!(!sealed.contains("geheim"));
        assert_eq!(open(&[7; KEY], &sealed).as_deref(), Some("geheim"));
        assert_eq!(open(&[8; KEY], &sealed), None);
        assert_eq!(open(&[7; 5], &sealed), None);
        assert_eq!(open(&[7; KEY], "no base64!"), None);
    }
}
