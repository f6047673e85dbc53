//! MP4: boxes in boxes, of which those that tell tracks and times are opened. What is recorded as it
//! goes, as Safari does, has no times in its head: its fragments are added up, as the samples of others are,
//! whatever length their heads tell. Edits tell which part of the
//! sound is heard. ISO/IEC 14496-12.

use super::{Container, End, Reader, Recording, Step, Unreadable, bytes, milliseconds};

/// Of `trun` and `stts`, which list their samples.
const MAX_RUN: u64 = 1 << 20;
/// Of any other box that is read.
const MAX_BOX: u64 = 256;
/// Edits that are read; of a list with more, none is.
const MAX_EDITS: u32 = 64;
/// Of a list of that many, in bytes.
const MAX_LIST: u64 = 8 + 20 * MAX_EDITS as u64;

#[derive(Clone, Default)]
struct Track {
    id: u32,
    is_sound: bool,
    rate: u64,
    /// As the head tells.
    length: u64,
    /// Of all its samples, where these are listed.
    counted: u64,
    channels: u32,
    edits: Vec<Edit>,
}

/// A part of the sound that is heard.
#[derive(Clone, Copy)]
struct Edit {
    /// In units of the file's; 0 for all that follows.
    length: u64,
    /// In units of the track's; `None` for a pause.
    from: Option<u64>,
}

pub(super) struct Mp4 {
    container: Container,
    /// The track whose boxes are read.
    track: Track,
    sound: Option<Track>,
    has_head: bool,
    /// A sample's length where its fragment does not say, by track.
    defaults: Vec<(u32, u64)>,
    fragment: Fragment,
    fragments: u64,
    /// Of the fragment whose bytes are not all there yet.
    coming: u64,
    /// Units of the file's in a second.
    rate: u64,
}

/// The part of a fragment that is read.
#[derive(Clone, Copy, Default)]
struct Fragment {
    track: u32,
    sample: Option<u64>,
}

/// Tracks of one file that are told apart.
const MAX_TRACKS: usize = 64;

impl Mp4 {
    pub(super) fn new(head: &[u8]) -> Self {
        let audio = matches!(bytes::<4>(head, 8).as_ref(), Some(b"M4A " | b"M4B "));
        Self {
            container: if audio {
                Container::M4a
            } else {
                Container::Mp4
            },
            track: Track::default(),
            sound: None,
            has_head: false,
            defaults: Vec::new(),
            fragment: Fragment::default(),
            fragments: 0,
            coming: 0,
            rate: 0,
        }
    }

    /// What ends when another track begins, or the file.
    fn close_track(&mut self) {
        let track = std::mem::take(&mut self.track);
        if track.is_sound && self.sound.is_none() {
            self.sound = Some(track);
        }
    }

    fn read(&mut self, name: [u8; 4], content: &[u8]) {
        match &name {
            b"mdhd" => {
                if let Some((rate, length)) = times(content) {
                    (self.track.rate, self.track.length) = (rate, length);
                }
            }
            b"mvhd" => self.rate = times(content).map_or(0, |(rate, _)| rate),
            b"elst" => self.track.edits = edits(content),
            b"tkhd" => {
                let at = if content.first() == Some(&1) { 20 } else { 12 };
                self.track.id = long(content, at).unwrap_or_default();
            }
            b"hdlr" if bytes::<4>(content, 8).as_ref() == Some(b"soun") => {
                self.track.is_sound = true;
            }
            b"stts" => self.track.counted = counted(content),
            b"stsd" => self.track.channels = channels(content),
            b"trex" => self.remember(content),
            b"tfhd" => self.fragment = fragment(content),
            b"trun" => self.run(content),
            _ => {}
        }
    }

    fn remember(&mut self, content: &[u8]) {
        if let (Some(track), Some(sample)) = (long(content, 4), long(content, 12))
            && self.defaults.len() < MAX_TRACKS
        {
            self.defaults.push((track, sample.into()));
        }
    }

