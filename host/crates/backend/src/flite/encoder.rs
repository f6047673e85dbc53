//! Samples as what a client plays: as they are, MP3 or Ogg Vorbis.

use std::cell::RefCell;
use std::io;
use std::num::{NonZeroU8, NonZeroU32};
use std::rc::Rc;

use capability::speech::{Error, Format};
use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};
use vorbis_rs::{VorbisBitrateManagementStrategy, VorbisEncoder, VorbisEncoderBuilder};

/// Thousands of bits a second: what Polly has for the same rates. Speech at 16 kHz keeps a signal to
/// noise ratio of 25 dB with it.
const MP3_BITS: u32 = 48;
/// The same below [`WIDE`], where there is half as much to say.
const MP3_BITS_NARROW: u32 = 24;
const WIDE: u32 = 16_000;
/// libvorbis' scale from -0.2 to 1: about 50 kbit/s at 16 kHz.
const VORBIS_QUALITY: f32 = 0.4;
/// Samples that libvorbis is given at once; its documentation calls 1,024 a reasonable choice.
const BLOCK: usize = 1_024;

/// Of one audio. It stays on one thread, as libvorbis' state is C's.
pub(super) enum Encoder {
    Pcm,
    Mp3(Mp3),
    Ogg(Box<Ogg>),
}

pub(super) struct Mp3 {
    coder: Box<Mp3Encoder>,
    rate: u32,
    /// The first packet tells how long the whole is, which nobody knows while it is streamed.
    is_tag_next: bool,
}

pub(super) struct Ogg {
    coder: VorbisEncoder<Pages>,
    pages: Pages,
}

/// What libvorbis has written, and nobody has taken.
#[derive(Clone, Default)]
struct Pages(Rc<RefCell<Vec<u8>>>);

impl io::Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    tracing::error!(%error, "the local encoder broke");
    Error::Unavailable("the local encoder broke".into())
}

impl Encoder {
    /// Of one channel with `rate` samples a second.
    pub(super) fn new(format: Format, rate: u32) -> Result<Self, Error> {
        Ok(match format {
            Format::Pcm => Self::Pcm,
            Format::Mp3 => Self::Mp3(Mp3::new(rate)?),
            Format::OggVorbis => Self::Ogg(Box::new(Ogg::new(rate)?)),
        })
    }

    /// What is ready once these samples are known; it may be nothing.
    pub(super) fn push(&mut self, samples: &[i16]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Pcm => Ok(samples.iter().flat_map(|s| s.to_le_bytes()).collect()),
            Self::Mp3(mp3) => mp3.push(samples),
            Self::Ogg(ogg) => ogg.push(samples),
        }
    }

    /// The end.
    pub(super) fn finish(self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Pcm => Ok(vec![]),
            Self::Mp3(mut mp3) => {
                mp3.coder.finish();
                Ok(mp3.take())
            }
            Self::Ogg(ogg) => {
                let pages = ogg.coder.finish().map_err(broken)?;
                Ok(pages.0.take())
            }
        }
    }
}

impl Mp3 {
    fn new(rate: u32) -> Result<Self, Error> {
        let config = Mp3EncoderConfig {
            bitrate_kbps: if rate < WIDE {
                MP3_BITS_NARROW
            } else {
                MP3_BITS
            },
            vbr_quality: None,
        };
        let mut mp3 = Self {
            coder: Box::new(Mp3Encoder::new(config)),
            rate,
            is_tag_next: true,
        };
        // Without a push there is no format, and silence would be no file.
        mp3.coder.push_pcm_s16(&[], 1, rate).map_err(broken)?;
        Ok(mp3)
    }

    fn push(&mut self, samples: &[i16]) -> Result<Vec<u8>, Error> {
        let pushed = self.coder.push_pcm_s16(samples, 1, self.rate);
        pushed.map_err(broken)?;
        Ok(self.take())
    }

