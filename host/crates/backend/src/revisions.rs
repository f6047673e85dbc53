//! Revisions of components, and who of them gets the traffic, in PostgreSQL: what every host on one
//! database agrees on.

mod hosts;

use capability::ComponentName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgListener, PgRow};
use sqlx::{PgConnection, PgPool, Row};
use time::OffsetDateTime;

pub use hosts::{HostReport, HostState};

/// Notified with a component's name whenever its traffic changes.
const CHANGED: &str = "lectern_traffic";
/// Former stables that are remembered.
const PREVIOUS: usize = 10;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else changed the component's traffic first.
    #[error("the component was changed by somebody else at the same time")]
    Conflict,
    /// No such revision or component.
    #[error("there is no such revision")]
    NotFound,
    /// The revision gets traffic, or a rollback would go there.
    #[error("the revision is in use")]
    InUse,
    /// The database.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// A file of SQL that brings the component's schema forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationFile {
    /// As in `0001_create_sessions.sql`.
    pub name: String,
    /// What runs.
    pub sql: String,
}

/// Where a revision came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A host's folder.
    BuiltIn,
    /// The admin API.
    Deployed,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Deployed => "deployed",
        }
    }

    fn parse(word: &str) -> Self {
        if word == "built-in" {
            Self::BuiltIn
        } else {
            Self::Deployed
        }
    }
}

/// What a revision is: code, configuration, grants and schema, as one.
#[derive(Clone, Debug)]
pub struct Content {
    /// The manifest, as it was written.
    pub manifest: String,
    /// In their order.
    pub migrations: Vec<MigrationFile>,
    /// The component's bytes.
    pub wasm: Vec<u8>,
    wasm_digest: String,
}

impl Content {
    /// All that makes a revision.
    pub fn new(manifest: String, migrations: Vec<MigrationFile>, wasm: Vec<u8>) -> Self {
        Self {
            wasm_digest: hex(&Sha256::digest(&wasm)),
            manifest,
            migrations,
            wasm,
        }
    }

    /// The wasm's SHA-256 in hexadecimal.
    pub fn wasm_digest(&self) -> &str {
        &self.wasm_digest
    }

    /// The revision's name: SHA-256 over all of it, each part preceded by its length, so that no two
    /// contents read alike.
    pub fn revision(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(self.wasm_digest().as_bytes());
        part(self.manifest.as_bytes());
        for file in &self.migrations {
            part(file.name.as_bytes());
            part(file.sql.as_bytes());
        }
        hex(&hash.finalize())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// A stored revision, without its bytes.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Whose.
    pub component: ComponentName,
    /// 64 hexadecimal digits.
    pub revision: String,
    /// SHA-256 of its wasm.
    pub wasm_digest: String,
    /// Bytes.
    pub wasm_size: u64,
    /// `component.toml`.
    pub manifest: String,
    /// In their order.
    pub migrations: Vec<MigrationFile>,
    /// Where it came from.
    pub origin: Origin,
    /// A token's subject.
    pub created_by: String,
    /// When.
    pub created_at: OffsetDateTime,
}

/// The revision on trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Which.
    pub revision: String,
    /// Of 100 requests, so many; 0 to 100.
    pub weight: u8,
    /// A request with this header goes there, whatever the weight.
    pub header: Option<String>,
}

/// Who gets a component's requests and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Whose.
    pub component: ComponentName,
    /// Counts changes.
    pub generation: i64,
    /// Who gets what the canary does not.
    pub stable: String,
    /// The revision on trial.
    pub canary: Option<Canary>,
    /// Former stables, latest first.
    pub previous: Vec<String>,
    /// Takes no requests and no events.
    pub draining: bool,
    /// Who made it so: read, and set by [`Action::who`].
    pub changed_by: String,
}

/// Something that was done, for the record.
#[derive(Clone, Debug)]
pub struct Action {
    /// A token's subject, or `lectern`.
    pub who: String,
    /// As in `deploy`.
    pub action: &'static str,
    /// What a reader wants to know of it.
    pub detail: serde_json::Value,
}

/// An [`Action`] on the record.
#[derive(Clone, Debug)]
pub struct Audited {
    /// Counts up.
    pub id: i64,
    /// When.
    pub at: OffsetDateTime,
    /// A token's subject, or `lectern`.
    pub who: String,
    /// As in `deploy`.
    pub action: String,
    /// To what.
    pub component: String,
    /// What a reader wants to know of it.
    pub detail: serde_json::Value,
}

/// The store.
#[derive(Clone)]
pub struct RevisionStore {
    pool: PgPool,
}

