//! The language model's client against a server that behaves as real ones do, on purpose.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backend::openai::{Config, ModelCheck, OpenAi};
use bytes::Bytes;
use capability::llm::{Delta, Error, Finish, Llm, Message, Outcome, Request, Role};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// A status, a content type, and chunks.
#[derive(Clone)]
struct Script(u16, &'static str, Vec<&'static str>);

/// A status for an answer that never begins, and a chunk after which nothing comes any more.
const NEVER: u16 = 0;
const HANG: &str = "hang";

impl Script {
    fn body(&self) -> BoxStream<'static, Result<Frame<Bytes>, Infallible>> {
        let chunks = stream::iter(self.2.clone()).then(async |chunk| {
            if chunk == HANG {
                std::future::pending::<()>().await;
            }
            Ok(Frame::data(Bytes::from(chunk)))
        });
        chunks.boxed()
    }

    async fn respond(self) -> hyper::Response<StreamBody<BoxStream<'static, FrameOrNever>>> {
        if self.0 == NEVER {
            std::future::pending::<()>().await;
        }
        hyper::Response::builder()
            .status(self.0)
            .header("content-type", self.1)
            .body(StreamBody::new(self.body()))
            .unwrap()
    }
}

type FrameOrNever = Result<Frame<Bytes>, Infallible>;

/// What a server was asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<hyper::Request<Incoming>>>>);

impl Asked {
    /// Answers how many came before.
    fn push(&self, request: hyper::Request<Incoming>) -> usize {
        let mut asked = self.0.lock().unwrap();
        asked.push(request);
        asked.len() - 1
    }

    fn times(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn header(&self, name: &str) -> Option<String> {
        let asked = self.0.lock().unwrap();
        Some(asked[0].headers().get(name)?.to_str().unwrap().to_owned())
    }
}

/// Answers each request with the next of `scripts`, and the last for ever.
async fn serve(scripts: Vec<Script>) -> (OpenAi, Asked) {
    let (config, asked) = serve_config(scripts).await;
    (OpenAi::new(config).unwrap(), asked)
}

async fn serve_config(scripts: Vec<Script>) -> (Config, Asked) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Asked::default();
    let (count, scripts) = (asked.clone(), Arc::new(scripts));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (count, scripts) = (count.clone(), scripts.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let at = count.push(request).min(scripts.len() - 1);
                    let script = scripts[at].clone();
                    async move { Ok::<_, Infallible>(script.respond().await) }
                });
                let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let config = Config {
        base_url,
        key: Some("secret".to_owned().into()),
        model: "m".into(),
        referer: None,
        title: None,
    };
    (config, asked)
}

async fn ask(llm: &OpenAi) -> Result<(String, Result<Finish, Error>), Error> {
    let (text, end) = ask_outcome(llm).await?;
    Ok((text, end.map(|outcome| outcome.finish)))
}

async fn ask_outcome(llm: &OpenAi) -> Result<(String, Result<Outcome, Error>), Error> {
    let message = Message {
        role: Role::User,
        content: "hi".into(),
    };
    let request = Request {
        messages: vec![message],
        max_tokens: 10,
        temperature: None,
        schema: None,
    };
    let mut deltas = llm.complete(request).await?.deltas;
    let mut text = String::new();
    while let Some(delta) = deltas.next().await {
        match delta {
            Ok(Delta::Text(more)) => text.push_str(&more),
            Ok(Delta::Done(outcome)) => return Ok((text, Ok(outcome))),
            Err(error) => return Ok((text, Err(error))),
        }
    }
    panic!("a stream ended without an end");
}

const SSE: &str = "text/event-stream";
const HI: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n";
const END: &str = "data: [DONE]\n\n";
const OUTCOME: Outcome = Outcome {
    finish: Finish::Stop,
    prompt_tokens: 7,
    completion_tokens: 2,
};

