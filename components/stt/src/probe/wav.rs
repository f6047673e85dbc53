//! WAV: chunks, of which `fmt ` and `data` matter.
//! <https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html>, EBU Tech 3306 for RF64.

use super::{Container, End, Reader, Recording, Step, Unreadable, bytes, milliseconds};

const PCM: u16 = 1;
const MS_ADPCM: u16 = 2;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const IMA_ADPCM: u16 = 0x11;
const GSM: u16 = 0x31;
const EXTENSIBLE: u16 = 0xFFFE;
/// A size that stands elsewhere, or that the writer did not know.
const UNKNOWN: u32 = u32::MAX;
/// Of a `fmt ` chunk that is read.
const FORMAT: u64 = 40;

pub(super) struct Wav {
    begun: bool,
    format: Option<Format>,
    /// From `ds64`, of RF64.
    long_data: Option<u64>,
    /// Of the data that is left to see; `None` before and after it.
    data: Option<u64>,
    /// Of the data that was seen.
    seen: u64,
    ended: bool,
    level: Level,
}

#[derive(Clone, Copy)]
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    /// As the header has it; what can be counted is.
    bytes_a_second: u32,
    /// Bytes of what is decoded at once.
    block: u16,
    bits: u16,
}

impl Format {
    /// Of so many bytes, in milliseconds: by samples, and by what the header says of a second for codecs that
    /// are not known here. `None` for a format that cannot be.
    fn duration_ms(&self, size: u64) -> Option<u64> {
        let channels = u64::from(self.channels);
        let block = u64::from(self.block);
        // Of ADPCM: the state that each channel's block begins with, the samples in that, and four bits for
        // each that follows.
        let of_blocks = |state: u64, first: u64| {
            let of = |bytes: u64| match bytes.checked_sub(state * channels) {
                Some(data) => first + data * 2 / channels,
                None => 0,
            };
            let whole = size.checked_div(block)?;
            milliseconds(
                whole.saturating_mul(of(block)) + of(size % block),
                self.rate.into(),
            )
        };
        match self.tag {
            PCM | FLOAT | A_LAW | MU_LAW => {
                let sample = channels * u64::from(self.bits.div_ceil(8));
                milliseconds(size.checked_div(sample)?, self.rate.into())
            }
            MS_ADPCM => of_blocks(7, 2),
            IMA_ADPCM => of_blocks(4, 1),
            GSM => milliseconds((size / 65).saturating_mul(320), self.rate.into()),
            _ => milliseconds(size, self.bytes_a_second.into()),
        }
    }
}

impl Wav {
    pub(super) fn new() -> Self {
        Self {
            begun: false,
            format: None,
            long_data: None,
            data: None,
            seen: 0,
            ended: false,
            level: Level::default(),
        }
    }

    fn chunk(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        let (Some(name), Some(size)) = (bytes::<4>(next, 0), bytes::<4>(next, 4)) else {
            return Ok(Step::Need(8));
        };
        let size = u32::from_le_bytes(size);
        // Chunks begin at even places.
        let padded = u64::from(size) + u64::from(size & 1);
        match &name {
            b"fmt " | b"ds64" => {
                let wanted = 8 + padded.min(FORMAT);
                if (next.len() as u64) < wanted {
                    return Ok(Step::Need(usize::try_from(wanted).unwrap_or(usize::MAX)));
                }
                match &name {
                    b"fmt " => self.format = Some(format(&next[8..])?),
                    _ => self.long_data = bytes(next, 16).map(u64::from_le_bytes),
                }
                Ok(Step::Skip(8 + padded))
            }
            b"data" => {
                if self.format.is_none() {
                    return Err(Unreadable::Corrupt("the sound comes before its format"));
                }
                let long = self.long_data.filter(|_| size == UNKNOWN);
                // What is written while it is recorded has no size yet.
                let known = !matches!(size, 0 | UNKNOWN);
                let size = if known {
                    u64::from(size)
                } else {
                    long.unwrap_or(u64::MAX)
                };
                self.data = Some(size);
                Ok(Step::Skip(8))
            }
            _ => Ok(Step::Skip(8 + padded)),
        }
    }

    fn sound(&mut self, next: &[u8], left: u64) -> Step {
        let shown = left.min(next.len() as u64);
        let Some(format) = self.format else {
            return Step::Done;
        };
        let taken = usize::try_from(shown).unwrap_or(usize::MAX);
        self.level.take(&format, &next[..taken]);
        self.seen += shown;
        self.data = Some(left - shown);
        if left == shown {
            self.ended = true;
            return Step::Done;
        }
        Step::Skip(shown)
    }
}

impl Reader for Wav {
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        if !self.begun {
            self.begun = true;
            return Ok(Step::Skip(12));
        }
        match self.data {
            Some(left) => Ok(self.sound(next, left)),
            None => self.chunk(next),
        }
    }

    fn finish(&mut self, _: End) -> Result<Recording, Unreadable> {
        let Some(format) = self.format else {
            return Err(Unreadable::Corrupt("the file ends before its sound begins"));
        };
        let endless = self.data.is_some_and(|left| left > u64::MAX / 2);
        Ok(Recording {
            container: Container::Wav,
            duration_ms: format.duration_ms(self.seen),
            channels: Some(format.channels.into()),
            loudest: self.level.loudest(&format),
            truncated: !self.ended && !endless,
        })
    }
}

