//! What a recording is, by its content: container, length, channels, and whether there is any sound.
//! Its name and its declared type are hints, and often wrong.
//!
//! The bytes pass by as they are stored, and none is kept but the header that is being read: a file
//! of 2 GiB takes no more memory than one of 2 KiB. Everything in them is a stranger's.

mod amr;
mod flac;
mod mp3;
mod mp4;
mod ogg;
mod wav;
mod webm;

use crate::limits::LONGEST;

/// The most of a file that is held at once: no header that is read is longer.
const MAX_HELD: usize = 1 << 20;
/// What tells a container.
const HEAD: usize = 16;
/// An ID3v2 tag before the audio: pictures take a few MiB.
const MAX_TAG: u64 = 64 << 20;

/// How a recording is wrapped, as `media-format` in `wit/transcription.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// AMR or AMR-WB. RFC 4867, section 5.
    Amr,
    /// RFC 9639.
    Flac,
    /// MP4 that says that it is audio alone.
    M4a,
    /// MPEG audio, layers I to III.
    Mp3,
    /// ISO/IEC 14496-12; QuickTime too.
    Mp4,
    /// RFC 3533, with Vorbis, Opus, FLAC or Speex.
    Ogg,
    /// RIFF WAVE, or RF64 of EBU Tech 3306.
    Wav,
    /// WebM or Matroska. RFC 9559.
    Webm,
}

impl Container {
    const ALL: [Self; 8] = [
        Self::Amr,
        Self::Flac,
        Self::M4a,
        Self::Mp3,
        Self::Mp4,
        Self::Ogg,
        Self::Wav,
        Self::Webm,
    ];

    /// Of a stored file.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Amr => "amr",
            Self::Flac => "flac",
            Self::M4a => "m4a",
            Self::Mp3 => "mp3",
            Self::Mp4 => "mp4",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
            Self::Webm => "webm",
        }
    }

    /// The reverse of [`Container::extension`].
    pub fn parse(extension: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|container| container.extension() == extension)
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recording {
    /// By its first bytes.
    pub container: Container,
    /// Milliseconds, counted from what is there; `None` where the file does not tell.
    pub duration_ms: Option<u64>,
    /// `None` where the file does not tell.
    pub channels: Option<u32>,
    /// The loudest 100 ms, as root mean square of 1; of PCM alone.
    pub loudest: Option<f32>,
    /// The file ends before it says it does.
    pub truncated: bool,
}

/// Why there is no recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// No byte at all.
    Empty,
    /// Another kind of file, with its usual name.
    Unsupported(&'static str),
    /// Of a kind that is read, but broken.
    Corrupt(&'static str),
    /// A film without sound, for one.
    NoAudio,
    /// More than is taken of any, though there may be more to come.
    TooLong,
}

/// What a reader wants next.
enum Step {
    /// That many bytes at once: more than it was shown.
    Need(usize),
    /// To go on after that many, whether it was shown them or not.
    Skip(u64),
    /// Nothing more.
    Done,
}

/// Reads one container, a step at a time.
trait Reader: Send {
    /// Shown what comes next, all of it or a part.
    fn step(&mut self, next: &[u8]) -> Result<Step, Unreadable>;
    /// Once there is nothing more.
    fn finish(&mut self, end: End) -> Result<Recording, Unreadable>;
}

/// How a file ended.
struct End<'a> {
    /// What the reader was shown and wanted more than.
    rest: &'a [u8],
    /// Bytes that it passed over and that are not there.
    short: u64,
}

impl End<'_> {
    /// Whether it ended where nothing ends.
    fn is_cut(&self) -> bool {
        self.short > 0 || !self.rest.is_empty()
    }

    /// Why there is no sound in it.
    fn nothing(&self) -> Unreadable {
        match self.is_cut() {
            true => Unreadable::Corrupt("the file ends before its sound begins"),
            false => Unreadable::NoAudio,
        }
    }
}

