//! `POST /chat`: what it says, checked.

use guest::Problem;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::prompt::{Said, Speaker};

/// Of a message, in characters.
pub const MAX_MESSAGE: usize = 8_000;
/// Of a text that comes with the question, in characters.
pub const MAX_CONTEXT: usize = 200_000;
/// Documents of one question.
pub const MAX_DOCUMENTS: usize = 20;
/// Of a conversation that comes with the question: messages, and characters of all.
const MAX_HISTORY: (usize, usize) = (400, 400_000);

/// A question. Unknown members are ignored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Question)]
pub struct Request {
    /// What the learner asks.
    #[schema(min_length = 1, max_length = 8000)]
    pub message: String,
    /// Absent for a new session.
    #[schema(min_length = 1, max_length = 255)]
    pub session_id: Option<String>,
    /// Whose; the token's subject when absent.
    #[schema(min_length = 1, max_length = 255)]
    pub user_id: Option<String>,
    /// What the question is about.
    pub document_context: Option<Context>,
    /// As in the context, which comes first.
    pub only_documents: Option<bool>,
    /// `false` keeps neither question nor answer, and makes no session.
    pub store: Option<bool>,
    /// What was said before, where the client keeps the conversation itself: not with a `session_id`. 400
    /// messages, and 400,000 characters, at most.
    pub history: Option<Vec<Told>>,
}

/// A message of a conversation that the client keeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct Told {
    /// Who said it.
    pub role: Role,
    /// What.
    pub content: String,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The learner.
    User,
    /// The service.
    Assistant,
}

/// What the question is about. Documents come before a text.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Context {
    /// A document of the learner's: the passages are found here.
    pub document_id: Option<String>,
    /// Further ones.
    #[schema(max_items = 20)]
    pub document_ids: Option<Vec<String>>,
    /// A text that the client chose itself.
    #[schema(max_length = 200000)]
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
        self.check_history()
    }

    fn check_history(&self) -> Result<(), Problem> {
        let is_apart = self.history.is_some() || !self.stores();
        if is_apart && self.session_id.is_some() {
            let why = "a session has its own history, and is stored";
            return Err(Problem::validation(why));
        }
        let told = self.history.as_deref().unwrap_or_default();
        let characters: usize = told.iter().map(|told| told.content.chars().count()).sum();
        let (most, most_characters) = MAX_HISTORY;
        if told.len() > most || characters > most_characters {
            return Err(Problem::validation(format!(
                "`history` has more than {most} messages, or {most_characters} characters"
            )));
        }
        Ok(())
    }

    /// Whether question and answer are kept.
    pub fn stores(&self) -> bool {
        self.store.unwrap_or(true)
    }

    /// The conversation that came along.
    pub fn said(&self) -> Vec<Said> {
        let said = |told: &Told| Said {
            by: match told.role {
                Role::User => Speaker::User,
                Role::Assistant => Speaker::Assistant,
            },
            content: told.content.clone(),
        };
        self.history.iter().flatten().map(said).collect()
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
    fn a_conversation_comes_along_or_is_stored() {
        let history =
            r#""history":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes?"}]"#;
        let told = request(&format!(r#"{{"message":"x",{history}}}"#));
        assert!(told.check().is_ok() && told.stores());
        let said: Vec<_> = told.said().into_iter().map(|said| said.by).collect();
        assert_eq!(said, [Speaker::User, Speaker::Assistant]);
        assert!(check(r#"{"message":"x","store":false}"#).is_ok());
        assert!(check(r#"{"message":"x","store":false,"session_id":"s"}"#).is_err());
        assert!(check(&format!(r#"{{"message":"x","session_id":"s",{history}}}"#)).is_err());
        let long = "x".repeat(MAX_HISTORY.1 + 1);
        let long = format!(r#"{{"message":"x","history":[{{"role":"user","content":"{long}"}}]}}"#);
        assert!(check(&long).is_err());
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
