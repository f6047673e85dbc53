//! What goes over the wire, and what servers make of it: null choices, errors inside a 200, a last
//! chunk without choices, a usage that is missing or no number.

use std::time::Duration;

use capability::llm::{Error, Finish, Message, Request, Role};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Config;

/// What an upstream's words may take in an error: it goes to the log, and may echo the prompt.
const EXCERPT: usize = 80;
const MAX_NAME: usize = 200;

/// Something of the answer with the name of who answers.
#[derive(Debug, PartialEq)]
pub(super) struct Piece<T> {
    pub(super) model: Option<String>,
    pub(super) what: T,
}

/// A part of the answer, as it is sent.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    Finish(Finish),
    Usage(Usage),
    /// `[DONE]`, or a document's end.
    End,
}

/// 0 where the server does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u32,
    pub(super) completion_tokens: u32,
}

/// A failed attempt, and how long its server asks to be left alone.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) error: Error,
    pub(super) retry_after: Option<Duration>,
    pub(super) transient: bool,
}

impl Refused {
    pub(super) fn transient(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            transient: true,
        }
    }

    pub(super) fn lasting(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            transient: false,
        }
    }

    /// By what the status means; `body` is the server's error object.
    pub(super) fn by_status(status: u16, body: Option<&Value>) -> Self {
        let why = || format!("status {status}: {}", message(body));
        let mut refused = match status {
            401 => Self::lasting(Error::AccessDenied),
            402 => Self::lasting(Error::QuotaExceeded),
            // Who waited for a model that hangs does not wait for it again.
            408 | 504 => Self::lasting(Error::Timeout),
            429 => Self::transient(Error::QuotaExceeded),
            400..=499 => Self::lasting(Error::Invalid(why())),
            _ => Self::transient(Error::Unavailable(why())),
        };
        refused.retry_after = body.and_then(retry_after);
        refused
    }
}

