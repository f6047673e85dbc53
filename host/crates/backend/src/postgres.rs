//! PostgreSQL through sqlx: a pool per component, logged in as a role that owns one schema.

pub mod cluster;
pub mod provision;
mod value;

use std::time::Duration;

use async_trait::async_trait;
use capability::events::{self, Message};
use capability::postgres::{
    self as contract, Column, Error, FETCH_BYTES, FETCH_ROWS, Row, Rows, Value,
};
use futures::{StreamExt, TryStreamExt};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgStatement};
use sqlx::{AssertSqlSafe, Column as _, Executor, PgPool, SqlSafeStr, Statement, TypeInfo};

/// Where the server is and who administers Lectern's database there.
#[derive(Clone, Debug)]
pub struct Config {
    /// A host name or address, or the folder of a unix socket when it starts with `/`.
    pub host: String,
    /// TCP port, or the number in the socket's name.
    pub port: u16,
    /// The database all components share, a schema each.
    pub database: String,
    /// May create roles and schemas.
    pub user: String,
    /// Of that user; also what the components' own passwords are derived from.
    pub password: SecretString,
}

impl Config {
    /// As the administrator: names that are not qualified mean PostgreSQL's own and nobody else's, or
    /// a component's role could have its function called with the administrator's rights
    /// (CVE-2018-1058).
    fn options(&self) -> PgConnectOptions {
        self.options_as(&self.user, self.password.expose_secret())
            .options([("search_path", "pg_catalog")])
    }

    fn options_as(&self, user: &str, password: &str) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass();
        let options = match self.host.strip_prefix('/') {
            Some(_) => options.socket(&self.host),
            None => options.host(&self.host),
        };
        options
            .port(self.port)
            .database(&self.database)
            .username(user)
            .password(password)
            .application_name("lectern")
            // A host that vanished keeps no lock and no lease for hours.
            .options([
                ("tcp_keepalives_idle", "20"),
                ("tcp_keepalives_interval", "5"),
                ("tcp_keepalives_count", "3"),
            ])
    }
}

/// The host's own pool, as the administrator.
pub type PlatformPool = PgPool;

/// A component's own pool.
pub struct ComponentPool {
    pool: PgPool,
    timeout: Duration,
}

impl ComponentPool {
    /// Wraps a pool that is logged in as the component's role. A call longer than `timeout` ends.
    pub fn new(pool: PgPool, timeout: Duration) -> Self {
        Self { pool, timeout }
    }

    /// Connections that are open, and those of them in use.
    pub fn connections(&self) -> (u32, u32) {
        let open = self.pool.size();
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(open);
        (open, open.saturating_sub(idle))
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn limited<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        limited(self.timeout, work).await
    }
}

async fn limited<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or(Err(Error::Timeout))
}

async fn prepare(
    connection: &mut PgConnection,
    sql: &str,
    params: Vec<Value>,
) -> Result<(PgStatement, PgArguments), Error> {
    // Guests send their own SQL on purpose: their role is what confines them.
    let statement = connection
        .prepare(AssertSqlSafe(sql.to_owned()).into_sql_str())
        .await;
    let statement = statement.map_err(failed)?;
    let arguments = value::arguments(&statement, params)?;
    Ok((statement, arguments))
}

async fn fetch(
    connection: &mut PgConnection,
    sql: &str,
    params: Vec<Value>,
) -> Result<Vec<Row>, Error> {
    let (statement, arguments) = prepare(connection, sql, params).await?;
    let mut found = statement.query_with(arguments).fetch(connection);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.try_next().await.map_err(failed)? {
        let row = value::row(&row)?;
        bytes += row.iter().map(Value::weight).sum::<usize>();
        if rows.len() == FETCH_ROWS || bytes > FETCH_BYTES {
            return Err(Error::QuotaExceeded);
        }
        rows.push(row);
    }
    Ok(rows)
}

async fn execute(
    connection: &mut PgConnection,
    sql: &str,
    params: Vec<Value>,
) -> Result<u64, Error> {
    let (statement, arguments) = prepare(connection, sql, params).await?;
    let done = statement.query_with(arguments).execute(connection).await;
    done.map(|done| done.rows_affected()).map_err(failed)
}

fn columns(statement: &PgStatement) -> Vec<Column> {
    let describe = |column: &sqlx::postgres::PgColumn| Column {
        name: column.name().to_owned(),
        type_name: column.type_info().name().to_owned(),
    };
    statement.columns().iter().map(describe).collect()
}

#[async_trait]
impl contract::Postgres for ComponentPool {
    async fn fetch(&self, statement: &str, params: Vec<Value>) -> Result<Vec<Row>, Error> {
        self.limited(async {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            fetch(&mut connection, statement, params).await
        })
        .await
    }

