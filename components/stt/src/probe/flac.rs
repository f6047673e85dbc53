//! FLAC: STREAMINFO stands first, and says how long it was when it was written; frames are counted, as a
//! file may have been cut since. RFC 9639.

use super::{Container, End, Reader, Recording, Step, Unreadable, bounded, bytes, milliseconds};

/// Magic, a block's header, the block.
const WANTED: usize = 4 + 4 + 34;
/// Of a block of metadata.
const BLOCK_HEAD: usize = 4;
/// The longest head of a frame.
const FRAME_HEAD: usize = 16;

#[derive(Default)]
pub(super) struct Flac {
    info: Option<Info>,
    /// All metadata has passed by.
    has_begun: bool,
    frames: Frames,
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

/// The frames that have passed by.
#[derive(Default)]
struct Frames {
    /// Samples of those that were followed by another.
    whole: u64,
    /// The last one.
    last: Option<Frame>,
    /// Of the last one's bytes: 0 where it ends.
    crc: u16,
    /// The last one has ended, as far as its checksum tells.
    has_ended: bool,
}

/// A frame's head.
#[derive(Clone, Copy)]
struct Frame {
    /// Counted in frames, or in samples where their sizes vary.
    number: u64,
    is_in_samples: bool,
    samples: u64,
}

impl Frame {
    /// The number of the frame after it.
    fn next(&self) -> u64 {
        self.number + if self.is_in_samples { self.samples } else { 1 }
    }
}

impl Frames {
    /// A frame begins where the one before has ended, or has the number that comes next: four bytes and
    /// their checksum alone stand in any sound.
    fn begins(&self, frame: &Frame) -> bool {
        match &self.last {
            None => true,
            Some(last) => {
                let same = last.is_in_samples == frame.is_in_samples;
                same && (self.crc == 0 || frame.number == last.next())
            }
        }
    }

    fn begin(&mut self, frame: Frame) {
        if let Some(last) = self.last.replace(frame) {
            self.whole = self.whole.saturating_add(last.samples);
        }
        (self.crc, self.has_ended) = (0, false);
    }

    /// Takes as many bytes as it can tell what they are; at the end all of them.
    fn take(&mut self, next: &[u8], is_end: bool) -> usize {
        let mut at = 0;
        while let Some(&byte) = next.get(at) {
            if byte == 0xFF {
                let rest = &next[at..];
                if rest.len() < FRAME_HEAD && !is_end {
                    return at;
                }
                if let Some(frame) = frame(rest).filter(|frame| self.begins(frame)) {
                    self.begin(frame);
                }
            }
            self.crc = self.crc << 8 ^ CRC_16[usize::from((self.crc >> 8) as u8 ^ byte)];
            self.has_ended |= self.crc == 0;
            at += 1;
        }
        at
    }
}

/// Of the bytes that one begins with. Section 9.1.
fn frame(from: &[u8]) -> Option<Frame> {
    let &[0xFF, second, third, fourth, first_of_number, ..] = from else {
        return None;
    };
    let (size, rate) = (third >> 4, third & 0xF);
    let possible = second & 0xFE == 0xF8
        && size != 0
        && rate != 15
        && fourth >> 4 < 11
        && fourth >> 1 & 7 != 3
        && fourth & 1 == 0;
    if !possible {
        return None;
    }
    let (number, mut at) = number(from, first_of_number)?;
    let mut long = |count: usize| {
        let value = from.get(at..at + count)?;
        at += count;
        Some(
            value
                .iter()
                .fold(0, |all, &byte| all << 8 | u64::from(byte)),
        )
    };
    let samples = match size {
        1 => 192,
        2..=5 => 576 << (size - 2),
        6 => long(1)? + 1,
        7 => long(2)? + 1,
        _ => 256 << (size - 8),
    };
    match rate {
        12 => long(1)?,
        13 | 14 => long(2)?,
        _ => 0,
    };
    let crc = from[..at]
        .iter()
        .fold(0_u8, |crc, &byte| CRC_8[usize::from(crc ^ byte)]);
    (from.get(at) == Some(&crc)).then_some(Frame {
        number,
        is_in_samples: second & 1 == 1,
        samples,
    })
}

/// As UTF-8 has numbers, continued to 36 bits; and where it ends.
fn number(from: &[u8], first: u8) -> Option<(u64, usize)> {
    let ones = first.leading_ones() as usize;
    let more = match ones {
        0 => 0,
        2..=7 => ones - 1,
        _ => return None,
    };
    let first = u64::from(first) & (0x7F >> ones.min(7));
    let number = from
        .get(5..5 + more)?
        .iter()
        .try_fold(first, |all, &byte| {
            (byte >> 6 == 2).then_some(all << 6 | u64::from(byte & 0x3F))
        })?;
    Some((number, 5 + more))
}

const CRC_8: [u8; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = (at as u8, 0);
        while bit < 8 {
            crc = crc << 1 ^ if crc & 0x80 == 0 { 0 } else { 0x07 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

const CRC_16: [u16; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = ((at as u16) << 8, 0);
        while bit < 8 {
            crc = crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

impl Reader for Flac {
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        if self.has_begun {
            let taken = self.frames.take(next, false);
            let rate = self.info.map_or(0, |info| info.rate);
            bounded(milliseconds(self.frames.whole, rate))?;
            return Ok(match taken {
                0 => Step::Need(FRAME_HEAD),
                taken => Step::Skip(taken as u64),
            });
        }
        let at = if self.info.is_some() { 0 } else { 4 };
        let wanted = if at == 0 { BLOCK_HEAD } else { WANTED };
        if next.len() < wanted {
            return Ok(Step::Need(wanted));
        }
        if self.info.is_none() {
            self.info = Some(info(next).ok_or(Unreadable::Corrupt("its first block cannot be"))?);
        }
        let head = bytes(next, at).map_or(0, u32::from_be_bytes);
        self.has_begun = head >> 31 == 1;
        Ok(Step::Skip(at as u64 + 4 + u64::from(head & 0xFF_FFFF)))
    }

    fn finish(&mut self, end: End) -> Result<Recording, Unreadable> {
        const CUT: Unreadable = Unreadable::Corrupt("the file ends before its sound begins");
        let info = self.info.ok_or(CUT)?;
        let frames = &mut self.frames;
        frames.take(if self.has_begun { end.rest } else { &[] }, true);
        let last = frames.last.ok_or(CUT)?.samples;
        let is_short = frames.whole.saturating_add(last) < info.samples;
        let is_cut = is_short || !frames.has_ended;
        // What has lost its end is no sound any more, unless it is all that there is.
        let counted = match frames.whole {
            whole @ 1.. if !frames.has_ended => whole,
            whole => whole.saturating_add(last),
        };
        Ok(Recording {
            container: Container::Flac,
            duration_ms: milliseconds(counted, info.rate),
            channels: Some(info.channels),
            loudest: None,
            truncated: is_cut,
        })
    }
}