#[tokio::test]
async fn tokens_come_as_they_are_sent() {
    let (llm, _) = serve(vec![Script(
        200,
        SSE,
        vec![
            ": OPENROUTER PROCESSING\n\n",
            HI,
            HI,
            STOP,
            "data: [DONE]\n\n",
        ],
    )])
    .await;
    assert_eq!(ask(&llm).await, Ok(("hihi".into(), Ok(Finish::Stop))));
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let whole = "{\"model\":\"x\",\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"length\"}]}";
    let (llm, _) = serve(vec![Script(200, "application/json", vec![whole])]).await;
    assert_eq!(ask(&llm).await, Ok(("hi".into(), Ok(Finish::Length))));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_before_the_first_token() {
    let (llm, asked) = serve(vec![
        Script(
            503,
            "application/json",
            vec!["{\"error\":{\"message\":\"busy\"}}"],
        ),
        Script(
            200,
            SSE,
            vec!["data: {\"error\":{\"code\":502,\"message\":\"no provider\"}}\n\n"],
        ),
        Script(200, SSE, vec![HI, STOP]),
    ])
    .await;
    assert_eq!(ask(&llm).await, Ok(("hi".into(), Ok(Finish::Stop))));
    assert_eq!(asked.times(), 3);
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for (status, error) in [(401, Error::AccessDenied), (402, Error::QuotaExceeded)] {
        let (llm, asked) = serve(vec![Script(status, "application/json", vec!["{}"])]).await;
        assert_eq!(ask(&llm).await, Err(error));
        assert_eq!(asked.times(), 1);
    }
}

#[tokio::test]
async fn after_the_first_token_nothing_is_tried_again() {
    let (llm, asked) = serve(vec![
        Script(200, SSE, vec![HI, "data: {\"error\":{\"code\":502}}\n\n"]),
        Script(200, SSE, vec![HI, STOP]),
    ])
    .await;
    let (text, end) = ask(&llm).await.unwrap();
    assert_eq!(text, "hi");
    assert!(matches!(end, Err(Error::Unavailable(_))), "{end:?}");
    assert_eq!(asked.times(), 1);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_an_error() {
    let (llm, _) = serve(vec![Script(200, SSE, vec![HI])]).await;
    assert!(matches!(
        ask(&llm).await.unwrap().1,
        Err(Error::Unavailable(_))
    ));
}

#[tokio::test]
async fn an_empty_answer_is_unavailable_after_its_retries() {
    let (llm, asked) = serve(vec![Script(200, SSE, vec!["data: {\"choices\":null}\n\n"])]).await;
    assert!(matches!(ask(&llm).await, Err(Error::Unavailable(_))));
    assert_eq!(asked.times(), 3);
}

#[tokio::test]
async fn a_server_that_fails_again_and_again_is_left_alone() {
    let (llm, asked) = serve(vec![Script(200, SSE, vec!["data: {\"choices\":null}\n\n"])]).await;
    for times in [3, 6, 9, 9, 9] {
        assert!(matches!(ask(&llm).await, Err(Error::Unavailable(_))));
        assert_eq!(asked.times(), times);
    }
}

#[tokio::test]
async fn a_server_that_refuses_what_it_is_asked_is_asked_again() {
    let (llm, asked) = serve(vec![Script(400, "application/json", vec!["{}"])]).await;
    for times in 1..6 {
        assert!(matches!(ask(&llm).await, Err(Error::Invalid(_))));
        assert_eq!(asked.times(), times);
    }
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_tried_again() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut config, _) = serve_config(vec![]).await;
    config.base_url = format!("http://{}/v1", unused.local_addr().unwrap());
    drop(unused);
    let llm = OpenAi::new(config).unwrap();
    let started = Instant::now();
    assert!(matches!(ask(&llm).await, Err(Error::Unavailable(_))));
    // Two pauses of 300 ms at least.
    assert!(started.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn a_server_s_wish_to_be_left_alone_is_kept() {
    let wish = |body| Script(429, "application/json", vec![body]);
    let soon = r#"{"error":{"code":429,"message":"m","metadata":{"retry_after_seconds":1.5}}}"#;
    let (llm, asked) = serve(vec![wish(soon), Script(200, SSE, vec![HI, STOP])]).await;
    let started = Instant::now();
    assert_eq!(ask(&llm).await, Ok(("hi".into(), Ok(Finish::Stop))));
    assert!(started.elapsed() >= Duration::from_millis(1500));
    assert_eq!(asked.times(), 2);

    let late = r#"{"error":{"code":429,"message":"m","metadata":{"retry_after_seconds":60}}}"#;
    let (llm, asked) = serve(vec![wish(late)]).await;
    assert_eq!(ask(&llm).await, Err(Error::QuotaExceeded));
    assert_eq!(asked.times(), 1);
}

#[tokio::test]
async fn a_usage_in_a_chunk_of_its_own_reaches_the_end() {
    for chunks in [vec![HI, STOP, USAGE, HANG], vec![HI, STOP, USAGE, END]] {
        let (llm, _) = serve(vec![Script(200, SSE, chunks)]).await;
        assert_eq!(ask_outcome(&llm).await, Ok(("hi".into(), Ok(OUTCOME))));
    }
}

#[tokio::test]
async fn a_finished_answer_waits_two_seconds_for_its_usage() {
    let (llm, _) = serve(vec![Script(200, SSE, vec![HI, STOP, HANG])]).await;
    let started = Instant::now();
    assert_eq!(ask(&llm).await, Ok(("hi".into(), Ok(Finish::Stop))));
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4));
}

#[tokio::test]
async fn done_without_a_reason_is_a_normal_end() {
    let (llm, _) = serve(vec![Script(200, SSE, vec![HI, USAGE, END])]).await;
    assert_eq!(ask_outcome(&llm).await, Ok(("hi".into(), Ok(OUTCOME))));
    let whole = r#"{"choices":[{"message":{"content":"hi"}}]}"#;
    let (llm, _) = serve(vec![Script(200, "application/json", vec![whole])]).await;
    assert_eq!(ask(&llm).await, Ok(("hi".into(), Ok(Finish::Stop))));
}

#[tokio::test]
async fn an_error_after_the_end_takes_nothing_from_the_answer() {
    let broken = "data: <html>\n\n";
    let (llm, _) = serve(vec![Script(200, SSE, vec![HI, STOP, broken])]).await;
    assert_eq!(ask(&llm).await, Ok(("hi".into(), Ok(Finish::Stop))));
}

#[tokio::test]
async fn who_asks_is_said_where_it_is_configured() {
    let script = || vec![Script(200, SSE, vec![HI, STOP])];
    let (config, asked) = serve_config(script()).await;
    ask(&OpenAi::new(config).unwrap()).await.unwrap().1.unwrap();
    assert_eq!(asked.header("http-referer"), None);
    assert_eq!(asked.header("x-title"), None);

    let (mut config, asked) = serve_config(script()).await;
    config.referer = Some("https://lectern.example".into());
    config.title = Some("Lectern".into());
    ask(&OpenAi::new(config).unwrap()).await.unwrap().1.unwrap();
    let referer = asked.header("http-referer");
    assert_eq!(referer.as_deref(), Some("https://lectern.example"));
    assert_eq!(asked.header("x-title").as_deref(), Some("Lectern"));
}

#[tokio::test]
async fn a_server_is_asked_for_its_models() {
    const JSON: &str = "application/json";
    for (script, check) in [
        (
            Script(200, JSON, vec![r#"{"data":[{"id":"m"}]}"#]),
            ModelCheck::Known,
        ),
        (
            Script(200, JSON, vec![r#"{"data":[{"id":"x"}]}"#]),
            ModelCheck::Unknown,
        ),
        (Script(404, JSON, vec!["{}"]), ModelCheck::CannotTell),
        (Script(200, JSON, vec!["<html>"]), ModelCheck::CannotTell),
        (Script(NEVER, JSON, vec![]), ModelCheck::CannotTell),
    ] {
        let (llm, asked) = serve(vec![script]).await;
        let started = Instant::now();
        assert_eq!(llm.check_model().await, check);
        assert!(started.elapsed() < Duration::from_secs(6));
        assert_eq!(asked.0.lock().unwrap()[0].uri(), "/v1/models");
    }
}
