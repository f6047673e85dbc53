//! `lectern:platform/blobs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use capability::ComponentName;
use capability::blobs::{Blobs, ByteStream, Error, Key, Stat};
use capability::usage::MeteredBlobs;
use futures::StreamExt;
use wasmtime::component::{Accessor, FutureReader, HasData, StreamReader};

use super::account;
use super::stream::{Consume, Produce, ProduceBytes};
use crate::bindings::lectern::platform::blobs as wit;
use crate::caller::Meter;
use crate::state::View;
use crate::trace::{Asked, asked, named};

/// The component's own scope, and those it may read.
#[derive(Clone)]
pub(crate) struct Scopes {
    pub(crate) own: Option<Arc<dyn Blobs>>,
    pub(crate) shared: BTreeMap<ComponentName, Arc<dyn Blobs>>,
    pub(crate) usage: Meter,
}

type Opened = (
    wit::Stat,
    StreamReader<u8>,
    FutureReader<Result<(), wit::Error>>,
);

fn own<T: Send>(accessor: &Accessor<T, Bound>) -> Result<Arc<dyn Blobs>, wit::Error> {
    accessor.with(|mut access| {
        let account = account(&mut access);
        let view = access.get();
        let own = view.capability.own.ok_or(wit::Error::AccessDenied)?;
        let grant = view.manifest.grants.blobs.as_ref();
        Ok(match view.capability.usage {
            Some(usage) if grant.is_some_and(|grant| grant.counted) => Arc::new(MeteredBlobs {
                inner: own,
                usage,
                // What an event's handler makes of a file is the component's.
                account: account.filter(|_| !view.callers.is_one()),
                component: view.manifest.name.clone(),
            }),
            _ => own,
        })
    })
}

fn shared<T: Send>(
    accessor: &Accessor<T, Bound>,
    owner: &str,
) -> Result<Arc<dyn Blobs>, wit::Error> {
    accessor.with(|mut access| {
        let view = access.get();
        let owner_name = ComponentName::parse(owner).map_err(|e| wit::Error::Invalid(e.to_string()))?;
        view.capability.shared.get(&owner_name).cloned().ok_or_else(|| {
            view.denials.count();
            tracing::warn!(service = %view.manifest.name, owner, "denied: not in grants.blobs.read");
            wit::Error::AccessDenied
        })
    })
}

fn open<T: Send>(
    accessor: &Accessor<T, Bound>,
    stat: Stat,
    data: ByteStream,
    mut asked: Asked,
) -> Result<Opened, wit::Error> {
    asked.span.set(
        "lectern.blob.bytes",
        i64::try_from(stat.size).unwrap_or(i64::MAX),
    );
    // The span ends with the bytes.
    let data = data.map(move |chunk| {
        asked.span.answered(&chunk);
        chunk.map_err(wit::Error::from)
    });
    let (data, ended) = Produce::new(data.boxed());
    let done =
        async move { wasmtime::error::Ok(ended.await.unwrap_or(Err(wit::Error::Unavailable))) };
    accessor.with(|mut access| {
        let data = StreamReader::new(&mut access, ProduceBytes(data));
        let done = FutureReader::new(&mut access, done);
        match (data, done) {
            (Ok(data), Ok(done)) => Ok((wit::Stat { size: stat.size }, data, done)),
            _ => Err(wit::Error::Unavailable),
        }
    })
}

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Scopes>;
}

impl wit::Host for View<'_, Scopes> {}

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn put(
        accessor: &Accessor<T, Self>,
        key: String,
        data: StreamReader<u8>,
        limit: u64,
    ) -> Result<wit::Stat, wit::Error> {
        let blobs = own(accessor)?;
        let key = Key::parse(&key)?;
        let (consumer, chunks) = Consume::new();
        accessor
            .with(|mut access| data.pipe(&mut access, consumer))
            .map_err(|_| wit::Error::Unavailable)?;
        let mut asked = asked(accessor, "blobs", || named("blobs put"));
        let stored = blobs.put(&key, chunks.map(Ok).boxed(), limit);
        let stored = asked.answer::<_, _, wit::Error>(stored).await?;
        Ok(wit::Stat { size: stored.size })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        key: String,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Opened, wit::Error> {
        let (blobs, key) = (own(accessor)?, Key::parse(&key)?);
        let mut asked = asked(accessor, "blobs", || named("blobs get"));
        let (stat, data) = asked
            .answer::<_, _, wit::Error>(blobs.get(&key, offset, length))
            .await?;
        open(accessor, stat, data, asked)
    }

    async fn get_shared(
        accessor: &Accessor<T, Self>,
        owner: String,
        key: String,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Opened, wit::Error> {
        let (blobs, key) = (shared(accessor, &owner)?, Key::parse(&key)?);
        let mut asked = asked(accessor, "blobs", || named("blobs get"));
        let (stat, data) = asked
            .answer::<_, _, wit::Error>(blobs.get(&key, offset, length))
            .await?;
        open(accessor, stat, data, asked)
    }

    async fn head(accessor: &Accessor<T, Self>, key: String) -> Result<wit::Stat, wit::Error> {
        let (blobs, key) = (own(accessor)?, Key::parse(&key)?);
        let mut asked = asked(accessor, "blobs", || named("blobs head"));
        let stat = asked.answer::<_, _, wit::Error>(blobs.head(&key)).await?;
        Ok(wit::Stat { size: stat.size })
    }

    async fn rename(
        accessor: &Accessor<T, Self>,
        key: String,
        to: String,
    ) -> Result<(), wit::Error> {
        let (blobs, key, to) = (own(accessor)?, Key::parse(&key)?, Key::parse(&to)?);
        let mut asked = asked(accessor, "blobs", || named("blobs rename"));
        asked.answer(blobs.rename(&key, &to)).await
    }

    async fn delete(accessor: &Accessor<T, Self>, key: String) -> Result<(), wit::Error> {
        let (blobs, key) = (own(accessor)?, Key::parse(&key)?);
        let mut asked = asked(accessor, "blobs", || named("blobs delete"));
        asked.answer(blobs.delete(&key)).await
    }

    async fn presign(
        accessor: &Accessor<T, Self>,
        key: String,
        seconds: u32,
        file_name: Option<String>,
    ) -> Result<Option<String>, wit::Error> {
        let (blobs, key) = (own(accessor)?, Key::parse(&key)?);
        // As long as SigV4 lets an address last.
        let expires = Duration::from_secs(u64::from(seconds.clamp(1, 604_800)));
        let file_name = file_name.as_deref();
        let mut asked = asked(accessor, "blobs", || named("blobs presign"));
        asked.answer(blobs.presign(&key, expires, file_name)).await
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::AccessDenied => Self::AccessDenied,
            Error::NotFound => Self::NotFound,
            Error::Timeout => Self::Timeout,
            Error::Unavailable(why) => {
                tracing::warn!(%why, "blobs are unavailable");
                Self::Unavailable
            }
            Error::TooLarge { limit } => Self::TooLarge(limit),
            Error::QuotaExceeded => Self::QuotaExceeded,
            Error::Corrupt => {
                tracing::error!("a blob does not match its digest");
                Self::Corrupt
            }
            Error::Invalid(why) => Self::Invalid(why),
        }
    }
}
