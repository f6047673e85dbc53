//! With a language model, and with one that fails: a server that speaks OpenAI's protocol.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use corpus::samples::BIOLOGY;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::harness::TestHost;

/// What the server says, by what it is asked; what it was asked.
pub(crate) struct Model {
    base_url: String,
    pub(crate) asked: Arc<Mutex<Vec<Value>>>,
}

impl Model {
    pub(crate) async fn start(
        reply: impl Fn(&Value) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, reply) = (asked.clone(), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, reply) = (seen.clone(), reply.clone());
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                            let (seen, reply) = (seen.clone(), reply.clone());
                            async move {
                                let body = request.into_body().collect().await.unwrap().to_bytes();
                                let body: Value = serde_json::from_slice(&body).unwrap();
                                let said = reply(&body);
                                seen.lock().unwrap().push(body);
                                Ok::<_, Infallible>(response(said))
                            }
                        });
                    let connection =
                        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { base_url, asked }
    }

    pub(crate) async fn host(&self) -> TestHost {
        let llm = backend::openai::Config {
            base_url: self.base_url.clone(),
            key: Some("secret".to_owned().into()),
            model: "test-model".into(),
            referer: None,
            title: None,
        };
        TestHost::with("components", |config| config.backends.llm = Some(llm)).await
    }
}

fn response(said: Option<String>) -> hyper::Response<Full<Bytes>> {
    let Some(said) = said else {
        return hyper::Response::builder()
            .status(402)
            .body(Full::default())
            .unwrap();
    };
    let chunk = |delta: Value, finish: Value| {
        format!(
            "data: {}\n\n",
            json!({ "model": "test-model-1", "choices": [{ "delta": delta, "finish_reason": finish }] })
        )
    };
    let body = format!(
        "{}{}data: [DONE]\n\n",
        chunk(json!({ "content": said }), Value::Null),
        chunk(json!({}), json!("stop"))
    );
    hyper::Response::builder()
        .header("content-type", "text/event-stream")
        .body(Full::from(body))
        .unwrap()
}

const QUESTION: &str = r#"{"questions":[{"stem":"Which part controls what enters a cell?","options":["Membrane","Nucleus","Cytoplasm","Cell wall"],"answer":"A","explanation":"It says so.","quote":"The cell membrane surrounds the cell and controls what enters and what leaves it."},{"stem":"Broken","options":["a","b"],"answer":"c","quote":"none"}]}"#;

fn scripted(request: &Value) -> Option<String> {
    let system = request["messages"][0]["content"].as_str().unwrap();
    Some(match () {
        () if request["response_format"].is_object() => format!("```json\n{QUESTION}\n```"),
        () if system.contains("study notes") => {
            "## Cells\n- A human body cell has 46 chromosomes (p. 99) ![](http://evil)\n- A human body cell has 48 chromosomes (p. 1)".to_owned()
        }
        () => "The cell membrane controls what enters the cell [1].".to_owned(),
    })
}

#[tokio::test]
async fn with_a_model_answers_are_its_own_and_still_quote_the_document() {
    let model = Model::start(scripted).await;
    let host = model.host().await;
    let document = host.processed("alice", "a.txt", BIOLOGY).await;
    assert_eq!(document["engine"], "test-model-1");
    assert_eq!(
        document["notes"],
        "## Cells\n- A human body cell has 46 chromosomes (p. 1)"
    );
    let path = format!(
        "/document/{}/notes",
        document["document_id"].as_str().unwrap()
    );
    let outline = host.get(&path).await.ok()["outline"]["sections"].clone();
    assert_eq!(outline.as_array().unwrap().len(), 1);
    assert_eq!(outline[0]["heading"], "Cells");
    let id = &document["document_id"];
    let chat = json!({ "message": "What controls what enters a cell?", "user_id": "alice", "document_context": { "document_id": id } });
    let answer = host.post("/chat", chat).await.ok();
    assert_eq!(
        (&answer["response"], &answer["engine"]),
        (
            &json!("The cell membrane controls what enters the cell."),
            &json!("test-model-1")
        )
    );
    assert!(
        answer["citations"][0]["quote"]
            .as_str()
            .unwrap()
            .contains("controls what enters"),
        "{answer}"
    );
    let quiz = host
        .post(
            "/quiz/generate",
            json!({ "document_id": id, "user_id": "alice", "num_questions": 3 }),
        )
        .await
        .ok();
    assert_eq!(quiz["engine"], "test-model-1, local-extractive");
    let stems: Vec<_> = quiz["questions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|question| question["question"].as_str().unwrap())
        .collect();
    assert!(
        stems.contains(&"Which part controls what enters a cell?") && stems.len() == 3,
        "{stems:?}"
    );

    let asked = model.asked.lock().unwrap().clone();
    assert!(
        asked
            .iter()
            .all(|request| request["model"] == "test-model" && request["stream"] == true)
    );
    host.stop().await;
}

#[tokio::test]
async fn a_model_that_fails_leaves_the_services_working_and_says_so() {
    let model = Model::start(|_| None).await;
    let host = model.host().await;
    let document = host.processed("alice", "a.txt", BIOLOGY).await;
    assert_eq!(
        (&document["status"], &document["engine"]),
        (&json!("completed"), &json!("local-extractive"))
    );
    let id = &document["document_id"];
    let chat = json!({ "message": "What is mitosis?", "user_id": "alice", "document_context": { "document_id": id } });
    let answer = host.post("/chat", chat).await.ok();
    assert_eq!(answer["engine"], "local-extractive");
    assert!(
        answer["response"].as_str().unwrap().contains("Mitosis"),
        "{answer}"
    );
    let quiz = host
        .post(
            "/quiz/generate",
            json!({ "document_id": id, "user_id": "alice", "num_questions": 3 }),
        )
        .await
        .ok();
    assert_eq!(quiz["engine"], "local-extractive");
    host.stop().await;
}
