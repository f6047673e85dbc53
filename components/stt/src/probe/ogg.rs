//! Ogg: pages, each with the time at its end. RFC 3533; RFC 7845 for Opus.

use super::{Container, End, Reader, Recording, Step, Unreadable, bytes, flac, milliseconds};

/// Of a page before its table of segments.
const HEADER: usize = 27;
/// Of the first packet that is read.
const PACKET: usize = 64;
/// A page on which no packet ends has this time.
const NO_TIME: u64 = u64::MAX;

#[derive(Default)]
pub(super) struct Ogg {
    stream: Option<Stream>,
    /// Of streams that have ended: one may follow another.
    before_ms: u64,
    channels: u32,
}

/// What is heard.
struct Stream {
    serial: u32,
    rate: u64,
    /// Samples that are not played.
    lead: u64,
    granule: u64,
}

impl Stream {
    fn duration_ms(&self) -> u64 {
        milliseconds(self.granule.saturating_sub(self.lead), self.rate).unwrap_or_default()
    }
}

/// Rate, lead and channels, of a stream's first packet.
fn described(packet: &[u8]) -> Option<(u64, u64, u32)> {
    let long = |at| bytes(packet, at).map(|b| u64::from(u32::from_le_bytes(b)));
    let byte = |at: usize| packet.get(at).copied().map(u32::from);
    if packet.starts_with(b"OpusHead") {
        let lead = bytes(packet, 10).map(u16::from_le_bytes)?;
        return Some((48_000, lead.into(), byte(9)?));
    }
    if packet.starts_with(b"\x01vorbis") {
        return Some((long(12)?, 0, byte(11)?));
    }
    if packet.starts_with(b"\x7FFLAC") {
        let info = flac::info(packet.get(9..)?)?;
        return Some((info.rate, 0, info.channels));
    }
    if packet.starts_with(b"Speex   ") {
        return Some((long(36)?, 0, byte(48)?));
    }
    None
}

impl Ogg {
    fn begin(&mut self, serial: u32, packet: &[u8]) -> Result<(), Unreadable> {
        let Some((rate, lead, channels)) = described(packet) else {
            // A film's pictures, say.
            return Ok(());
        };
        if rate == 0 {
            return Err(Unreadable::Corrupt("its rate cannot be"));
        }
        if let Some(ended) = self.stream.take() {
            self.before_ms = self.before_ms.saturating_add(ended.duration_ms());
        }
        self.channels = self.channels.max(channels);
        self.stream = Some(Stream {
            serial,
            rate,
            lead,
            granule: 0,
        });
        Ok(())
    }
}

impl Reader for Ogg {
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        if next.len() < HEADER {
            return Ok(Step::Need(HEADER));
        }
        if !next.starts_with(b"OggS") {
            return match self.stream {
                Some(_) => Ok(Step::Done),
                None => Err(Unreadable::Corrupt("a page does not begin where it should")),
            };
        }
        let segments = usize::from(next[26]);
        let Some(table) = next.get(HEADER..HEADER + segments) else {
            return Ok(Step::Need(HEADER + segments));
        };
        let body: usize = table.iter().map(|&length| usize::from(length)).sum();
        let start = HEADER + segments;
        let (granule, serial) = (bytes(next, 6), bytes(next, 14));
        let granule = granule.map_or(NO_TIME, u64::from_le_bytes);
        let serial = serial.map_or(0, u32::from_le_bytes);
        if next[5] & 2 != 0 {
            let wanted = start + body.min(PACKET);
            let Some(packet) = next.get(start..wanted) else {
                return Ok(Step::Need(wanted));
            };
            self.begin(serial, packet)?;
        } else if let Some(stream) = &mut self.stream
            && stream.serial == serial
            && granule != NO_TIME
        {
            stream.granule = stream.granule.max(granule);
        }
        Ok(Step::Skip((start + body) as u64))
    }

    fn finish(&mut self, end: End) -> Result<Recording, Unreadable> {
        let stream = self.stream.as_ref().ok_or_else(|| end.nothing())?;
        Ok(Recording {
            container: Container::Ogg,
            duration_ms: Some(self.before_ms.saturating_add(stream.duration_ms())),
            channels: Some(self.channels),
            loudest: None,
            truncated: end.is_cut(),
        })
    }
}
