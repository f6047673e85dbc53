//! An answer while it is written: the events of `POST /chat` become OpenAI's chunks.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use eventsource_stream::{Event, Eventsource};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use super::chat::{Asked, Usage, extension, reason};
use super::problem::Refusal;

/// Proxies give up a connection that is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// nginx sends what it gets at once.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

type Events = Pin<Box<dyn Stream<Item = Option<Event>> + Send>>;

struct Writing {
    asked: Asked,
    events: Events,
    session: Value,
    citations: Value,
    /// Bytes of the answer.
    said: usize,
    has_begun: bool,
    is_over: bool,
}

/// The chunks, as they come.
pub(super) fn respond(asked: Asked, answer: Response) -> Response {
    let events = answer.into_body().into_data_stream().eventsource();
    let writing = Writing {
        asked,
        // What cannot be read is the end, as is the end itself.
        events: Box::pin(events.map(Result::ok)),
        session: Value::Null,
        citations: json!([]),
        said: 0,
        has_begun: false,
        is_over: false,
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (NO_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(stream::unfold(writing, step))).into_response()
}

async fn step(mut writing: Writing) -> Option<(Result<Bytes, Infallible>, Writing)> {
    if !writing.has_begun {
        writing.has_begun = true;
        let begun = writing.chunk(json!({ "role": "assistant", "content": "" }), None);
        return Some((Ok(begun.into()), writing));
    }
    while !writing.is_over {
        let next = tokio::time::timeout(HEARTBEAT, writing.events.next());
        let written = match next.await {
            Err(_) => ":\n\n".to_owned(),
            Ok(Some(Some(event))) => writing.of(&event),
            Ok(_) => writing.broken("the answer broke off"),
        };
        if !written.is_empty() {
            return Some((Ok(written.into()), writing));
        }
    }
    None
}

impl Writing {
    /// The chunks that an event becomes.
    fn of(&mut self, event: &Event) -> String {
        let mut data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match event.event.as_str() {
            "session" => self.session = data["session_id"].take(),
            "citations" => self.citations = data["citations"].take(),
            "token" => {
                let text = data["text"].as_str().unwrap_or_default();
                self.said += text.len();
                return self.chunk(json!({ "content": text }), None);
            }
            "done" => return self.done(data),
            "error" => {
                let why = data["error"].as_str().unwrap_or("the answer broke off");
                return self.broken(why);
            }
            _ => {}
        }
        String::new()
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> String {
        line(&self.with(json!([{
            "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish,
        }])))
    }

    fn with(&self, choices: Value) -> Value {
        let asked = &self.asked;
        json!({
            "id": asked.id,
            "object": "chat.completion.chunk",
            "created": asked.created,
            "model": asked.model,
            "choices": choices,
        })
    }

    /// The last chunk has what an answer in one piece has.
    fn done(&mut self, mut done: Value) -> String {
        self.is_over = true;
        done["session_id"] = self.session.take();
        let mut last = self.with(json!([{
            "index": 0, "delta": {}, "logprobs": null, "finish_reason": reason(&done["finish"]),
        }]));
        last["citations"] = self.citations.take();
        last["lectern"] = extension(&done);
        let mut lines = line(&last);
        if self.asked.wants_usage {
            let mut usage = self.with(json!([]));
            usage["usage"] = json!(Usage::of(self.asked.said, self.said));
            lines.push_str(&line(&usage));
        }
        lines.push_str("data: [DONE]\n\n");
        lines
    }

    /// Clients of OpenAI's take an error in a stream for the answer's end.
    fn broken(&mut self, why: &str) -> String {
        self.is_over = true;
        let refusal = Refusal::interrupted(why);
        line(&json!(refusal.body()))
    }
}

fn line(data: &Value) -> String {
    format!("data: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(events: &'static str) -> Vec<Value> {
        let asked = Asked {
            id: "chatcmpl-7".into(),
            created: 7,
            model: "lectern".into(),
            said: 8,
            wants_usage: true,
        };
        let response = respond(asked, Body::from(events).into_response());
        let body = axum::body::to_bytes(response.into_body(), 9_000)
            .await
            .unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let data = text
            .split("\n\n")
            .filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or(json!(data)))
            .collect()
    }

    #[tokio::test]
    async fn events_become_chunks_that_end_as_openai_s() {
        let chunks = written(
            "event: session\ndata: {\"session_id\":\"s\"}\n\n\
             event: token\ndata: {\"text\":\"Hello \"}\n\n: \n\n\
             event: token\ndata: {\"text\":\"you\"}\n\n\
             event: citations\ndata: {\"citations\":[{\"page\":1}]}\n\n\
             event: done\ndata: {\"finish\":\"length\",\"engine\":\"m\"}\n\n",
        )
        .await;
        assert_eq!(chunks.len(), 6);
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(chunks[2]["choices"][0]["delta"]["content"], "you");
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "length");
        assert_eq!(chunks[3]["citations"][0]["page"], 1);
        assert_eq!(chunks[3]["lectern"]["session_id"], "s");
        assert_eq!(chunks[4]["choices"], json!([]));
        assert_eq!(chunks[4]["usage"]["total_tokens"], 5);
        assert_eq!(chunks[5], "[DONE]");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_ends_with_an_error() {
        for events in [
            "event: token\ndata: {\"text\":\"Hel\"}\n\n",
            "event: token\ndata: {\"text\":\"Hel\"}\n\nevent: error\ndata: {\"error\":\"no\"}\n\n",
        ] {
            let chunks = written(events).await;
            assert_eq!(chunks.len(), 3);
            assert_eq!(chunks[2]["error"]["type"], "server_error", "{events}");
        }
    }
}
