//! The products behind the capabilities, one file each. Nothing here knows WebAssembly.

pub mod aws;
pub mod dead_letters;
mod decoder;
pub mod engine_command;
mod engine_jobs;
pub mod flite;
pub mod inbox;
pub mod isolation;
pub mod jobs;
pub mod kafka;
mod lease;
mod mark;
pub mod openai;
pub mod openai_transcription;
pub mod outbound;
pub mod outbox;
pub mod polly;
pub mod postgres;
mod program;
pub mod redis;
pub mod revisions;
pub mod s3;
pub mod scratch;
pub mod tesseract;
pub mod textract;
pub mod timers;
pub mod transcribe;
pub mod usage;
pub mod webhooks;

/// A named point where the fault tests kill the host: aborts on the spot, as SIGKILL would, where
/// `FAILPOINTS` says so. Compiled out without the feature `failpoints`.
pub fn step(name: &'static str) {
    let _ = name;
    fail::fail_point!(name, |_| std::process::abort());
}
