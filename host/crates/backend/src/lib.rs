//! The products behind the capabilities, one file each. Nothing here knows WebAssembly.

pub mod breaker;
pub mod flite;
pub mod inbox;
pub mod kafka;
pub mod openai;
pub mod outbound;
pub mod outbox;
pub mod postgres;
pub mod redis;
pub mod revisions;

/// A named point where the fault tests kill the host: aborts on the spot, as SIGKILL would, where
/// `FAILPOINTS` says so. Compiled out without the feature `failpoints`.
pub fn step(name: &'static str) {
    let _ = name;
    fail::fail_point!(name, |_| std::process::abort());
}
