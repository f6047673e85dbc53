//! What goes over the wire, and what servers make of it: null choices, errors inside a 200, a last
//! chunk without choices, a usage that is missing.

use capability::llm::{Delta, Error, Finish, Message, Outcome, Request, Role};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Config;

/// A piece of the answer with the name of who answers.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) model: Option<String>,
    pub(super) delta: Delta,
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
    usage: Option<Usage>,
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

#[derive(Deserialize, Default)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

/// The pieces in one event's data, or in a whole document.
pub(super) fn pieces(data: &str) -> Vec<Result<Piece, Error>> {
    if data.trim() == "[DONE]" || data.trim().is_empty() {
        return vec![];
    }
    let chunk: Chunk = match serde_json::from_str(data) {
        Ok(chunk) => chunk,
        Err(e) => {
            return vec![Err(Error::Unavailable(format!(
                "the server's chunk is no JSON: {e}"
            )))];
        }
    };
    if let Some(error) = &chunk.error {
        return vec![Err(inner_error(error))];
    }
    let usage = chunk.usage.unwrap_or_default();
    let mut found = Vec::new();
    for choice in chunk.choices.unwrap_or_default().into_iter().take(1) {
        if let Some(error) = &choice.error {
            found.push(Err(inner_error(error)));
            continue;
        }
        let text = choice
            .delta
            .or(choice.message)
            .and_then(|content| content.content);
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            found.push(Ok(Piece {
                model: chunk.model.clone(),
                delta: Delta::Text(text),
            }));
        }
        if let Some(reason) = choice.finish_reason {
            found.push(finished(&reason, &usage).map(|delta| Piece {
                model: chunk.model.clone(),
                delta,
            }));
        }
    }
    found
}

fn finished(reason: &str, usage: &Usage) -> Result<Delta, Error> {
    let finish = match reason {
        "length" | "max_tokens" => Finish::Length,
        "content_filter" => Finish::Filtered,
        "error" => return Err(Error::Unavailable("the server broke off".into())),
        _ => Finish::Stop,
    };
    let Usage {
        prompt_tokens,
        completion_tokens,
    } = *usage;
    Ok(Delta::Done(Outcome {
        finish,
        prompt_tokens,
        completion_tokens,
    }))
}

/// An error that came inside a 200, as OpenRouter sends once generation began.
fn inner_error(error: &Value) -> Error {
    let code = error
        .get("code")
        .and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let message = error
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or("no message")
        .to_owned();
    by_status(
        code.and_then(|code| u16::try_from(code).ok())
            .unwrap_or(502),
        message,
    )
    .0
}

/// The error by meaning, and whether it may pass by itself.
pub(super) fn by_status(status: u16, message: String) -> (Error, bool) {
    match status {
        401 => (Error::AccessDenied, false),
        402 => (Error::QuotaExceeded, false),
        408 | 504 => (Error::Timeout, true),
        429 => (Error::QuotaExceeded, true),
        400..=499 => (Error::Invalid(format!("status {status}: {message}")), false),
        _ => (
            Error::Unavailable(format!("status {status}: {message}")),
            true,
        ),
    }
}

/// The message of an error body, shortened: it goes to the log.
pub(super) fn error_message(body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let message = parsed.as_ref().and_then(|body| {
        let error = body.get("error")?;
        error.get("message").unwrap_or(error).as_str()
    });
    message.unwrap_or("no message").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deltas(data: &str) -> Vec<Result<Delta, Error>> {
        pieces(data)
            .into_iter()
            .map(|piece| piece.map(|piece| piece.delta))
            .collect()
    }

    #[test]
    fn null_choices_and_usage_chunks_say_nothing() {
        for data in [
            "[DONE]",
            "",
            r#"{"choices":null}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
        ] {
            assert_eq!(deltas(data), vec![], "{data}");
        }
    }

    #[test]
    fn an_error_inside_a_200_is_an_error() {
        let top = r#"{"error":{"code":429,"message":"slow down"},"choices":[]}"#;
        assert_eq!(deltas(top), vec![Err(Error::QuotaExceeded)]);
        let finish = r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#;
        assert!(matches!(deltas(finish)[..], [Err(Error::Unavailable(_))]));
    }

    #[test]
    fn text_and_end_may_share_a_chunk() {
        let data = r#"{"choices":[{"delta":{"content":"hi"},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
        let done = Outcome {
            finish: Finish::Length,
            prompt_tokens: 3,
            completion_tokens: 1,
        };
        assert_eq!(
            deltas(data),
            vec![Ok(Delta::Text("hi".into())), Ok(Delta::Done(done))]
        );
    }

    #[test]
    fn what_is_no_json_is_unavailable_and_not_a_panic() {
        assert!(matches!(deltas("<html>")[..], [Err(Error::Unavailable(_))]));
    }
}
