//! The environment, read once.

use std::collections::BTreeMap;

/// Variables by name. One that is empty counts as unset, as compose files leave them; one that is not
/// UTF-8 is nobody's here.
#[derive(Clone, Default)]
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(super) fn read() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::of(std::env::vars_os().filter_map(text))
    }

    pub(super) fn of(variables: impl Iterator<Item = (String, String)>) -> Self {
        Self(variables.filter(|(_, value)| !value.is_empty()).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What stands before `suffix` in names that end so, with the value: `("CHAT", "x")` of
    /// `CHAT_DB_NAME=x` for `_DB_NAME`.
    pub(super) fn ending<'a>(
        &'a self,
        suffix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let split = move |(name, value): (&'a String, &'a String)| {
            let prefix = name.strip_suffix(suffix)?;
            (!prefix.is_empty()).then_some((prefix, value.as_str()))
        };
        self.0.iter().filter_map(split)
    }

    /// What stands behind `prefix` in names that begin so, with the value.
    pub(super) fn beginning<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let split = move |(name, value): (&'a String, &'a String)| {
            Some((name.strip_prefix(prefix)?, value.as_str()))
        };
        self.0.iter().filter_map(split)
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self::of(owned.into_iter())
    }
}
