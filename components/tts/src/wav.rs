//! The header that makes samples a WAV file (RIFF, one channel, 16 bits, PCM).

/// Bytes of a header.
pub const HEADER: u64 = 44;
/// What tells a player to read on until the end.
const UNKNOWN: u32 = u32::MAX;

/// Before `bytes` of samples; [`None`] where they are not known yet. What is too long for the field
/// counts as unknown.
pub fn header(rate: u32, bytes: Option<u64>) -> [u8; HEADER as usize] {
    let whole = bytes.and_then(|bytes| u32::try_from(bytes).ok());
    let riff = whole.and_then(|bytes| bytes.checked_add(HEADER as u32 - 8));
    let data = riff.and(whole);
    let mut header = [0; HEADER as usize];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &riff.unwrap_or(UNKNOWN).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16_u32.to_le_bytes(),
        // PCM, one channel.
        &1_u16.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &rate.to_le_bytes(),
        &rate.saturating_mul(2).to_le_bytes(),
        &2_u16.to_le_bytes(),
        &16_u16.to_le_bytes(),
        b"data",
        &data.unwrap_or(UNKNOWN).to_le_bytes(),
    ];
    let bytes = fields.into_iter().flatten();
    header
        .iter_mut()
        .zip(bytes)
        .for_each(|(at, byte)| *at = *byte);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(header: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(header[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn a_header_says_what_follows() {
        let header = header(16_000, Some(32_000));
        assert_eq!(
            (&header[..4], &header[8..16]),
            (&b"RIFF"[..], &b"WAVEfmt "[..])
        );
        assert_eq!((number(&header, 4), number(&header, 40)), (32_036, 32_000));
        assert_eq!((number(&header, 24), number(&header, 28)), (16_000, 32_000));
        assert_eq!(&header[36..40], b"data");
    }

    #[test]
    fn what_is_not_known_or_too_long_is_left_open() {
        for bytes in [None, Some(u64::from(u32::MAX)), Some(u64::MAX)] {
            let header = header(8_000, bytes);
            assert_eq!(
                (number(&header, 4), number(&header, 40)),
                (UNKNOWN, UNKNOWN)
            );
        }
    }
}
