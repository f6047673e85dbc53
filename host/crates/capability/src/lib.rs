//! What a component may want from the outside world: one trait per capability, its value types and
//! its errors, and the implementations that need no server. Nothing here knows WebAssembly, a
//! product or an SDK.
//!
//! | capability | trait | local implementation |
//! |---|---|---|
//! | `postgres` | [`postgres::Postgres`] | none: the local one is a PostgreSQL too (`backend`) |
//! | `events` | [`events::Events`], [`events::Broker`] | none: the outbox lives in PostgreSQL (`backend`) |
//! | `blobs` | [`blobs::Blobs`] | [`blobs::local::LocalBlobs`] |
//! | `cache` | [`cache::Cache`] | [`cache::local::LocalCache`] |
//! | `llm` | [`llm::Llm`] | none: components have their own algorithms |
//! | `speech` | [`speech::Speech`] | a voice that the host brings (`backend`) |
//! | `transcription` | [`transcription::Transcription`] | an engine's command (`backend`), or [`transcription::NoTranscription`] |
//! | `ocr` | [`ocr::Ocr`] | Tesseract (`backend`), or [`ocr::NoOcr`] |
//! | `outbound` | [`outbound::Outbound`] | none: what is outside is not local |
//!
//! Beside these, for the host itself: [`rates`], how often somebody may ask; [`usage`], how much of a day's
//! budget is used up; [`breaker`], when a server is no longer asked.
//!
//! Each `contract` module states what every implementation must do, as code that the tests of the
//! local and of the real implementation call alike.

pub mod blobs;
pub mod breaker;
pub mod cache;
pub mod events;
pub mod llm;
pub mod name;
pub mod ocr;
pub mod outbound;
pub mod postgres;
pub mod rates;
pub mod speech;
pub mod trace;
pub mod transcription;
pub mod usage;

pub use name::ComponentName;
