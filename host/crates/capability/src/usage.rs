//! What each user has used of a day's budget, and of the storage that is theirs.

pub mod contract;
mod metered;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

pub use self::metered::{MeteredBlobs, MeteredLlm, MeteredSpeech};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of prompts and answers together, of a day.
    LlmTokens,
    /// Spoken, of a day.
    SpeechCharacters,
    /// Heard, of a day.
    TranscriptionSeconds,
    /// Of files that were uploaded and are kept.
    StorageBytes,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::LlmTokens,
        Self::SpeechCharacters,
        Self::TranscriptionSeconds,
        Self::StorageBytes,
    ];

    /// As in the table, and as clients read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LlmTokens => "llm_tokens",
            Self::SpeechCharacters => "tts_characters",
            Self::TranscriptionSeconds => "stt_seconds",
            Self::StorageBytes => "storage_bytes",
        }
    }

    /// Whether it begins anew each day, at midnight UTC.
    pub fn is_daily(self) -> bool {
        self != Self::StorageBytes
    }
}

/// Of each user; `None` is without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// A day's.
    pub llm_tokens: Option<u64>,
    /// A day's.
    pub speech_characters: Option<u64>,
    /// A day's.
    pub transcription_seconds: Option<u64>,
    /// At any time.
    pub storage_bytes: Option<u64>,
}

impl Budgets {
    /// Of that kind.
    pub fn of(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::LlmTokens => self.llm_tokens,
            Kind::SpeechCharacters => self.speech_characters,
            Kind::TranscriptionSeconds => self.transcription_seconds,
            Kind::StorageBytes => self.storage_bytes,
        }
    }
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Empty where the token names none.
    pub tenant: String,
    /// Unique within the tenant.
    pub user: String,
}

/// How much of a budget must be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As much as is asked for: the amount is known.
    ForAll,
    /// Anything: the amount is the most that it may come to, and corrected afterwards.
    ForAny,
}

/// A budget that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of what.
    pub kind: Kind,
    /// The budget.
    pub limit: u64,
    /// What is used of it, with what is under way.
    pub used: u64,
    /// Until it begins anew, where it does.
    pub resets_in: Option<Duration>,
}

/// Why something is not counted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The budget.
    #[error("the budget of {} {} is used up", .0.limit, .0.kind.name())]
    Over(Refusal),
    /// The store cannot be reached.
    #[error("what is used cannot be counted: {0}")]
    Away(String),
}

/// Counts, for all hosts together.
#[async_trait]
pub trait Usage: Send + Sync {
    /// Counts `amount`, where the budget has room for it: one step, whoever else counts.
    async fn take(&self, who: &Subject, kind: Kind, amount: u64, room: Room) -> Result<(), Error>;
    /// Whether there is room for all of `amount`; counts nothing.
    async fn check(&self, who: &Subject, kind: Kind, amount: u64) -> Result<(), Error>;
    /// Corrects what was taken so long ago, on the day that it was then.
    async fn correct(&self, who: &Subject, kind: Kind, by: i64, ago: Duration)
    -> Result<(), Error>;
    /// Takes all of `amount` under a name, once however often it is asked for.
    async fn hold(&self, who: &Subject, kind: Kind, name: &str, amount: u64) -> Result<(), Error>;
    /// Gives back what was held under the name, to whom it belongs. Also fine when there is nothing.
    async fn release(&self, name: &str) -> Result<(), Error>;
    /// What was held under `name` is now held under `to`, and what was held there is given back.
    async fn rename(&self, name: &str, to: &str) -> Result<(), Error>;
    /// What is used, of each kind.
    async fn used(&self, who: &Subject) -> Result<Vec<(Kind, u64)>, Error>;
    /// Of each user.
    fn budgets(&self) -> Budgets;
    /// How often a budget had no room, since this host began.
    fn refusals(&self) -> Vec<(Kind, u64)>;
}

/// One caller's, for the time of a request or an event.
pub struct Account {
    usage: Arc<dyn Usage>,
    who: Subject,
    refused: Mutex<Option<Refusal>>,
}

impl Account {
    /// Of that subject.
    pub fn new(usage: Arc<dyn Usage>, who: Subject) -> Self {
        Self {
            usage,
            who,
            refused: Mutex::default(),
        }
    }

    /// The last budget that was found used up.
    pub fn refused(&self) -> Option<Refusal> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Usage::take`]. Where nothing can be counted, the call goes on: a budget is no reason to fail.
    pub async fn take(&self, kind: Kind, amount: u64, room: Room) -> Result<(), Refusal> {
        self.noted(self.usage.take(&self.who, kind, amount, room).await)
    }

    /// See [`Usage::check`].
    pub async fn check(&self, kind: Kind, amount: u64) -> Result<(), Refusal> {
        self.noted(self.usage.check(&self.who, kind, amount).await)
    }

    /// See [`Usage::hold`].
    pub async fn hold(&self, kind: Kind, name: &str, amount: u64) -> Result<(), Refusal> {
        self.noted(self.usage.hold(&self.who, kind, name, amount).await)
    }

    async fn correct(&self, kind: Kind, by: i64, ago: Duration) {
        // It refuses nothing.
        let _ = self.noted(self.usage.correct(&self.who, kind, by, ago).await);
    }

    fn noted(&self, counted: Result<(), Error>) -> Result<(), Refusal> {
        match counted {
            Ok(()) => Ok(()),
            Err(Error::Over(refusal)) => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                *refused = Some(refusal);
                Err(refusal)
            }
            Err(error) => {
                tracing::warn!(%error, "a call is not counted");
                Ok(())
            }
        }
    }
}
