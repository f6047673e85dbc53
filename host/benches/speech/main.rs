//! What speaking costs: the host's own voice by itself and through the service, in one process on one
//! core; how soon a long text is heard; and what a text costs that was spoken before. `just bench-speech`
//! runs it.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![allow(clippy::print_stdout, reason = "a bench's result")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend::flite::Flite;
use capability::speech::{Format, Input, Request, Speech};
use futures::{StreamExt, TryStreamExt};
use host::config::Config;
use host::gateway::{self, Gateway};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SENTENCE: &str = "Mitochondria make energy available to the cell, and most cells have many. ";
/// Times that one figure is taken; the median is told.
const ROUNDS: usize = 5;
const HITS: usize = 2_000;
/// Of a long text that is listened to.
const LONG: usize = 50_000;

fn main() {
    let cpu = nix::sched::CpuSet::new();
    let mut one = cpu;
    one.set(0).unwrap();
    // Before the runtime has threads, which inherit it.
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &one).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    // The private database's user walks through it.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let config = Config::embedded(folder.path(), components());
    let running = host::assemble::assemble(&config).await.unwrap();
    let gateway = Arc::new(Gateway::new(running.platform.clone(), &config.identity).unwrap());
    let listener = TcpListener::bind(config.listen).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(gateway::serve(
        listener,
        gateway,
        std::future::pending(),
        Duration::ZERO,
    ));
    let client = reqwest::Client::new();
    speed(&client, &base).await;
    first_byte(&client, &base).await;
    hits(&client, &base).await;
    running
        .stop(tokio::time::Instant::now() + Duration::from_secs(10))
        .await;
}

fn components() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/components")
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Seconds of speech a second of one core.
async fn speed(client: &reqwest::Client, base: &str) {
    let flite = Flite::new(1).unwrap();
    for (name, format) in [
        ("wav", Format::Pcm),
        ("mp3", Format::Mp3),
        ("ogg", Format::OggVorbis),
    ] {
        let (mut alone, mut whole) = (vec![], vec![]);
        for round in 0..ROUNDS {
            let text = format!("Round {round} of {name}. {}", SENTENCE.repeat(40));
            let (began, text_of_engine) = (Instant::now(), text.clone());
            let request = Request {
                input: Input::Text(text_of_engine),
                voice: "kal16".into(),
                engine: None,
                format,
                sample_rate: None,
            };
            let audio = flite.synthesize(&request).await.unwrap();
            let chunks: Vec<_> = audio.data.try_collect().await.unwrap();
            assert!(!chunks.is_empty());
            let spent = began.elapsed().as_secs_f64();
            let (began, body) = (
                Instant::now(),
                json!({ "text": text, "output_format": name }),
            );
            let spoken = synthesize(client, base, &body).await;
            assert_eq!(spoken["cached"], false);
            let seconds = spoken["duration"].as_f64().unwrap();
            alone.push(seconds / spent);
            whole.push(seconds / began.elapsed().as_secs_f64());
        }
        let (alone, whole) = (median(alone), median(whole));
        println!("{name}: the engine {alone:.0} times real time, the service {whole:.0}");
    }
}

async fn synthesize(client: &reqwest::Client, base: &str, body: &Value) -> Value {
    let request = client.post(format!("{base}/synthesize")).json(body);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    answer.json().await.unwrap()
}

async fn first_byte(client: &reqwest::Client, base: &str) {
    let mut times = vec![];
    for round in 0..ROUNDS {
        let text: String = format!("Round {round}. {}", SENTENCE.repeat(LONG / 70));
        let text: String = text.chars().take(LONG).collect();
        let request = client.post(format!("{base}/synthesize"));
        let request = request
            .header("accept", "audio/mpeg")
            .json(&json!({ "text": text }));
        let began = Instant::now();
        let mut audio = request.send().await.unwrap().bytes_stream();
        assert!(!audio.next().await.unwrap().unwrap().is_empty());
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    println!("first byte of {LONG} characters: {:.1} ms", median(times));
}

/// One after the other, on one connection.
async fn hits(client: &reqwest::Client, base: &str) {
    let body = json!({ "text": SENTENCE });
    synthesize(client, base, &body).await;
    let (mut empty, mut hit) = (vec![], vec![]);
    for _ in 0..HITS {
        let began = Instant::now();
        // An empty handler: what the service refuses before it has looked.
        let none = client.get(format!("{base}/audio/")).send().await.unwrap();
        none.bytes().await.unwrap();
        empty.push(began.elapsed().as_secs_f64() * 1_000.0);
        let began = Instant::now();
        assert_eq!(synthesize(client, base, &body).await["cached"], true);
        hit.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let (empty, hit) = (median(empty), median(hit));
    println!(
        "a hit {hit:.2} ms, an empty handler {empty:.2} ms: {:.2} ms more",
        hit - empty
    );
}
