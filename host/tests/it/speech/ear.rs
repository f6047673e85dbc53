//! What others make of the audio.

use std::process::Command;

use serde_json::Value;
use vorbis_rs::VorbisDecoder;

use crate::missing::has;

/// What ffmpeg says: codec, samples a second, and seconds by decoding, as a header may say what it likes.
/// [`None`] where it is not installed, which CI takes for a failure.
#[track_caller]
fn decoded(bytes: &[u8], extension: &str) -> Option<(String, f64, f64)> {
    if !has(&["ffprobe", "ffmpeg"]) {
        return None;
    }
    let suffix = format!(".{extension}");
    let file = tempfile::Builder::new().suffix(&suffix).tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let entries = "stream=codec_name,sample_rate";
    let args = ["-v", "error", "-show_entries", entries, "-of", "csv=p=0"];
    let mut ffprobe = Command::new("ffprobe");
    let probe = ffprobe.args(args).arg(file.path()).output().unwrap();
    let told = String::from_utf8(probe.stdout).unwrap();
    let (codec, rate) = told.trim().split_once(',').expect("one stream");
    let rate: f64 = rate.split(',').next().unwrap().parse().unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(file.path());
    let decoded = ffmpeg.args(["-f", "s16le", "-ac", "1", "-"]);
    let samples = decoded.output().unwrap().stdout.len() / 2;
    Some((codec.to_owned(), rate, samples as f64 / rate))
}

/// By the reference decoder, which ends where the last page says; ffmpeg goes on to the end of its packet.
/// It takes the streams of a chain one by one.
fn decoded_ogg(bytes: &[u8]) -> f64 {
    let begins = |at: &usize| bytes[*at..].starts_with(b"OggS\0\x02");
    let mut starts: Vec<_> = (0..bytes.len()).filter(begins).collect();
    starts.push(bytes.len());
    let seconds = |link: &[usize]| {
        let mut decoder = VorbisDecoder::<&[u8]>::new(&bytes[link[0]..link[1]]).unwrap();
        let rate = f64::from(decoder.sampling_frequency().get());
        let mut samples = 0;
        while let Some(block) = decoder.decode_audio_block().unwrap() {
            samples += block.samples()[0].len();
        }
        samples as f64 / rate
    };
    starts.windows(2).map(seconds).sum()
}

/// Whether others find in it the format, the rate and the length that we tell.
#[track_caller]
pub(crate) fn check_against_ffmpeg(bytes: &[u8], format: &str, audio: &Value) {
    let duration = audio["duration"].as_f64().unwrap();
    let (expected, off) = match format {
        "mp3" => ("mp3", 0.001),
        "ogg" => ("vorbis", 0.05),
        _ => ("pcm_s16le", 0.001),
    };
    if format == "ogg" {
        let seconds = decoded_ogg(bytes);
        assert!((seconds - duration).abs() < 0.001, "{seconds} {duration}");
    }
    let Some((codec, rate, seconds)) = decoded(bytes, format) else {
        return;
    };
    assert_eq!(codec, expected);
    assert_eq!(audio["sample_rate"].as_f64(), Some(rate), "{format}");
    assert!(
        (seconds - duration).abs() < off,
        "{format}: {seconds} {duration}"
    );
}