/// A file that passes by: [`Probe::push`] its bytes, then [`Probe::finish`].
pub struct Probe {
    reader: Option<Box<dyn Reader>>,
    held: Vec<u8>,
    wanted: usize,
    skip: u64,
    done: bool,
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe {
    /// Of a file of which nothing is known yet.
    pub fn new() -> Self {
        Self {
            reader: None,
            held: Vec::new(),
            wanted: HEAD,
            skip: 0,
            done: false,
        }
    }

    /// The file's next bytes. An error is final: there is no point in sending the rest.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        if self.done {
            return Ok(());
        }
        let rest = self.pass_over(chunk);
        self.held.extend_from_slice(rest);
        // Taken from it at the end alone: of frames of a byte each there are as many as bytes.
        let mut at = 0;
        while !self.done && self.skip == 0 && self.held.len() - at >= self.wanted {
            at += self.advance(at)?;
        }
        match self.done {
            true => self.held = Vec::new(),
            false => drop(self.held.drain(..at)),
        }
        Ok(())
    }

    /// All bytes were pushed.
    pub fn finish(mut self) -> Result<Recording, Unreadable> {
        // A reader that waits for a whole header takes what there is instead.
        if self.reader.is_none() && !self.held.is_empty() {
            let (reader, _) = sniff(&self.held)?;
            self.reader = reader;
        }
        let end = End {
            rest: &self.held,
            short: self.skip,
        };
        match self.reader {
            Some(mut reader) => reader.finish(end),
            None if self.skip > 0 => Err(Unreadable::Corrupt("there is a tag, and nothing else")),
            None => Err(Unreadable::Empty),
        }
    }

    fn pass_over<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let passed = usize::try_from(self.skip).unwrap_or(usize::MAX);
        let (passed, rest) = chunk.split_at(passed.min(chunk.len()));
        self.skip -= passed.len() as u64;
        rest
    }

    /// A step at what is held from `at` on; answers how much of that it is done with.
    fn advance(&mut self, at: usize) -> Result<usize, Unreadable> {
        let next = self.held.get(at..).unwrap_or_default();
        let step = match &mut self.reader {
            Some(reader) => reader.step(next)?,
            None => {
                let (reader, skip) = sniff(next)?;
                self.reader = reader;
                self.wanted = if self.reader.is_some() { 1 } else { HEAD };
                Step::Skip(skip)
            }
        };
        match step {
            Step::Need(wanted) if wanted > MAX_HELD => {
                return Err(Unreadable::Corrupt("a header is too long"));
            }
            Step::Need(wanted) => self.wanted = wanted.max(next.len() + 1),
            Step::Skip(bytes) => {
                let passed = bytes.min(next.len() as u64);
                self.skip = bytes - passed;
                if self.reader.is_some() {
                    self.wanted = 1;
                }
                return Ok(usize::try_from(passed).unwrap_or(usize::MAX));
            }
            Step::Done => self.done = true,
        }
        Ok(0)
    }
}

/// First bytes of what people upload by mistake, with the name to tell them.
const OTHERS: &[(&[u8], &str)] = &[
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xFF\xD8\xFF", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"MThd", "a MIDI file, which has notes and no sound"),
    (b"FORM", "AIFF"),
    (b".snd", "Sun audio"),
    (b"\x30\x26\xB2\x75", "Windows Media"),
    (b"caff", "Core Audio"),
    (b"#!AMR_MC", "AMR of several channels"),
    (b"#!AMR-WB_MC", "AMR of several channels"),
    (b"#EXTM3U", "a playlist"),
    (b"\x7FELF", "a program"),
    (b"MZ", "a program"),
    (b"<", "a web page"),
];

type Sniffed = (Option<Box<dyn Reader>>, u64);

/// The reader that the first bytes ask for, or how much of a tag stands before them.
fn sniff(head: &[u8]) -> Result<Sniffed, Unreadable> {
    if let Some(tag) = id3(head) {
        return Ok((None, tag));
    }
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Unreadable::Unsupported(name));
    }
    let reader: Box<dyn Reader> = match head {
        [
            b'R',
            b'I' | b'F',
            b'F' | b'6',
            b'F' | b'4',
            _,
            _,
            _,
            _,
            b'W',
            b'A',
            b'V',
            b'E',
            ..,
        ] => Box::new(wav::Wav::new()),
        [b'f', b'L', b'a', b'C', ..] => Box::new(flac::Flac::default()),
        [b'O', b'g', b'g', b'S', ..] => Box::new(ogg::Ogg::default()),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Box::new(webm::Webm::new()),
        [b'#', b'!', b'A', b'M', b'R', ..] => Box::new(amr::Amr::new(head)?),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Box::new(mp4::Mp4::new(head)),
        // QuickTime of before `ftyp`, and files whose sound comes first.
        [_, _, _, _, b'm', b'o', b'o', b'v', ..]
        | [_, _, _, _, b'm', b'd', b'a', b't', ..]
        | [_, _, _, _, b'w', b'i', b'd', b'e', ..] => Box::new(mp4::Mp4::new(head)),
        [0xFF, second, ..] if second & 0xF6 == 0xF0 => {
            return Err(Unreadable::Unsupported("AAC without a container"));
        }
        [0xFF, second, ..] if second & 0xE0 == 0xE0 => Box::new(mp3::Mp3::default()),
        _ => return Err(Unreadable::Unsupported("no audio that is known here")),
    };
    Ok((Some(reader), 0))
}

/// The length of an ID3v2 tag. <https://id3.org/id3v2.4.0-structure>
fn id3(head: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] = *head else {
        return None;
    };
    let size = [a, b, c, d]
        .iter()
        .fold(0, |size: u64, byte| size << 7 | u64::from(byte & 0x7F));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some((10 + size + footer).min(MAX_TAG))
}

/// `count` of something of which `rate` make a second, in milliseconds; `None` for a rate of 0.
fn milliseconds(count: u64, rate: u64) -> Option<u64> {
    let ms = u128::from(count) * 1_000 / u128::from((rate > 0).then_some(rate)?);
    Some(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// Refuses what is longer than is taken as soon as that is known, so that nobody counts to its end.
fn bounded(duration_ms: Option<u64>) -> Result<(), Unreadable> {
    match duration_ms {
        Some(ms) if ms > LONGEST => Err(Unreadable::TooLong),
        _ => Ok(()),
    }
}

/// `N` bytes from `at`, where they are there.
fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
