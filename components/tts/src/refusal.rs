//! Why a request is not spoken, for whoever made it.

use axum::http::StatusCode;
use guest::Problem;

/// A stable code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In capitals.
    pub code: &'static str,
    /// For a person.
    pub why: String,
}

impl Refusal {
    /// With a code that stays.
    pub fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self {
            code,
            why: why.into(),
        }
    }

    /// What the contract has for a request that is not as it says.
    pub fn invalid(why: impl Into<String>) -> Self {
        Self::new("VALIDATION_ERROR", why)
    }

    /// Text that no voice makes a sound of.
    pub fn nothing_to_say() -> Self {
        let why =
            "`text` has nothing that the voice can say: it reads words and numbers of its language";
        Self::new("NOTHING_TO_SAY", why)
    }

    /// Too much text.
    pub fn too_long(why: impl Into<String>) -> Self {
        Self::new("TEXT_TOO_LONG", why)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            "TEXT_TOO_LONG" => StatusCode::PAYLOAD_TOO_LARGE,
            "NOTHING_TO_SAY" => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, refusal.code, refusal.why)
    }
}
