//! A private PostgreSQL for a test.

use std::time::Duration;

use backend::postgres::cluster::Cluster;
use backend::postgres::provision::{self, PoolLimits};
use backend::postgres::{ComponentPool, PlatformPool};
use capability::ComponentName;
use tempfile::TempDir;

pub(crate) struct Server {
    pub(crate) cluster: Cluster,
    pub(crate) platform: PlatformPool,
    pub(crate) folder: TempDir,
}

/// In a folder that the database's user can walk into.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    folder
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = folder();
        let cluster = Cluster::start(folder.path()).await.unwrap();
        let platform = provision::platform(cluster.config()).await.unwrap();
        Self {
            cluster,
            platform,
            folder,
        }
    }

    pub(crate) async fn component(&self, name: &str) -> ComponentPool {
        self.component_within(name, Duration::from_secs(5)).await
    }

    pub(crate) async fn component_within(
        &self,
        name: &str,
        statement_timeout: Duration,
    ) -> ComponentPool {
        let name = ComponentName::parse(name).unwrap();
        let limits = PoolLimits {
            connections: 4,
            statement_timeout,
        };
        let config = self.cluster.config();
        provision::schema(config, &self.platform, &name, &[])
            .await
            .unwrap();
        provision::pool(config, &name, limits)
    }

    pub(crate) async fn stop(self) {
        self.platform.close().await;
        self.cluster.stop().await;
        drop(self.folder);
    }
}
