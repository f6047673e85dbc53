//! Recordings as engines want them, and whether there is anything to hear in them.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt;

/// Of the header that [`is_plain`] knows.
const HEADER: u64 = 44;
/// What [`is_samples`] wants to see, in bytes.
pub(crate) const HEAD: u64 = 36;
/// A tenth of a second, in samples.
const WINDOW: usize = 1_600;
/// The loudest tenth of a second of it is quieter than any speech: 60 dB below full scale.
const SILENCE: f64 = 32.8;

/// Whether it is WAV as engines want it: PCM of 16 bits, one channel, 16 kHz.
/// <http://soundfile.sapp.org/doc/WaveFormat/>
pub(crate) async fn is_plain(path: &Path) -> bool {
    let mut head = [0; 36];
    let read = async {
        let mut file = tokio::fs::File::open(path).await?;
        file.read_exact(&mut head).await
    };
    let as_wanted = |head: &[u8; 36]| {
        head.starts_with(b"RIFF")
            && &head[8..16] == b"WAVEfmt "
            && head[20..24] == [1, 0, 1, 0]
            && head[24..28] == 16_000_u32.to_le_bytes()
            && head[34..36] == [16, 0]
    };
    read.await.is_ok() && as_wanted(&head)
}

/// Whether a WAV file that begins so has samples that are numbers: integers of 8 to 32 bits, or floats of 32.
/// Telephones' codecs, those of wider floats, and headers that are not known here have none.
pub(crate) fn is_samples(head: &[u8]) -> bool {
    let short = |at: usize| {
        head.get(at..)?
            .first_chunk()
            .copied()
            .map(u16::from_le_bytes)
    };
    let is_known = head.starts_with(b"RIFF") && head.get(8..16) == Some(&b"WAVEfmt "[..]);
    let samples = matches!(
        (short(20), short(34)),
        (Some(1), Some(8 | 16 | 24 | 32)) | (Some(3), Some(32))
    );
    is_known && samples
}

/// Whether it is such a file, and nothing is to be heard in it.
pub(crate) async fn is_silent(path: PathBuf) -> bool {
    if !is_plain(&path).await {
        return false;
    }
    let measured = tokio::task::spawn_blocking(move || loudest(&path).is_ok_and(|it| it < SILENCE));
    measured.await.unwrap_or(false)
}

/// The loudest tenth of a second, as root mean square.
fn loudest(path: &Path) -> std::io::Result<f64> {
    let mut file = BufReader::new(File::open(path)?);
    std::io::copy(&mut file.by_ref().take(HEADER), &mut std::io::sink())?;
    let (mut loudest, mut window) = (0.0_f64, vec![]);
    loop {
        window.clear();
        file.by_ref()
            .take(WINDOW as u64 * 2)
            .read_to_end(&mut window)?;
        let samples = window.chunks_exact(2);
        let count = samples.len();
        if count == 0 {
            return Ok(loudest);
        }
        let value = |pair: &[u8]| pair.try_into().map_or(0, i16::from_le_bytes);
        let squares = samples.map(|pair| f64::from(value(pair)).powi(2));
        loudest = loudest.max((squares.sum::<f64>() / count as f64).sqrt());
    }
}

/// A second of 440 Hz, as engines want it.
pub(crate) fn tone() -> Vec<u8> {
    let mut file = b"RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    for number in [16_000_u32, 32_000] {
        file.extend(number.to_le_bytes());
    }
    file.extend(b"\x02\0\x10\0data\0\x7d\0\0");
    for at in 0..16_000 {
        let angle = f64::from(at) * 440.0 * std::f64::consts::TAU / 16_000.0;
        file.extend(((angle.sin() * 8_000.0) as i16).to_le_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_are_numbers_are_told_from_codes() {
        let of = |tag: u8, bits: u8| {
            let mut head = tone()[..HEAD as usize].to_vec();
            (head[20], head[34]) = (tag, bits);
            is_samples(&head)
        };
        for (tag, bits) in [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32)] {
            assert!(of(tag, bits), "{tag} {bits}");
        }
        // A-law, mu-law, two of ADPCM, GSM, 64-bit floats.
        for (tag, bits) in [(6, 8), (7, 8), (2, 4), (0x11, 4), (0x31, 0), (3, 64)] {
            assert!(!of(tag, bits), "{tag} {bits}");
        }
        assert!(!is_samples(&tone()[..35]));
        assert!(!is_samples(b"RIFF\0\0\0\0WAVEJUNK"));
    }

    #[tokio::test]
    async fn silence_is_told_from_sound() {
        let folder = tempfile::tempdir().unwrap();
        let silent = async |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            is_silent(path).await
        };
        let mut quiet = tone();
        assert!(!silent("tone", &quiet).await);
        for pair in quiet[44..].chunks_exact_mut(2) {
            pair.copy_from_slice(&20_i16.to_le_bytes());
        }
        assert!(silent("a hum that nobody hears", &quiet).await);
        quiet[44..].fill(0);
        assert!(silent("nothing", &quiet).await);
        assert!(!silent("no recording", b"RIFF").await);
    }
}
