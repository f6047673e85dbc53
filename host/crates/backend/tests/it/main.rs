//! The contract suites against real servers, and what only a real server shows.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail like the test itself"
)]

mod amazon;
mod cluster;
mod engine_command;
mod engine_jobs;
mod events;
mod kafka;
mod missing;
mod openai;
mod openai_transcription;
mod outbound;
mod polly;
mod postgres;
mod redis;
mod s3;
mod server;
mod services;
mod shelf;
mod tesseract;
mod textract;
mod transcribe;
mod usage;
