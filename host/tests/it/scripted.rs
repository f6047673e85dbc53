//! A server that speaks OpenAI's protocol and says what a test wants, when it wants it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use host::config::Config;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::TestHost;

/// What the server says to one question.
#[derive(Clone)]
pub(crate) enum Script {
    /// All of it, in pieces of so many characters.
    Says(String, usize),
    /// The first, and then nothing until the client leaves.
    Hangs(String),
    /// This again and again, until the client leaves.
    Repeats(String),
    /// The first, and then the connection breaks.
    Breaks(String),
    /// No answer.
    Refuses,
}

/// The server, and what it saw.
pub(crate) struct Scripted {
    base_url: String,
    pub(crate) asked: Arc<Mutex<Vec<Value>>>,
    /// Answers whose client left before they had ended.
    left: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

struct Answering {
    left: Arc<AtomicUsize>,
    changed: Arc<Notify>,
    ended: bool,
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.ended {
            self.left.fetch_add(1, Ordering::SeqCst);
        }
        self.changed.notify_waiters();
    }
}

impl Scripted {
    pub(crate) async fn start(script: impl Fn(&Value) -> Script + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            base_url: format!("http://{}/v1", listener.local_addr().unwrap()),
            asked: Arc::default(),
            left: Arc::default(),
            changed: Arc::default(),
        };
        let script = Arc::new(script);
        let (asked, left, changed) = (
            server.asked.clone(),
            server.left.clone(),
            server.changed.clone(),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, script) = (asked.clone(), script.clone());
                let (left, changed) = (left.clone(), changed.clone());
                let answer = move |request: hyper::Request<hyper::body::Incoming>| {
                    let (asked, script) = (asked.clone(), script.clone());
                    let answering = Answering {
                        left: left.clone(),
                        changed: changed.clone(),
                        ended: false,
                    };
                    async move {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let body = serde_json::from_slice(&body).unwrap_or_default();
                        let script = script(&body);
                        asked.lock().unwrap().push(body);
                        Ok::<_, Infallible>(respond(script, answering))
                    }
                };
                tokio::spawn(async move {
                    let connection =
                        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service_fn(answer))
                        .await;
                });
            }
        });
        server
    }

    pub(crate) async fn host(&self) -> TestHost {
        self.host_with(|_| {}).await
    }

    pub(crate) async fn host_with(&self, change: impl FnOnce(&mut Config)) -> TestHost {
        let llm = backend::openai::Config {
            base_url: self.base_url.clone(),
            key: Some("secret".to_owned().into()),
            model: "test-model".into(),
            referer: None,
            title: None,
        };
        let change = |config: &mut Config| {
            config.backends.llm = Some(llm);
            change(config);
        };
        TestHost::with("components", change).await
    }

    /// Questions asked so far, without those about notes.
    pub(crate) fn chats(&self) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let is_chat = |request: &&Value| {
            let system = request["messages"][0]["content"]
                .as_str()
                .unwrap_or_default();
            system.starts_with("You help a learner.")
        };
        asked.iter().filter(is_chat).cloned().collect()
    }

    /// Waits until so many clients have left.
    pub(crate) async fn has_been_left(&self, times: usize) {
        let left = async {
            loop {
                let changed = self.changed.notified();
                if self.left.load(Ordering::SeqCst) >= times {
                    return;
                }
                changed.await;
            }
        };
        let left = tokio::time::timeout(crate::harness::PATIENCE, left).await;
        left.expect("the connection to the model is closed");
    }
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>;

fn respond(script: Script, mut answering: Answering) -> hyper::Response<Body> {
    let said = |text: String| Ok(frame(json!({ "content": text }), Value::Null));
    let ends = [
        Ok(frame(json!({}), json!("stop"))),
        Ok(Frame::data(Bytes::from_static(b"data: [DONE]\n\n"))),
    ];
    let frames: BoxStream<'static, _> = match script {
        Script::Refuses => {
            answering.ended = true;
            let refusal = hyper::Response::builder().status(402);
            return refusal
                .body(StreamBody::new(stream::empty().boxed()))
                .unwrap();
        }
        Script::Says(text, size) => {
            let characters: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = characters
                .chunks(size)
                .map(|piece| piece.iter().collect())
                .collect();
            answering.ended = true;
            stream::iter(pieces)
                .map(said)
                .chain(stream::iter(ends))
                .boxed()
        }
        Script::Hangs(text) => stream::iter([said(text)]).chain(stream::pending()).boxed(),
        Script::Repeats(text) => stream::iter(0..)
            .then(move |_| {
                let text = text.clone();
                async move {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    Ok(frame(json!({ "content": text }), Value::Null))
                }
            })
            .boxed(),
        Script::Breaks(text) => {
            answering.ended = true;
            // Not at once: what was said is sent before.
            let broken = stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("it breaks"))
            });
            stream::iter([said(text)]).chain(broken).boxed()
        }
    };
    // Dropped with the body, when the connection is closed.
    let held = stream::unfold((frames, answering), |(mut frames, answering)| async move {
        let frame = frames.next().await?;
        Some((frame, (frames, answering)))
    });
    hyper::Response::builder()
        .header("content-type", "text/event-stream")
        .body(StreamBody::new(held.boxed()))
        .unwrap()
}

fn frame(delta: Value, finish: Value) -> Frame<Bytes> {
    let chunk = json!({ "model": "test-model-1", "choices": [{ "delta": delta, "finish_reason": finish }] });
    Frame::data(Bytes::from(format!("data: {chunk}\n\n")))
}
