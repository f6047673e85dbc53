//! A component's name: the one word that its route table, role, schema, scope and logs share.

use std::fmt;

/// 1 to 40 characters of `[a-z0-9_]`, a letter first: fit for a SQL identifier, a path segment and
/// a metric label as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentName(String);

/// Schemas that are somebody else's, and words that SQL takes for something else.
const RESERVED: &[&str] = &[
    "lectern",
    "public",
    "information_schema",
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_user",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "system_user",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// The name is no component name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is no component name: 1 to 40 characters of [a-z0-9_], a letter first, and no word of the database's"
)]
pub struct InvalidName(pub String);

impl ComponentName {
    /// Checks the form.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        let all_well = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let is_reserved = RESERVED.contains(&name) || name.starts_with("pg_");
        if starts_well && all_well && name.len() <= 40 && !is_reserved {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidName(name.chars().take(80).collect()))
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_identifier_is_refused() {
        for bad in [
            "",
            "1a",
            "a-b",
            "a\"b",
            "A",
            "a/b",
            "ä",
            "lectern",
            "user",
            "pg_x",
            &"a".repeat(41),
        ] {
            assert!(ComponentName::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(ComponentName::parse("chat_2").unwrap().as_str(), "chat_2");
    }
}
