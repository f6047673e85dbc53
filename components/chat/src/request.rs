//! `POST /chat`: what it says, checked.

use guest::Problem;
use serde::Deserialize;

/// Of a message, in characters.
pub const MAX_MESSAGE: usize = 8_000;
/// Of a text that comes with the question, in characters.
pub const MAX_CONTEXT: usize = 200_000;
/// Documents of one question.
pub const MAX_DOCUMENTS: usize = 20;

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
    /// As in the context, which comes first.
    pub only_documents: Option<bool>,
}

/// What the question is about. Documents come before a text.
#[derive(Debug, Default, Deserialize)]
pub struct Context {
    /// A document of the learner's: the passages are found here.
    pub document_id: Option<String>,
    /// Further ones.
    pub document_ids: Option<Vec<String>>,
    /// A text that the client chose itself.
    pub relevant_text: Option<String>,
    /// Whether an answer that does not stand there is replaced by "not found". The default.
    pub only_documents: Option<bool>,
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
        if self.session_id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(Problem::validation(
                "`session_id` has 1 to 255 bytes without control characters",
            ));
        }
        let documents = self.documents();
        if documents.len() > MAX_DOCUMENTS {
            return Err(Problem::validation(format!(
                "a question is about {MAX_DOCUMENTS} documents at most"
            )));
        }
        if !documents.iter().all(|id| is_id(id)) {
            return Err(Problem::validation(
                "a document's id has 1 to 255 bytes without control characters",
            ));
        }
        let text = self.text().unwrap_or_default();
        if text.chars().count() > MAX_CONTEXT {
            return Err(Problem::validation(format!(
                "`relevant_text` has more than {MAX_CONTEXT} characters"
            )));
        }
        Ok(())
    }

    /// The documents it names, each once, in their order.
    pub fn documents(&self) -> Vec<String> {
        let context = self.document_context.iter();
        let named = context.flat_map(|context| {
            let more = context.document_ids.iter().flatten();
            context
                .document_id
                .iter()
                .filter(|id| !id.is_empty())
                .chain(more)
        });
        let mut ids: Vec<String> = Vec::new();
        for id in named.take(MAX_DOCUMENTS * 2) {
            if !ids.contains(id) {
                ids.push(id.clone());
            }
        }
        ids
    }

    /// The text that came along, where it says something.
    pub fn text(&self) -> Option<&str> {
        let context = self.document_context.as_ref()?;
        let text = context.relevant_text.as_deref()?;
        (!text.trim().is_empty()).then_some(text)
    }

    /// Whether only what stands in the documents may be said.
    pub fn only_documents(&self) -> bool {
        let context = self.document_context.as_ref();
        let within = context.and_then(|context| context.only_documents);
        within.or(self.only_documents).unwrap_or(true)
    }
}

fn is_id(id: &str) -> bool {
    (1..=255).contains(&id.len()) && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> Request {
        serde_json::from_str(body).unwrap()
    }

    fn check(body: &str) -> Result<(), Problem> {
        request(body).check()
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

    #[test]
    fn a_question_is_about_documents_each_once() {
        let asked = |context: &str| {
            request(&format!(
                r#"{{"message":"x","document_context":{context}}}"#
            ))
        };
        for (context, documents) in [
            (r#"{"document_id":"a","document_ids":["b","a","b"]}"#, "a b"),
            (r#"{"document_id":"","document_ids":null}"#, ""),
            (r#"{"document_ids":["b"],"relevant_text":"t"}"#, "b"),
        ] {
            let request = asked(context);
            assert_eq!(request.documents().join(" "), documents);
            assert!(request.check().is_ok() && request.only_documents());
        }
        let many: Vec<String> = (0..=MAX_DOCUMENTS).map(|n| format!("\"{n}\"")).collect();
        assert!(
            asked(&format!(r#"{{"document_ids":[{}]}}"#, many.join(",")))
                .check()
                .is_err()
        );
        assert!(asked(r#"{"document_ids":[""]}"#).check().is_err());
        assert!(!asked(r#"{"only_documents":false}"#).only_documents());
        assert!(!request(r#"{"message":"x","only_documents":false}"#).only_documents());
    }
}
