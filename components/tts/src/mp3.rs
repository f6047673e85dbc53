//! MPEG audio, layer III, frame by frame: what is sound goes on, what only describes it does not, as it
//! would be wrong in a longer file. ISO/IEC 11172-3 and 13818-3, section 2.4.2.3.

use crate::joint::Broken;

/// Kilobits a second, by index.
const BITS_V1: [u32; 15] = [
    0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
];
const BITS_V2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const RATES_V1: [u32; 3] = [44_100, 48_000, 32_000];
/// Of an ID3v2 tag; <https://id3.org/id3v2.4.0-structure>.
const TAG_HEADER: usize = 10;

/// A frame's header, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes, the header's four among them.
    pub length: usize,
    /// A channel.
    pub samples: u32,
    /// Hertz.
    pub rate: u32,
    /// Bytes before what an encoder may write instead of sound: header and side information.
    side: usize,
}

/// [`None`] for what is no header of layer III, and for free format, which no engine writes.
pub fn frame(header: [u8; 4]) -> Option<Frame> {
    let [sync, version, coding, mode] = header;
    if sync != 0xFF || version & 0b1110_0110 != 0b1110_0010 {
        return None;
    }
    let (halvings, is_v1) = match version >> 3 & 0b11 {
        0b11 => (0, true),
        0b10 => (1, false),
        0b00 => (2, false),
        _ => return None,
    };
    let table = if is_v1 { BITS_V1 } else { BITS_V2 };
    let bits = *table
        .get(usize::from(coding >> 4))
        .filter(|bits| **bits > 0)?;
    let rate = RATES_V1.get(usize::from(coding >> 2 & 0b11))? >> halvings;
    let samples: u32 = if is_v1 { 1_152 } else { 576 };
    let padding = u32::from(coding >> 1 & 1);
    let is_mono = mode >> 6 == 0b11;
    let checksum = if version & 1 == 0 { 2 } else { 0 };
    let side = match (is_v1, is_mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    Some(Frame {
        length: (samples / 8 * bits * 1_000 / rate + padding) as usize,
        samples,
        rate,
        side: 4 + checksum + side,
    })
}

impl Frame {
    /// Whether the frame tells of the others, as Xing, LAME and Fraunhofer write it.
    fn is_description(&self, bytes: &[u8]) -> bool {
        let at = |at: usize| bytes.get(at..at + 4).unwrap_or_default();
        [b"Xing", b"Info"]
            .iter()
            .any(|name| at(self.side) == *name || at(self.side - 2) == *name)
            || at(36) == b"VBRI"
    }
}

/// Reads one file as it comes.
#[derive(Default)]
pub struct Walker {
    pending: Vec<u8>,
    /// Of a tag, in bytes.
    to_skip: usize,
    first: Option<Frame>,
    samples: u64,
    /// Bytes that are neither frame nor tag.
    junk: usize,
}

impl Walker {
    /// The frames that are whole now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let (mut rest, mut sound) = (&pending[..], vec![]);
        while let Some(taken) = self.step(rest, &mut sound) {
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.pending = rest.to_vec();
        sound
    }

    /// How many bytes that took; [`None`] where more are wanted.
    fn step(&mut self, rest: &[u8], sound: &mut Vec<u8>) -> Option<usize> {
        if self.to_skip > 0 {
            let skipped = self.to_skip.min(rest.len());
            self.to_skip -= skipped;
            return (skipped > 0).then_some(skipped);
        }
        if rest.starts_with(b"ID3") {
            self.to_skip = tag_length(rest.get(..TAG_HEADER)?);
            return Some(0);
        }
        let header = *rest.first_chunk::<4>()?;
        let Some(frame) = self.fitting(header) else {
            let next = rest
                .iter()
                .skip(1)
                .position(|byte| *byte == 0xFF || *byte == b'I');
            let taken = next.map_or(rest.len() - 3, |at| at + 1);
            self.junk += taken;
            return Some(taken);
        };
        let bytes = rest.get(..frame.length)?;
        if self.first.is_some() || !frame.is_description(bytes) {
            self.first.get_or_insert(frame);
            self.samples += u64::from(frame.samples);
            sound.extend_from_slice(bytes);
        }
        Some(frame.length)
    }

    /// A frame as those before it: what only looks like a header is of another kind most of the time.
    fn fitting(&self, header: [u8; 4]) -> Option<Frame> {
        let frame = frame(header)?;
        let fits = |first: Frame| (first.rate, first.samples) == (frame.rate, frame.samples);
        self.first.is_none_or(fits).then_some(frame)
    }

    /// Samples a second and samples, once the file has ended. A frame that is cut off is left out.
    pub fn end(self) -> Result<(u32, u64), Broken> {
        let first = self.first.ok_or(Broken("no frame of MPEG audio"))?;
        if self.junk as u64 > self.samples {
            return Err(Broken("more bytes between the frames than sound"));
        }
        Ok((first.rate, self.samples))
    }
}

/// With its header and, where it has one, its footer.
fn tag_length(header: &[u8]) -> usize {
    let size = header.iter().skip(6);
    let size = size.fold(0, |size, byte| size << 7 | usize::from(byte & 0x7F));
    let has_footer = header.get(5).is_some_and(|flags| flags & 0x10 != 0);
    TAG_HEADER * if has_footer { 2 } else { 1 } + size
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples;

    fn walked(bytes: &[u8], step: usize) -> (Vec<u8>, Result<(u32, u64), Broken>) {
        let (mut walker, mut sound) = (Walker::default(), vec![]);
        for part in bytes.chunks(step) {
            sound.extend(walker.push(part));
        }
        (sound, walker.end())
    }

    #[test]
    fn headers_of_all_versions_are_read() {
        let of = |header| frame(header).map(|f| (f.length, f.samples, f.rate));
        // 128 kbit/s at 44.1 kHz, without and with padding; 48 at 16; 24 at 8.
        assert_eq!(of([0xFF, 0xFB, 0x90, 0x00]), Some((417, 1_152, 44_100)));
        assert_eq!(of([0xFF, 0xFB, 0x92, 0x00]), Some((418, 1_152, 44_100)));
        assert_eq!(of([0xFF, 0xF3, 0x68, 0xC0]), Some((216, 576, 16_000)));
        assert_eq!(of([0xFF, 0xE3, 0x38, 0xC0]), Some((216, 576, 8_000)));
        for bad in [
            [0xFE, 0xFB, 0x90, 0],
            [0xFF, 0xFD, 0x90, 0],
            [0xFF, 0xEB, 0x90, 0],
            [0xFF, 0xFB, 0x00, 0],
            [0xFF, 0xFB, 0xF0, 0],
            [0xFF, 0xFB, 0x9C, 0],
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn tags_and_descriptions_are_left_out_and_the_frames_counted() {
        let samples = samples::tone(16_000);
        let (described, frames) = (samples::mp3(&samples, true), samples::mp3(&samples, false));
        let mut file = b"ID3\x04\0\0\0\0\x01\x02".to_vec();
        file.extend([7; 130]);
        file.extend(&described);
        file.extend(b"TAG");
        file.extend([0; 125]);
        for step in [1, 7, 1_000_000] {
            let (sound, end) = walked(&file, step);
            assert_eq!(sound, frames, "{step}");
            let (rate, samples) = end.unwrap();
            assert_eq!((rate, samples % 576), (16_000, 0));
            assert!((16_000..18_500).contains(&samples), "{samples}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_left_out() {
        let frames = samples::mp3(&samples::tone(16_000), false);
        let (sound, end) = walked(&frames[..frames.len() - 1], 100);
        assert_eq!(sound.len(), frames.len() - 216);
        assert_eq!(end.unwrap().1 as usize, sound.len() / 216 * 576);
    }

    #[test]
    fn what_is_no_mp3_is_told() {
        assert!(walked(b"", 1).1.is_err());
        assert!(walked(&[0; 10_000], 100).1.is_err());
        assert!(walked(b"ID3\x04\0\0\x7F\x7F\x7F\x7F", 3).1.is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), step in 1_usize..50) {
            let (sound, _) = walked(&bytes, step);
            prop_assert!(sound.len() <= bytes.len());
        }
    }
}
