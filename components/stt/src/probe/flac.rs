//! FLAC: STREAMINFO stands first, and says it all. RFC 9639, section 8.2.

use super::{Container, End, Reader, Recording, Step, Unreadable, bytes, milliseconds};

/// Magic, a block's header, the block.
const WANTED: usize = 4 + 4 + 34;

#[derive(Default)]
pub(super) struct Flac {
    info: Option<Info>,
}

/// What STREAMINFO says.
#[derive(Clone, Copy)]
pub(super) struct Info {
    pub(super) rate: u64,
    pub(super) channels: u32,
    /// 0 where the writer did not know.
    pub(super) samples: u64,
}

/// Of a file's or an Ogg packet's `fLaC` and what follows.
pub(super) fn info(from: &[u8]) -> Option<Info> {
    let packed = u64::from_be_bytes(bytes(from, 4 + 4 + 10)?);
    let info = Info {
        rate: packed >> 44,
        channels: u32::try_from(packed >> 41 & 7).unwrap_or_default() + 1,
        samples: packed & 0xF_FFFF_FFFF,
    };
    let first_block = from.get(4)? & 0x7F;
    (from.starts_with(b"fLaC") && first_block == 0 && info.rate > 0).then_some(info)
}

impl Reader for Flac {
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        if next.len() < WANTED {
            return Ok(Step::Need(WANTED));
        }
        self.info = info(next);
        match self.info {
            Some(_) => Ok(Step::Done),
            None => Err(Unreadable::Corrupt("its first block cannot be")),
        }
    }

    fn finish(&mut self, end: End) -> Result<Recording, Unreadable> {
        let info = self
            .info
            .ok_or(Unreadable::Corrupt("the file ends before its sound begins"))?;
        Ok(Recording {
            container: Container::Flac,
            duration_ms: milliseconds(info.samples, info.rate).filter(|_| info.samples > 0),
            channels: Some(info.channels),
            loudest: None,
            truncated: end.is_cut(),
        })
    }
}
