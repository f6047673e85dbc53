//! `lectern:platform/postgres`.

use std::sync::Arc;

use capability::postgres as contract;
use capability::postgres::{Error, Postgres, Row, Value};
use capability::trace::SpanKind;
use futures::StreamExt;
use tokio::sync::Mutex;
use wasmtime::component::{Accessor, FutureReader, HasData, Resource, StreamReader};

use super::stream::{Produce, ProduceItems};
use crate::bindings::lectern::platform::postgres as wit;
use crate::limits::Held;
use crate::state::View;
use crate::trace::{About, Asked, asked, named, statement as told};

/// `None` is never linked; a call that came through all the same is denied.
pub(crate) type Granted = Option<Arc<dyn Postgres>>;

/// An open transaction in the guest's table; `None` once it has ended.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Transaction {
    open: Arc<Mutex<Open>>,
    /// Until it has ended.
    span: Arc<Asked>,
}

type Open = Option<Box<dyn contract::Transaction>>;

impl Transaction {
    /// For the `events` binding, which publishes inside a transaction.
    pub(crate) async fn lock(&self) -> tokio::sync::MutexGuard<'_, Open> {
        self.open.lock().await
    }

    /// A part of it.
    pub(crate) fn asked(&self, kind: SpanKind, about: impl FnOnce() -> About) -> Asked {
        self.span.child(kind, about)
    }
}

fn pool<T: Send>(accessor: &Accessor<T, Bound>) -> Result<Arc<dyn Postgres>, wit::Error> {
    accessor
        .with(|mut access| access.get().capability)
        .ok_or(wit::Error::AccessDenied)
}

/// Counts what the host holds for the guest on the guest's own account.
fn hold<'v, T: Send>(
    accessor: &Accessor<T, Bound>,
    values: impl IntoIterator<Item = &'v Value>,
) -> Result<Held, wit::Error> {
    let bytes = values.into_iter().map(Value::weight).sum();
    accessor
        .with(|mut access| access.get().memory.hold(bytes))
        .ok_or(wit::Error::QuotaExceeded)
}

fn ended() -> wit::Error {
    wit::Error::Invalid("the transaction has ended".into())
}

/// A handle that is not in the table traps: a guest cannot make one up.
fn transaction<T: Send>(
    accessor: &Accessor<T, Bound>,
    handle: &Resource<Transaction>,
) -> Result<Transaction, wit::Error> {
    accessor
        .with(|mut access| access.get().table.get(handle).cloned())
        .map_err(|_| ended())
}

async fn take<T: Send>(
    accessor: &Accessor<T, Bound>,
    handle: Resource<Transaction>,
) -> Result<(Box<dyn contract::Transaction>, Arc<Asked>), wit::Error> {
    let transaction = accessor
        .with(|mut access| access.get().table.delete(handle))
        .map_err(|_| ended())?;
    let open = transaction.lock().await.take().ok_or_else(ended)?;
    Ok((open, transaction.span))
}

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Granted>;
}

impl wit::Host for View<'_, Granted> {}

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn fetch(
        accessor: &Accessor<T, Self>,
        statement: String,
        params: Vec<wit::Value>,
    ) -> Result<Vec<Vec<wit::Value>>, wit::Error> {
        let params = values(params);
        let _params = hold(accessor, &params)?;
        let pool = pool(accessor)?;
        let mut asked = asked(accessor, "postgres", || told(&statement));
        let rows = asked
            .answer::<_, _, wit::Error>(pool.fetch(&statement, params))
            .await?;
        let _rows = hold(accessor, rows.iter().flatten())?;
        Ok(to_guest(rows))
    }

    async fn query(
        accessor: &Accessor<T, Self>,
        statement: String,
        params: Vec<wit::Value>,
    ) -> Result<
        (
            Vec<wit::Column>,
            StreamReader<Vec<wit::Value>>,
            FutureReader<Result<(), wit::Error>>,
        ),
        wit::Error,
    > {
        let params = values(params);
        let _params = hold(accessor, &params)?;
        let pool = pool(accessor)?;
        let mut asked = asked(accessor, "postgres", || told(&statement));
        let found = asked
            .answer::<_, _, wit::Error>(pool.query(&statement, params))
            .await?;
        let columns = found
            .columns
            .into_iter()
            .map(|column| wit::Column {
                name: column.name,
                type_name: column.type_name,
            })
            .collect();
        let rows = found
            .rows
            // The span ends with the rows.
            .map(move |row| {
                asked.span.answered(&row);
                row.map(row_to_guest).map_err(wit::Error::from)
            })
            .boxed();
        let (rows, ended) = Produce::new(rows);
        let done =
            async move { wasmtime::error::Ok(ended.await.unwrap_or(Err(wit::Error::Unavailable))) };
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, ProduceItems(rows));
            let done = FutureReader::new(&mut access, done);
            match (rows, done) {
                (Ok(rows), Ok(done)) => Ok((columns, rows, done)),
                _ => Err(wit::Error::Unavailable),
            }
        })
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        statement: String,
        params: Vec<wit::Value>,
    ) -> Result<u64, wit::Error> {
        let params = values(params);
        let _params = hold(accessor, &params)?;
        let pool = pool(accessor)?;
        let mut asked = asked(accessor, "postgres", || told(&statement));
        asked.answer(pool.execute(&statement, params)).await
    }

    async fn begin(accessor: &Accessor<T, Self>) -> Result<Resource<Transaction>, wit::Error> {
        let pool = pool(accessor)?;
        let mut span = asked(accessor, "postgres", || named("transaction"));
        let begun = span.answer::<_, _, wit::Error>(pool.begin()).await?;
        let transaction = Transaction {
            open: Arc::new(Mutex::new(Some(begun))),
            span: Arc::new(span),
        };
        accessor
            .with(|mut access| access.get().table.push(transaction))
            .map_err(|_| wit::Error::QuotaExceeded)
    }
}

