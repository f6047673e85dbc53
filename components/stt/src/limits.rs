//! Which recordings are taken: what every engine takes, so that an engine can be changed.
//! <https://docs.aws.amazon.com/transcribe/latest/dg/limits-guidelines.html>

use crate::probe::Recording;

/// Of a file, in bytes.
pub const MAX_FILE: u64 = 2 << 30;
/// In milliseconds.
const SHORTEST: u64 = 500;
/// Four hours, in milliseconds.
pub(crate) const LONGEST: u64 = 4 * 3_600_000;
const MAX_CHANNELS: u32 = 2;
/// The loudest tenth of a second of it is quieter than any speech: 60 dB below full scale.
const SILENCE: f32 = 0.001;

/// Why a recording is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Less than half a second.
    TooShort,
    /// More than four hours.
    TooLong,
    /// More than two.
    TooManyChannels,
}

impl Refused {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort => "AUDIO_TOO_SHORT",
            Self::TooLong => "AUDIO_TOO_LONG",
            Self::TooManyChannels => "TOO_MANY_CHANNELS",
        }
    }

    /// For a person.
    pub fn message(self) -> &'static str {
        match self {
            Self::TooShort => "the recording is shorter than half a second",
            Self::TooLong => "the recording is longer than four hours",
            Self::TooManyChannels => "the recording has more than two channels",
        }
    }
}

/// Whether it is taken. What does not tell its length or its channels is.
pub fn check(recording: &Recording) -> Result<(), Refused> {
    match recording.duration_ms {
        Some(..SHORTEST) => return Err(Refused::TooShort),
        Some(ms) if ms > LONGEST => return Err(Refused::TooLong),
        _ => {}
    }
    if recording
        .channels
        .is_some_and(|channels| channels > MAX_CHANNELS)
    {
        return Err(Refused::TooManyChannels);
    }
    Ok(())
}

/// Whether there is nothing to hear: an engine would invent something.
pub fn is_silent(recording: &Recording) -> bool {
    recording.loudest.is_some_and(|loudest| loudest < SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Container;

    #[test]
    fn half_a_second_to_four_hours_of_two_channels_are_taken() {
        let of = |duration_ms, channels| {
            check(&Recording {
                container: Container::Wav,
                duration_ms,
                channels,
                loudest: None,
                truncated: false,
            })
        };
        assert_eq!(of(Some(499), Some(1)), Err(Refused::TooShort));
        assert_eq!(of(Some(500), Some(2)), Ok(()));
        assert_eq!(of(Some(14_400_001), Some(1)), Err(Refused::TooLong));
        assert_eq!(of(Some(u64::MAX), None), Err(Refused::TooLong));
        assert_eq!(of(None, None), Ok(()));
        assert_eq!(of(Some(1_000), Some(3)), Err(Refused::TooManyChannels));
    }
}
