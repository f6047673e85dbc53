//! How a call into a component can end without an answer.

use capability::events::Failure;

/// A broken call. A guest's mistake is an answer, not this.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The instance trapped, or its instance was shared with one that did.
    #[error("the component trapped: {0}")]
    Trap(String),
    /// It executed longer than `cpu_ms`.
    #[error("the component used up its CPU time")]
    Cpu,
    /// It did not answer within `deadline_ms`.
    #[error("the component ran into its deadline")]
    Deadline,
    /// It asked for more than `memory_mib`.
    #[error("the component asked for more memory than it may have")]
    Memory,
    /// As many wait as the manifest's `queue` lets.
    #[error("the component has as many requests as it can take")]
    Overloaded,
    /// The revision was taken out of service, and its time to end is over.
    #[error("the component's revision is no longer in service")]
    Retired,
    /// The host is out of instances.
    #[error("no instance can be made: {0}")]
    NoInstance(String),
}

impl CallError {
    /// What an event's next attempt is told.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Trap(_) => Some(Failure::Trap),
            Self::Cpu => Some(Failure::Cpu),
            Self::Deadline => Some(Failure::Deadline),
            Self::Memory => Some(Failure::Memory),
            Self::Overloaded | Self::Retired | Self::NoInstance(_) => None,
        }
    }
}