impl RevisionStore {
    /// On the host's own tables.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Stores the revision; whether it was new.
    pub async fn put(
        &self,
        component: &ComponentName,
        content: &Content,
        origin: Origin,
        who: &str,
    ) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query(
            "insert into lectern.wasm (digest, bytes) values ($1, $2) on conflict do nothing",
        )
        .bind(content.wasm_digest())
        .bind(&content.wasm)
        .execute(&mut *tx)
        .await?;
        let stored = sqlx::query(
            "insert into lectern.revisions (component, revision, wasm_digest, wasm_size, manifest, migrations, \
             origin, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        )
        .bind(component.as_str())
        .bind(content.revision())
        .bind(content.wasm_digest())
        .bind(i64::try_from(content.wasm.len()).unwrap_or(i64::MAX))
        .bind(&content.manifest)
        .bind(sqlx::types::Json(&content.migrations))
        .bind(origin.as_str())
        .bind(who)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(stored.rows_affected() == 1)
    }

    /// All of a component's revisions, latest first.
    pub async fn list(&self, component: &ComponentName) -> Result<Vec<Revision>, Error> {
        let rows = sqlx::query(
            "select * from lectern.revisions where component = $1 order by created_at desc, revision limit 1000",
        )
        .bind(component.as_str())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(revision).collect()
    }

    /// The one whose name begins so, where there is just one.
    pub async fn find(&self, component: &ComponentName, prefix: &str) -> Result<Revision, Error> {
        let rows = sqlx::query(
            "select * from lectern.revisions where component = $1 and starts_with(revision, $2) limit 2",
        )
        .bind(component.as_str())
        .bind(prefix)
        .fetch_all(&self.pool)
        .await?;
        match &rows[..] {
            [row] if !prefix.is_empty() => revision(row),
            _ => Err(Error::NotFound),
        }
    }

    /// A component's bytes.
    pub async fn wasm(&self, digest: &str) -> Result<Vec<u8>, Error> {
        sqlx::query_scalar("select bytes from lectern.wasm where digest = $1")
            .bind(digest)
            .fetch_optional(&self.pool)
            .await?
            .ok_or(Error::NotFound)
    }

    /// Forgets a revision that gets no traffic and that no rollback would want.
    pub async fn delete(
        &self,
        component: &ComponentName,
        revision: &str,
        action: &Action,
    ) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let used: Option<bool> = sqlx::query_scalar(
            "select stable = $2 or coalesce(canary = $2, false) from lectern.traffic where component = $1 for update",
        )
        .bind(component.as_str())
        .bind(revision)
        .fetch_optional(&mut *tx)
        .await?;
        if used == Some(true) {
            return Err(Error::InUse);
        }
        let deleted: Option<String> = sqlx::query_scalar(
            "delete from lectern.revisions where component = $1 and revision = $2 returning wasm_digest",
        )
        .bind(component.as_str())
        .bind(revision)
        .fetch_optional(&mut *tx)
        .await?;
        let digest = deleted.ok_or(Error::NotFound)?;
        sqlx::query("update lectern.traffic set previous = previous - $2 where component = $1")
            .bind(component.as_str())
            .bind(revision)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "delete from lectern.wasm where digest = $1 \
             and not exists (select from lectern.revisions where wasm_digest = $1)",
        )
        .bind(digest)
        .execute(&mut *tx)
        .await?;
        record(&mut tx, component, action).await?;
        tx.commit().await?;
        Ok(())
    }

    /// All components' traffic.
    pub async fn traffic(&self) -> Result<Vec<Traffic>, Error> {
        let rows = sqlx::query("select * from lectern.traffic order by component")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(traffic).collect()
    }

    /// One component's traffic.
    pub async fn traffic_of(&self, component: &ComponentName) -> Result<Option<Traffic>, Error> {
        let row = sqlx::query("select * from lectern.traffic where component = $1")
            .bind(component.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(traffic).transpose()
    }

    /// Makes `wanted` so, if `wanted.generation` is still the present one (0: there is none yet).
    /// Answers what is now; every host is notified.
    pub async fn set_traffic(&self, wanted: &Traffic, action: &Action) -> Result<Traffic, Error> {
        let mut tx = self.pool.begin().await?;
        let previous: Vec<&String> = wanted.previous.iter().take(PREVIOUS).collect();
        let canary = wanted.canary.as_ref();
        let row = sqlx::query(
            "insert into lectern.traffic as t (component, stable, canary, weight, header, previous, draining, changed_by) \
             select $1, $3, $4, $5, $6, $7, $8, $9 where $2 = 0 or exists (select from lectern.traffic where component = $1) \
             on conflict (component) do update set generation = t.generation + 1, stable = excluded.stable, \
             canary = excluded.canary, weight = excluded.weight, header = excluded.header, \
             previous = excluded.previous, draining = excluded.draining, changed_by = excluded.changed_by, \
             changed_at = now() where t.generation = $2 returning *",
        )
        .bind(wanted.component.as_str())
        .bind(wanted.generation)
        .bind(&wanted.stable)
        .bind(canary.map(|canary| &canary.revision))
        .bind(canary.map_or(0, |canary| i32::from(canary.weight)))
        .bind(canary.and_then(|canary| canary.header.as_ref()))
        .bind(sqlx::types::Json(previous))
        .bind(wanted.draining)
        .bind(&action.who)
        .fetch_optional(&mut *tx)
        .await?;
        let now = traffic(&row.ok_or(Error::Conflict)?)?;
        record(&mut tx, &wanted.component, action).await?;
        sqlx::query("select pg_notify($1, $2)")
            .bind(CHANGED)
            .bind(wanted.component.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(now)
    }

    /// Forgets that the component is run; its revisions stay. Only a host that is alone may: another
    /// could know of a later generation than the next one.
    pub async fn remove_traffic(
        &self,
        component: &ComponentName,
        action: &Action,
    ) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("delete from lectern.traffic where component = $1")
            .bind(component.as_str())
            .execute(&mut *tx)
            .await?;
        record(&mut tx, component, action).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Puts on the record what changes no traffic.
    pub async fn record(&self, component: &ComponentName, action: &Action) -> Result<(), Error> {
        let mut connection = self.pool.acquire().await?;
        record(&mut connection, component, action).await
    }

    /// The record, latest first, before the entry of that id.
    pub async fn audit(&self, before: i64, limit: i64) -> Result<Vec<Audited>, Error> {
        let rows =
            sqlx::query("select * from lectern.audit where id < $1 order by id desc limit $2")
                .bind(before)
                .bind(limit)
                .fetch_all(&self.pool)
                .await?;
        let entry = |row: &PgRow| {
            Ok(Audited {
                id: row.try_get("id")?,
                at: row.try_get("at")?,
                who: row.try_get("who")?,
                action: row.try_get("action")?,
                component: row.try_get("component")?,
                detail: row.try_get("detail")?,
            })
        };
        rows.iter().map(entry).collect()
    }

    /// Tells of changes from now on.
    pub async fn changes(&self) -> Result<Changes, Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANGED).await?;
        Ok(Changes(listener))
    }
}

