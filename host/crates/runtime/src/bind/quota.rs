//! `lectern:platform/quota`.

use std::time::Duration;

use capability::usage::{Kind, Refusal};
use wasmtime::component::{Accessor, HasData};

use super::account;
use crate::bindings::lectern::platform::quota as wit;
use crate::caller::Meter;
use crate::state::View;

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Meter>;
}

impl wit::Host for View<'_, Meter> {}

/// Guest-controlled: bytes of a name.
const NAME: usize = 512;
/// Guest-controlled: no sum of these is too large to be counted.
const MOST: u64 = 1 << 50;

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn refused(accessor: &Accessor<T, Self>) -> Option<wit::Refusal> {
        let account = accessor.with(|mut access| account(&mut access));
        account?.refused().map(wit::Refusal::from)
    }

    async fn check(
        accessor: &Accessor<T, Self>,
        kind: wit::Kind,
        amount: u64,
    ) -> Result<(), wit::Refusal> {
        let account = accessor.with(|mut access| account(&mut access));
        match account {
            Some(account) => Ok(account.check(kind.into(), amount.min(MOST)).await?),
            None => Ok(()),
        }
    }

    async fn hold(
        accessor: &Accessor<T, Self>,
        kind: wit::Kind,
        name: String,
        amount: u64,
    ) -> Result<(), wit::Refusal> {
        let account = accessor.with(|mut access| account(&mut access));
        match (account, scoped(accessor, &name)) {
            (Some(account), Some(name)) => {
                Ok(account.hold(kind.into(), &name, amount.min(MOST)).await?)
            }
            _ => Ok(()),
        }
    }

    async fn give_back(accessor: &Accessor<T, Self>, name: String) {
        let usage = accessor.with(|mut access| access.get().capability);
        let (Some(usage), Some(name)) = (usage, scoped(accessor, &name)) else {
            return;
        };
        if let Err(error) = usage.release(&name).await {
            tracing::warn!(%error, "what was held is not given back");
        }
    }
}

/// A component's names are its own, and no key of its blobs: no key has a `:`.
fn scoped<T: Send>(accessor: &Accessor<T, Bound>, name: &str) -> Option<String> {
    let component = accessor.with(|mut access| access.get().manifest.name.clone());
    (1..=NAME)
        .contains(&name.len())
        .then(|| format!("{component}:{name}"))
}

impl From<wit::Kind> for Kind {
    fn from(kind: wit::Kind) -> Self {
        match kind {
            wit::Kind::LlmTokens => Self::LlmTokens,
            wit::Kind::SpeechCharacters => Self::SpeechCharacters,
            wit::Kind::TranscriptionSeconds => Self::TranscriptionSeconds,
            wit::Kind::StorageBytes => Self::StorageBytes,
        }
    }
}

impl From<Refusal> for wit::Refusal {
    fn from(refusal: Refusal) -> Self {
        let seconds = |left: Duration| u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
        Self {
            kind: match refusal.kind {
                Kind::LlmTokens => wit::Kind::LlmTokens,
                Kind::SpeechCharacters => wit::Kind::SpeechCharacters,
                Kind::TranscriptionSeconds => wit::Kind::TranscriptionSeconds,
                Kind::StorageBytes => wit::Kind::StorageBytes,
            },
            limit: refusal.limit,
            used: refusal.used,
            resets_in: refusal.resets_in.map(seconds),
        }
    }
}
