//! The database that all components share, and those that a component has for itself.

use std::collections::BTreeMap;

use backend::postgres::provision::{self, ProvisionError};
use backend::postgres::{self, PlatformPool};
use backend::revisions::RevisionStore;
use capability::ComponentName;

use crate::config::backends::OwnDatabase;

/// A database with the host's own tables in it.
#[derive(Clone)]
pub struct Database {
    /// As the administrator.
    pub server: postgres::Config,
    /// The host's own connections.
    pub pool: PlatformPool,
}

/// All of them.
pub struct Databases {
    shared: Database,
    own: BTreeMap<ComponentName, Database>,
}

type Place = (String, u16, String, String);

fn place(server: &postgres::Config) -> Place {
    let (host, port) = (server.host.clone(), server.port);
    (host, port, server.database.clone(), server.user.clone())
}

impl Databases {
    /// Connects, and makes the host's tables where they are missing. A database of its own has a
    /// component of the folder, `bundled`, or one that has been deployed: a variable that names anybody
    /// else is somebody else's.
    pub async fn open(
        shared: postgres::Config,
        own: &BTreeMap<ComponentName, OwnDatabase>,
        bundled: &[ComponentName],
    ) -> Result<Self, ProvisionError> {
        let open = async |server: postgres::Config| {
            let pool = provision::platform(&server).await?;
            Ok::<_, ProvisionError>(Database { server, pool })
        };
        let shared = open(shared).await?;
        let deployed = RevisionStore::new(shared.pool.clone()).traffic().await;
        let deployed = deployed.unwrap_or_default();
        let is_known = |name: &ComponentName| {
            bundled.contains(name) || deployed.iter().any(|traffic| traffic.component == *name)
        };
        let mut open_already = BTreeMap::from([(place(&shared.server), shared.clone())]);
        let mut databases = BTreeMap::new();
        for (name, own) in own.iter().filter(|(name, _)| is_known(name)) {
            tracing::info!(service = %name, "has a database of its own");
            let server = own.beside(&shared.server);
            let database = match open_already.get(&place(&server)) {
                Some(database) => database.clone(),
                None => open(server).await?,
            };
            open_already.insert(place(&database.server), database.clone());
            databases.insert(name.clone(), database);
        }
        Ok(Self {
            shared,
            own: databases,
        })
    }

    /// Where revisions, hosts and subscriptions are.
    pub fn shared(&self) -> &Database {
        &self.shared
    }

    /// Where that component's schema and outbox are.
    pub fn of(&self, name: &ComponentName) -> &Database {
        self.own.get(name).unwrap_or(&self.shared)
    }

    /// Each once.
    pub fn all(&self) -> Vec<&Database> {
        let all = std::iter::once(&self.shared).chain(self.own.values());
        let by_place: BTreeMap<_, _> = all.map(|each| (place(&each.server), each)).collect();
        by_place.into_values().collect()
    }

    /// Ends all connections.
    pub async fn close(&self) {
        for database in self.all() {
            database.pool.close().await;
        }
    }
}
