//! What the admin API takes and gives: also what `lectern deploy` and its like read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A component and who serves it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Component {
    /// Its name.
    pub component: String,
    /// Counts changes of its traffic.
    pub generation: i64,
    /// The revision that serves.
    pub stable: String,
    /// The revision on trial.
    pub canary: Option<Canary>,
    /// Former stable revisions, latest first: where a rollback goes.
    pub previous: Vec<String>,
    /// Takes no requests and no events.
    pub draining: bool,
    /// Where it answers on this host.
    pub routes: Vec<String>,
    /// Why this host does not run what is wanted, where it does not.
    pub held_back: Option<String>,
}

/// A revision on trial.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Canary {
    /// Its name, or the beginning of it in a request.
    pub revision: String,
    /// Of 100 users, so many: 0 to 100.
    #[serde(default)]
    pub weight: u8,
    /// A request with this header goes there, whatever the weight: `name`, or `name: value`.
    pub header: Option<String>,
}

/// Who is to serve. What is left out stays, but for the canary: without one, the trial ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SetTraffic {
    /// A revision's name, or the beginning of it; the present one where it is missing.
    pub stable: Option<String>,
    /// The revision to be tried.
    pub canary: Option<Canary>,
}

/// All components.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Components {
    /// By name.
    pub components: Vec<Component>,
}

/// A stored revision.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// SHA-256 over its wasm, manifest and migrations, in hexadecimal.
    pub revision: String,
    /// `stable`, `canary`, `previous` or `idle`.
    pub role: String,
    /// The wasm's SHA-256 in hexadecimal.
    pub digest: String,
    /// Of the wasm, in bytes.
    pub size: u64,
    /// `built-in` or `deployed`.
    pub origin: String,
    /// A token's subject, or `lectern`.
    pub created_by: String,
    /// RFC 3339.
    pub created_at: String,
    /// `component.toml`; of a single revision only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// A component's revisions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Revisions {
    /// Latest first.
    pub revisions: Vec<Revision>,
}

/// A check that a deploy has passed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// `manifest`, `imports`, `routes`, `secrets`, `migrations`, `compile`, `health` or `switch`.
    pub check: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// What a deploy did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Deployed {
    /// Of which component.
    pub component: String,
    /// The new revision.
    pub revision: String,
    /// The stable revision before.
    pub former: Option<String>,
    /// In order.
    pub checks: Vec<Check>,
    /// All checks together, in milliseconds.
    pub ms: f64,
}

/// How far a deploy has come.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Whether one is under way on this host.
    pub deploying: bool,
    /// What it has passed, in order.
    pub checks: Vec<Check>,
}

/// The form of a deploy.
#[derive(ToSchema)]
pub struct DeployForm {
    /// The component's bytes, at most 64 MiB.
    #[schema(value_type = String, format = Binary)]
    pub component: Vec<u8>,
    /// `component.toml`; the stable revision's where it is missing.
    pub manifest: Option<String>,
    /// Files of SQL named `0001_verb_noun.sql`, all of the component's; the stable revision's where
    /// there is none.
    #[schema(value_type = Vec<String>)]
    pub migration: Vec<String>,
    /// `false` only stores it; default `true`.
    pub activate: Option<bool>,
    /// Tries it as a canary: of 100 users, so many.
    pub weight: Option<u8>,
    /// Tries it as a canary: requests with this header.
    pub header: Option<String>,
}

/// What a revision did on this host since it serves.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevisionStats {
    /// Its name.
    pub revision: String,
    /// `stable` or `canary`.
    pub role: String,
    /// Answered, or failed.
    pub requests: u64,
    /// With a status of 500 or more, or without an answer.
    pub errors: u64,
    /// Errors in requests, 0 to 1.
    pub error_rate: f64,
    /// Instances that trapped or ran into a limit.
    pub traps: u64,
    /// Requests that got no turn.
    pub refused: u64,
    /// Events handled.
    pub events: u64,
    /// Requests, streams and events in hand.
    pub running: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// To a response's head, in milliseconds; within 3 %.
    pub p50_ms: Option<f64>,
    /// To a response's head, in milliseconds; within 3 %.
    pub p99_ms: Option<f64>,
}

/// What a component's revisions did on this host.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Which.
    pub component: String,
    /// The stable one first.
    pub revisions: Vec<RevisionStats>,
}

/// A host.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// Its id; the same as long as the process lives.
    pub host: String,
    /// Of the program.
    pub version: String,
    /// Where its gateway listens.
    pub listen: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub seen_at: String,
    /// Whether it was heard of within 15 seconds.
    pub alive: bool,
    /// By component: `generation`, `stable`, `canary` and `held_back`.
    #[schema(value_type = Object)]
    pub components: serde_json::Value,
}

/// All hosts on the database.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Hosts {
    /// By age.
    pub hosts: Vec<Host>,
}

/// Something that was done.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Counts up.
    pub id: i64,
    /// RFC 3339.
    pub at: String,
    /// A token's subject, or `lectern`.
    pub who: String,
    /// As in `deploy`, `traffic`, `rollback`, `drain`, `delete`, `canary rolled back`.
    pub action: String,
    /// To which component.
    pub component: String,
    /// Depends on the action.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}

/// The record.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// Latest first.
    pub entries: Vec<AuditEntry>,
    /// For the parameter `before`, where there is more.
    pub next: Option<i64>,
}

/// Every error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Error {
    /// For a person: what is wrong, and what to change.
    pub error: String,
    /// Stable.
    pub code: String,
    /// RFC 3339.
    pub timestamp: String,
    /// Also in the header `x-request-id`, and in the log.
    pub request_id: String,
    /// The check that a deploy did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}
