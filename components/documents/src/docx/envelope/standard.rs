//! Standard encryption, of Office 2007 (MS-OFFCRYPTO 2.3.4.5 to 2.3.4.9): SHA-1 and AES block by block.

use super::hash::Hash;
use super::{Aes, broken, parts};
use crate::read::Unreadable;

const SPINS: u32 = 50_000;
/// `AlgID`: AES with a key of 128, 192 and 256 bits.
const ALGORITHMS: [(u32, usize); 3] = [(0x660E, 16), (0x660F, 24), (0x6610, 32)];
const SHA1: usize = 20;

pub(super) fn decrypt(
    info: &[u8],
    mut package: Vec<u8>,
    password: &[u8],
) -> Result<Vec<u8>, Unreadable> {
    let aes = Info::parse(info).ok_or_else(broken)?.unlock(password)?;
    let (length, blocks) = parts(&mut package)?;
    aes.ecb(blocks);
    Ok(blocks[..length].to_vec())
}

struct Info<'a> {
    /// In bytes.
    key: usize,
    salt: &'a [u8; 16],
    verifier: &'a [u8; 16],
    /// Padded to whole blocks.
    hash: &'a [u8; 32],
}

impl<'a> Info<'a> {
    /// `EncryptionHeader` and `EncryptionVerifier` (2.3.2, 2.3.3), behind version and flags.
    fn parse(info: &'a [u8]) -> Option<Self> {
        let (length, rest) = info.get(8..)?.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (header, rest) = rest.split_at_checked(length)?;
        let algorithm = u32::from_le_bytes(*header.get(8..)?.first_chunk()?);
        let key = ALGORITHMS.iter().find(|(id, _)| *id == algorithm)?.1;
        // Behind the salt's length, which is 16, and the hash's, which is SHA-1's.
        let (salt, rest) = rest.get(4..)?.split_first_chunk()?;
        let (verifier, rest) = rest.split_first_chunk()?;
        let hash = rest.get(4..)?.first_chunk()?;
        Some(Self {
            key,
            salt,
            verifier,
            hash,
        })
    }

    /// The cipher, where the password is right.
    fn unlock(&self, password: &[u8]) -> Result<Aes, Unreadable> {
        let spun = Hash::Sha1.spun(self.salt, password, SPINS);
        let last = Hash::Sha1.of(&[&spun, &0_u32.to_le_bytes()]);
        let mixed = |with: u8| {
            let mut block = [with; 64];
            block.iter_mut().zip(&last).for_each(|(byte, b)| *byte ^= b);
            Hash::Sha1.of(&[&block])
        };
        let derived = [mixed(0x36), mixed(0x5C)].concat();
        let aes = Aes::new(&derived[..self.key])?;
        let (mut verifier, mut hash) = (*self.verifier, *self.hash);
        aes.ecb(&mut verifier);
        aes.ecb(&mut hash);
        if Hash::Sha1.of(&[&verifier]) == hash[..SHA1] {
            Ok(aes)
        } else {
            Err(Unreadable::Encrypted)
        }
    }
}
