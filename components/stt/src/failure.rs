//! Why a recording has no transcript: stable codes, and what whoever recorded it can do about each.

/// Whose fault it is, as engines tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The recording cannot be decoded.
    Corrupt,
    /// Recordings of that format cannot be decoded here.
    Format,
    /// The engine does not take this recording, or what was asked for it.
    Refused,
    /// The engine refuses the platform.
    AccessDenied,
    /// What the engine answered is no transcript.
    Answer,
    /// The engine did not end within its time.
    Timeout,
    /// The engine failed.
    Engine,
}

impl Cause {
    /// Of a recording that ends before its file says it does, where `is_truncated`: what an engine cannot
    /// read is missing then.
    pub fn code(self, is_truncated: bool) -> &'static str {
        match self {
            Self::Corrupt if is_truncated => "AUDIO_TRUNCATED",
            Self::Corrupt => "CORRUPT_AUDIO",
            Self::Format => "ENGINE_FORMAT_UNSUPPORTED",
            Self::Refused => "ENGINE_REFUSED",
            Self::AccessDenied => "ENGINE_ACCESS_DENIED",
            Self::Answer => "ENGINE_ANSWER_INVALID",
            Self::Timeout => "TRANSCRIPTION_TIMEOUT",
            Self::Engine => "TRANSCRIPTION_FAILED",
        }
    }
}

/// All codes of failed jobs, with what happened and what to do.
pub const ADVICE: [(&str, &str); 17] = [
    (
        "AUDIO_NOT_FOUND",
        "the recording is not there any more: upload it again",
    ),
    (
        "AUDIO_TOO_LONG",
        "the recording is longer than four hours: upload it in parts",
    ),
    (
        "AUDIO_TOO_SHORT",
        "the recording is shorter than half a second: record it again",
    ),
    (
        "AUDIO_TRUNCATED",
        "the file ends before the recording does, and what there is cannot be read: upload it again, whole",
    ),
    (
        "CORRUPT_AUDIO",
        "the recording cannot be read: save it anew, as WAV or MP3, and upload that",
    ),
    ("EMPTY_AUDIO", "the file is empty: save the recording again"),
    (
        "ENGINE_ACCESS_DENIED",
        "the transcription engine refuses this platform: tell its operator; the recording is kept",
    ),
    (
        "ENGINE_ANSWER_INVALID",
        "the transcription engine answered something that is no transcript: upload the recording again later, and \
         tell the operator if that does not help",
    ),
    (
        "ENGINE_FORMAT_UNSUPPORTED",
        "recordings of this format cannot be transcribed here: upload it as WAV",
    ),
    (
        "ENGINE_NOT_CONFIGURED",
        "recordings are not transcribed here, as there is no transcription engine: tell the operator; the recording \
         is kept",
    ),
    (
        "ENGINE_REFUSED",
        "the transcription engine does not take this recording, or what was asked for it: upload it with another \
         `language_code`, without `speakers` and `vocabulary`, or as WAV",
    ),
    (
        "NO_AUDIO_TRACK",
        "the file has no sound that is known here: save the recording as WAV or MP3, and upload that",
    ),
    (
        "PAYLOAD_TOO_LARGE",
        "the recording is larger than 2 GiB: save it as MP3, or upload it in parts",
    ),
    (
        "TOO_MANY_CHANNELS",
        "the recording has more than two channels: save it with one or two, and upload that",
    ),
    (
        "TRANSCRIPTION_FAILED",
        "the transcription engine failed: upload the recording again, perhaps as WAV",
    ),
    (
        "TRANSCRIPTION_TIMEOUT",
        "the transcription engine did not end in its time: upload the recording in parts, or again later",
    ),
    (
        "UNSUPPORTED_MEDIA_TYPE",
        "the file is no recording that is known here: upload MP3, MP4, WAV, FLAC, OGG, AMR or WebM",
    ),
];

/// For whoever recorded it.
pub fn advice(code: &str) -> &'static str {
    let known = ADVICE.iter().find(|(known, _)| *known == code);
    known.map_or("the recording was not transcribed: upload it again", |it| {
        it.1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSES: [Cause; 7] = [
        Cause::Corrupt,
        Cause::Format,
        Cause::Refused,
        Cause::AccessDenied,
        Cause::Answer,
        Cause::Timeout,
        Cause::Engine,
    ];

    #[test]
    fn every_cause_says_what_to_do() {
        for cause in CAUSES {
            for is_truncated in [false, true] {
                let code = cause.code(is_truncated);
                assert!(ADVICE.iter().any(|(known, _)| *known == code), "{code}");
            }
        }
        assert!(ADVICE.is_sorted(), "each stands once");
        assert!(ADVICE.iter().all(|(_, advice)| advice.contains(": ")));
    }

    #[test]
    fn what_cannot_be_read_of_a_file_that_was_cut_is_missing() {
        assert_eq!(Cause::Corrupt.code(true), "AUDIO_TRUNCATED");
        assert_eq!(Cause::Engine.code(true), "TRANSCRIPTION_FAILED");
    }
}
