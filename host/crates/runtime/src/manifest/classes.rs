//! `[http.classes]`: what kind of work a request is.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;

/// What a request costs, roughly: each class has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteClass {
    /// Looks something up.
    Read,
    /// Changes something.
    Write,
    /// Brings a file.
    Upload,
    /// Has a model answer, speak or listen.
    Model,
}

impl RouteClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Upload, Self::Model];

    /// As in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Upload => "upload",
            Self::Model => "model",
        }
    }
}

/// By class, requests such as `POST /chat`: that method, on that path and everything below it. What is not
/// named is `read` by a safe method, else `write`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Classes(BTreeMap<RouteClass, Vec<String>>);

impl Classes {
    /// Of a request: the longest path that covers it decides.
    pub fn of(&self, method: &Method, path: &str) -> RouteClass {
        let all = self.0.iter();
        let all = all.flat_map(|(class, rules)| rules.iter().map(move |rule| (*class, rule)));
        let covering = all.filter_map(|(class, rule)| {
            let (its, prefix) = rule.split_once(' ')?;
            let rest = path.strip_prefix(prefix)?;
            let covers = its == method.as_str() && (rest.is_empty() || rest.starts_with('/'));
            covers.then_some((prefix.len(), class))
        });
        let default = match method.is_safe() {
            true => RouteClass::Read,
            false => RouteClass::Write,
        };
        covering.max().map_or(default, |(_, class)| class)
    }

    /// A rule that is none.
    pub(super) fn unfit(&self) -> Option<&str> {
        let rules = self.0.values().flatten();
        let is_rule = |rule: &str| {
            rule.split_once(' ').is_some_and(|(method, path)| {
                Method::from_bytes(method.as_bytes()).is_ok()
                    && super::route_is_fine(path)
                    && path != "/"
            })
        };
        rules.map(String::as_str).find(|rule| !is_rule(rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    #[test]
    fn the_longest_path_that_covers_a_request_decides() {
        let manifest = "name = \"a\"\n[http.classes]\nmodel = [\"POST /chat\"]\nwrite = [\"POST /chat/sessions\"]";
        let classes = Manifest::parse(manifest).unwrap().http.classes;
        for (method, path, class) in [
            (Method::POST, "/chat", RouteClass::Model),
            (Method::POST, "/chat/again", RouteClass::Model),
            (Method::POST, "/chat/sessions/1", RouteClass::Write),
            (Method::POST, "/chatter", RouteClass::Write),
            (Method::GET, "/chat", RouteClass::Read),
            (Method::DELETE, "/chat", RouteClass::Write),
        ] {
            assert_eq!(classes.of(&method, path), class, "{method} {path}");
        }
    }
}
