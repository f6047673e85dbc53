//! Questions about a document at fixed times: an open loop, as learners are, who do not wait for each other.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::future::join_all;
use host::assemble;
use http_body_util::BodyExt;
use hyper::client::conn::http1::SendRequest;
use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::load::{apart, connect, pin_process};
use crate::{bearer, config, folder, gateway, runtime};

const TIME: Duration = Duration::from_secs(10);
/// As the program has them on two processors.
const THREADS: usize = 8;
/// As many as a component takes at once: who keeps them busy finds the most that can be done.
const BUSY: usize = 64;
/// One alone has a fourth of a component's turns at most.
const USERS: usize = 16;

/// What came of one load.
#[derive(Default)]
struct Outcome {
    answered: usize,
    /// Milliseconds.
    answers: Vec<f64>,
    /// Milliseconds.
    refusals: Vec<f64>,
    failed: usize,
}

impl Outcome {
    fn add(&mut self, status: StatusCode, took: Duration) {
        let took = took.as_secs_f64() * 1_000.0;
        match status {
            StatusCode::OK => {
                self.answered += 1;
                self.answers.push(took);
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                self.refusals.push(took);
            }
            _ => self.failed += 1,
        }
    }
}

fn p99(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    times.get(last * 99 / 100).copied().unwrap_or_default()
}

pub(crate) fn run() {
    let (runtime, folder) = (runtime(THREADS), folder());
    let config = config(folder.path(), "components");
    let running = runtime.block_on(assemble::assemble(&config)).unwrap();
    let address = runtime.block_on(gateway(&running.platform, &config));
    pin_process(0);
    apart(move |load| {
        let asking = (0..USERS).map(|user| Asking::of(address, format!("user-{user}")));
        let asking = load.block_on(join_all(asking));
        let _ = peak(load, address, &asking);
        let most = peak(load, address, &asking);
        println!("\nquestions about a document: {most:.0} a second at most");
        for times in [1.0, 2.0] {
            let mut outcome = open(load, address, &asking, most * times);
            let rate = outcome.answered as f64 / TIME.as_secs_f64();
            println!(
                "at {times} times that: {rate:.0} answered a second ({:.0} %), p99 {:.0} ms; \
                 {} refused, p99 {:.0} ms; {} failed",
                rate / most * 100.0,
                p99(&mut outcome.answers),
                outcome.refusals.len(),
                p99(&mut outcome.refusals),
                outcome.failed,
            );
        }
        // Of learners who have hundreds of sessions by now.
        let after = peak(load, address, &asking);
        println!("afterwards: {after:.0} a second at most");
    });
    runtime.block_on(running.stop(tokio::time::Instant::now() + Duration::from_secs(10)));
}

/// Somebody with a question about a document of theirs.
struct Asking {
    bearer: String,
    question: String,
}

fn request(bearer: &str, path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("host", "localhost")
        .header("authorization", bearer)
        .header("content-type", kind)
        .body(body.into())
        .unwrap()
}

async fn ask(client: &mut SendRequest<Body>, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    client.ready().await.unwrap();
    let response = client.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap();
    (status, body.to_bytes().to_vec())
}

impl Asking {
    /// Uploads one, and asks about it until it is read.
    async fn of(address: SocketAddr, user: String) -> Self {
        let bearer = bearer(&user);
        let mut client = connect(address).await;
        let text = corpus::samples::BIOLOGY;
        let form = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n{text}\r\n--b--\r\n"
        );
        let kind = "multipart/form-data; boundary=b";
        let upload = request(&bearer, "/upload", kind, form);
        let (status, body) = ask(&mut client, upload).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        let uploaded: Value = serde_json::from_slice(&body).unwrap();
        let question = json!({
            "message": "What controls what enters a cell?",
            "document_context": { "document_id": uploaded["document_id"] },
        });
        let question = question.to_string();
        let asking = Self { bearer, question };
        while ask(&mut client, asking.post()).await.0 != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        asking
    }

    fn post(&self) -> Request<Body> {
        let question = self.question.clone();
        request(&self.bearer, "/chat", "application/json", question)
    }
}

/// Answers a second, where each connection asks again as soon as it has its answer.
fn peak(load: &tokio::runtime::Runtime, address: SocketAddr, asking: &[Asking]) -> f64 {
    let until = Instant::now() + TIME;
    let busy = asking.iter().cycle().take(BUSY).map(|asking| async move {
        let (mut client, mut answered) = (connect(address).await, 0_u32);
        while Instant::now() < until {
            let (status, _) = ask(&mut client, asking.post()).await;
            assert_eq!(status, StatusCode::OK);
            // As of an open loop, only what was answered in time counts.
            answered += u32::from(Instant::now() < until);
        }
        answered
    });
    let answered: u32 = load.block_on(join_all(busy)).into_iter().sum();
    f64::from(answered) / TIME.as_secs_f64()
}

/// One question after another at that rate, each on a connection that idles or a new one.
fn open(
    load: &tokio::runtime::Runtime,
    address: SocketAddr,
    asking: &[Asking],
    rate: f64,
) -> Outcome {
    let (outcome, idle) = (
        Rc::new(RefCell::new(Outcome::default())),
        Rc::new(RefCell::new(Vec::new())),
    );
    let all = LocalSet::new();
    let arrivals = async {
        let began = tokio::time::Instant::now();
        let mut asked = vec![];
        for at in 0..(rate * TIME.as_secs_f64()) as u32 {
            tokio::time::sleep_until(began + Duration::from_secs_f64(f64::from(at) / rate)).await;
            let (outcome, idle) = (outcome.clone(), idle.clone());
            let question = asking[at as usize % asking.len()].post();
            asked.push(tokio::task::spawn_local(async move {
                let known = idle.borrow_mut().pop();
                let began = Instant::now();
                let mut client = match known {
                    Some(client) => client,
                    None => connect(address).await,
                };
                let (status, _) = ask(&mut client, question).await;
                outcome.borrow_mut().add(status, began.elapsed());
                idle.borrow_mut().push(client);
            }));
        }
        // What was answered after the time is not counted: `Outcome` is taken as it stands.
        let counted = std::mem::take(&mut *outcome.borrow_mut());
        join_all(asked).await;
        let late = std::mem::take(&mut *outcome.borrow_mut());
        let refusals = [counted.refusals, late.refusals].concat();
        Outcome {
            refusals,
            failed: counted.failed + late.failed,
            ..counted
        }
    };
    all.block_on(load, arrivals)
}
