//! `/v1/chat/completions`: the last message is the question of `POST /chat`, the ones before it are its
//! history. Nothing is stored, unless a session is named.

use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::models::{self, LECTERN};
use super::problem::{OpenAiError, Refusal};
use super::{Caller, parsed, stream};

/// Documents of one question, as `POST /chat` takes them.
const MAX_DOCUMENTS: usize = 20;

/// A conversation to go on with. Unknown members are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = OpenAiConversation)]
pub(in crate::gateway) struct Conversation {
    /// As `GET /v1/models` lists them. `lectern` answers from the documents that `metadata` names, else from
    /// the asker's 20 latest; the language model answers by itself where no document is named.
    model: String,
    /// The last one is the question, of 8,000 characters at most.
    #[schema(min_items = 1)]
    messages: Vec<Message>,
    /// Whether the answer is told while it is written.
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    metadata: Option<Metadata>,
    /// Whose it is, in development mode.
    user: Option<String>,
    /// 1.
    #[schema(minimum = 1, maximum = 1)]
    n: Option<u32>,
    /// `{"type": "text"}`.
    #[schema(value_type = Option<Object>)]
    response_format: Option<Value>,
}

/// What one said.
#[derive(Deserialize, ToSchema)]
#[schema(as = OpenAiMessage)]
struct Message {
    /// `system`, `developer`, `user` or `assistant`.
    role: String,
    content: Option<Content>,
}

/// A text, or parts of which those of text are read.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = OpenAiContent)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

/// A part of a message.
#[derive(Deserialize, ToSchema)]
#[schema(as = OpenAiContentPart)]
struct ContentPart {
    text: Option<String>,
}

/// How the answer is told.
#[derive(Deserialize, ToSchema)]
#[schema(as = OpenAiStreamOptions)]
struct StreamOptions {
    /// Ends with a chunk that says how long question and answer are.
    include_usage: Option<bool>,
}

/// What the question is about.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = OpenAiMetadata)]
struct Metadata {
    /// A list, or a text with commas.
    document_ids: Option<Documents>,
    /// Stores question and answer there; the session's own history counts, not the messages.
    session_id: Option<String>,
}

/// Documents' ids.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = OpenAiDocuments)]
enum Documents {
    List(Vec<String>),
    Text(String),
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                let texts = parts.iter().filter_map(|part| part.text.as_deref());
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

impl Documents {
    /// OpenAI's metadata are texts: a JSON list may be one.
    fn ids(&self) -> Vec<String> {
        let ids = match self {
            Self::List(ids) => ids.clone(),
            Self::Text(text) => serde_json::from_str(text)
                .unwrap_or_else(|_| text.split(',').map(ToOwned::to_owned).collect()),
        };
        let ids = ids.iter().map(|id| id.trim().to_owned());
        ids.filter(|id| !id.is_empty()).collect()
    }
}

/// How long question and answer are, by an estimate: a token for four bytes.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = OpenAiUsage)]
pub(super) struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    /// Of so many bytes.
    pub(super) fn of(prompt: usize, completion: usize) -> Self {
        let (prompt, completion) = (prompt.div_ceil(4), completion.div_ceil(4));
        Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt + completion,
        }
    }
}

/// What all of an answer, or of its chunks, say.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) model: String,
    /// Bytes of all messages.
    pub(super) said: usize,
    pub(super) wants_usage: bool,
}