pub(super) fn request(config: &Config, request: Request) -> Value {
    let message = |m: &Message| json!({ "role": role(m.role), "content": m.content });
    let mut body = json!({
        "model": config.model,
        "messages": request.messages.iter().map(message).collect::<Vec<_>>(),
        "max_tokens": request.max_tokens,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(schema) = request.schema {
        body["response_format"] = json!({
            "type": "json_schema",
            "json_schema": { "name": schema.name, "strict": true, "schema": schema.schema },
        });
        if config.base_url.contains("openrouter.ai") {
            // Else a provider without structured output may be chosen, which ignores the schema.
            body["provider"] = json!({ "require_parameters": true });
        }
    }
    body
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

#[derive(Deserialize)]
struct Chunk {
    model: Option<String>,
    error: Option<Value>,
    /// Null on some servers.
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Content>,
    /// In place of `delta` where the server does not stream.
    message: Option<Content>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Content {
    content: Option<String>,
}

/// A page of `GET /models`; `None` where it is none.
pub(super) fn lists(models: &[u8], model: &str) -> Option<bool> {
    #[derive(Deserialize)]
    struct Models {
        data: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
        /// OpenRouter's.
        canonical_slug: Option<String>,
    }
    let models: Models = serde_json::from_slice(models).ok()?;
    let has = |name: &str| {
        let named = |m: &Model| m.id == name || m.canonical_slug.as_deref() == Some(name);
        models.data.iter().any(named)
    };
    Some(match model.rsplit_once(':') {
        // OpenRouter's ways to choose a provider, which no list names. `free` is a model of its own.
        Some((base, "nitro" | "floor" | "online" | "exacto")) => has(model) || has(base),
        Some(_) => has(model),
        // Ollama's default tag.
        None => has(model) || has(&format!("{model}:latest")),
    })
}

/// The pieces in one event's data, or in a whole document.
pub(super) fn pieces(data: &str) -> Vec<Result<Piece<Part>, Refused>> {
    match data.trim() {
        "" => return vec![],
        "[DONE]" => {
            return vec![Ok(Piece {
                model: None,
                what: Part::End,
            })];
        }
        _ => {}
    }
    // Without serde's words, which quote what was sent.
    let Ok(chunk) = serde_json::from_str::<Chunk>(data) else {
        let error = Error::Unavailable("the server's chunk is no completion in JSON".into());
        return vec![Err(Refused::transient(error))];
    };
    if let Some(error) = &chunk.error {
        return vec![Err(inner_error(error))];
    }
    let mut parts = Vec::new();
    for choice in chunk.choices.unwrap_or_default().into_iter().take(1) {
        parts.extend(choice.parts());
    }
    parts.extend(
        chunk
            .usage
            .as_ref()
            .and_then(usage)
            .map(Part::Usage)
            .map(Ok),
    );
    let model = chunk.model.map(|name| name_of(&name));
    let piece = |what| Piece {
        model: model.clone(),
        what,
    };
    parts.into_iter().map(|part| part.map(piece)).collect()
}

impl Choice {
    fn parts(self) -> Vec<Result<Part, Refused>> {
        if let Some(error) = &self.error {
            return vec![Err(inner_error(error))];
        }
        let text = self.delta.or(self.message).and_then(|said| said.content);
        let text = text.map(|text| text.replace('\0', ""));
        let text = text.filter(|text| !text.is_empty());
        let finish = self.finish_reason.as_deref().map(finished);
        let text = text.map(|text| Ok(Part::Text(text)));
        text.into_iter().chain(finish).collect()
    }
}

fn finished(reason: &str) -> Result<Part, Refused> {
    Ok(Part::Finish(match reason {
        "length" | "max_tokens" => Finish::Length,
        "content_filter" => Finish::Filtered,
        "error" => {
            let error = Error::Unavailable("the server broke off".into());
            return Err(Refused::transient(error));
        }
        _ => Finish::Stop,
    }))
}

/// `None` where no count is a number above 0: the true one may still come.
fn usage(value: &Value) -> Option<Usage> {
    let count = |name| {
        let count = value.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        // Saturates.
        count as u32
    };
    let usage = Usage {
        prompt_tokens: count("prompt_tokens"),
        completion_tokens: count("completion_tokens"),
    };
    (usage != Usage::default()).then_some(usage)
}

fn name_of(model: &str) -> String {
    let name = model.chars().filter(|c| !c.is_control());
    name.take(MAX_NAME).collect()
}

/// An error that came inside a 200, as OpenRouter sends once generation began.
fn inner_error(error: &Value) -> Refused {
    let code = error
        .get("code")
        .and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let status = code.and_then(|code| u16::try_from(code).ok());
    Refused::by_status(status.unwrap_or(502), Some(error))
}

/// The error object of a response's body.
pub(super) fn error_of(body: &[u8]) -> Option<Value> {
    let mut parsed: Value = serde_json::from_slice(body).ok()?;
    Some(parsed.get_mut("error")?.take())
}

fn message(error: Option<&Value>) -> String {
    let message = error.and_then(|error| error.get("message").unwrap_or(error).as_str());
    excerpt(message.unwrap_or("no message"))
}

pub(super) fn excerpt(text: &str) -> String {
    let text = text.chars().filter(|c| !c.is_control());
    text.take(EXCERPT).collect()
}

/// OpenRouter's `metadata.retry_after_seconds`.
fn retry_after(error: &Value) -> Option<Duration> {
    let wanted = error.get("metadata")?.get("retry_after_seconds")?;
    let seconds = wanted.as_f64().or_else(|| wanted.as_str()?.parse().ok())?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(data: &str) -> Vec<Result<Part, Refused>> {
        let what = |piece: Result<Piece<Part>, Refused>| piece.map(|piece| piece.what);
        pieces(data).into_iter().map(what).collect()
    }

    #[test]
    fn null_choices_say_nothing() {
        for data in ["", r#"{"choices":null}"#, r#"{"choices":[],"usage":null}"#] {
            assert_eq!(parts(data), vec![], "{data}");
        }
    }

    #[test]
    fn an_error_inside_a_200_is_an_error() {
        let top = r#"{"error":{"code":429,"message":"slow","metadata":{"retry_after_seconds":1.5}},"choices":[]}"#;
        let refused = Refused {
            retry_after: Some(Duration::from_millis(1500)),
            ..Refused::transient(Error::QuotaExceeded)
        };
        assert_eq!(parts(top), vec![Err(refused)]);
        let credit = r#"{"error":{"code":"402","message":"no credit"}}"#;
        let refused = Refused::lasting(Error::QuotaExceeded);
        assert_eq!(parts(credit), vec![Err(refused)]);
        let finish = r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#;
        assert!(matches!(parts(finish)[..], [Err(_)]));
    }

    #[test]
    fn text_end_and_usage_may_share_a_chunk() {
        let data = r#"{"choices":[{"delta":{"content":"hi"},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
        let usage = Usage {
            prompt_tokens: 3,
            completion_tokens: 1,
        };
        assert_eq!(
            parts(data),
            vec![
                Ok(Part::Text("hi".into())),
                Ok(Part::Finish(Finish::Length)),
                Ok(Part::Usage(usage))
            ]
        );
    }

    #[test]
    fn an_odd_usage_costs_no_answer() {
        let odd = [
            r#"{"prompt_tokens":null}"#,
            r#"{"prompt_tokens":"3"}"#,
            r#"{"prompt_tokens":-1,"completion_tokens":[]}"#,
            "[]",
            "7",
        ];
        for usage in odd {
            let data = format!(r#"{{"choices":[{{"delta":{{"content":"hi"}}}}],"usage":{usage}}}"#);
            assert_eq!(parts(&data), vec![Ok(Part::Text("hi".into()))], "{usage}");
        }
        let huge = r#"{"usage":{"prompt_tokens":1e99,"completion_tokens":2.0}}"#;
        let usage = Usage {
            prompt_tokens: u32::MAX,
            completion_tokens: 2,
        };
        assert_eq!(parts(huge), vec![Ok(Part::Usage(usage))]);
    }

    #[test]
    fn nul_is_not_passed_on() {
        let data = r#"{"model":"m\u0000","choices":[{"delta":{"content":"a\u0000b"}}]}"#;
        let piece = Piece {
            model: Some("m".into()),
            what: Part::Text("ab".into()),
        };
        assert_eq!(pieces(data), vec![Ok(piece)]);
        let only = r#"{"choices":[{"delta":{"content":"\u0000"}}]}"#;
        assert_eq!(parts(only), vec![]);
    }

    #[test]
    fn an_error_shows_little_of_what_was_sent() {
        let secret = format!("line\\n{}", "x".repeat(500));
        let chunk = format!(r#"{{"error":{{"code":400,"message":"{secret}"}}}}"#);
        let [Err(refused)] = &parts(&chunk)[..] else {
            panic!("no error");
        };
        let expected = format!("status 400: line{}", "x".repeat(76));
        assert_eq!(refused.error, Error::Invalid(expected));
        let [Err(refused)] = &parts(r#"{"choices":"the whole prompt"}"#)[..] else {
            panic!("no error");
        };
        assert!(!refused.error.to_string().contains("prompt"));
    }

    #[test]
    fn a_timeout_is_not_tried_again() {
        for status in [408, 504] {
            assert!(!Refused::by_status(status, None).transient, "{status}");
        }
    }

    #[test]
    fn what_is_no_json_is_unavailable_and_not_a_panic() {
        assert!(matches!(parts("<html>")[..], [Err(_)]));
    }

    #[test]
    fn a_model_is_known_by_what_its_server_lists() {
        let models = br#"{"data":[{"id":"a/b"},{"id":"a/c:free"},{"id":"llama3:latest"}]}"#;
        for model in ["a/b", "a/b:nitro", "a/c:free", "llama3"] {
            assert_eq!(lists(models, model), Some(true), "{model}");
        }
        for model in ["a/b:free", "a/c", "a"] {
            assert_eq!(lists(models, model), Some(false), "{model}");
        }
        assert_eq!(lists(b"{}", "a"), None);
    }
}
