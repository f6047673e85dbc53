//! Files of real encoders, for tests.

use std::num::{NonZeroU8, NonZeroU32};

use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};
use vorbis_rs::VorbisEncoderBuilder;

const RATE: u32 = 16_000;

pub(crate) fn tone(samples: usize) -> Vec<i16> {
    let sample = |at: usize| ((at as f64 * 0.2).sin() * 9_000.0) as i16;
    (0..samples).map(sample).collect()
}

/// With the frame that describes the others, or without; 48 kbit/s: frames of 216 bytes.
pub(crate) fn mp3(samples: &[i16], is_described: bool) -> Vec<u8> {
    let mut encoder = Mp3Encoder::new(Mp3EncoderConfig {
        bitrate_kbps: 48,
        vbr_quality: None,
    });
    encoder.push_pcm_s16(samples, 1, RATE).unwrap();
    encoder.finish();
    let frames = std::iter::from_fn(|| encoder.next_packet().ok());
    frames.skip(usize::from(!is_described)).flatten().collect()
}

pub(crate) fn ogg(samples: &[i16]) -> Vec<u8> {
    let rate = NonZeroU32::new(RATE).unwrap();
    let mut builder = VorbisEncoderBuilder::new_with_serial(rate, NonZeroU8::MIN, Vec::new(), 1);
    let mut encoder = builder.build().unwrap();
    for block in samples.chunks(1_024) {
        let block: Vec<f32> = block.iter().map(|s| f32::from(*s) / 32_768.0).collect();
        encoder.encode_audio_block([block]).unwrap();
    }
    encoder.finish().unwrap()
}
