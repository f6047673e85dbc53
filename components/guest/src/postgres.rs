//! SQL with the contract's errors.

use crate::bindings::capabilities::lectern::platform::postgres as wit;
pub use crate::bindings::capabilities::lectern::platform::postgres::{Error, Transaction, Value};
use crate::{Problem, log};

/// Parameters from plain values: `params![id, user, 3]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::postgres::Value::from($value)),*] };
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        Self::Json(value.to_string())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row whose columns are read by position. A column of another type reads as if it were null:
/// the statement and its reader stand beside each other, and tests run both.
pub struct Row(Vec<Value>);

impl Row {
    /// Text, or nothing.
    pub fn opt_text(&mut self, at: usize) -> Option<String> {
        match self
            .0
            .get_mut(at)
            .map(|value| std::mem::replace(value, Value::Null))
        {
            Some(Value::Text(text) | Value::Uuid(text) | Value::Json(text)) => Some(text),
            _ => None,
        }
    }

    /// Text, empty for null.
    pub fn text(&mut self, at: usize) -> String {
        self.opt_text(at).unwrap_or_default()
    }

    /// An integer, or nothing.
    pub fn opt_int(&self, at: usize) -> Option<i64> {
        match self.0.get(at) {
            Some(Value::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// An integer, 0 for null.
    pub fn int(&self, at: usize) -> i64 {
        self.opt_int(at).unwrap_or_default()
    }

    /// A count, 0 for null or less.
    pub fn count(&self, at: usize) -> u32 {
        u32::try_from(self.int(at)).unwrap_or_default()
    }

    /// A boolean, false for null.
    pub fn boolean(&self, at: usize) -> bool {
        matches!(self.0.get(at), Some(Value::Boolean(true)))
    }

    /// A moment, in microseconds since the Unix epoch; 0 for null.
    pub fn microseconds(&self, at: usize) -> i64 {
        match self.0.get(at) {
            Some(Value::Timestamp(at)) => *at,
            _ => 0,
        }
    }

    /// A moment as the contract writes it, or nothing.
    pub fn opt_timestamp(&self, at: usize) -> Option<String> {
        match self.0.get(at) {
            Some(Value::Timestamp(at)) => Some(crate::timestamp::format(*at)),
            _ => None,
        }
    }

    /// A moment, empty for null.
    pub fn timestamp(&self, at: usize) -> String {
        self.opt_timestamp(at).unwrap_or_default()
    }
}

fn rows(rows: Vec<Vec<Value>>) -> Vec<Row> {
    rows.into_iter().map(Row).collect()
}

/// All rows, at most 10,000.
pub async fn fetch(statement: &str, params: Vec<Value>) -> Result<Vec<Row>, Problem> {
    Ok(rows(wit::fetch(statement.to_owned(), params).await?))
}

/// The first row, if there is one.
pub async fn fetch_optional(statement: &str, params: Vec<Value>) -> Result<Option<Row>, Problem> {
    Ok(fetch(statement, params).await?.into_iter().next())
}

/// The number of rows affected.
pub async fn execute(statement: &str, params: Vec<Value>) -> Result<u64, Problem> {
    Ok(wit::execute(statement.to_owned(), params).await?)
}

/// Rolled back when dropped.
pub async fn begin() -> Result<Transaction, Problem> {
    Ok(wit::begin().await?)
}

/// [`fetch`] in a transaction.
pub async fn fetch_in(
    tx: &Transaction,
    statement: &str,
    params: Vec<Value>,
) -> Result<Vec<Row>, Problem> {
    Ok(rows(tx.fetch(statement.to_owned(), params).await?))
}

/// [`execute`] in a transaction.
pub async fn execute_in(
    tx: &Transaction,
    statement: &str,
    params: Vec<Value>,
) -> Result<u64, Problem> {
    Ok(tx.execute(statement.to_owned(), params).await?)
}

/// Holds what has that name, in a transaction's own database, until it ends: of two that make something at once
/// the second finds what the first made.
pub async fn lock_in(tx: &Transaction, name: &str) -> Result<(), Problem> {
    let lock = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
    execute_in(tx, lock, params![name]).await.map(|_| ())
}

/// Ends it with its effects.
pub async fn commit(tx: Transaction) -> Result<(), Problem> {
    Ok(Transaction::commit(tx).await?)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Timeout | Error::Unavailable => {
                Self::unavailable("DATABASE_UNAVAILABLE", "the database cannot be reached")
            }
            Error::Db(error) => {
                // Of a value that does not fit, PostgreSQL's words quote it.
                let message = match error.sqlstate.starts_with("22") {
                    true => "a value does not fit",
                    false => &error.message,
                };
                log::error(&format!("database error {}: {message}", error.sqlstate));
                Self::internal()
            }
            error => {
                log::error(&format!("database call failed: {error}"));
                Self::internal()
            }
        }
    }
}
