//! The host as a process.

use std::fmt;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::encode::gauges;

/// When this was first asked, which is at the host's start.
static STARTED: LazyLock<f64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
});

/// Remembers the moment.
pub(super) fn start() {
    LazyLock::force(&STARTED);
}

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
    let help = "1, with the host's version";
    gauges(
        encoder,
        "build_info",
        help,
        None,
        [(version, 1)].into_iter(),
    )?;
    let started = [([], *STARTED)].into_iter();
    let help = "When the host began, since 1970";
    gauges(encoder, "start_time", help, Some(&Unit::Seconds), started)?;
    let resident = resident().map(|bytes| ([], bytes));
    let help = "Memory that the host has, its database's apart";
    let bytes = Some(&Unit::Bytes);
    gauges(
        encoder,
        "resident_memory",
        help,
        bytes,
        resident.into_iter(),
    )?;
    let files = open_files().map(|files| ([], files));
    let help = "Files and connections that the host has open";
    gauges(encoder, "open_files", help, None, files.into_iter())
}

/// Where the system has `/proc`.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn open_files() -> Option<i64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    i64::try_from(files.count()).ok()
}
