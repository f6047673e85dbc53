//! What a test wants of the machine and does not find: told loudly, and a failure in CI.

use std::io::Write as _;

/// Says so. The test returns then.
#[track_caller]
pub(crate) fn is_missing(what: &str) {
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!ci, "{what} is missing, and CI has to have it");
    // Past the harness, which shows nothing of a test that passes.
    let told = format!("NOT TESTED: {what} is missing\n");
    let _ = std::io::stderr().write_all(told.as_bytes());
}

/// Whether all of the programs are in PATH.
#[track_caller]
pub(crate) fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let there = |program: &&str| folders.iter().any(|folder| folder.join(program).is_file());
    match programs.iter().find(|program| !there(program)) {
        Some(program) => is_missing(program),
        None => return true,
    }
    false
}
