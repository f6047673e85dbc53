//! Why there is no audio: the only place that knows both the engine's errors and the contract's.

use axum::http::StatusCode;
use guest::Problem;
use guest::bindings::capabilities::lectern::platform::speech::Error;
use guest::log;
use serde_json::json;

use crate::joint::Broken;
use crate::refusal::Refusal;

/// Why there is no audio.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request cannot be spoken, now or later.
    Refused(Problem),
    /// It may be spoken later.
    Away(Problem),
}

impl Failure {
    /// As an engine says.
    pub(super) fn of(error: Error) -> Self {
        let away = |code, why: &str| Self::Away(Problem::unavailable(code, why));
        match error {
            Error::NothingToSay => Refusal::nothing_to_say().into(),
            Error::UnsupportedSampleRate(rates) => Self::Refused(no_such_rate(&rates)),
            Error::Invalid(why) => Refusal::by_engine(&why).into(),
            Error::TooLong(most) => {
                Refusal::too_long(format!("the engine speaks {most} characters at once")).into()
            }
            Error::NotConfigured => Self::Refused(Problem::unavailable(
                "ENGINE_NOT_CONFIGURED",
                "no speech engine is configured",
            )),
            Error::AccessDenied => Self::Refused(Problem::new(
                StatusCode::BAD_GATEWAY,
                "UPSTREAM_ERROR",
                "the speech engine refuses this platform",
            )),
            Error::Timeout => Self::Away(Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "UPSTREAM_TIMEOUT",
                "the speech engine took too long",
            )),
            Error::Unavailable => away("SPEECH_UNAVAILABLE", "the speech engine cannot be reached"),
            Error::QuotaExceeded => away("UPSTREAM_QUOTA", "the speech engine is busy"),
        }
    }

    /// For a client.
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Refused(problem) | Self::Away(problem) => problem,
        }
    }
}

fn no_such_rate(rates: &[u32]) -> Problem {
    let shown: Vec<_> = rates.iter().map(u32::to_string).collect();
    let why = format!(
        "`sample_rate` of that voice and format is one of {}",
        shown.join(", ")
    );
    Problem::from(Refusal::new("UNSUPPORTED_SAMPLE_RATE", why))
        .details(json!({ "sample_rates": rates }))
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

/// Of the database or the storage.
impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Away(problem)
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        log::error(&format!("the speech engine gave no audio: {}", broken.0));
        let why = "the speech engine gave no audio";
        Self::Away(Problem::new(StatusCode::BAD_GATEWAY, "UPSTREAM_ERROR", why))
    }
}
