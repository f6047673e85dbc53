//! WebM and Matroska: elements in elements, of which those that tell tracks and times are opened.
//! What a browser records has no length in its head: the last block's time is taken. RFC 8794, 9559.

use super::{Container, End, Reader, Recording, Step, Unreadable, bytes};

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const SCALE: u32 = 0x2A_D7B1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK: u32 = 0xAE;
const TRACK_TYPE: u32 = 0x83;
const AUDIO: u32 = 0xE1;
const CHANNELS: u32 = 0x9F;
const CLUSTER: u32 = 0x1F43_B675;
const CLUSTER_TIME: u32 = 0xE7;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const SIMPLE_BLOCK: u32 = 0xA3;
/// A track of sound.
const SOUND: u64 = 2;
/// Nanoseconds of a time's unit, where the file does not say.
const MILLISECOND: u64 = 1_000_000;
/// Milliseconds of the longest block: Opus' packets have 120, other codecs' and laced ones a few times that.
const LAST_BLOCK: u64 = 500;
/// Bytes that are read of an element.
const MAX_CONTENT: u64 = 8;

pub(super) struct Webm {
    scale: u64,
    /// In units, as the head says.
    told: Option<f64>,
    has_sound: bool,
    channels: Option<u32>,
    cluster: u64,
    /// In units, of the last block.
    last: u64,
}

impl Webm {
    pub(super) fn new() -> Self {
        Self {
            scale: MILLISECOND,
            told: None,
            has_sound: false,
            channels: None,
            cluster: 0,
            last: 0,
        }
    }

    fn read(&mut self, id: u32, content: &[u8]) {
        match id {
            SCALE => self.scale = unsigned(content).clamp(1, 1_000_000_000),
            DURATION => self.told = float(content),
            TRACK_TYPE => self.has_sound |= unsigned(content) == SOUND,
            CHANNELS => self.channels = u32::try_from(unsigned(content)).ok(),
            CLUSTER_TIME => self.cluster = unsigned(content),
            BLOCK | SIMPLE_BLOCK => {
                // After the track's number, which has a length of its own.
                let relative = number(content)
                    .and_then(|(_, length)| bytes(content, length))
                    .map_or(0, i16::from_be_bytes);
                let time = self.cluster.saturating_add_signed(relative.into());
                self.last = self.last.max(time);
            }
            _ => {}
        }
    }

    /// Milliseconds, and whether the head tells more: it is believed as far as the blocks bear it out, as a
    /// file may have been cut since.
    fn duration(&self) -> (u64, bool) {
        // `as` brings what is no time into range.
        let ms = |units: f64| (units * self.scale as f64 / MILLISECOND as f64) as u64;
        let last = ms(self.last as f64);
        let told = self.told.map(ms).unwrap_or_default();
        match told {
            told if told < last => (last, false),
            told if told - last <= LAST_BLOCK => (told, false),
            _ => (last, true),
        }
    }
}

/// An element's id with its mark, and how many bytes it takes.
fn id(from: &[u8]) -> Option<(u32, usize)> {
    let length = from.first()?.leading_zeros() as usize + 1;
    let id = from.get(..length.min(4))?;
    let id = id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte));
    Some((id, length))
}

/// A size or a number without its mark, and how many bytes it takes; all ones are no size.
fn number(from: &[u8]) -> Option<(u64, usize)> {
    let first = *from.first()?;
    let length = first.leading_zeros() as usize + 1;
    let rest = from.get(1..length)?;
    let bits = 0xFF_u8
        .checked_shr(u32::try_from(length).ok()?)
        .unwrap_or(0);
    let value = rest.iter().fold(u64::from(first & bits), |value, &byte| {
        value << 8 | u64::from(byte)
    });
    let all = (1_u64 << (7 * length)) - 1;
    Some((if value == all { u64::MAX } else { value }, length))
}

fn unsigned(content: &[u8]) -> u64 {
    let bytes = content.iter().take(8);
    bytes.fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn float(content: &[u8]) -> Option<f64> {
    match content.len() {
        4 => bytes(content, 0).map(|b| f32::from_be_bytes(b).into()),
        8 => bytes(content, 0).map(f64::from_be_bytes),
        _ => None,
    }
}

impl Reader for Webm {
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        const CORRUPT: Unreadable = Unreadable::Corrupt("an element cannot be");
        // An id of up to 4 bytes, a size of up to 8.
        const HEAD: usize = 12;
        let Some((id, id_length)) = id(next) else {
            return Ok(Step::Need(next.len() + 1));
        };
        if id_length > 4 {
            return Err(CORRUPT);
        }
        let Some((size, size_length)) = next.get(id_length..).and_then(number) else {
            return match next.len() {
                ..HEAD => Ok(Step::Need(next.len() + 1)),
                _ => Err(CORRUPT),
            };
        };
        let head = id_length + size_length;
        match id {
            SEGMENT | INFO | TRACKS | TRACK | AUDIO | CLUSTER | BLOCK_GROUP => {
                Ok(Step::Skip(head as u64))
            }
            SCALE | DURATION | TRACK_TYPE | CHANNELS | CLUSTER_TIME | BLOCK | SIMPLE_BLOCK => {
                let shown = usize::try_from(size.min(MAX_CONTENT)).unwrap_or_default();
                let Some(content) = next.get(head..head + shown) else {
                    return Ok(Step::Need(head + shown));
                };
                self.read(id, content);
                Ok(Step::Skip(size.saturating_add(head as u64)))
            }
            EBML => Ok(Step::Skip(size.saturating_add(head as u64))),
            // Only what is opened may have no size.
            _ if size == u64::MAX => Err(CORRUPT),
            _ => Ok(Step::Skip(size + head as u64)),
        }
    }

    fn finish(&mut self, end: End) -> Result<Recording, Unreadable> {
        if !self.has_sound {
            return Err(end.nothing());
        }
        let (duration_ms, is_short) = self.duration();
        Ok(Recording {
            container: Container::Webm,
            duration_ms: Some(duration_ms).filter(|&ms| ms > 0),
            // As RFC 9559 has it where the file does not say.
            channels: self.channels.or(Some(1)),
            loudest: None,
            truncated: is_short || end.is_cut(),
        })
    }
}
