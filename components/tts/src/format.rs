//! The contract's three formats.

/// How an audio is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MPEG audio, layer III.
    Mp3,
    /// Vorbis in Ogg.
    Ogg,
    /// 16 bits, signed, little-endian, one channel, with its header.
    Wav,
}

impl Format {
    /// By the contract's name, or Polly's for it.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "mp3" => Some(Self::Mp3),
            "ogg" | "ogg_vorbis" => Some(Self::Ogg),
            "wav" => Some(Self::Wav),
            _ => None,
        }
    }

    /// The contract's name, which is the file's extension too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
        }
    }

    /// As HTTP names it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Ogg => "audio/ogg",
            Self::Wav => "audio/wav",
        }
    }
}
