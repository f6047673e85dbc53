//! What a test wants of the machine and does not find: told loudly, and a failure in CI.

/// Says so. The test returns then.
#[track_caller]
pub(crate) fn is_missing(what: &str) {
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!ci, "{what} is missing, and CI has to have it");
    eprintln!("NOT TESTED: {what} is missing");
}
