//! The platform: one native host that runs services as sandboxed components.
//!
//! A request only moves down: [`gateway`] (who, how much) → [`router`] (which component) →
//! [`dispatch`] (its instance) → a capability → a backend. [`backing`] is where the backends are
//! chosen; [`delivery`] moves events; [`live`] is what serves now, [`deploy`] changes it, [`admin`] is
//! how an operator asks for that. `ARCHITECTURE.md` is the map.

pub mod admin;
pub mod admin_key;
pub mod assemble;
pub mod backing;
pub mod boot;
pub mod bundle;
pub mod canary;
pub mod client;
pub mod config;
pub mod databases;
pub mod delivery;
pub mod deploy;
pub mod dev;
pub mod dispatch;
pub mod doctor;
pub mod factory;
pub mod follow;
pub mod gateway;
pub mod health;
pub mod live;
pub mod metrics;
pub mod migration;
pub mod operate;
pub mod probe;
pub mod router;
pub mod schedule;
pub mod serve;
pub mod single;
pub mod telemetry;
pub mod template;
pub mod token;
pub mod trace;
pub mod webhook;
