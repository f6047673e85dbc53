//! The envelope around a Word document with a password (MS-OFFCRYPTO 2.3.4): an OLE file whose stream
//! `EncryptedPackage` is the document, encrypted with AES; `EncryptionInfo` says how.

mod agile;
mod hash;
mod standard;

use std::io::{Cursor, Read};

use aes::cipher::{BlockCipherDecrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};

use crate::read::Unreadable;

/// What an OLE file begins with.
const OLE: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";
/// Of `EncryptionInfo`, in bytes; Office writes one or two KiB.
const MAX_INFO: u64 = 64 << 10;
/// AES's, in bytes.
const BLOCK: usize = 16;
/// How often the password is hashed at most; Office does so 100,000 times. Beyond, a file only costs time.
const MAX_SPINS: u32 = 1_000_000;

/// Whether the file is such an envelope, or another OLE file.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(OLE)
}

/// The document, for whoever has its password.
pub(super) fn open(bytes: &[u8], password: Option<&str>) -> Result<Vec<u8>, Unreadable> {
    let mut file = cfb::CompoundFile::open(Cursor::new(bytes)).map_err(|_| broken())?;
    let info = stream(&mut file, "/EncryptionInfo", MAX_INFO)?;
    let password = utf_16(password.ok_or(Unreadable::Encrypted)?);
    let package = stream(&mut file, "/EncryptedPackage", bytes.len() as u64)?;
    // Major and minor version.
    match info.first_chunk() {
        Some([4, 0, 4, 0]) => agile::decrypt(&info, package, &password),
        Some([2..=4, 0, 2, 0]) => standard::decrypt(&info, package, &password),
        Some(_) => Err(Unreadable::Unsupported(
            "encrypted in a way that only its maker knows",
        )),
        None => Err(broken()),
    }
}

fn stream(
    file: &mut cfb::CompoundFile<Cursor<&[u8]>>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, Unreadable> {
    let stream = file.open_stream(name).map_err(|_| broken())?;
    let mut bytes = Vec::new();
    let read = stream.take(limit).read_to_end(&mut bytes);
    read.map_err(|_| broken())?;
    Ok(bytes)
}

fn broken() -> Unreadable {
    Unreadable::Corrupt("its encryption cannot be read".into())
}

/// As the password is hashed: UTF-16LE.
fn utf_16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What the package says of its length, and its blocks; the last of them is padded.
fn parts(package: &mut [u8]) -> Result<(usize, &mut [u8]), Unreadable> {
    let (length, blocks) = package.split_first_chunk_mut().ok_or_else(broken)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| broken())?;
    if length > blocks.len() || blocks.len() % BLOCK != 0 {
        return Err(broken());
    }
    Ok((length, blocks))
}

/// AES with a key of any of its lengths.
enum Aes {
    A128(Aes128),
    A192(Aes192),
    A256(Aes256),
}

impl Aes {
    fn new(key: &[u8]) -> Result<Self, Unreadable> {
        let cipher = match key.len() {
            16 => Aes128::new_from_slice(key).map(Self::A128),
            24 => Aes192::new_from_slice(key).map(Self::A192),
            _ => Aes256::new_from_slice(key).map(Self::A256),
        };
        cipher.map_err(|_| broken())
    }

    /// Whole blocks, each by itself. What is no whole block stays.
    fn ecb(&self, bytes: &mut [u8]) {
        for block in bytes.as_chunks_mut::<BLOCK>().0 {
            let mut whole = (*block).into();
            match self {
                Self::A128(cipher) => cipher.decrypt_block(&mut whole),
                Self::A192(cipher) => cipher.decrypt_block(&mut whole),
                Self::A256(cipher) => cipher.decrypt_block(&mut whole),
            }
            block.copy_from_slice(&whole);
        }
    }

    /// Whole blocks, each with what the one before was.
    fn cbc(&self, bytes: &mut [u8], mut before: [u8; BLOCK]) {
        for block in bytes.as_chunks_mut::<BLOCK>().0 {
            let encrypted = *block;
            self.ecb(block);
            block
                .iter_mut()
                .zip(before)
                .for_each(|(byte, b)| *byte ^= b);
            before = encrypted;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Seek, SeekFrom, Write};

    use crate::docx::read;
    use crate::read::Unreadable;
    use crate::samples::package;

    #[test]
    fn the_password_opens_what_office_and_others_encrypt() {
        for (name, file) in package::locked() {
            let reading = read(&file, Some("pässword")).unwrap();
            let text = reading.document.text();
            assert_eq!(text, "Mitosis divides a cell.", "{name}");
            for wrong in [None, Some("password"), Some("")] {
                assert_eq!(read(&file, wrong), Err(Unreadable::Encrypted), "{name}");
            }
        }
    }

    #[test]
    fn what_was_changed_on_its_way_is_damaged() {
        let (_, file) = package::locked().next().unwrap();
        let mut changed = cfb::CompoundFile::open(Cursor::new(file)).unwrap();
        let mut package = changed.open_stream("/EncryptedPackage").unwrap();
        package.seek(SeekFrom::Start(5_000)).unwrap();
        package.write_all(b"changed").unwrap();
        package.flush().unwrap();
        drop(package);
        let changed = changed.into_inner().into_inner();
        assert_eq!(
            read(&changed, Some("pässword")),
            Err(Unreadable::Corrupt(
                "its encryption was tampered with".into()
            ))
        );
    }

    #[test]
    fn no_byte_of_an_envelope_makes_the_reader_fall() {
        for (_, file) in package::locked() {
            for at in (0..file.len()).step_by(1_409) {
                let mut changed = file.clone();
                changed[at] = !changed[at];
                let _ = read(&changed, Some("pässword"));
                let _ = read(&file[..at], Some("pässword"));
            }
        }
    }
}