    async fn query(&self, statement: &str, params: Vec<Value>) -> Result<Rows, Error> {
        let (mut connection, statement, arguments) = self
            .limited(async {
                let mut connection = self.pool.acquire().await.map_err(failed)?;
                let (statement, arguments) = prepare(&mut connection, statement, params).await?;
                Ok((connection, statement, arguments))
            })
            .await?;
        let columns = columns(&statement);
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            let mut found = statement.query_with(arguments).fetch(&mut *connection);
            while let Some(row) = found.next().await {
                let row = row.map_err(failed).and_then(|row| value::row(&row));
                let last = row.is_err();
                // A closed channel means that the reader left: the connection goes back.
                if sender.send(row).await.is_err() || last {
                    break;
                }
            }
        });
        let rows = tokio_stream::wrappers::ReceiverStream::new(receiver).boxed();
        Ok(Rows { columns, rows })
    }

    async fn execute(&self, statement: &str, params: Vec<Value>) -> Result<u64, Error> {
        self.limited(async {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            execute(&mut connection, statement, params).await
        })
        .await
    }

    async fn begin(&self) -> Result<Box<dyn contract::Transaction>, Error> {
        let begun = self
            .limited(async { self.pool.begin().await.map_err(failed) })
            .await?;
        Ok(Box::new(Transaction {
            inner: begun,
            timeout: self.timeout,
        }))
    }
}

#[async_trait]
impl events::Events for ComponentPool {
    async fn publish(&self, message: &Message) -> Result<String, events::Error> {
        message.validate()?;
        let stored = self.limited(async {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            publish(&mut connection, message).await
        });
        stored.await.map_err(publish_failed)
    }
}

struct Transaction {
    inner: sqlx::Transaction<'static, sqlx::Postgres>,
    timeout: Duration,
}

#[async_trait]
impl contract::Transaction for Transaction {
    async fn fetch(&mut self, statement: &str, params: Vec<Value>) -> Result<Vec<Row>, Error> {
        limited(self.timeout, fetch(&mut self.inner, statement, params)).await
    }

    async fn execute(&mut self, statement: &str, params: Vec<Value>) -> Result<u64, Error> {
        limited(self.timeout, execute(&mut self.inner, statement, params)).await
    }

    async fn publish(&mut self, message: &Message) -> Result<String, events::Error> {
        message.validate()?;
        let stored = limited(self.timeout, publish(&mut self.inner, message));
        stored.await.map_err(publish_failed)
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        crate::step("postgres::before_commit");
        let committed = limited(self.timeout, async {
            self.inner.commit().await.map_err(failed)
        });
        committed.await?;
        crate::step("postgres::after_commit");
        Ok(())
    }

    async fn rollback(self: Box<Self>) -> Result<(), Error> {
        limited(self.timeout, async {
            self.inner.rollback().await.map_err(failed)
        })
        .await
    }
}

async fn publish(connection: &mut PgConnection, message: &Message) -> Result<String, Error> {
    let params = vec![
        Value::Text(message.topic.clone()),
        Value::Text(message.key.clone()),
        Value::Json(message.payload.clone()),
        message.trace.clone().map_or(Value::Null, Value::Text),
        message.request_id.clone().map_or(Value::Null, Value::Text),
    ];
    let publish = "select lectern.publish($1, $2, $3, $4, $5)";
    let rows = fetch(connection, publish, params).await?;
    match rows.into_iter().flatten().next() {
        Some(Value::Uuid(id)) => Ok(id),
        _ => Err(Error::Invalid("the outbox answered no id".into())),
    }
}

pub(crate) fn publish_failed(error: Error) -> events::Error {
    match error {
        Error::AccessDenied => events::Error::AccessDenied,
        Error::Timeout => events::Error::Timeout,
        Error::Unavailable(why) => events::Error::Unavailable(why),
        Error::QuotaExceeded => events::Error::QuotaExceeded,
        Error::Invalid(why) => events::Error::Invalid(why),
        // program_limit_exceeded: lectern.publish found it too large
        Error::Db { sqlstate, .. } if sqlstate == "54000" => events::Error::QuotaExceeded,
        error @ Error::Db { .. } => events::Error::Invalid(error.to_string()),
    }
}

/// sqlx's errors by meaning.
pub(crate) fn failed(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(e) => server_failed(&*e),
        sqlx::Error::PoolTimedOut => Error::Timeout,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Error::Unavailable(error.to_string()),
        sqlx::Error::Protocol(_) => Error::Unavailable(error.to_string()),
        error => Error::Invalid(error.to_string()),
    }
}

fn server_failed(error: &dyn sqlx::error::DatabaseError) -> Error {
    let sqlstate = error.code().unwrap_or_default().into_owned();
    match sqlstate.as_str() {
        // insufficient_privilege
        "42501" => Error::AccessDenied,
        // query_canceled: statement_timeout
        "57014" => Error::Timeout,
        // admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections
        "57P01" | "57P02" | "57P03" | "53300" => Error::Unavailable(error.message().to_owned()),
        _ => Error::Db {
            sqlstate,
            message: error.message().to_owned(),
            constraint: error.constraint().map(ToOwned::to_owned),
        },
    }
}
