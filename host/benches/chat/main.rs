//! What a learner of a long book waits for: an answer from a document of 300 pages without a model, a
//! history of a thousand messages beside an empty handler, and a PDF in the sandbox beside the same code
//! native, in one run. `just bench-chat` runs it.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![allow(clippy::print_stdout, reason = "a bench's result")]
#![allow(dead_code, reason = "the load is shared with the other bench")]

#[path = "../handlers/load.rs"]
mod load;
mod reader;
#[path = "../handlers/resident.rs"]
mod resident;
#[path = "../handlers/servers.rs"]
mod servers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::Request;
use backend::postgres::cluster::Cluster;
use host::config::Config;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use self::load::{Measured, apart, connect};

/// Of the document. A page has about 280 words.
const WORDS: usize = 84_000;
const QUESTIONS: usize = 60;
const MESSAGES: usize = 1_000;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const EMPTY: &str = "/probe/empty";
const HISTORY: &str = "/chat/history/bench?user_id=alice";

fn main() {
    let log = std::fs::File::create(target().join("bench.log")).unwrap();
    nix::unistd::dup2_stderr(log).unwrap();
    host::telemetry::init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The private database's user walks through it.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let cluster = runtime.block_on(Cluster::start(folder.path())).unwrap();
    let mut config = Config::embedded(folder.path(), components());
    config.backends.database = Some(cluster.config().clone());
    let running = runtime.block_on(host::assemble::assemble(&config)).unwrap();
    let gateway = runtime.block_on(servers::gateway(&running.platform));
    load::pin_process(0);
    if is_wanted("questions") {
        let document = book(gateway);
        questions(gateway, document);
    }
    let parts = [
        ("history", history as fn(SocketAddr)),
        ("pdf", reader::speed),
        ("memory", reader::memory),
    ];
    for (name, part) in parts {
        if is_wanted(name) {
            part(gateway);
        }
    }
    runtime.block_on(running.stop(tokio::time::Instant::now() + Duration::from_secs(10)));
    runtime.block_on(cluster.stop());
}

/// All parts, or those that are named behind `--`.
fn is_wanted(part: &str) -> bool {
    let mut names = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .peekable();
    names.peek().is_none() || names.any(|name| name == part)
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// The services and the probe in one folder.
fn components() -> PathBuf {
    let folder = target().join("bench-components");
    std::fs::create_dir_all(&folder).unwrap();
    for (from, name) in [
        ("components", "chat"),
        ("components", "documents"),
        ("test-components", "probe"),
    ] {
        for kind in ["wasm", "toml"] {
            let file = format!("{name}.{kind}");
            std::fs::copy(target().join(from).join(&file), folder.join(&file)).unwrap();
        }
    }
    folder
}

async fn send(address: SocketAddr, request: Request<Body>) -> (u16, Value) {
    let response = connect(address).await.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn post(path: &str, kind: &str, body: impl Into<Bytes>) -> Request<Body> {
    let request = Request::post(path).header("host", "localhost");
    let request = request.header("content-type", kind);
    request.body(Body::from(body.into())).unwrap()
}

async fn ask(address: SocketAddr, body: &Value) -> (u16, Value) {
    send(address, post("/chat", "application/json", body.to_string())).await
}

/// A word of no language, as often as words of that rank are (Zipf).
fn word(random: &mut u64) -> String {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    let uniform = (*random >> 33) as f64 / f64::from(1u32 << 31);
    let rank = (6_000f64.powf(uniform)) as usize;
    const SYLLABLES: [&str; 18] = [
        "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu",
        "va", "we", "zi",
    ];
    let (a, b, c) = (rank % 18, rank / 18 % 18, rank / 324 % 18);
    [SYLLABLES[a], SYLLABLES[b], SYLLABLES[c], "n"].concat()
}

/// Uploads it, and waits until chat knows it; answers its id.
fn book(gateway: SocketAddr) -> String {
    let mut random = 7;
    let mut text = String::new();
    for at in 0..WORDS {
        text.push_str(&word(&mut random));
        text.push_str(match at % 120 {
            119 => ".\n\n",
            n if n % 12 == 11 => ". ",
            _ => " ",
        });
    }
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"book.txt\"\r\n\r\n{text}\r\n--b\r\n\
         Content-Disposition: form-data; name=\"user_id\"\r\n\r\nalice\r\n--b--\r\n"
    );
    apart(move |runtime| {
        runtime.block_on(async {
            let upload = post("/upload", "multipart/form-data; boundary=b", form);
            let (status, uploaded) = send(gateway, upload).await;
            assert_eq!(status, 202, "{uploaded}");
            let id = uploaded["document_id"].as_str().unwrap().to_owned();
            let started = Instant::now();
            while ask(gateway, &about(&id, 0)).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let took = started.elapsed().as_secs_f64();
            println!("a document of {WORDS} words is read and indexed in {took:.1} s");
            id
        })
    })
}

fn about(document: &str, seed: usize) -> Value {
    let mut random = seed as u64 * 31 + 7;
    let words: Vec<String> = (0..5).map(|_| word(&mut random)).collect();
    json!({
        "message": format!("What is {}?", words.join(" ")), "user_id": "alice",
        "document_context": { "document_id": document },
    })
}

fn questions(gateway: SocketAddr, document: String) {
    apart(move |runtime| {
        let mut took: Vec<Duration> = (0..QUESTIONS)
            .map(|at| {
                let started = Instant::now();
                let (status, answer) = runtime.block_on(ask(gateway, &about(&document, at)));
                assert_eq!(status, 200, "{answer}");
                started.elapsed()
            })
            .collect();
        took.sort_unstable();
        println!(
            "asked without a model: p50 {:.1} ms, p95 {:.1} ms",
            took[QUESTIONS / 2].as_secs_f64() * 1e3,
            took[QUESTIONS * 95 / 100].as_secs_f64() * 1e3
        );
    });
}

fn history(gateway: SocketAddr) {
    apart(move |runtime| {
        for at in 0..MESSAGES / 2 {
            let body = json!({ "message": format!("Message {at}"), "user_id": "alice", "session_id": "bench" });
            let (status, answer) = runtime.block_on(ask(gateway, &body));
            assert_eq!(status, 200, "{answer}");
        }
    });
    for connections in [1, 16] {
        // As it is; and packed, as browsers and most clients ask for it.
        let asked = [
            (EMPTY, "identity"),
            (HISTORY, "identity"),
            (HISTORY, "gzip"),
        ];
        let mut rounds: [Vec<Measured>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for ((path, coding), rounds) in asked.into_iter().zip(&mut rounds) {
                let headers = [("accept-encoding", coding.to_owned())];
                rounds.push(load::run_with(gateway, path, headers, connections, ROUND));
            }
        }
        let median = |rounds: &[Measured], of: fn(&Measured) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let figures = rounds
            .each_ref()
            .map(|rounds| (median(rounds, |m| m.p50), median(rounds, |m| m.cpu)));
        let [empty, histories @ ..] = figures;
        for ((_, coding), history) in asked[1..].iter().zip(histories) {
            println!(
                "{connections:>2} connections: empty handler p50 {:.0} µs, CPU {:.0} µs; history of {MESSAGES} \
                 messages ({coding}) p50 {:.0} µs ({:.1}x), CPU {:.0} µs ({:.1}x)",
                empty.0,
                empty.1,
                history.0,
                history.0 / empty.0,
                history.1,
                history.1 / empty.1
            );
        }
    }
}
