//! The domain: plain Rust that knows neither HTTP nor the sandbox.

use std::fmt;

use serde::Serialize;

/// Of a name, in characters.
pub const MAX_NAME: usize = 100;

/// What is answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Greeting {
    /// A sentence for a person.
    pub message: String,
}

/// The name is empty or too long.
#[derive(Debug, PartialEq, Eq)]
pub struct BadName;

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`name` has 1 to {MAX_NAME} characters")
    }
}

/// Greets whoever is named, and the world where nobody is.
pub fn greet(name: Option<&str>) -> Result<Greeting, BadName> {
    let name = name.unwrap_or("world").trim();
    if name.is_empty() || name.chars().count() > MAX_NAME {
        return Err(BadName);
    }
    let message = format!("Hello, {name}!");
    Ok(Greeting { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_no_name_is_the_world() {
        assert_eq!(greet(None).unwrap().message, "Hello, world!");
        assert_eq!(greet(Some(" Ada ")).unwrap().message, "Hello, Ada!");
    }

    #[test]
    fn a_name_says_something_and_fits() {
        for bad in ["", "  ", &"ä".repeat(MAX_NAME + 1)] {
            assert_eq!(greet(Some(bad)), Err(BadName), "{bad}");
        }
        assert!(greet(Some(&"ä".repeat(MAX_NAME))).is_ok());
    }
}
