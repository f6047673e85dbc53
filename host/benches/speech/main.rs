//! What speaking costs: the host's own voice by itself and through the service, in one process on one
//! core; and, on all, how soon a long text is heard, and what a text costs that was spoken before. `just bench-speech`
//! runs it. Each figure has its target beside it; one that misses it by far fails the bench.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![allow(clippy::print_stdout, reason = "a bench's result")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend::flite::Flite;
use capability::speech::{Format, Input, Request, Speech};
use futures::{StreamExt, TryStreamExt};
use host::config::Config;
use host::gateway::{self, Gateway};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SENTENCE: &str = "Mitochondria make energy available to the cell, and most cells have many. ";
/// Times that one figure is taken; the median is told.
const ROUNDS: usize = 5;
const HITS: usize = 2_000;
/// Of a long text that is listened to.
const LONG: usize = 50_000;
/// A figure that misses its target by this factor is no accident of a busy machine.
const FAR: f64 = 2.0;

/// What was measured, and what it should be.
struct Figure {
    what: String,
    measured: f64,
    target: f64,
    unit: &'static str,
    /// Whether the target is the most, and not the least.
    is_most: bool,
}

impl Figure {
    fn at_most(what: impl Into<String>, measured: f64, target: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            measured,
            target,
            unit,
            is_most: true,
        }
    }

    fn at_least(what: impl Into<String>, measured: f64, target: f64, unit: &'static str) -> Self {
        Self {
            is_most: false,
            ..Self::at_most(what, measured, target, unit)
        }
    }

    /// One, where the target is just met; more where it is missed.
    fn miss(&self) -> f64 {
        match self.is_most {
            true => self.measured / self.target,
            false => self.target / self.measured,
        }
    }

    fn print(&self) {
        let sign = if self.is_most { "<=" } else { ">=" };
        let verdict = match self.miss() {
            miss if miss <= 1.0 => "",
            miss if miss <= FAR => "missed",
            _ => "missed by far",
        };
        let (what, measured, target, unit) = (&self.what, self.measured, self.target, self.unit);
        println!(
            "| {what:<48} | {measured:>8.2} {unit:<5} | {sign} {target:>6.1} {unit:<5} | {verdict}"
        );
    }
}

fn main() -> ExitCode {
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let mut one = CpuSet::new();
    one.set(0).unwrap();
    let mut figures = hosted(&one, speed);
    figures.extend(hosted(&all, async |client, base| {
        vec![first_byte(client, base).await, hits(client, base).await]
    }));
    let (what, measured, target) = ("", "measured", "target");
    println!("| {what:<48} | {measured:>14} | {target:>15} |");
    figures.iter().for_each(Figure::print);
    match figures.iter().any(|figure| figure.miss() > FAR) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Measures with a host of its own on those processors.
fn hosted(
    on: &CpuSet,
    measure: impl AsyncFnOnce(&reqwest::Client, &str) -> Vec<Figure>,
) -> Vec<Figure> {
    // Before the runtime has threads, which inherit it.
    sched_setaffinity(Pid::from_raw(0), on).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measured(measure))
}

async fn measured(measure: impl AsyncFnOnce(&reqwest::Client, &str) -> Vec<Figure>) -> Vec<Figure> {
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
    let figures = measure(&client, &base).await;
    running
        .stop(tokio::time::Instant::now() + Duration::from_secs(10))
        .await;
    figures
}

fn components() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/components")
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Seconds of speech a second of one core.
async fn speed(client: &reqwest::Client, base: &str) -> Vec<Figure> {
    let flite = Flite::new(1).unwrap();
    let mut figures = vec![];
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
        println!("{name}: the engine alone is {alone:.0} times as fast as it is heard");
        let what = format!("{name}: the service, in times of real time");
        figures.push(Figure::at_least(what, whole, 50.0, ""));
        let what = format!("{name}: what the service adds, engine alone is 1");
        figures.push(Figure::at_most(what, alone / whole, 1.5, ""));
    }
    figures
}

async fn synthesize(client: &reqwest::Client, base: &str, body: &Value) -> Value {
    let request = client.post(format!("{base}/synthesize")).json(body);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    answer.json().await.unwrap()
}

async fn first_byte(client: &reqwest::Client, base: &str) -> Figure {
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
        // All of it, so that the next is not heard beside this one's making.
        while let Some(part) = audio.next().await {
            part.unwrap();
        }
    }
    let what = format!("the first byte of {LONG} characters");
    Figure::at_most(what, median(times), 300.0, "ms")
}

/// One after the other, on one connection.
async fn hits(client: &reqwest::Client, base: &str) -> Figure {
    let body = json!({ "text": SENTENCE });
    synthesize(client, base, &body).await;
    let (mut empty, mut hit) = (vec![], vec![]);
    for _ in 0..HITS {
        let began = Instant::now();
        // An empty handler: what the component's router refuses before it has looked.
        let none = client.get(format!("{base}/synthesize")).send().await;
        let none = none.unwrap();
        assert_eq!(none.status(), 405);
        none.bytes().await.unwrap();
        empty.push(began.elapsed().as_secs_f64() * 1_000.0);
        let began = Instant::now();
        assert_eq!(synthesize(client, base, &body).await["cached"], true);
        hit.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let (empty, hit) = (median(empty), median(hit));
    println!("a hit takes {hit:.2} ms, an empty handler {empty:.2} ms");
    let what = "what a hit takes above an empty handler, p50";
    Figure::at_most(what, hit - empty, 3.0, "ms")
}
