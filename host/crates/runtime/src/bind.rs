//! The WIT interfaces on top of the capabilities, one file each: types there and back, no policy.

pub(crate) mod blobs;
pub(crate) mod cache;
pub(crate) mod events;
pub(crate) mod llm;
pub(crate) mod ocr;
pub(crate) mod postgres;
pub(crate) mod quota;
pub(crate) mod speech;
mod stream;
pub(crate) mod transcription;

use std::sync::Arc;

use capability::usage::Account;
use wasmtime::AsContextMut as _;
use wasmtime::component::{Access, HasData, Linker};

use crate::bindings::lectern::platform as wit;
use crate::manifest::Grants;
use crate::state::{State, View};
use crate::trace::root;

/// For whom the guest calls now.
fn account<T, D, C>(access: &mut Access<'_, T, D>) -> Option<Arc<Account>>
where
    D: for<'a> HasData<Data<'a> = View<'a, C>>,
{
    let task = root(access.as_context_mut());
    access.get().callers.of(task)
}

/// Links what is granted, and nothing else but what a caller has left.
pub(crate) fn link(linker: &mut Linker<State>, grants: &Grants) -> wasmtime::Result<()> {
    wit::quota::add_to_linker::<_, quota::Bound>(linker, State::quota)?;
    if grants.postgres.is_some() {
        wit::postgres::add_to_linker::<_, postgres::Bound>(linker, State::postgres)?;
    }
    if grants.events.is_some() {
        wit::events::add_to_linker::<_, events::Bound>(linker, State::events)?;
    }
    if grants.blobs.is_some() {
        wit::blobs::add_to_linker::<_, blobs::Bound>(linker, State::blobs)?;
    }
    if grants.cache.is_some() {
        wit::cache::add_to_linker::<_, cache::Bound>(linker, State::cache)?;
    }
    if grants.llm.is_some() {
        wit::llm::add_to_linker::<_, llm::Bound>(linker, State::llm)?;
    }
    if grants.speech.is_some() {
        wit::speech::add_to_linker::<_, speech::Bound>(linker, State::speech)?;
    }
    if grants.transcription.is_some() {
        wit::transcription::add_to_linker::<_, transcription::Bound>(linker, State::transcription)?;
    }
    if grants.ocr.is_some() {
        wit::ocr::add_to_linker::<_, ocr::Bound>(linker, State::ocr)?;
    }
    Ok(())
}