impl wit::HostTransaction for View<'_, Granted> {
    fn drop(&mut self, handle: Resource<Transaction>) -> wasmtime::Result<()> {
        // Dropping the last clone rolls back.
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send> wit::HostTransactionWithStore<T> for Bound {
    async fn fetch(
        accessor: &Accessor<T, Self>,
        handle: Resource<Transaction>,
        statement: String,
        params: Vec<wit::Value>,
    ) -> Result<Vec<Vec<wit::Value>>, wit::Error> {
        let params = values(params);
        let _params = hold(accessor, &params)?;
        let transaction = transaction(accessor, &handle)?;
        let mut open = transaction.lock().await;
        let open = open.as_mut().ok_or_else(ended)?;
        let mut asked = transaction.asked(SpanKind::Client, || told(&statement));
        let rows = asked
            .answer::<_, _, wit::Error>(open.fetch(&statement, params))
            .await?;
        let _rows = hold(accessor, rows.iter().flatten())?;
        Ok(to_guest(rows))
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        handle: Resource<Transaction>,
        statement: String,
        params: Vec<wit::Value>,
    ) -> Result<u64, wit::Error> {
        let params = values(params);
        let _params = hold(accessor, &params)?;
        let transaction = transaction(accessor, &handle)?;
        let mut open = transaction.lock().await;
        let open = open.as_mut().ok_or_else(ended)?;
        let mut asked = transaction.asked(SpanKind::Client, || told(&statement));
        asked.answer(open.execute(&statement, params)).await
    }

    async fn commit(
        accessor: &Accessor<T, Self>,
        handle: Resource<Transaction>,
    ) -> Result<(), wit::Error> {
        let (open, span) = take(accessor, handle).await?;
        let mut asked = span.child(SpanKind::Client, || told("commit"));
        asked.answer(open.commit()).await
    }

    async fn rollback(
        accessor: &Accessor<T, Self>,
        handle: Resource<Transaction>,
    ) -> Result<(), wit::Error> {
        let (open, span) = take(accessor, handle).await?;
        let mut asked = span.child(SpanKind::Client, || told("rollback"));
        asked.answer(open.rollback()).await
    }
}

fn values(params: Vec<wit::Value>) -> Vec<Value> {
    let value = |value| match value {
        wit::Value::Null => Value::Null,
        wit::Value::Boolean(v) => Value::Boolean(v),
        wit::Value::Int(v) => Value::Int(v),
        wit::Value::Float(v) => Value::Float(v),
        wit::Value::Text(v) => Value::Text(v),
        wit::Value::Bytes(v) => Value::Bytes(v),
        wit::Value::Timestamp(v) => Value::Timestamp(v),
        wit::Value::Uuid(v) => Value::Uuid(v),
        wit::Value::Json(v) => Value::Json(v),
    };
    params.into_iter().map(value).collect()
}

fn to_guest(rows: Vec<Row>) -> Vec<Vec<wit::Value>> {
    rows.into_iter().map(row_to_guest).collect()
}

fn row_to_guest(row: Row) -> Vec<wit::Value> {
    let value = |value| match value {
        Value::Null => wit::Value::Null,
        Value::Boolean(v) => wit::Value::Boolean(v),
        Value::Int(v) => wit::Value::Int(v),
        Value::Float(v) => wit::Value::Float(v),
        Value::Text(v) => wit::Value::Text(v),
        Value::Bytes(v) => wit::Value::Bytes(v),
        Value::Timestamp(v) => wit::Value::Timestamp(v),
        Value::Uuid(v) => wit::Value::Uuid(v),
        Value::Json(v) => wit::Value::Json(v),
    };
    row.into_iter().map(value).collect()
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::AccessDenied => Self::AccessDenied,
            Error::Timeout => Self::Timeout,
            Error::Unavailable(why) => {
                tracing::warn!(%why, "postgres is unavailable");
                Self::Unavailable
            }
            Error::QuotaExceeded => Self::QuotaExceeded,
            Error::Invalid(why) => Self::Invalid(why),
            Error::Db {
                sqlstate,
                message,
                constraint,
            } => Self::Db(wit::DbError {
                sqlstate,
                message,
                constraint,
            }),
        }
    }
}