    fn take(&mut self) -> Vec<u8> {
        let mut frames = vec![];
        while let Ok(frame) = self.coder.next_packet() {
            if !std::mem::take(&mut self.is_tag_next) {
                frames.extend(frame);
            }
        }
        frames
    }
}

impl Ogg {
    fn new(rate: u32) -> Result<Self, Error> {
        let rate = NonZeroU32::new(rate).ok_or_else(|| broken("no sample rate"))?;
        let pages = Pages::default();
        // The serial tells streams of one file apart, and there is one.
        let mut builder =
            VorbisEncoderBuilder::new_with_serial(rate, NonZeroU8::MIN, pages.clone(), 1);
        builder.bitrate_management_strategy(VorbisBitrateManagementStrategy::QualityVbr {
            target_quality: VORBIS_QUALITY,
        });
        let coder = builder.build().map_err(broken)?;
        Ok(Self { coder, pages })
    }

    fn push(&mut self, samples: &[i16]) -> Result<Vec<u8>, Error> {
        for block in samples.chunks(BLOCK) {
            let block: Vec<f32> = block.iter().map(|s| f32::from(*s) / 32_768.0).collect();
            self.coder.encode_audio_block([block]).map_err(broken)?;
        }
        Ok(self.pages.0.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone that grows and fades, of which no encoder makes short work.
    fn tone(samples: usize) -> Vec<i16> {
        let sample = |at: usize| {
            let at = at as f64;
            ((at * 0.2).sin() * (at * 0.003).sin() * (at * at * 1e-5).cos() * 20_000.0) as i16
        };
        (0..samples).map(sample).collect()
    }

    fn encoded(format: Format, rate: u32, samples: &[i16]) -> Vec<u8> {
        let mut encoder = Encoder::new(format, rate).unwrap();
        let mut bytes = vec![];
        for block in samples.chunks(5_000) {
            bytes.extend(encoder.push(block).unwrap());
        }
        bytes.extend(encoder.finish().unwrap());
        bytes
    }

    #[test]
    fn a_file_begins_as_its_format_does() {
        for rate in [8_000, 16_000] {
            let samples = tone(rate as usize);
            let mp3 = encoded(Format::Mp3, rate, &samples);
            assert_eq!(mp3[0], 0xFF, "{rate}");
            assert!(!mp3.windows(4).any(|four| four == b"Info"));
            let ogg = encoded(Format::OggVorbis, rate, &samples);
            assert_eq!(ogg[..4], *b"OggS", "{rate}");
            let pcm = encoded(Format::Pcm, rate, &samples);
            assert_eq!(pcm.len(), 2 * samples.len());
            assert!(mp3.len() < pcm.len() / 3 && ogg.len() < pcm.len() / 3);
        }
    }

    #[test]
    fn of_no_samples_there_is_still_a_file() {
        assert!(!encoded(Format::Mp3, 16_000, &[]).is_empty());
        assert!(!encoded(Format::OggVorbis, 16_000, &[]).is_empty());
        assert!(encoded(Format::Pcm, 16_000, &[]).is_empty());
    }

    #[test]
    fn the_same_samples_make_the_same_file() {
        for format in [Format::Mp3, Format::OggVorbis] {
            let once = encoded(format, 16_000, &tone(20_000));
            assert_eq!(once, encoded(format, 16_000, &tone(20_000)));
        }
    }

    #[test]
    fn what_is_pushed_comes_out_before_the_end() {
        for format in [Format::Mp3, Format::OggVorbis] {
            let mut encoder = Encoder::new(format, 16_000).unwrap();
            // libvorbis' headers, and more.
            let headers = encoder.push(&[]).unwrap().len();
            let early = encoder.push(&tone(160_000)).unwrap().len();
            let late = encoder.finish().unwrap().len();
            assert!(early > 4 * late, "{format:?} {headers} {early} {late}");
        }
    }
}
