//! Agile encryption, of Office 2010 and later (MS-OFFCRYPTO 2.3.4.10 to 2.3.4.15): what is used is said in
//! XML, and an HMAC vouches for the package.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hash::Hash;
use super::{Aes, BLOCK, MAX_SPINS, broken, parts};
use crate::docx::xml::{Node, Tag, Xml};
use crate::read::Unreadable;

/// The package is encrypted in pieces of so many bytes, each with a vector of its own.
const SEGMENT: usize = 4_096;
/// What the password's hash is hashed with once more, for each use (2.3.4.11, 2.3.4.14).
const VERIFIER: [u8; 8] = [0xFE, 0xA7, 0xD2, 0x76, 0x3B, 0x4B, 0x9E, 0x79];
const VERIFIER_HASH: [u8; 8] = [0xD7, 0xAA, 0x0F, 0x6D, 0x30, 0x61, 0x34, 0x4E];
const KEY: [u8; 8] = [0x14, 0x6E, 0x0B, 0xE7, 0xAB, 0xAC, 0xD0, 0xD6];
const MAC_KEY: [u8; 8] = [0x5F, 0xB2, 0xAD, 0x01, 0x0C, 0xB9, 0xE1, 0xF6];
const MAC: [u8; 8] = [0xA0, 0x67, 0x7F, 0x02, 0xB2, 0x2C, 0x84, 0x33];

pub(super) fn decrypt(
    info: &[u8],
    mut package: Vec<u8>,
    password: &[u8],
) -> Result<Vec<u8>, Unreadable> {
    // Behind version and flags.
    let info = Info::read(info.get(8..).ok_or_else(broken)?)?;
    let key = info.lock.open(password)?;
    let aes = Aes::new(&key)?;
    info.check(&aes, &package)?;
    let (length, blocks) = parts(&mut package)?;
    for (segment, number) in blocks.chunks_mut(SEGMENT).zip(0_u32..) {
        aes.cbc(segment, info.data.vector(&number.to_le_bytes()));
    }
    Ok(blocks[..length].to_vec())
}

struct Info {
    data: Cipher,
    lock: Lock,
    mac_key: Vec<u8>,
    mac: Vec<u8>,
}

/// `keyData`, and what `encryptedKey` has of the same.
struct Cipher {
    hash: Hash,
    salt: Vec<u8>,
    /// Of a key, in bytes.
    key: usize,
}

/// `encryptedKey`: the package's key, under the password.
struct Lock {
    cipher: Cipher,
    spins: u32,
    verifier: Vec<u8>,
    verifier_hash: Vec<u8>,
    key: Vec<u8>,
}

impl Info {
    fn read(xml: &[u8]) -> Result<Self, Unreadable> {
        let (mut data, mut lock, mut macs) = (None, None, None);
        let mut xml = Xml::new(xml);
        loop {
            match xml.next()? {
                Node::Open(tag) => match tag.local() {
                    "keyData" => data = Some(Cipher::read(&tag)?),
                    "encryptedKey" => lock = Some(Lock::read(&tag)?),
                    "dataIntegrity" => {
                        macs = Some((
                            bytes(&tag, "encryptedHmacKey")?,
                            bytes(&tag, "encryptedHmacValue")?,
                        ));
                    }
                    _ => {}
                },
                Node::End => break,
                _ => {}
            }
        }
        let (mac_key, mac) = macs.ok_or_else(broken)?;
        Ok(Self {
            data: data.ok_or_else(broken)?,
            lock: lock.ok_or_else(broken)?,
            mac_key,
            mac,
        })
    }

