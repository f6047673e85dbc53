//! Sound of the right length and form, if not of the right sense.

use std::f64::consts::TAU;
use std::num::{NonZeroU8, NonZeroU32};

use vorbis_rs::VorbisEncoderBuilder;

/// Hertz of the tone.
const TONE: f64 = 440.0;

fn samples(milliseconds: usize, rate: u32) -> impl Iterator<Item = i16> {
    let count = milliseconds * rate as usize / 1_000;
    let sample = move |at: usize| {
        let phase = at as f64 * TONE * TAU / f64::from(rate);
        (phase.sin() * 8_000.0) as i16
    };
    (0..count).map(sample)
}

/// A tone in 16-bit samples without a header.
pub(super) fn pcm(milliseconds: usize, rate: u32) -> Vec<u8> {
    samples(milliseconds, rate)
        .flat_map(i16::to_le_bytes)
        .collect()
}

/// Frames of silence, which any decoder takes: side information of zeros is of no samples.
pub(super) fn mp3(milliseconds: usize, rate: u32) -> Vec<u8> {
    // Version, index of the rate, samples a frame, bits a second and their index.
    let (version, index, samples, bits, bits_index): (u8, u8, usize, usize, u8) = match rate {
        8_000 => (0b00, 2, 576, 24_000, 3),
        16_000 => (0b10, 2, 576, 48_000, 6),
        22_050 => (0b10, 0, 576, 48_000, 6),
        24_000 => (0b10, 1, 576, 48_000, 6),
        44_100 => (0b11, 0, 1_152, 64_000, 5),
        _ => (0b11, 1, 1_152, 64_000, 5),
    };
    let length = samples / 8 * bits / rate as usize;
    let mut frame = vec![0; length];
    frame[0] = 0xFF;
    // Sync, version, layer III, no checksum; then bits and rate; then one channel.
    frame[1] = 0b1110_0011 | version << 3;
    frame[2] = bits_index << 4 | index << 2;
    frame[3] = 0b1100_0000;
    let frames = milliseconds * rate as usize / 1_000 / samples + 1;
    frame.repeat(frames)
}

/// The tone in Vorbis.
pub(super) fn ogg(milliseconds: usize, rate: u32) -> Vec<u8> {
    encoded(milliseconds, rate).unwrap_or_default()
}

fn encoded(milliseconds: usize, rate: u32) -> Option<Vec<u8>> {
    let rated = NonZeroU32::new(rate)?;
    let mut builder = VorbisEncoderBuilder::new_with_serial(rated, NonZeroU8::MIN, Vec::new(), 7);
    let mut encoder = builder.build().ok()?;
    let samples = samples(milliseconds, rate).map(|sample| f32::from(sample) / 32_768.0);
    for block in samples.collect::<Vec<_>>().chunks(1_024) {
        encoder.encode_audio_block([block]).ok()?;
    }
    encoder.finish().ok()
}
