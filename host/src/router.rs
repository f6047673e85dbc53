//! Which component answers a path, and which of its revisions: an immutable table, longest prefix
//! first. A change is another table.

use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use capability::ComponentName;
use runtime::Revision;
use runtime::stats::Snapshot;

use crate::canary::{self, Marker};

/// A component in service.
pub struct Service {
    /// Whose requests and events.
    pub name: ComponentName,
    /// Gets what the canary does not.
    pub stable: Arc<Revision>,
    /// The revision on trial.
    pub canary: Option<Trial>,
    /// Takes no requests and no events for now.
    pub draining: bool,
}

/// A revision on trial.
#[derive(Clone)]
pub struct Trial {
    /// Which.
    pub revision: Arc<Revision>,
    /// Of 100 users, so many.
    pub weight: u8,
    /// A request with this header goes there too.
    pub marker: Option<Marker>,
    /// When this host began it.
    pub began: Instant,
    /// What it had done by then, where it served before.
    pub before: Snapshot,
    /// What the stable had done by then.
    pub baseline: Snapshot,
}

impl Trial {
    fn is_marked(&self, headers: &HeaderMap) -> bool {
        let marker = self.marker.as_ref();
        marker.is_some_and(|marker| marker.is_on(headers))
    }

    /// Whether it is that user's turn to try it.
    fn takes(&self, who: &str) -> bool {
        canary::is_chosen(self.revision.name(), who, self.weight)
            && self.revision.breaker().lets_pass()
    }
}

impl Service {
    /// Who answers a request. The same `who` is answered by the same revision, but for a canary that is no
    /// longer asked: its part is the stable's until it is tried again, or rolled back. Who asks for the
    /// canary by its header is told how it is.
    pub fn choose(&self, headers: &HeaderMap, who: &str) -> &Arc<Revision> {
        match &self.canary {
            Some(trial) if trial.is_marked(headers) || trial.takes(who) => &trial.revision,
            _ => &self.stable,
        }
    }

    /// Who handles an event. What fails at the canary is tried again at the stable.
    pub fn choose_for_event(&self, topic: &str, key: &str, attempt: u32) -> &Arc<Revision> {
        let consumes = |revision: &Revision| {
            let events = revision.manifest().grants.events.as_ref();
            events.is_some_and(|events| events.consume.iter().any(|consumed| consumed == topic))
        };
        match &self.canary {
            Some(trial)
                if attempt == 1
                    && consumes(&trial.revision)
                    && canary::is_chosen(trial.revision.name(), key, trial.weight) =>
            {
                &trial.revision
            }
            _ => &self.stable,
        }
    }

    /// The stable, and the canary where there is one.
    pub fn revisions(&self) -> impl Iterator<Item = &Arc<Revision>> {
        let trial = self.canary.as_ref().map(|trial| &trial.revision);
        std::iter::once(&self.stable).chain(trial)
    }
}

/// The routes of all components.
#[derive(Default)]
pub struct RouteTable {
    /// Longest prefix first.
    routes: Vec<(String, Arc<Service>)>,
    services: Vec<Arc<Service>>,
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
    pub service: &'a Arc<Service>,
    /// The component's health is asked, whatever path it has for that.
    pub health: bool,
}

impl RouteTable {
    /// Fails where two components claim one route. A canary's own routes wait for its promotion.
    pub fn new(services: Vec<Arc<Service>>) -> Result<Self, Conflict> {
        let mut routes: Vec<(String, Arc<Service>)> = Vec::new();
        for service in &services {
            for route in &service.stable.manifest().http.routes {
                claim(&routes, route, &service.name)?;
                routes.push((route.clone(), service.clone()));
            }
        }
        routes.sort_by_key(|(route, _)| std::cmp::Reverse(route.len()));
        Ok(Self { routes, services })
    }

    /// Whether the component could have those routes, beside all the others.
    pub fn check(&self, component: &ComponentName, routes: &[String]) -> Result<(), Conflict> {
        let others: Vec<_> = self
            .routes
            .iter()
            .filter(|(_, service)| service.name != *component)
            .cloned()
            .collect();
        routes
            .iter()
            .try_for_each(|route| claim(&others, route, component))
    }

    /// The table with that service in the place of its namesake.
    pub fn with(&self, service: Arc<Service>) -> Result<Self, Conflict> {
        let mut services = self.others(&service.name);
        services.push(service);
        services.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Self::new(services)
    }

    fn others(&self, name: &ComponentName) -> Vec<Arc<Service>> {
        let others = self.services.iter().filter(|other| other.name != *name);
        others.cloned().collect()
    }

    /// `/{component}/health` is that component's health; the rest goes by prefix.
    pub fn find(&self, path: &str) -> Option<Route<'_>> {
        if let Some(name) = path
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix("/health"))
            && let Some(service) = self.service(name)
        {
            let health = true;
            return Some(Route { service, health });
        }
        let found = self.routes.iter().find(|(route, _)| is_below(path, route));
        found.map(|(_, service)| Route {
            service,
            health: false,
        })
    }

    /// The same for that component alone, whose health is at `/health` too.
    pub fn find_of(&self, name: &str, path: &str) -> Option<Route<'_>> {
        if path == "/health" {
            let service = self.service(name)?;
            let health = true;
            return Some(Route { service, health });
        }
        let found = self.find(path);
        found.filter(|route| route.service.name.as_str() == name)
    }

    /// The route by which that component has the path; `None` of its health.
    pub fn route_of(&self, service: &str, path: &str) -> Option<&str> {
        let mut own = self.routes.iter();
        own.find(|(route, by)| by.name.as_str() == service && is_below(path, route))
            .map(|(route, _)| route.as_str())
    }

    /// The component of that name.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services
            .iter()
            .find(|service| service.name.as_str() == name)
    }

    /// All of them, by name.
    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }
}

fn claim(
    taken: &[(String, Arc<Service>)],
    route: &str,
    by: &ComponentName,
) -> Result<(), Conflict> {
    match taken.iter().find(|(other, _)| other == route) {
        Some((_, first)) => Err(Conflict {
            route: route.to_owned(),
            first: first.name.to_string(),
            second: by.to_string(),
        }),
        None => Ok(()),
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
