//! Which component answers a path: an immutable table, longest prefix first.

use std::sync::Arc;

use runtime::Revision;

/// The routes of all components.
pub struct RouteTable {
    /// Longest prefix first.
    routes: Vec<(String, Arc<Revision>)>,
    components: Vec<Arc<Revision>>,
}

/// Two components claim one route.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{first}` and `{second}` both claim the route `{route}`")]
pub struct Conflict {
    /// The path.
    pub route: String,
    /// Who has it.
    pub first: String,
    /// Who wants it too.
    pub second: String,
}

/// Where a request goes.
pub struct Route<'a> {
    /// Who answers.
    pub revision: &'a Arc<Revision>,
    /// The path that the component sees, where it is another than the client's.
    pub rewritten: Option<&'static str>,
}

impl RouteTable {
    /// Fails where two components claim one route.
    pub fn new(components: Vec<Arc<Revision>>) -> Result<Self, Conflict> {
        let mut routes: Vec<(String, Arc<Revision>)> = Vec::new();
        for revision in &components {
            let manifest = revision.manifest();
            for route in &manifest.http.routes {
                if let Some((_, first)) = routes.iter().find(|(taken, _)| taken == route) {
                    let first = first.manifest().name.to_string();
                    let second = manifest.name.to_string();
                    return Err(Conflict {
                        route: route.clone(),
                        first,
                        second,
                    });
                }
                routes.push((route.clone(), revision.clone()));
            }
        }
        routes.sort_by_key(|(route, _)| std::cmp::Reverse(route.len()));
        Ok(Self { routes, components })
    }

    /// `/{component}/health` is that component's `/health`; the rest goes by prefix.
    pub fn find(&self, path: &str) -> Option<Route<'_>> {
        if let Some(name) = path
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix("/health"))
            && let Some(revision) = self
                .components
                .iter()
                .find(|r| r.manifest().name.as_str() == name)
        {
            return Some(Route {
                revision,
                rewritten: Some("/health"),
            });
        }
        let found = self.routes.iter().find(|(route, _)| is_below(path, route));
        found.map(|(_, revision)| Route {
            revision,
            rewritten: None,
        })
    }

    /// All of them.
    pub fn components(&self) -> &[Arc<Revision>] {
        &self.components
    }
}

/// `/chat` covers `/chat` and `/chat/history`, not `/chatter`.
fn is_below(path: &str, route: &str) -> bool {
    route == "/"
        || path
            .strip_prefix(route)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_covers_whole_segments() {
        assert!(is_below("/chat", "/chat"));
        assert!(is_below("/chat/history/1", "/chat"));
        assert!(!is_below("/chatter", "/chat"));
        assert!(!is_below("/", "/chat"));
        assert!(is_below("/anything", "/"));
    }
}
