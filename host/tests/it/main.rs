//! The platform as its users see it: the real host, the real components in the real sandbox, a real
//! PostgreSQL. Wants `just components` first.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail like the test itself"
)]

mod attempts;
mod backends;
mod bad_input;
mod chat;
mod chat_owners;
mod chat_sessions;
mod collector;
mod contract;
mod crash;
mod deploy;
mod documents;
mod documents_hostile;
mod edge;
mod engines;
mod faults;
mod forgotten;
mod gateway;
mod harness;
mod identity;
mod learner;
mod limits;
mod marking;
mod metrics;
#[path = "../../crates/backend/tests/it/missing.rs"]
mod missing;
mod model;
mod neighbours;
mod openai;
mod openapi;
mod order;
mod others;
mod owners;
mod process;
mod quiz;
mod reader;
mod review;
mod rollout;
mod sandbox;
mod scripted;
#[path = "../../crates/backend/tests/it/services.rs"]
mod services;
mod speech;
mod swap;
mod traces;
mod transcription;
mod volume;
mod webhooks;
mod websocket;
