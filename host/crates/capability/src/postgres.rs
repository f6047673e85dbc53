//! SQL on a component's own schema.

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::events::{self, Message};

/// A parameter or a column's value; mirrors `value` in `wit/postgres.wit`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL of whatever type the place wants.
    Null,
    /// boolean
    Boolean(bool),
    /// smallint, integer, bigint
    Int(i64),
    /// real, double precision
    Float(f64),
    /// text, varchar and kin
    Text(String),
    /// bytea
    Bytes(Vec<u8>),
    /// Microseconds since the Unix epoch, UTC.
    Timestamp(i64),
    /// In its hyphenated form.
    Uuid(String),
    /// A JSON document.
    Json(String),
}

impl Value {
    /// What the value weighs in the host's memory, roughly, for the byte caps.
    pub fn weight(&self) -> usize {
        16 + match self {
            Self::Text(s) | Self::Uuid(s) | Self::Json(s) => s.len(),
            Self::Bytes(b) => b.len(),
            _ => 0,
        }
    }
}

/// One row, in the order of the columns.
pub type Row = Vec<Value>;

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As the statement names it.
    pub name: String,
    /// PostgreSQL's own name of the type.
    pub type_name: String,
}

/// The most rows that [`Postgres::fetch`] returns.
pub const FETCH_ROWS: usize = 10_000;
/// The most bytes that [`Postgres::fetch`] returns.
pub const FETCH_BYTES: usize = 16 << 20;

/// Why a statement failed; mirrors `error` in `wit/postgres.wit`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The role may not do that.
    #[error("the component's role may not do that")]
    AccessDenied,
    /// The statement's or the pool's deadline passed.
    #[error("the statement took too long")]
    Timeout,
    /// No connection, or it broke.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// More rows or bytes than one call may return.
    #[error("more rows or bytes than one call may return")]
    QuotaExceeded,
    /// A value that cannot be sent or read.
    #[error("{0}")]
    Invalid(String),
    /// What the server said.
    #[error("SQLSTATE {sqlstate}: {message}")]
    Db {
        /// Five characters.
        sqlstate: String,
        /// The server's message.
        message: String,
        /// The constraint that was violated, if one was.
        constraint: Option<String>,
    },
}

/// Rows as they come.
pub struct Rows {
    /// Known before the first row.
    pub columns: Vec<Column>,
    /// Ends after the last row, or after an error.
    pub rows: BoxStream<'static, Result<Row, Error>>,
}

/// A pool of connections whose role owns one schema and nothing else.
#[async_trait]
pub trait Postgres: Send + Sync {
    /// All rows. MUST refuse more than [`FETCH_ROWS`] rows or [`FETCH_BYTES`].
    async fn fetch(&self, statement: &str, params: Vec<Value>) -> Result<Vec<Row>, Error>;
    /// Rows one at a time; dropping the stream MUST free the connection.
    async fn query(&self, statement: &str, params: Vec<Value>) -> Result<Rows, Error>;
    /// The number of rows affected.
    async fn execute(&self, statement: &str, params: Vec<Value>) -> Result<u64, Error>;
    /// A transaction that MUST roll back when dropped.
    async fn begin(&self) -> Result<Box<dyn Transaction>, Error>;
}

/// An open transaction.
#[async_trait]
pub trait Transaction: Send {
    /// As [`Postgres::fetch`].
    async fn fetch(&mut self, statement: &str, params: Vec<Value>) -> Result<Vec<Row>, Error>;
    /// As [`Postgres::execute`].
    async fn execute(&mut self, statement: &str, params: Vec<Value>) -> Result<u64, Error>;
    /// Stores the event in the outbox with this transaction; answers its id.
    async fn publish(&mut self, message: &Message) -> Result<String, events::Error>;
    /// Ends it with its effects.
    async fn commit(self: Box<Self>) -> Result<(), Error>;
    /// Ends it without.
    async fn rollback(self: Box<Self>) -> Result<(), Error>;
}