fn format(chunk: &[u8]) -> Result<Format, Unreadable> {
    const CORRUPT: Unreadable = Unreadable::Corrupt("its format cannot be");
    let short = |at| bytes(chunk, at).map(u16::from_le_bytes).ok_or(CORRUPT);
    let long = |at| bytes(chunk, at).map(u32::from_le_bytes).ok_or(CORRUPT);
    let tag = match short(0)? {
        EXTENSIBLE => short(24)?,
        tag => tag,
    };
    let format = Format {
        tag,
        channels: short(2)?,
        rate: long(4)?,
        bytes_a_second: long(8)?,
        block: short(12)?,
        bits: short(14)?,
    };
    let possible = format.channels > 0 && format.rate > 0 && format.duration_ms(0).is_some();
    possible.then_some(format).ok_or(CORRUPT)
}

/// How loud it is, 100 ms at a time.
#[derive(Default)]
struct Level {
    /// The beginning of a sample whose end comes with the next bytes.
    part: Vec<u8>,
    sum: f64,
    count: u32,
    loudest: f64,
    any: bool,
}

impl Level {
    fn take(&mut self, format: &Format, data: &[u8]) {
        let Some(sample) = sample(format) else {
            return;
        };
        let width = usize::from(format.bits / 8);
        let window = (format.rate / 10)
            .saturating_mul(format.channels.into())
            .max(1);
        let missing = (width - self.part.len() % width) % width;
        let (first, rest) = data.split_at(missing.min(data.len()));
        self.part.extend_from_slice(first);
        if self.part.len() == width {
            self.add(sample(&self.part), window);
            self.part.clear();
        }
        let mut whole = rest.chunks_exact(width);
        for bytes in whole.by_ref() {
            self.add(sample(bytes), window);
        }
        self.part.extend_from_slice(whole.remainder());
    }

    fn add(&mut self, value: f32, window: u32) {
        self.any = true;
        // A float that is none is no sound either.
        let value = if value.is_finite() {
            f64::from(value.clamp(-1.0, 1.0))
        } else {
            0.0
        };
        self.sum += value * value;
        self.count += 1;
        if self.count >= window {
            self.close();
        }
    }

    fn close(&mut self) {
        self.loudest = self.loudest.max(self.mean_square());
        (self.sum, self.count) = (0.0, 0);
    }

    fn mean_square(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }

    fn loudest(&self, format: &Format) -> Option<f32> {
        sample(format)?;
        let loudest = self.loudest.max(self.mean_square()).sqrt();
        self.any.then_some(loudest as f32)
    }
}

/// How a sample is read, -1 to 1: of PCM, floats and what telephones send.
fn sample(format: &Format) -> Option<fn(&[u8]) -> f32> {
    Some(match (format.tag, format.bits) {
        (PCM, 8) => |b| {
            let value = f32::from(b.first().copied().unwrap_or(128)) - 128.0;
            // The last bit of eight is noise, and louder than speech is in more bits.
            if value.abs() <= 1.0 {
                0.0
            } else {
                value / 128.0
            }
        },
        (PCM, 16) => |b| bytes(b, 0).map_or(0.0, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0),
        (PCM, 24) => |b| {
            let [low, middle, high] = bytes(b, 0).unwrap_or_default();
            (i32::from_le_bytes([0, low, middle, high]) as f32) / 2_147_483_648.0
        },
        (PCM, 32) => {
            |b| bytes(b, 0).map_or(0.0, |b| (i32::from_le_bytes(b) as f32) / 2_147_483_648.0)
        }
        (FLOAT, 32) => |b| bytes(b, 0).map_or(0.0, f32::from_le_bytes),
        (FLOAT, 64) => |b| bytes(b, 0).map_or(0.0, |b| f64::from_le_bytes(b) as f32),
        (A_LAW, 8) => |b| f32::from(a_law(b.first().copied().unwrap_or(0xD5))) / 32_768.0,
        (MU_LAW, 8) => |b| f32::from(mu_law(b.first().copied().unwrap_or(0xFF))) / 32_768.0,
        _ => return None,
    })
}

/// ITU-T G.711, table 1, as 16 bits.
fn a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let mantissa = i16::from(byte & 0xF) << 4;
    let value = match byte >> 4 & 7 {
        0 => mantissa + 8,
        exponent => (mantissa + 0x108) << (exponent - 1),
    };
    if byte & 0x80 == 0 { -value } else { value }
}

/// ITU-T G.711, table 2, as 16 bits.
fn mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let mantissa = i16::from(byte & 0xF) << 3;
    let value = ((mantissa + 0x84) << (byte >> 4 & 7)) - 0x84;
    if byte & 0x80 == 0 { value } else { -value }
}