    /// Whether the package is what was encrypted.
    fn check(&self, aes: &Aes, package: &[u8]) -> Result<(), Unreadable> {
        let (mut key, mut mac) = (self.mac_key.clone(), self.mac.clone());
        aes.cbc(&mut key, self.data.vector(&MAC_KEY));
        aes.cbc(&mut mac, self.data.vector(&MAC));
        // Both are padded to whole blocks.
        let length = self.data.hash.of(&[]).len();
        let both = key.get(..length).zip(mac.get(..length));
        let (key, mac) = both.ok_or_else(broken)?;
        if self.data.hash.vouches(key, package, mac) {
            Ok(())
        } else {
            Err(Unreadable::Corrupt(
                "its encryption was tampered with".into(),
            ))
        }
    }
}

impl Cipher {
    fn read(tag: &Tag<'_>) -> Result<Self, Unreadable> {
        let is = |name: &str, only: &str| {
            let value = tag.attribute(name)?;
            Ok::<_, Unreadable>(value.as_deref() == Some(only))
        };
        if !is("cipherAlgorithm", "AES")?
            || !is("cipherChaining", "ChainingModeCBC")?
            || !is("blockSize", "16")?
        {
            return Err(Unreadable::Unsupported("encrypted in a way that is rare"));
        }
        let hash = tag.attribute("hashAlgorithm")?;
        let hash = hash.and_then(|name| Hash::parse(&name));
        let bits = number(tag, "keyBits")?;
        if !matches!(bits, 128 | 192 | 256) {
            return Err(broken());
        }
        Ok(Self {
            hash: hash.ok_or(Unreadable::Unsupported("encrypted in a way that is rare"))?,
            salt: bytes(tag, "saltValue")?,
            key: bits as usize / 8,
        })
    }

    /// The first block of a piece is mixed with this.
    fn vector(&self, of: &[u8]) -> [u8; BLOCK] {
        fitted(&self.hash.of(&[&self.salt, of]), BLOCK)
            .try_into()
            .unwrap_or([0; BLOCK])
    }
}

impl Lock {
    fn read(tag: &Tag<'_>) -> Result<Self, Unreadable> {
        let spins = number(tag, "spinCount")?;
        if spins > MAX_SPINS {
            return Err(Unreadable::TooComplex);
        }
        Ok(Self {
            cipher: Cipher::read(tag)?,
            spins,
            verifier: bytes(tag, "encryptedVerifierHashInput")?,
            verifier_hash: bytes(tag, "encryptedVerifierHashValue")?,
            key: bytes(tag, "encryptedKeyValue")?,
        })
    }

    /// The package's key, where the password is right.
    fn open(&self, password: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let Cipher { hash, salt, key } = &self.cipher;
        let spun = hash.spun(salt, password, self.spins);
        let vector = fitted(salt, BLOCK).try_into().unwrap_or([0; BLOCK]);
        let opened = |what: &[u8], block: &[u8; 8]| {
            let aes = Aes::new(&fitted(&hash.of(&[&spun, block]), *key))?;
            let mut what = what.to_vec();
            aes.cbc(&mut what, vector);
            Ok::<_, Unreadable>(what)
        };
        let verifier = opened(&self.verifier, &VERIFIER)?;
        let expected = hash.of(&[&verifier]);
        if !opened(&self.verifier_hash, &VERIFIER_HASH)?.starts_with(&expected) {
            return Err(Unreadable::Encrypted);
        }
        let mut opened = opened(&self.key, &KEY)?;
        opened.truncate(*key);
        Ok(opened)
    }
}

/// Cut, or filled up (2.3.4.11).
fn fitted(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut fitted = bytes.to_vec();
    fitted.resize(length, 0x36);
    fitted
}

fn bytes(tag: &Tag<'_>, name: &str) -> Result<Vec<u8>, Unreadable> {
    let text = tag.attribute(name)?.ok_or_else(broken)?;
    STANDARD.decode(text).map_err(|_| broken())
}

fn number(tag: &Tag<'_>, name: &str) -> Result<u32, Unreadable> {
    let text = tag.attribute(name)?;
    text.and_then(|text| text.parse().ok()).ok_or_else(broken)
}
