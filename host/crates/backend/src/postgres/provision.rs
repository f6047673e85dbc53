//! Makes the database ready: the host's own tables, and for each component a role, a schema that the
//! role owns, and the component's migrations.

use std::borrow::Cow;
use std::time::Duration;

use capability::ComponentName;
use capability::postgres::Error;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, SqlSafeStr};

use super::{ComponentPool, Config, failed};
use crate::revisions::MigrationFile;

/// The one lock that provisioning hosts take in turn (`lectern` in ASCII).
const LOCK: i64 = 0x006c_6563_7465_726e;
const ACQUIRE: Duration = Duration::from_secs(5);

const PLATFORM: &[(i64, &str, &str)] = &[
    (
        1,
        "create event tables",
        include_str!("../../../../../migrations/platform/0001_create_event_tables.sql"),
    ),
    (
        2,
        "create revisions",
        include_str!("../../../../../migrations/platform/0002_create_revisions.sql"),
    ),
    (
        3,
        "count failures",
        include_str!("../../../../../migrations/platform/0003_count_failures.sql"),
    ),
    (
        4,
        "trace events",
        include_str!("../../../../../migrations/platform/0004_trace_events.sql"),
    ),
    (
        5,
        "create timers",
        include_str!("../../../../../migrations/platform/0005_create_timers.sql"),
    ),
    (
        6,
        "count usage",
        include_str!("../../../../../migrations/platform/0006_count_usage.sql"),
    ),
    (
        7,
        "create webhooks",
        include_str!("../../../../../migrations/platform/0007_create_webhooks.sql"),
    ),
    (
        8,
        "carry request ids",
        include_str!("../../../../../migrations/platform/0008_carry_request_ids.sql"),
    ),
    (
        9,
        "create engine jobs",
        include_str!("../../../../../migrations/platform/0009_create_engine_jobs.sql"),
    ),
    (
        10,
        "rest webhooks",
        include_str!("../../../../../migrations/platform/0010_rest_webhooks.sql"),
    ),
];

/// Why the database is not ready.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The server cannot be reached, or refused the user.
    #[error("cannot connect to PostgreSQL as `{user}`: {source}")]
    Connect {
        /// `DB_USER`.
        user: String,
        /// What sqlx or the server said.
        source: sqlx::Error,
    },
    /// The user may not make roles or schemas.
    #[error("`{user}` may not {what}: give it CREATEROLE and CREATE on the database ({source})")]
    Privilege {
        /// `DB_USER`.
        user: String,
        /// What was tried.
        what: &'static str,
        /// What the server said.
        source: sqlx::Error,
    },
    /// A migration failed, or its file changed after it ran.
    #[error(
        "the migrations of `{component}` failed: {source}. A file that has been run cannot change: add a new one"
    )]
    Migrate {
        /// Whose.
        component: String,
        /// Why.
        source: MigrateError,
    },
}

impl ProvisionError {
    /// Whether the server answers, and refuses the user: class 28, invalid authorization.
    pub fn is_refused(&self) -> bool {
        let (Self::Connect { source, .. } | Self::Privilege { source, .. }) = self else {
            return false;
        };
        let code = source.as_database_error().and_then(|error| error.code());
        code.is_some_and(|code| code.starts_with("28"))
    }
}

/// How a component's pool is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolLimits {
    /// Connections at most.
    pub connections: u32,
    /// The longest a statement may take, as the server's `statement_timeout` and in the host.
    pub statement_timeout: Duration,
}

/// A connection is asked whether its server is there when it is given back; only one that has idled since is
/// asked again, which would be a third of what a statement costs.
const FRESH: Duration = Duration::from_secs(1);

fn pool_options(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(|connection, has| {
            Box::pin(async move { Ok(has.idle_for <= FRESH || connection.ping().await.is_ok()) })
        })
}

/// The host's own pool, with the host's own tables ready.
pub async fn platform(config: &Config) -> Result<PgPool, ProvisionError> {
    let connect = |source| ProvisionError::Connect {
        user: config.user.clone(),
        source,
    };
    make_database(config).await?;
    let pool = pool_options(8)
        .connect_with(config.options())
        .await
        .map_err(connect)?;
    let mut connection = pool.acquire().await.map_err(connect)?;
    lock(&mut connection, config).await?;
    let made = platform_tables(&mut connection, config).await;
    unlock(&mut connection, config).await?;
    made?;
    Ok(pool)
}

