//! The real servers that `just services` starts, by the file that it writes. Where one is missing its
//! tests say so and pass; in CI they fail.

use std::io::Write as _;

/// From `.lectern/services.env`: the environment is the developer's, and may name other servers.
pub(crate) fn all() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let written = root
        .ancestors()
        .map(|folder| folder.join(".lectern/services.env"))
        .find_map(|file| std::fs::read_to_string(file).ok());
    let written = written.unwrap_or_default();
    let lines = written.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn variable(name: &str) -> Option<String> {
    let found = all().into_iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value)
}

/// The variable's value, or a loud word about what is not tested.
#[track_caller]
pub(crate) fn wanted(name: &str) -> Option<String> {
    let found = variable(name);
    if found.is_none() {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "{name} is not known: in CI every server is there");
        // Past the harness, which shows nothing of a test that passes.
        let told = format!("NOT TESTED: {name} is not known: run `just services`\n");
        let _ = std::io::stderr().write_all(told.as_bytes());
    }
    found
}