/// Goes on with a conversation.
///
/// With `stream` the chunks of the answer are events that end with `[DONE]`. An answer from documents has
/// its quotes in `citations`, of the message or of the last chunk. What takes no part in the answer, as
/// `temperature`, `tools` and `max_tokens`, is ignored.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    operation_id = "openai_chat_completions",
    tag = "openai",
    request_body(content = Conversation),
    responses(
        (status = 200, description = "The answer", content(
            (Completion = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 404, description = "`model_not_found`, `DOCUMENT_NOT_FOUND`, `SESSION_NOT_FOUND`", body = OpenAiError),
        (status = 409, description = "`DOCUMENT_PROCESSING`", body = OpenAiError),
        (status = 422, description = "`DOCUMENT_UNREADABLE`", body = OpenAiError),
        (status = 501, description = "`model_not_configured`: no language model, and no document", body = OpenAiError),
    ),
)]
pub(in crate::gateway) async fn complete(
    caller: &Caller<'_>,
    request: Request,
) -> Result<Response, Refusal> {
    let wanted: Conversation = parsed(caller, request).await?;
    wanted.check(caller)?;
    wanted.question(caller, &[])?;
    let documents = wanted.documents(caller).await?;
    if documents.is_empty() && caller.gateway.platform.model().is_none() {
        let why = "no language model is configured, and no document is named or uploaded";
        return Err(Refusal::NoModel(why));
    }
    let question = wanted.question(caller, &documents)?;
    let asked = wanted.asked();
    if !wanted.stream.unwrap_or_default() {
        let answer = caller.json(Method::POST, "/chat", Some(&question)).await?;
        return Ok(axum::Json(whole(&asked, &answer)).into_response());
    }
    let body = Body::from(question.to_string());
    let (kind, accept) = (Some("application/json"), "text/event-stream");
    let answer = caller
        .ask(Method::POST, "/chat", kind, accept, body)
        .await?;
    Ok(stream::respond(asked, answer))
}

impl Conversation {
    fn check(&self, caller: &Caller<'_>) -> Result<(), Refusal> {
        if !models::is_known(caller.gateway, &self.model) {
            return Err(Refusal::UnknownModel(self.model.clone()));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(Refusal::invalid(Some("n"), "`n` is 1"));
        }
        let form = self
            .response_format
            .as_ref()
            .and_then(|form| form["type"].as_str());
        if form.is_some_and(|form| form != "text") {
            let why = "`response_format` is `text`";
            return Err(Refusal::invalid(Some("response_format"), why));
        }
        Ok(())
    }

    /// Which the question is about. `lectern` without any answers from the latest.
    async fn documents(&self, caller: &Caller<'_>) -> Result<Vec<String>, Refusal> {
        let named = self
            .metadata
            .as_ref()
            .and_then(|about| about.document_ids.as_ref());
        let named = named.map(Documents::ids).unwrap_or_default();
        if !named.is_empty() || self.model != LECTERN {
            return Ok(named);
        }
        let mut path = "/documents?limit=200".to_owned();
        if let Some(user) = caller.user(self.user.as_deref()) {
            let user = form_urlencoded::byte_serialize(user.as_bytes()).collect::<String>();
            path = format!("{path}&user_id={user}");
        }
        let listed = caller.json(Method::GET, &path, None).await?;
        let listed = listed["documents"].as_array().into_iter().flatten();
        let read = listed.filter(|document| document["status"] == "completed");
        let ids = read.filter_map(|document| document["document_id"].as_str());
        Ok(ids.take(MAX_DOCUMENTS).map(ToOwned::to_owned).collect())
    }

    /// As `POST /chat` wants it.
    fn question(&self, caller: &Caller<'_>, documents: &[String]) -> Result<Value, Refusal> {
        let none = || Refusal::invalid(Some("messages"), "the last of `messages` is the user's");
        let (last, before) = self.messages.split_last().ok_or_else(none)?;
        if last.role != "user" {
            return Err(none());
        }
        let mut question = json!({ "message": last.text() });
        if !documents.is_empty() {
            question["document_context"] = json!({ "document_ids": documents });
        }
        if let Some(user) = caller.user(self.user.as_deref()) {
            question["user_id"] = json!(user);
        }
        let session = self
            .metadata
            .as_ref()
            .and_then(|about| about.session_id.as_ref());
        match session {
            Some(session) => question["session_id"] = json!(session),
            None => {
                question["store"] = json!(false);
                question["history"] = json!(history(before));
            }
        }
        Ok(question)
    }

    fn asked(&self) -> Asked {
        let options = self.stream_options.as_ref();
        Asked {
            id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
            created: models::now(),
            model: self.model.clone(),
            said: self
                .messages
                .iter()
                .map(|message| message.text().len())
                .sum(),
            wants_usage: options.is_some_and(|options| options.include_usage == Some(true)),
        }
    }
}