/// Where the server has no database of that name, and the user may make one.
async fn make_database(config: &Config) -> Result<(), ProvisionError> {
    // invalid_catalog_name
    const MISSING: &str = "3D000";
    let code = |error: &sqlx::Error| error.as_database_error()?.code().map(String::from);
    match PgConnection::connect_with(&config.options()).await {
        Err(error) if code(&error).as_deref() == Some(MISSING) => {}
        // Whatever else there is, the pool finds out and says.
        _ => return Ok(()),
    }
    let server = Config {
        database: "postgres".into(),
        ..config.clone()
    };
    let connect = |source| ProvisionError::Connect {
        user: config.user.clone(),
        source,
    };
    let options = server.options();
    let mut connection = PgConnection::connect_with(&options)
        .await
        .map_err(connect)?;
    let name = config.database.replace('"', "\"\"");
    let made = format!("create database \"{name}\"");
    match run(&mut connection, config, "make the database", &made).await {
        // duplicate_database, or its name taken meanwhile: another host was first.
        Err(ProvisionError::Privilege { source, .. })
            if matches!(code(&source).as_deref(), Some("42P04" | "23505")) =>
        {
            Ok(())
        }
        made => made,
    }
}

async fn platform_tables(
    connection: &mut PgConnection,
    config: &Config,
) -> Result<(), ProvisionError> {
    let make = "create schema if not exists lectern";
    run(connection, config, "make the schema `lectern`", make).await?;
    // The default before PostgreSQL 15 lets every role put functions and tables there.
    for closed in [
        "revoke create on schema public from public",
        &format!(
            "revoke temporary on database \"{}\" from public",
            config.database.replace('"', "\"\"")
        ),
    ] {
        let attempt = format!(
            "do $$ begin {closed}; exception when insufficient_privilege or invalid_schema_name then null; end $$"
        );
        run(
            connection,
            config,
            "close the database to other roles",
            &attempt,
        )
        .await?;
    }
    let mut migrator = Migrator::with_migrations(PLATFORM.iter().map(embedded).collect());
    migrator.dangerous_set_table_name("lectern.migrations");
    // A host of an older version may share the database with a newer one.
    migrator.set_ignore_missing(true);
    migrator.set_locking(false);
    migrator
        .run(connection)
        .await
        .map_err(|e| migrate_failed("lectern", e))
}

fn embedded((version, description, sql): &(i64, &'static str, &'static str)) -> Migration {
    Migration::new(
        *version,
        Cow::Borrowed(description),
        MigrationType::Simple,
        AssertSqlSafe(*sql).into_sql_str(),
        false,
    )
}

/// From a file such as `0001_create_sessions.sql`.
fn migration(file: &MigrationFile) -> Migration {
    let stem = file.name.trim_end_matches(".sql");
    let (number, words) = stem.split_once('_').unwrap_or((stem, ""));
    Migration::new(
        number.parse().unwrap_or_default(),
        Cow::Owned(words.replace('_', " ")),
        MigrationType::Simple,
        AssertSqlSafe(file.sql.clone()).into_sql_str(),
        false,
    )
}

fn migrate_failed(component: &str, source: MigrateError) -> ProvisionError {
    ProvisionError::Migrate {
        component: component.to_owned(),
        source,
    }
}

/// Waits until no other host provisions. Ends with the connection, where nothing else ends it.
async fn lock(connection: &mut PgConnection, config: &Config) -> Result<(), ProvisionError> {
    let sql = format!("select pg_advisory_lock({LOCK})");
    run(connection, config, "take a lock", &sql).await
}

async fn unlock(connection: &mut PgConnection, config: &Config) -> Result<(), ProvisionError> {
    let sql = format!("select pg_advisory_unlock({LOCK})");
    run(connection, config, "free a lock", &sql).await
}

async fn run(
    connection: &mut PgConnection,
    config: &Config,
    what: &'static str,
    sql: &str,
) -> Result<(), ProvisionError> {
    let user = config.user.clone();
    connection
        .execute(AssertSqlSafe(sql.to_owned()).into_sql_str())
        .await
        .map(|_| ())
        .map_err(|source| ProvisionError::Privilege { user, what, source })
}

/// The component's role: one word per database and component, as roles are the server's.
fn role_name(config: &Config, component: &ComponentName) -> String {
    let database: String = config
        .database
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .take(14)
        .collect();
    format!("lectern_{database}_{component}")
}

