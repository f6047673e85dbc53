//! The ZIP file around a document, within bounds: what it says of its sizes is never believed.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use crate::read::Unreadable;

/// Entries at most; a large book has some hundreds of images.
const MAX_ENTRIES: usize = 2_000;
/// What each entry of the index begins with.
const HEADER: &[u8] = b"PK\x01\x02";
/// Bytes of one part, unpacked.
const MAX_PART: u64 = 64 << 20;
/// Bytes of all parts that are opened, unpacked.
const MAX_TOTAL: u64 = 200 << 20;

/// A package whose parts can be opened.
pub(super) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    left: u64,
}

/// A part as it is unpacked.
pub(super) type Part<'p, 'a> = BufReader<Bounded<'p, ZipFile<'p, Cursor<&'a [u8]>>>>;

impl<'a> Package<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        // Before the index is built: one of a million entries takes more than the sandbox has.
        let headers = bytes
            .windows(HEADER.len())
            .filter(|window| *window == HEADER);
        if headers.count() > MAX_ENTRIES {
            return Err(Unreadable::TooComplex);
        }
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(fault)?;
        if archive.has_duplicate_names() || archive.has_overlapping_entries().map_err(fault)? {
            return Err(Unreadable::Corrupt("its entries overlap".into()));
        }
        Ok(Self {
            archive,
            left: MAX_TOTAL,
        })
    }

    /// The part of that name, where there is one. Names differ in more than case.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<Part<'_, 'a>>, Unreadable> {
        let wanted = name.as_bytes();
        let mut names = self.archive.file_names_raw();
        let Some(at) = names.position(|found| found.eq_ignore_ascii_case(wanted)) else {
            return Ok(None);
        };
        drop(names);
        let inner = self.archive.by_index(at).map_err(fault)?;
        Ok(Some(BufReader::new(Bounded {
            inner,
            part: MAX_PART,
            total: &mut self.left,
        })))
    }
}

/// Counts what is unpacked, whatever the header says.
pub(super) struct Bounded<'p, R> {
    inner: R,
    part: u64,
    total: &'p mut u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = read as u64;
        let left = self
            .part
            .checked_sub(bytes)
            .zip(self.total.checked_sub(bytes));
        let (part, total) = left.ok_or(ErrorKind::FileTooLarge)?;
        (self.part, *self.total) = (part, total);
        Ok(read)
    }
}

fn fault(error: ZipError) -> Unreadable {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => Unreadable::Encrypted,
        ZipError::UnsupportedArchive(_) => {
            Unreadable::Corrupt("it is packed in no known way".into())
        }
        _ => Unreadable::Corrupt("it is no sound ZIP file".into()),
    }
}
