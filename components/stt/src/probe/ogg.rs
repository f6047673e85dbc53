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
    /// Samples of the longest packet.
    longest: u64,
    /// Where it begins: what is cut out of a broadcast has that one's times. `None` before its first sound.
    start: Option<u64>,
    granule: u64,
}

impl Stream {
    /// A page of sound, on which so many packets end.
    fn page(&mut self, granule: u64, packets: u64) {
        if granule > 0 {
            // The sound of a first page that cannot have begun at 0 began before that page's end: at most a
            // page, a second or so, is not counted.
            let longest = self.longest * (packets + 1);
            let first = if granule > longest { granule } else { 0 };
            self.start.get_or_insert(first);
        }
        self.granule = self.granule.max(granule);
    }

    fn duration_ms(&self) -> u64 {
        let start = self.start.unwrap_or_default();
        let heard = self.granule.saturating_sub(start);
        milliseconds(heard.saturating_sub(self.lead), self.rate).unwrap_or_default()
    }
}

/// What a stream's first packet says.
struct Description {
    rate: u64,
    lead: u64,
    longest: u64,
    channels: u32,
}

fn described(packet: &[u8]) -> Option<Description> {
    let of = |rate, lead, longest, channels| Description {
        rate,
        lead,
        longest,
        channels,
    };
    let long = |at| bytes(packet, at).map(|b| u64::from(u32::from_le_bytes(b)));
    let byte = |at: usize| packet.get(at).copied().map(u32::from);
    if packet.starts_with(b"OpusHead") {
        let lead = bytes(packet, 10).map(u16::from_le_bytes)?;
        // 120 ms.
        return Some(of(48_000, lead.into(), 5_760, byte(9)?));
    }
    if packet.starts_with(b"\x01vorbis") {
        // Half of the longest block.
        return Some(of(long(12)?, 0, 4_096, byte(11)?));
    }
    if packet.starts_with(b"\x7FFLAC") {
        let info = flac::info(packet.get(9..)?)?;
        return Some(of(info.rate, 0, 65_535, info.channels));
    }
    if packet.starts_with(b"Speex   ") {
        // Ten frames of the widest band.
        return Some(of(long(36)?, 0, 6_400, byte(48)?));
    }
    None
}

impl Ogg {
    fn begin(&mut self, serial: u32, packet: &[u8]) -> Result<(), Unreadable> {
        let Some(described) = described(packet) else {
            // A film's pictures, say.
            return Ok(());
        };
        if described.rate == 0 {
            return Err(Unreadable::Corrupt("its rate cannot be"));
        }
        if let Some(ended) = self.stream.take() {
            self.before_ms = self.before_ms.saturating_add(ended.duration_ms());
        }
        self.channels = self.channels.max(described.channels);
        self.stream = Some(Stream {
            serial,
            rate: described.rate,
            lead: described.lead,
            longest: described.longest,
            start: None,
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
            let ended = table.iter().filter(|&&length| length < 255).count();
            stream.page(granule, ended as u64);
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