/// Changes of any component's traffic, by any host.
pub struct Changes(PgListener);

impl Changes {
    /// Waits for the next one. After an error some may have been missed.
    pub async fn next(&mut self) -> Result<(), Error> {
        self.0.recv().await?;
        Ok(())
    }
}

async fn record(
    connection: &mut PgConnection,
    component: &ComponentName,
    action: &Action,
) -> Result<(), Error> {
    sqlx::query(
        "insert into lectern.audit (who, action, component, detail) values ($1, $2, $3, $4)",
    )
    .bind(&action.who)
    .bind(action.action)
    .bind(component.as_str())
    .bind(&action.detail)
    .execute(connection)
    .await?;
    Ok(())
}

fn name(row: &PgRow) -> Result<ComponentName, sqlx::Error> {
    let name: &str = row.try_get("component")?;
    ComponentName::parse(name).map_err(|e| sqlx::Error::Decode(e.into()))
}

fn revision(row: &PgRow) -> Result<Revision, Error> {
    let size: i64 = row.try_get("wasm_size")?;
    let migrations: sqlx::types::Json<Vec<MigrationFile>> = row.try_get("migrations")?;
    Ok(Revision {
        component: name(row)?,
        revision: row.try_get("revision")?,
        wasm_digest: row.try_get("wasm_digest")?,
        wasm_size: u64::try_from(size).unwrap_or_default(),
        manifest: row.try_get("manifest")?,
        migrations: migrations.0,
        origin: Origin::parse(row.try_get("origin")?),
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
    })
}

fn traffic(row: &PgRow) -> Result<Traffic, Error> {
    let canary: Option<String> = row.try_get("canary")?;
    let weight: i32 = row.try_get("weight")?;
    let header: Option<String> = row.try_get("header")?;
    let previous: sqlx::types::Json<Vec<String>> = row.try_get("previous")?;
    Ok(Traffic {
        component: name(row)?,
        generation: row.try_get("generation")?,
        stable: row.try_get("stable")?,
        canary: canary.map(|revision| Canary {
            revision,
            weight: u8::try_from(weight).unwrap_or_default(),
            header,
        }),
        previous: previous.0,
        draining: row.try_get("draining")?,
        changed_by: row.try_get("changed_by")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(manifest: &str, sql: &[(&str, &str)]) -> Content {
        let file = |(name, sql): &(&str, &str)| MigrationFile {
            name: (*name).into(),
            sql: (*sql).into(),
        };
        let files = sql.iter().map(file).collect();
        Content::new(manifest.into(), files, vec![1, 2, 3])
    }

    #[test]
    fn a_revision_is_named_by_all_of_its_content() {
        let base = content("name = \"a\"", &[("1_a.sql", "x")]);
        assert_eq!(
            base.revision(),
            content("name = \"a\"", &[("1_a.sql", "x")]).revision()
        );
        assert_eq!(base.revision().len(), 64);
        for other in [
            content("name = \"b\"", &[("1_a.sql", "x")]),
            content("name = \"a\"", &[("1_a.sqlx", "")]),
            content("name = \"a\"", &[]),
            content("name = \"a\"1_a.sql", &[]),
        ] {
            assert_ne!(base.revision(), other.revision(), "{other:?}");
        }
    }
}
