//! Several audios of one format as one, without a click between them, and its length to the sample.
//! Samples follow samples; of MP3 the frames do; Ogg chains its streams (RFC 3533, section 4).

use crate::format::Format;
use crate::{mp3, ogg};

/// What an engine gave is no audio of the format. For the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// How long an audio is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// Samples a second.
    pub rate: u32,
    /// A channel.
    pub samples: u64,
}

impl Length {
    /// As the contract has it.
    pub fn seconds(self) -> f64 {
        let milliseconds = (self.milliseconds_exactly() + 0.5).floor();
        milliseconds / 1_000.0
    }

    /// For speech marks.
    pub fn milliseconds(self) -> u32 {
        // Saturates.
        self.milliseconds_exactly() as u32
    }

    fn milliseconds_exactly(self) -> f64 {
        self.samples as f64 * 1_000.0 / f64::from(self.rate.max(1))
    }
}

enum Part {
    Samples(u64),
    Mp3(mp3::Walker),
    Ogg(ogg::Walker),
}

/// Takes one audio after the other.
pub struct Joint {
    format: Format,
    part: Part,
    parts: u32,
    length: Length,
    /// Half of a sample.
    odd: Option<u8>,
}

impl Joint {
    /// Of no audio yet. WAV is taken as samples, whose header is not from here.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            part: part(format, 1),
            parts: 0,
            length: Length::default(),
            odd: None,
        }
    }

    /// What goes on of these bytes of the audio at hand.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Broken> {
        match &mut self.part {
            Part::Mp3(walker) => Ok(walker.push(bytes)),
            Part::Ogg(walker) => walker.push(bytes),
            Part::Samples(samples) => {
                let mut whole: Vec<u8> = self.odd.take().into_iter().collect();
                whole.extend_from_slice(bytes);
                if whole.len() % 2 == 1 {
                    self.odd = whole.pop();
                }
                *samples += whole.len() as u64 / 2;
                Ok(whole)
            }
        }
    }

    /// Ends the audio at hand, of `rate` samples a second where its format does not say; answers how
    /// long all are together.
    pub fn end(&mut self, rate: u32) -> Result<Length, Broken> {
        self.parts += 1;
        let next = part(self.format, self.parts.saturating_add(1));
        let (rate, samples) = match std::mem::replace(&mut self.part, next) {
            Part::Samples(samples) => (rate, samples),
            Part::Mp3(walker) => walker.end()?,
            Part::Ogg(walker) => walker.end()?,
        };
        // Half of a sample is none.
        self.odd = None;
        if self.length.rate != 0 && self.length.rate != rate {
            return Err(Broken("audios of different sample rates"));
        }
        self.length = Length {
            rate,
            samples: self.length.samples + samples,
        };
        Ok(self.length)
    }
}

/// How long one audio is, of `rate` samples a second where its format does not say.
pub fn length(format: Format, rate: u32, audio: &[u8]) -> Result<Length, Broken> {
    let mut joint = Joint::new(format);
    // What goes on of it is not wanted, and never all there at once.
    for part in audio.chunks(1 << 16) {
        joint.push(part)?;
    }
    joint.end(rate)
}

fn part(format: Format, number: u32) -> Part {
    match format {
        Format::Wav => Part::Samples(0),
        Format::Mp3 => Part::Mp3(mp3::Walker::default()),
        Format::Ogg => Part::Ogg(ogg::Walker::new(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn joined(format: Format, audios: &[Vec<u8>]) -> (Vec<u8>, Length) {
        let (mut joint, mut bytes, mut length) = (Joint::new(format), vec![], Length::default());
        for audio in audios {
            for part in audio.chunks(777) {
                bytes.extend(joint.push(part).unwrap());
            }
            length = joint.end(16_000).unwrap();
        }
        (bytes, length)
    }

    #[test]
    fn the_whole_is_as_long_as_its_parts() {
        let (one, two) = (samples::tone(10_000), samples::tone(7_777));
        let audios = [samples::ogg(&one), samples::ogg(&two)];
        let alone = length(Format::Ogg, 0, &audios[1]).unwrap();
        assert_eq!((alone.samples, alone.rate), (7_777, 16_000));
        let (chained, length) = joined(Format::Ogg, &audios);
        assert_eq!(length.samples, 17_777);
        assert_eq!(chained.len(), audios.concat().len());

        let audios = [samples::mp3(&one, true), samples::mp3(&two, true)];
        let (frames, length) = joined(Format::Mp3, &audios);
        assert_eq!(frames.len() as u64 / 216 * 576, length.samples);
        assert!(!frames.windows(4).any(|four| four == b"Info"));

        let pcm = |samples: &[i16]| {
            samples
                .iter()
                .flat_map(|s| s.to_le_bytes())
                .collect::<Vec<_>>()
        };
        let (samples, length) = joined(Format::Wav, &[pcm(&one), pcm(&two)]);
        assert_eq!(samples, [pcm(&one), pcm(&two)].concat());
        assert_eq!((length.samples, length.seconds()), (17_777, 1.111));
    }

    #[test]
    fn half_of_a_sample_makes_no_noise_of_the_next() {
        let (bytes, length) = joined(Format::Wav, &[vec![1, 2, 3], vec![4, 5]]);
        assert_eq!((bytes, length.samples), (vec![1, 2, 4, 5], 2));
    }

    #[test]
    fn rates_are_not_mixed() {
        let mut joint = Joint::new(Format::Wav);
        joint.end(16_000).unwrap();
        assert!(joint.end(8_000).is_err());
    }
}
