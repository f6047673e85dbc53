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

    /// Of an engine that does not take a request. Its form was checked before: what is wrong with its SSML is
    /// that this engine does not have it, which the engines say first.
    pub fn by_engine(why: &str) -> Self {
        match why.strip_prefix("SSML: ") {
            Some(why) => Self::new("UNSUPPORTED_SSML", why),
            None => Self::invalid(why),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssml_that_an_engine_lacks_is_told_from_a_voice_that_is_not_there() {
        let unsupported = Refusal::by_engine("SSML: `<emphasis>` is none of this voice's");
        assert_eq!(unsupported.code, "UNSUPPORTED_SSML");
        assert_eq!(unsupported.why, "`<emphasis>` is none of this voice's");
        for why in [
            "there is no such voice",
            "the manifest does not grant the voice",
        ] {
            assert_eq!(Refusal::by_engine(why).code, "VALIDATION_ERROR");
        }
    }
}
