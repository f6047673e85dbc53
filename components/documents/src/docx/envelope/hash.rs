//! The hashes that an envelope may name.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// By the name that `EncryptionInfo` has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "SHA1" | "SHA-1" => Self::Sha1,
            "SHA256" => Self::Sha256,
            "SHA384" => Self::Sha384,
            "SHA512" => Self::Sha512,
            _ => return None,
        })
    }

    /// Of the parts, one after the other.
    pub(super) fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => digest::<Sha1>(parts),
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha384 => digest::<Sha384>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }

    /// Of salt and password, and again `spins` times, each with its number before it (2.3.4.7, 2.3.4.11).
    pub(super) fn spun(self, salt: &[u8], password: &[u8], spins: u32) -> Vec<u8> {
        match self {
            Self::Sha1 => spun::<Sha1>(salt, password, spins),
            Self::Sha256 => spun::<Sha256>(salt, password, spins),
            Self::Sha384 => spun::<Sha384>(salt, password, spins),
            Self::Sha512 => spun::<Sha512>(salt, password, spins),
        }
    }

    /// Whether that is the HMAC of the bytes.
    pub(super) fn vouches(self, key: &[u8], bytes: &[u8], mac: &[u8]) -> bool {
        match self {
            Self::Sha1 => vouches::<Hmac<Sha1>>(key, bytes, mac),
            Self::Sha256 => vouches::<Hmac<Sha256>>(key, bytes, mac),
            Self::Sha384 => vouches::<Hmac<Sha384>>(key, bytes, mac),
            Self::Sha512 => vouches::<Hmac<Sha512>>(key, bytes, mac),
        }
    }
}

fn digest<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let digest = parts
        .iter()
        .fold(D::new(), |all, part| all.chain_update(part));
    digest.finalize().to_vec()
}

fn spun<D: Digest>(salt: &[u8], password: &[u8], spins: u32) -> Vec<u8> {
    let mut last = D::new()
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    for number in 0..spins {
        let digest = D::new().chain_update(number.to_le_bytes());
        last = digest.chain_update(&last).finalize();
    }
    last.to_vec()
}

fn vouches<M: Mac + KeyInit>(key: &[u8], bytes: &[u8], mac: &[u8]) -> bool {
    <M as KeyInit>::new_from_slice(key)
        .is_ok_and(|made| made.chain_update(bytes).verify_slice(mac).is_ok())
}
