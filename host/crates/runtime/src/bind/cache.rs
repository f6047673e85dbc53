//! `lectern:platform/cache`.

use std::sync::Arc;
use std::time::Duration;

use capability::cache::{Cache, Error, MAX_VALUE, scoped};
use wasmtime::component::{Accessor, HasData};

use crate::bindings::lectern::platform::cache as wit;
use crate::state::View;
use crate::trace::{asked, named};

/// `None` is never linked; a call that came through all the same finds no cache.
pub(crate) type Granted = Option<Arc<dyn Cache>>;

/// Guest-controlled: from a second to 30 days.
const TTL: std::ops::RangeInclusive<u64> = 1_000..=30 * 86_400_000;

fn scope<T: Send>(
    accessor: &Accessor<T, Bound>,
    key: &str,
) -> Result<(Arc<dyn Cache>, String), wit::Error> {
    accessor.with(|mut access| {
        let view = access.get();
        let key = scoped(&view.manifest.name, key)?;
        Ok((view.capability.ok_or(wit::Error::Unavailable)?, key))
    })
}

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Granted>;
}

impl wit::Host for View<'_, Granted> {}

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn get(accessor: &Accessor<T, Self>, key: String) -> Result<Option<Vec<u8>>, wit::Error> {
        let (cache, key) = scope(accessor, &key)?;
        let mut asked = asked(accessor, "cache", || named("cache get"));
        let found = asked.answer::<_, _, wit::Error>(cache.get(&key)).await?;
        asked.span.set("lectern.cache.hit", found.is_some());
        Ok(found.map(Into::into))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        key: String,
        value: Vec<u8>,
        ttl_ms: u64,
    ) -> Result<(), wit::Error> {
        let (cache, key) = scope(accessor, &key)?;
        let memory = accessor.with(|mut access| access.get().memory);
        let held = memory.hold(value.len());
        if value.len() > MAX_VALUE || held.is_none() {
            return Err(wit::Error::QuotaExceeded);
        }
        let ttl = Duration::from_millis(ttl_ms.clamp(*TTL.start(), *TTL.end()));
        let mut asked = asked(accessor, "cache", || named("cache set"));
        asked.answer(cache.set(&key, value.into(), ttl)).await
    }

    async fn delete(accessor: &Accessor<T, Self>, key: String) -> Result<(), wit::Error> {
        let (cache, key) = scope(accessor, &key)?;
        let mut asked = asked(accessor, "cache", || named("cache delete"));
        asked.answer(cache.delete(&key)).await
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Timeout => Self::Timeout,
            Error::Unavailable(why) => {
                tracing::warn!(%why, "the cache is unavailable");
                Self::Unavailable
            }
            Error::QuotaExceeded => Self::QuotaExceeded,
            Error::Invalid(why) => Self::Invalid(why),
        }
    }
}
