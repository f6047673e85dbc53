//! The language model's client against a server that behaves as real ones do, on purpose.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backend::openai::{Config, OpenAi};
use bytes::Bytes;
use capability::llm::{Delta, Error, Finish, Llm, Message, Request, Role};
use futures::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Answers each request with the next of `scripts`: a status, a content type, and chunks.
struct Script(u16, &'static str, Vec<&'static str>);

async fn serve(scripts: Vec<Script>) -> (OpenAi, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, scripts) = (asked.clone(), Arc::new(scripts));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (count, scripts) = (count.clone(), scripts.clone());
            tokio::spawn(async move {
                let service = service_fn(move |_| {
                    let at = count.fetch_add(1, Ordering::SeqCst).min(scripts.len() - 1);
                    let Script(status, kind, chunks) = &scripts[at];
                    let chunks: Vec<_> = chunks
                        .iter()
                        .map(|c| Ok::<_, Infallible>(Frame::data(Bytes::from(*c))))
                        .collect();
                    let body = StreamBody::new(futures::stream::iter(chunks));
                    let response = hyper::Response::builder()
                        .status(*status)
                        .header("content-type", *kind)
                        .body(body);
                    std::future::ready(response)
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
    };
    (OpenAi::new(config).unwrap(), asked)
}

async fn ask(llm: &OpenAi) -> Result<(String, Result<Finish, Error>), Error> {
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
            Ok(Delta::Done(outcome)) => return Ok((text, Ok(outcome.finish))),
            Err(error) => return Ok((text, Err(error))),
        }
    }
    panic!("a stream ended without an end");
}

const SSE: &str = "text/event-stream";
const HI: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

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
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for (status, error) in [(401, Error::AccessDenied), (402, Error::QuotaExceeded)] {
        let (llm, asked) = serve(vec![Script(status, "application/json", vec!["{}"])]).await;
        assert_eq!(ask(&llm).await, Err(error));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
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
    assert_eq!(asked.load(Ordering::SeqCst), 1);
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
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
