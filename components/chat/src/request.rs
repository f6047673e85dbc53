//! `POST /chat`: what it says, checked.

use guest::Problem;
use serde::Deserialize;

/// Of a message, in characters.
pub const MAX_MESSAGE: usize = 8_000;
/// Of a text that comes with the question, in characters.
pub const MAX_CONTEXT: usize = 200_000;

/// The contract's body. Unknown members are ignored.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// What the learner asks.
    pub message: String,
    /// Absent for a new session.
    pub session_id: Option<String>,
    /// See `guest::identity`.
    pub user_id: Option<String>,
    /// What the question is about.
    pub document_context: Option<Context>,
}

/// What the question is about. One of the two suffices.
#[derive(Debug, Default, Deserialize)]
pub struct Context {
    /// A document of the learner's: the passages are found here.
    pub document_id: Option<String>,
    /// A text that the client chose itself.
    pub relevant_text: Option<String>,
}

impl Request {
    /// Refuses what cannot be answered or stored.
    pub fn check(&self) -> Result<(), Problem> {
        if self.message.trim().is_empty() {
            return Err(Problem::validation("`message` is empty"));
        }
        if self.message.chars().count() > MAX_MESSAGE {
            return Err(Problem::validation(format!(
                "`message` has more than {MAX_MESSAGE} characters"
            )));
        }
        if self.message.contains('\0') {
            return Err(Problem::validation("`message` contains U+0000"));
        }
        let id_is_fine =
            |id: &str| (1..=255).contains(&id.len()) && !id.chars().any(char::is_control);
        if self.session_id.as_deref().is_some_and(|id| !id_is_fine(id)) {
            return Err(Problem::validation(
                "`session_id` has 1 to 255 bytes without control characters",
            ));
        }
        let text = self
            .document_context
            .as_ref()
            .and_then(|context| context.relevant_text.as_ref());
        if text.is_some_and(|text| text.chars().count() > MAX_CONTEXT) {
            return Err(Problem::validation(format!(
                "`relevant_text` has more than {MAX_CONTEXT} characters"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str) -> Result<(), Problem> {
        serde_json::from_str::<Request>(body).unwrap().check()
    }

    #[test]
    fn a_message_must_say_something_and_fit() {
        assert!(check(r#"{"message":"hi","unknown":1}"#).is_ok());
        assert!(check(r#"{"message":"  \n"}"#).is_err());
        assert!(check(r#"{"message":"a\u0000b"}"#).is_err());
        assert!(
            check(&format!(
                r#"{{"message":"{}"}}"#,
                "x".repeat(MAX_MESSAGE + 1)
            ))
            .is_err()
        );
        assert!(check(r#"{"message":"hi","session_id":""}"#).is_err());
        assert!(check(r#"{"message":"hi","session_id":"a\nb"}"#).is_err());
    }
}