    /// Adds up the samples of a fragment of the sound.
    fn run(&mut self, content: &[u8]) {
        self.close_track();
        let Some(sound) = &self.sound else { return };
        if sound.id != self.fragment.track {
            return;
        }
        let (Some(flags), Some(count)) = (long(content, 0), long(content, 4)) else {
            return;
        };
        let flags = flags & 0xFF_FFFF;
        let is = |flag: u32| usize::from(flags & flag != 0);
        let mut length = 0;
        if flags & 0x100 == 0 {
            let of_file = self.defaults.iter().find(|(track, _)| *track == sound.id);
            let sample = self.fragment.sample.or(of_file.map(|(_, sample)| *sample));
            length = u64::from(count).saturating_mul(sample.unwrap_or_default());
        } else {
            let width = 4 * (1 + is(0x200) + is(0x400) + is(0x800));
            let samples = content.get(8 + 4 * (is(1) + is(4))..).unwrap_or_default();
            let samples = samples.chunks_exact(width);
            for sample in samples.take(usize::try_from(count).unwrap_or(usize::MAX)) {
                length += u64::from(long(sample, 0).unwrap_or_default());
            }
        }
        self.coming = self.coming.saturating_add(length);
    }

    /// What has come of a fragment, all of it.
    fn close_fragment(&mut self) {
        let coming = std::mem::take(&mut self.coming);
        self.fragments = self.fragments.saturating_add(coming);
    }

    /// What is heard of so much sound, in milliseconds.
    fn heard_ms(&self, sound: &Track, length: u64) -> Option<u64> {
        let whole = milliseconds(length, sound.rate)?;
        let of = |edit: &Edit| {
            let from = edit.from?;
            let rest = milliseconds(length.saturating_sub(from), sound.rate)?;
            let told = milliseconds(edit.length, self.rate)?;
            Some(if edit.length == 0 {
                rest
            } else {
                told.min(rest)
            })
        };
        let heard = sound.edits.iter().filter_map(of);
        let heard = heard.fold(0_u64, u64::saturating_add);
        Some(if heard > 0 { heard } else { whole })
    }
}

/// Of `stts`: so many samples of that length, again and again.
fn counted(content: &[u8]) -> u64 {
    let count = long(content, 4).unwrap_or_default();
    let entries = content.get(8..).unwrap_or_default().chunks_exact(8);
    let length = |entry: &[u8]| {
        let samples: u64 = long(entry, 0).unwrap_or_default().into();
        samples.saturating_mul(long(entry, 4).unwrap_or_default().into())
    };
    let entries = entries.take(usize::try_from(count).unwrap_or(usize::MAX));
    entries.map(length).fold(0, u64::saturating_add)
}

/// Of `elst`.
fn edits(content: &[u8]) -> Vec<Edit> {
    let count = long(content, 4).unwrap_or_default();
    if count > MAX_EDITS {
        return vec![];
    }
    let is_long = content.first() == Some(&1);
    let entries = content.get(8..).unwrap_or_default();
    let entries = entries.chunks_exact(if is_long { 20 } else { 12 });
    let edit = |entry: &[u8]| {
        let (length, from) = match is_long {
            true => (
                bytes(entry, 0).map(u64::from_be_bytes)?,
                bytes(entry, 8).map(i64::from_be_bytes)?,
            ),
            false => (
                long(entry, 0)?.into(),
                bytes(entry, 4).map(i32::from_be_bytes)?.into(),
            ),
        };
        let from = u64::try_from(from).ok();
        Some(Edit { length, from })
    };
    let count = usize::try_from(count).unwrap_or_default();
    entries.take(count).filter_map(edit).collect()
}

fn long(from: &[u8], at: usize) -> Option<u32> {
    bytes(from, at).map(u32::from_be_bytes)
}

/// Of `mdhd`: units a second, and units.
fn times(content: &[u8]) -> Option<(u64, u64)> {
    if content.first()? == &1 {
        let length = bytes(content, 24).map(u64::from_be_bytes)?;
        // What is not known is all ones.
        return Some((
            long(content, 20)?.into(),
            if length == u64::MAX { 0 } else { length },
        ));
    }
    let length = long(content, 16)?;
    let length = if length == u32::MAX { 0 } else { length };
    Some((long(content, 12)?.into(), length.into()))
}

/// Of `stsd`. Many writers say 2 there, whatever it is: AAC's own configuration comes first.
fn channels(content: &[u8]) -> u32 {
    // 8 bytes before the first entry, 8 of its head, 16 to the number.
    let said = bytes(content, 32).map_or(0, |b| u32::from(u16::from_be_bytes(b)));
    let names = content.windows(4).position(|name| name == b"esds");
    let configured = names.and_then(|at| aac_channels(content.get(at + 8..)?));
    configured.unwrap_or(said)
}

