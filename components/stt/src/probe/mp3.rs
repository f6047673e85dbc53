//! MPEG audio: frames are counted, as no header tells how many there are, or tells it truly of a file
//! that was cut. ISO/IEC 11172-3 and 13818-3.

use super::{Container, End, Reader, Recording, Step, Unreadable, bounded, bytes};

/// What may stand between frames while looking for the first ones.
const MAX_JUNK: u64 = 128 << 10;
/// The longest frame: layer II, 384 kbit/s, 32 kHz.
const MAX_FRAME: usize = 1_729;
/// Frames that make a stranger's bytes MPEG audio.
const CONVINCING: u64 = 3;

/// kbit/s by index, of MPEG-1's layers I, II, III and of MPEG-2's layer I and the others.
const BIT_RATES: [[u32; 16]; 5] = [
    [
        0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0,
    ],
    [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0,
    ],
    [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0,
    ],
    [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0,
    ],
    [
        0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0,
    ],
];
const RATES: [u32; 3] = [44_100, 48_000, 32_000];

#[derive(Clone, Copy)]
struct Frame {
    length: usize,
    samples: u32,
    rate: u32,
    channels: u32,
    /// Of the frame that describes the file: where the words `Xing` or `Info` stand.
    described_at: usize,
}

#[derive(Default)]
pub(super) struct Mp3 {
    frames: u64,
    /// In 1 / 14,112,000 s, which every rate divides: the rate may change.
    length: u64,
    channels: u32,
    junk: u64,
}

/// Divisible by all rates.
const UNITS: u64 = 14_112_000;

impl Mp3 {
    fn count(&mut self, frame: Frame, next: &[u8]) {
        let words = bytes::<4>(next, frame.described_at);
        let describes = matches!(words.as_ref(), Some(b"Xing" | b"Info"))
            || bytes::<4>(next, 36).as_ref() == Some(b"VBRI");
        self.channels = self.channels.max(frame.channels);
        if self.frames > 0 || !describes {
            let units = UNITS / u64::from(frame.rate.max(1));
            self.length = self
                .length
                .saturating_add(u64::from(frame.samples).saturating_mul(units));
        }
        self.frames += 1;
    }

    fn duration_ms(&self) -> u64 {
        self.length / (UNITS / 1_000)
    }

    /// To where the next frame may begin.
    fn seek(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        let found = next.iter().skip(1).position(|&byte| byte == 0xFF);
        let passed = found.map_or(next.len(), |at| at + 1) as u64;
        self.junk += passed;
        if self.frames < CONVINCING && self.junk > MAX_JUNK {
            return Err(Unreadable::Corrupt("no frames follow each other"));
        }
        Ok(Step::Skip(passed))
    }
}

impl Reader for Mp3 {
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        let Some(header) = bytes::<4>(next, 0) else {
            return Ok(Step::Need(4));
        };
        let Some(frame) = frame(header) else {
            return self.seek(next);
        };
        // Where it may be chance, the next frame must follow.
        if self.frames < CONVINCING && next.len() < MAX_FRAME + 4 {
            return Ok(Step::Need(MAX_FRAME + 4));
        }
        let follows = bytes(next, frame.length).and_then(self::frame);
        if self.frames < CONVINCING && follows.is_none() {
            return self.seek(next);
        }
        self.count(frame, next);
        bounded(Some(self.duration_ms()))?;
        Ok(Step::Skip(frame.length as u64))
    }

    fn finish(&mut self, end: End) -> Result<Recording, Unreadable> {
        // A short file: nothing more can follow to convince.
        let mut rest = end.rest;
        let mut cut = end.short > 0;
        while let Some(frame) = bytes(rest, 0).and_then(frame) {
            self.count(frame, rest);
            cut = rest.len() < frame.length;
            rest = rest.get(frame.length..).unwrap_or_default();
        }
        if self.frames == 0 {
            return Err(Unreadable::Corrupt("no frames follow each other"));
        }
        Ok(Recording {
            container: Container::Mp3,
            duration_ms: Some(self.duration_ms()),
            channels: Some(self.channels),
            loudest: None,
            truncated: cut,
        })
    }
}

fn frame(header: [u8; 4]) -> Option<Frame> {
    let [sync, second, third, fourth] = header;
    if sync != 0xFF || second & 0xE0 != 0xE0 {
        return None;
    }
    // 3 is MPEG-1, 2 MPEG-2, 0 MPEG-2.5; 3 is layer I, 1 layer III.
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    if version == 1 || layer == 0 {
        return None;
    }
    let first = version == 3;
    let table = match (first, layer) {
        (true, 3) => 0,
        (true, 2) => 1,
        (true, _) => 2,
        (false, 3) => 3,
        (false, _) => 4,
    };
    let bit_rate = BIT_RATES[table][usize::from(third >> 4)] * 1_000;
    let halvings = match version {
        3 => 0,
        2 => 1,
        _ => 2,
    };
    let rate = RATES.get(usize::from(third >> 2 & 3))? >> halvings;
    if bit_rate == 0 {
        return None;
    }
    let padding = u32::from(third >> 1 & 1);
    let (samples, length) = match (layer, first) {
        (3, _) => (384, (12 * bit_rate / rate + padding) * 4),
        (1, false) => (576, 72 * bit_rate / rate + padding),
        _ => (1_152, 144 * bit_rate / rate + padding),
    };
    let mono = fourth >> 6 == 3;
    let side = match (first, mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    Some(Frame {
        length: usize::try_from(length).ok()?.max(4),
        samples,
        rate,
        channels: if mono { 1 } else { 2 },
        described_at: 4 + side,
    })
}