/// The same on every host that knows the administrator's password, and told to nobody.
fn role_password(config: &Config, role: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(config.password.expose_secret().as_bytes())
        .expect("a key of any length");
    mac.update(b"lectern role password v1:");
    mac.update(role.as_bytes());
    mac.finalize()
        .into_bytes()
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// The statements that make the role and its schema as they should be, whatever they were.
fn role_statements(config: &Config, component: &ComponentName) -> Vec<(&'static str, String)> {
    let role = role_name(config, component);
    let password = role_password(config, &role);
    let database = config.database.replace('"', "\"\"");
    vec![
        (
            "create a role",
            format!(
                "do $$ begin if not exists (select from pg_roles where rolname = '{role}') then \
             create role {role} login; end if; end $$"
            ),
        ),
        (
            "set a role's password",
            format!("alter role {role} with login nocreatedb nocreaterole password '{password}'"),
        ),
        (
            "become a component's role",
            format!("grant {role} to current_user"),
        ),
        (
            "make a schema",
            format!("create schema if not exists {component} authorization {role}"),
        ),
        (
            "set a role's search path",
            format!("alter role {role} in database \"{database}\" set search_path = {component}"),
        ),
        (
            "unset a role's time-out",
            format!("alter role {role} in database \"{database}\" reset statement_timeout"),
        ),
        (
            "name a component",
            format!(
                "insert into lectern.components (role_name, component) values ('{role}', '{component}') \
             on conflict (component) do update set role_name = excluded.role_name"
            ),
        ),
        (
            "grant the outbox",
            format!("grant usage on schema lectern to {role}"),
        ),
        (
            "grant the outbox",
            format!("grant execute on function lectern.publish(text, text, jsonb) to {role}"),
        ),
        (
            "grant the outbox",
            format!("grant execute on function lectern.publish(text, text, jsonb, text) to {role}"),
        ),
        (
            "grant the outbox",
            format!(
                "grant execute on function lectern.publish(text, text, jsonb, text, text) to {role}"
            ),
        ),
    ]
}

/// The component's pool, logged in as its role. Connects when it is used; the role has to be there by
/// then. The time-out is the pool's own: two revisions may want different ones.
pub fn pool(config: &Config, name: &ComponentName, limits: PoolLimits) -> ComponentPool {
    let role = role_name(config, name);
    let timeout = limits.statement_timeout.as_millis().to_string();
    let options = config
        .options_as(&role, &role_password(config, &role))
        .options([("statement_timeout", timeout)]);
    let pool = pool_options(limits.connections).connect_lazy_with(options);
    ComponentPool::new(pool, limits.statement_timeout)
}

/// Makes the component's role and schema, and runs its migrations as that role.
pub async fn schema(
    config: &Config,
    platform: &PgPool,
    name: &ComponentName,
    migrations: &[MigrationFile],
) -> Result<(), ProvisionError> {
    let connect = |source| ProvisionError::Connect {
        user: config.user.clone(),
        source,
    };
    let mut connection = platform.acquire().await.map_err(connect)?;
    lock(&mut connection, config).await?;
    let made = bring_forward(&mut connection, config, name, migrations).await;
    unlock(&mut connection, config).await?;
    made
}

async fn bring_forward(
    connection: &mut PgConnection,
    config: &Config,
    name: &ComponentName,
    migrations: &[MigrationFile],
) -> Result<(), ProvisionError> {
    for (what, sql) in role_statements(config, name) {
        run(connection, config, what, &sql).await?;
    }
    if migrations.is_empty() {
        return Ok(());
    }
    let role = role_name(config, name);
    let options = config.options_as(&role, &role_password(config, &role));
    let owner = PgConnection::connect_with(&options).await;
    let mut owner = owner.map_err(|source| ProvisionError::Connect { user: role, source })?;
    migrate(&mut owner, name, migrations).await
}

async fn migrate(
    owner: &mut PgConnection,
    name: &ComponentName,
    files: &[MigrationFile],
) -> Result<(), ProvisionError> {
    let failed = |e| migrate_failed(name.as_str(), e);
    let mut migrator = Migrator::with_migrations(files.iter().map(migration).collect());
    // An older revision, which a rollback brings back, knows less than was run since.
    migrator.set_ignore_missing(true);
    // One at a time already, and sqlx's own lock is the whole database's.
    migrator.set_locking(false);
    owner
        .ensure_migrations_table("_sqlx_migrations")
        .await
        .map_err(failed)?;
    migrator.run(owner).await.map_err(failed)
}

/// Whether the server answers.
pub async fn ping(pool: &PgPool) -> Result<(), Error> {
    sqlx::query("select 1")
        .execute(pool)
        .await
        .map(|_| ())
        .map_err(failed)
}

/// Whether the configured user can log in.
pub async fn connect(config: &Config) -> Result<(), ProvisionError> {
    let connect = |source| ProvisionError::Connect {
        user: config.user.clone(),
        source,
    };
    let connection = PgConnection::connect_with(&config.options())
        .await
        .map_err(connect)?;
    connection.close().await.map_err(connect)
}
