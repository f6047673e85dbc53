//! What is resident of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The most that is resident until `done`.
pub(crate) fn watch(done: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut most = 0;
        while !done.load(Ordering::Relaxed) {
            most = most.max(resident());
            std::thread::sleep(Duration::from_millis(2));
        }
        most
    })
}

/// Bytes; the second figure of `/proc/self/statm` (proc(5)) counts pages of 4 KiB.
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
