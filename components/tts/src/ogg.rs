//! Ogg (RFC 3533) around Vorbis, page by page: each stream of a chain is given a serial of its own,
//! and its length is its last page's position.

use crate::joint::Broken;

const HEADER: usize = 27;
const NO_POSITION: u64 = u64::MAX;
/// Where the rate stands in Vorbis' first packet, after its type, name, version and channels.
const RATE: std::ops::Range<usize> = 12..16;

/// A page's place in what is pending.
struct Page {
    header: usize,
    length: usize,
}

/// [`None`] while it is not whole.
fn page(bytes: &[u8]) -> Result<Option<Page>, Broken> {
    let known = bytes.len().min(5);
    if bytes[..known] != b"OggS\0"[..known] {
        return Err(Broken("no page of Ogg"));
    }
    let Some(segments) = bytes.get(HEADER - 1) else {
        return Ok(None);
    };
    let header = HEADER + usize::from(*segments);
    let Some(table) = bytes.get(HEADER..header) else {
        return Ok(None);
    };
    let length = header + table.iter().copied().map(usize::from).sum::<usize>();
    Ok((bytes.len() >= length).then_some(Page { header, length }))
}

/// Reads one stream as it comes.
pub struct Walker {
    serial: u32,
    pending: Vec<u8>,
    rate: Option<u32>,
    /// Samples up to the end of the last page that says so.
    position: u64,
}

impl Walker {
    /// Whose pages get that serial.
    pub fn new(serial: u32) -> Self {
        Self {
            serial,
            pending: vec![],
            rate: None,
            position: 0,
        }
    }

    /// The pages that are whole now.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Broken> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let (mut rest, mut sound) = (&pending[..], vec![]);
        while let Some(found) = page(rest)? {
            let (whole, after) = rest.split_at(found.length);
            self.take(whole, &found, &mut sound)?;
            rest = after;
        }
        self.pending = rest.to_vec();
        Ok(sound)
    }

    fn take(&mut self, page: &[u8], found: &Page, sound: &mut Vec<u8>) -> Result<(), Broken> {
        let number = |at: std::ops::Range<usize>| {
            let bytes = page.get(at).unwrap_or_default().iter().rev();
            bytes.fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        if u64::from(checksum(page)) != number(22..26) {
            return Err(Broken("a page of Ogg that was damaged"));
        }
        if self.rate.is_none() {
            self.rate = Some(rate(&page[found.header..])?);
        }
        let position = number(6..14);
        if position != NO_POSITION {
            self.position = self.position.max(position);
        }
        let start = sound.len();
        sound.extend_from_slice(page);
        let copy = &mut sound[start..];
        copy[14..18].copy_from_slice(&self.serial.to_le_bytes());
        let checksum = checksum(copy);
        copy[22..26].copy_from_slice(&checksum.to_le_bytes());
        Ok(())
    }

    /// Samples a second and samples, once the stream has ended.
    pub fn end(self) -> Result<(u32, u64), Broken> {
        match self.rate {
            Some(rate) if self.pending.is_empty() => Ok((rate, self.position)),
            Some(_) => Err(Broken("a page of Ogg that was cut off")),
            None => Err(Broken("no page of Ogg")),
        }
    }
}

fn rate(packet: &[u8]) -> Result<u32, Broken> {
    let is_vorbis = packet.starts_with(b"\x01vorbis");
    let rate = packet.get(RATE).filter(|_| is_vorbis);
    let rate = rate.map_or(0, |rate| {
        let bytes = rate.iter().rev();
        bytes.fold(0_u32, |rate, byte| rate << 8 | u32::from(*byte))
    });
    match rate {
        0 => Err(Broken("no stream of Vorbis")),
        rate => Ok(rate),
    }
}

const TABLE: [u32; 256] = table();

/// Of the polynomial 0x04C11DB7, most significant bit first.
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = (at as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = value >> 31 == 1;
            value <<= 1;
            if carry {
                value ^= 0x04C1_1DB7;
            }
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

/// Of a page, as if its checksum were zero.
fn checksum(page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0, |sum, (at, byte)| {
        let byte = if (22..26).contains(&at) { 0 } else { *byte };
        let index = (sum >> 24) as u8 ^ byte;
        sum << 8 ^ TABLE[usize::from(index)]
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples;

    fn walked(serial: u32, bytes: &[u8], step: usize) -> Result<(Vec<u8>, (u32, u64)), Broken> {
        let (mut walker, mut sound) = (Walker::new(serial), vec![]);
        for part in bytes.chunks(step) {
            sound.extend(walker.push(part)?);
        }
        Ok((sound, walker.end()?))
    }

    #[test]
    fn the_length_is_that_of_the_samples() {
        for count in [1, 5_000, 16_000, 100_003] {
            let file = samples::ogg(&samples::tone(count));
            for step in [1, 1_000, 1_000_000] {
                let (_, end) = walked(3, &file, step).unwrap();
                assert_eq!(end, (16_000, count as u64));
            }
        }
    }

    #[test]
    fn a_serial_is_replaced_and_nothing_else() {
        let file = samples::ogg(&samples::tone(16_000));
        let (other, _) = walked(9, &file, 100).unwrap();
        assert_ne!(other, file);
        assert_eq!(walked(1, &other, 100).unwrap().0, file);
    }

    #[test]
    fn damage_is_told() {
        let file = samples::ogg(&samples::tone(16_000));
        assert!(walked(1, &file[..file.len() - 1], 100).is_err());
        for at in [0, 4, 20, 30, 500, file.len() - 1] {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert!(walked(1, &damaged, 100).is_err(), "{at}");
        }
        assert!(walked(1, b"", 1).is_err());
        assert!(walked(1, b"RIFF", 1).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..500), step in 1_usize..50) {
            let _ = walked(1, &bytes, step);
            bytes.splice(0..0, *b"OggS\0");
            let _ = walked(1, &bytes, step);
        }
    }
}
