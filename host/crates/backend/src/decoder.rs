//! Recordings of every format as engines want them, by ffmpeg where it is installed.

pub(crate) mod silence;

use std::path::PathBuf;
use std::time::Duration;

use capability::transcription::{Cause, Failure, MediaFormat};

use crate::engine_jobs::Fault;
use crate::program::{self, Limits, Program, words};
use crate::scratch::Scratch;

/// Of a recording decoded: nine hours.
const MAX_DECODED: u64 = 1 << 30;
/// Bytes that ffmpeg may print.
const MAX_PRINTED: usize = 1 << 20;
/// Which streams, and how they become WAV as engines want it, without a word about who recorded it.
const WANTED: [&str; 14] = [
    "-vn",
    "-ac",
    "1",
    "-ar",
    "16000",
    "-c:a",
    "pcm_s16le",
    "-map_metadata",
    "-1",
    "-fflags",
    "+bitexact",
    "-f",
    "wav",
    "-y",
];

/// ffmpeg, where it is installed.
pub(crate) struct Decoder {
    ffmpeg: Option<PathBuf>,
    memory: u64,
    time: Duration,
}

impl Decoder {
    /// For recordings that may take so much memory and time.
    pub(crate) fn find(memory: u64, time: Duration) -> Self {
        let ffmpeg = program::find("ffmpeg");
        Self {
            ffmpeg,
            memory,
            time,
        }
    }

    /// Whether recordings of any format can be read.
    pub(crate) fn is_there(&self) -> bool {
        self.ffmpeg.is_some()
    }

    /// The recording as WAV of 16 kHz, 16 bits, one channel; other WAV as it is where there is no ffmpeg.
    pub(crate) async fn plain(
        &self,
        scratch: &Scratch,
        input: PathBuf,
        format: MediaFormat,
    ) -> Result<PathBuf, Fault> {
        if format == MediaFormat::Wav && silence::is_plain(&input).await {
            return Ok(input);
        }
        let Some(ffmpeg) = &self.ffmpeg else {
            let why = || format!("{} wants ffmpeg, which is not installed", format.as_str());
            return match format {
                MediaFormat::Wav => Ok(input),
                _ => Err(Failure::new(Cause::Format, why()).into()),
            };
        };
        let output = scratch.path().join("audio.wav");
        // The format as it was told, and files alone: a playlist may name any file and any server.
        let mut arguments = words([
            "-nostdin",
            "-v",
            "error",
            "-protocol_whitelist",
            "file",
            "-f",
        ]);
        arguments.extend(words([demuxer(format), "-i"]));
        arguments.push(input.into());
        arguments.extend(words(WANTED));
        arguments.push(output.clone().into());
        let program = Program {
            path: ffmpeg,
            arguments,
            input: None,
            folder: scratch.path(),
            limits: Limits {
                memory: self.memory,
                time: self.time,
                output: MAX_PRINTED,
                file: MAX_DECODED,
            },
        };
        program.run().await.map_err(|e| failed(&e))?;
        Ok(output)
    }
}

/// What ffmpeg cannot read it will not read the next time; that the machine could not start it passes.
fn failed(failure: &program::Failure) -> Fault {
    let cause = match failure {
        program::Failure::Start(..) => return Fault::Passing(failure.to_string()),
        program::Failure::Timeout(..) => Cause::Timeout,
        program::Failure::TooMuch(..) | program::Failure::Ended(..) => Cause::Corrupt,
    };
    Fault::Lasting(Failure::new(cause, failure.to_string()))
}

/// ffmpeg's name of it.
fn demuxer(format: MediaFormat) -> &'static str {
    match format {
        MediaFormat::Amr => "amr",
        MediaFormat::Flac => "flac",
        MediaFormat::M4a | MediaFormat::Mp4 => "mov",
        MediaFormat::Mp3 => "mp3",
        MediaFormat::Ogg => "ogg",
        MediaFormat::Wav => "wav",
        MediaFormat::Webm => "matroska",
    }
}
