//! AMR and AMR-WB: frames of 20 ms, each as long as its mode says. RFC 4867, section 5.3.

use super::{Container, End, Reader, Recording, Step, Unreadable, bounded};

const FRAME_MS: u64 = 20;
/// Bytes after the frame's header, by mode; `None` for modes that are no frame's.
const NARROW: [Option<u64>; 16] = [
    Some(12),
    Some(13),
    Some(15),
    Some(17),
    Some(19),
    Some(20),
    Some(26),
    Some(31),
    Some(5),
    None,
    None,
    None,
    None,
    None,
    None,
    Some(0),
];
const WIDE: [Option<u64>; 16] = [
    Some(17),
    Some(23),
    Some(32),
    Some(36),
    Some(40),
    Some(46),
    Some(50),
    Some(58),
    Some(60),
    Some(5),
    None,
    None,
    None,
    None,
    Some(0),
    Some(0),
];

pub(super) struct Amr {
    magic: Option<u64>,
    sizes: &'static [Option<u64>; 16],
    frames: u64,
}

impl Amr {
    pub(super) fn new(head: &[u8]) -> Result<Self, Unreadable> {
        let (magic, sizes) = if head.starts_with(b"#!AMR\n") {
            (6, &NARROW)
        } else if head.starts_with(b"#!AMR-WB\n") {
            (9, &WIDE)
        } else {
            return Err(Unreadable::Corrupt("it begins like AMR, and is none"));
        };
        Ok(Self {
            magic: Some(magic),
            sizes,
            frames: 0,
        })
    }
}

impl Amr {
    fn duration_ms(&self) -> u64 {
        self.frames.saturating_mul(FRAME_MS)
    }
}

impl Reader for Amr {
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        if let Some(magic) = self.magic.take() {
            return Ok(Step::Skip(magic));
        }
        let Some(header) = next.first() else {
            return Ok(Step::Need(1));
        };
        let size = self.sizes[usize::from(header >> 3 & 0xF)];
        let size = size.ok_or(Unreadable::Corrupt("a frame cannot be"))?;
        self.frames += 1;
        bounded(Some(self.duration_ms()))?;
        Ok(Step::Skip(1 + size))
    }

    fn finish(&mut self, end: End) -> Result<Recording, Unreadable> {
        Ok(Recording {
            container: Container::Amr,
            duration_ms: Some(self.duration_ms()),
            channels: Some(1),
            loudest: None,
            truncated: end.is_cut(),
        })
    }
}