/// Of an elementary stream's descriptor, ISO/IEC 14496-1, section 7.2.6.5, and the configuration of AAC
/// in it, 14496-3, section 1.6.2.1; `None` where it is none.
fn aac_channels(descriptor: &[u8]) -> Option<u32> {
    let stream = descriptor_body(descriptor, 3)?.get(3..)?;
    let decoder = descriptor_body(stream, 4)?.get(13..)?;
    let configuration = bytes::<5>(descriptor_body(decoder, 5)?, 0)
        .or_else(|| bytes::<2>(descriptor_body(decoder, 5)?, 0).map(|[a, b]| [a, b, 0, 0, 0]))?;
    let bits = configuration
        .iter()
        .fold(0_u64, |bits, &byte| (bits << 8) | u64::from(byte));
    // Five bits of a type, four of a rate or a rate of 24 more, four of channels.
    let channels = match (bits >> 31) & 0xF {
        15 => (bits >> 3) & 0xF,
        _ => (bits >> 27) & 0xF,
    };
    match channels {
        0 | 8.. => None,
        7 => Some(8),
        some => u32::try_from(some).ok(),
    }
}

/// What follows that tag and its length of one to four bytes.
fn descriptor_body(from: &[u8], tag: u8) -> Option<&[u8]> {
    let (&found, rest) = from.split_first()?;
    let length = rest.iter().take(4).take_while(|&&byte| byte & 0x80 != 0);
    (found == tag)
        .then(|| rest.get(length.count() + 1..))
        .flatten()
}

/// Of `tfhd`.
fn fragment(content: &[u8]) -> Fragment {
    let flags = long(content, 0).unwrap_or_default();
    let is = |flag: u32| usize::from(flags & flag != 0);
    let at = 8 + 8 * is(1) + 4 * is(2);
    Fragment {
        track: long(content, 4).unwrap_or_default(),
        sample: (flags & 8 != 0)
            .then(|| long(content, at))
            .flatten()
            .map(u64::from),
    }
}

impl Reader for Mp4 {
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable> {
        let (Some(size), Some(name)) = (long(next, 0), bytes::<4>(next, 4)) else {
            return Ok(Step::Need(8));
        };
        let (head, size) = match size {
            // To the end of the file.
            0 => (8, u64::MAX),
            1 => match bytes(next, 8).map(u64::from_be_bytes) {
                Some(size) => (16, size),
                None => return Ok(Step::Need(16)),
            },
            size => (8, size.into()),
        };
        if size < head {
            return Err(Unreadable::Corrupt("a box cannot be"));
        }
        let most = match &name {
            b"moov" | b"mdia" | b"minf" | b"stbl" | b"mvex" | b"moof" | b"traf" | b"trak"
            | b"edts" => {
                self.has_head |= name == *b"moov";
                match &name {
                    b"trak" => self.close_track(),
                    b"moof" => self.close_fragment(),
                    _ => {}
                }
                return Ok(Step::Skip(head));
            }
            b"elst" => MAX_LIST,
            b"mvhd" | b"mdhd" | b"tkhd" | b"hdlr" | b"stsd" | b"trex" | b"tfhd" => MAX_BOX,
            b"trun" | b"stts" => MAX_RUN - 16,
            _ => return Ok(Step::Skip(size)),
        };
        let wanted = usize::try_from(size.min(head + most)).unwrap_or(usize::MAX);
        let Some(content) = next.get(usize::try_from(head).unwrap_or_default()..wanted) else {
            return Ok(Step::Need(wanted));
        };
        self.read(name, content);
        Ok(Step::Skip(size))
    }

    fn finish(&mut self, end: End) -> Result<Recording, Unreadable> {
        self.close_track();
        if !self.has_head {
            return Err(Unreadable::Corrupt("its head is missing: the file was cut"));
        }
        // A last box of size 0 ends with the file.
        let open = end.short > u64::MAX / 2;
        let truncated = !open && end.is_cut();
        if !truncated {
            self.close_fragment();
        }
        let sound = self.sound.as_ref().ok_or(Unreadable::NoAudio)?;
        let length = match (sound.counted, sound.length) {
            (0, 0) => self.fragments,
            // The head was written of a file that was whole, and does not say where which sample lies.
            _ if truncated => 0,
            (0, told) => told.max(self.fragments),
            (counted, _) => counted.saturating_add(self.fragments),
        };
        let heard = self.heard_ms(sound, length);
        Ok(Recording {
            container: self.container,
            duration_ms: heard.filter(|_| length > 0),
            channels: (sound.channels > 0).then_some(sound.channels),
            loudest: None,
            truncated,
        })
    }
}
