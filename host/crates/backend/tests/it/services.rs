//! The real servers that `just services` starts, by the variables that it writes. Where one is missing
//! its tests say so and pass; in CI they fail.

#[allow(clippy::disallowed_methods, reason = "where the tests' servers are")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variable's value, or a loud word about what is not tested.
pub(crate) fn wanted(name: &str) -> Option<String> {
    let found = variable(name);
    if found.is_none() {
        assert_ne!(
            variable("CI").as_deref(),
            Some("true"),
            "{name} is not set: in CI every server is there"
        );
        eprintln!(
            "SKIPPED: {name} is not set; `just services` starts the server that this test wants"
        );
    }
    found
}

pub(crate) fn kafka() -> Option<String> {
    wanted("KAFKA_BOOTSTRAP_SERVERS")
}