/// Instructions are a part of what the asker said: the service has its own, which come first.
fn history(messages: &[Message]) -> Vec<Value> {
    let told = messages.iter().filter_map(|message| {
        let role = match message.role.as_str() {
            "assistant" => "assistant",
            "user" | "system" | "developer" => "user",
            _ => return None,
        };
        let content = message.text();
        (!content.trim().is_empty()).then(|| json!({ "role": role, "content": content }))
    });
    told.collect()
}

/// An answer.
#[derive(ToSchema)]
#[schema(as = OpenAiCompletion)]
#[expect(dead_code, reason = "described, and written by `whole`")]
struct Completion {
    id: String,
    /// `chat.completion`.
    object: String,
    /// Seconds since the Unix epoch.
    created: i64,
    model: String,
    choices: Vec<Choice>,
    usage: Usage,
    lectern: Extension,
}

/// What is answered.
#[derive(ToSchema)]
#[schema(as = OpenAiChoice)]
#[expect(dead_code, reason = "described, and written by `whole`")]
struct Choice {
    index: u32,
    message: Answered,
    /// `null`.
    logprobs: Option<Value>,
    /// `stop`, `length` or `content_filter`.
    finish_reason: String,
}

/// The message.
#[derive(ToSchema)]
#[schema(as = OpenAiAnswer)]
#[expect(dead_code, reason = "described, and written by `whole`")]
struct Answered {
    /// `assistant`.
    role: String,
    content: String,
    /// `null`.
    refusal: Option<String>,
    /// Quotes, as `POST /chat` has them.
    #[schema(value_type = Vec<Object>)]
    citations: Vec<Value>,
}

/// What `POST /chat` says beyond OpenAI's form.
#[derive(ToSchema)]
#[schema(as = OpenAiExtension)]
#[expect(dead_code, reason = "described, and written by `extension`")]
struct Extension {
    session_id: Option<String>,
    /// The model, or `local-extractive`: the documents' own sentences.
    engine: String,
    /// Why it ended, in the contract's words.
    finish: String,
    grounded: Option<bool>,
    omitted: u32,
}

fn whole(asked: &Asked, answer: &Value) -> Value {
    let text = answer["response"].as_str().unwrap_or_default();
    json!({
        "id": asked.id,
        "object": "chat.completion",
        "created": asked.created,
        "model": asked.model,
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant",
                "content": text,
                "refusal": null,
                "citations": answer["citations"],
            },
            "logprobs": null,
            "finish_reason": reason(&answer["finish"]),
        }],
        "usage": Usage::of(asked.said, text.len()),
        "lectern": extension(answer),
    })
}

/// Of an answer, or of the event that ends one.
pub(super) fn extension(answer: &Value) -> Value {
    let members = ["session_id", "engine", "finish", "grounded", "omitted"];
    members
        .map(|name| (name.to_owned(), answer[name].clone()))
        .into_iter()
        .collect()
}

/// Why it ended, in OpenAI's words.
pub(super) fn reason(finish: &Value) -> &'static str {
    match finish.as_str() {
        Some("length") => "length",
        Some("filtered") => "content_filter",
        _ => "stop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_named_in_any_way_that_metadata_lets() {
        for (given, ids) in [
            (json!(["a", "b"]), vec!["a", "b"]),
            (json!("[\"a\",\"b\"]"), vec!["a", "b"]),
            (json!(" a, b,"), vec!["a", "b"]),
            (json!("a"), vec!["a"]),
            (json!(""), vec![]),
        ] {
            let documents: Documents = serde_json::from_value(given).unwrap();
            assert_eq!(documents.ids(), ids);
        }
    }

    #[test]
    fn what_was_said_before_is_history() {
        let messages: Vec<Message> = serde_json::from_value(json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "Hi" }, { "type": "image_url" }] },
            { "role": "assistant", "content": null, "tool_calls": [] },
            { "role": "tool", "content": "7" },
            { "role": "assistant", "content": "Yes?" },
        ]))
        .unwrap();
        let told: Vec<_> = history(&messages)
            .iter()
            .map(|told| format!("{} {}", told["role"], told["content"]))
            .collect();
        assert_eq!(
            told,
            [
                r#""user" "Be brief.""#,
                r#""user" "Hi""#,
                r#""assistant" "Yes?""#
            ]
        );
    }
}
