//! The platform: one native host that runs services as sandboxed components.
//!
//! A request only moves down: [`gateway`] (who, how much) → [`router`] (which component) →
//! [`dispatch`] (its instance) → a capability → a backend. [`assemble`] is where the backends are
//! chosen; [`delivery`] moves events; `ARCHITECTURE.md` is the map.

pub mod assemble;
pub mod bundle;
pub mod config;
pub mod delivery;
pub mod dispatch;
pub mod doctor;
pub mod gateway;
pub mod router;
pub mod serve;
pub mod telemetry;
pub mod token;
