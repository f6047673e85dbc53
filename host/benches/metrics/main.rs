//! What Prometheus waits for: a scrape of five components with three revisions each, a draining one, a
//! stable one and a canary. `just bench-metrics`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where something is wrong"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::admin::Admin;
use host::assemble::{self, Running};
use host::client::{Client, Upload};
use host::config::Config;
use host::gateway::{self, Gateway};
use host::token::{self, Role};
use tokio::net::TcpListener;

const KEY: &[u8] = b"the bench's operator signs with this";
const COMPONENTS: usize = 5;
const SCRAPES: usize = 300;

/// The probe as another component.
fn probe(name: &str, version: u32) -> Upload {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-components");
    let manifest = std::fs::read_to_string(folder.join("probe.toml")).unwrap();
    let events = "[grants.events]\npublish = [\"probe.asked\"]\nconsume = [\"probe.asked\"]\n";
    let manifest = manifest
        .replace("name = \"probe\"", &format!("name = \"{name}\""))
        .replace("routes = [\"/probe\"]", &format!("routes = [\"/{name}\"]"))
        .replace(events, "[grants.events]\n");
    Upload {
        wasm: std::fs::read(folder.join("probe.wasm")).unwrap(),
        manifest: Some(format!("{manifest}\n[config]\nVERSION = \"{version}\"\n")),
        weight: (version == 2).then_some(50),
        ..Upload::default()
    }
}

async fn start(folder: &Path) -> (String, String, Client, Running) {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-components");
    let config = Config::embedded(folder, components);
    let running = assemble::assemble(&config).await.unwrap();
    let bind = || TcpListener::bind("127.0.0.1:0");
    let (learners, operators) = (bind().await.unwrap(), bind().await.unwrap());
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (base, admin) = (url(&learners), url(&operators));
    let api = Arc::new(Admin::new(running.platform.clone(), KEY, &config.identity));
    let front = Arc::new(Gateway::new(running.platform.clone(), &config.identity).unwrap());
    let never = std::future::pending;
    tokio::spawn(gateway::serve(operators, api, never(), Duration::ZERO));
    tokio::spawn(gateway::serve(learners, front, never(), Duration::ZERO));
    let token = token::sign(KEY, "bench", Role::Admin, Duration::from_secs(3_600)).unwrap();
    let operator = Client::new(&admin, token.into());
    (base, admin, operator, running)
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let (base, admin, operator, running) = start(folder.path()).await;
    let http = reqwest::Client::new();
    // Keeps each first revision draining.
    let mut turns = vec![];
    for number in 0..COMPONENTS {
        let name = format!("probe{number}");
        operator.deploy(&name, probe(&name, 0)).await.unwrap();
        let table = running.platform.live().table().clone();
        turns.push(table.service(&name).unwrap().stable.extra_turn());
        for version in 1..3 {
            operator.deploy(&name, probe(&name, version)).await.unwrap();
        }
        for _ in 0..200 {
            // Its own answer that there is no such path.
            let answer = http.get(format!("{base}/{name}")).send().await.unwrap();
            assert_eq!(answer.status(), 404);
        }
    }
    let (mut times, mut text) = (vec![], String::new());
    for _ in 0..SCRAPES {
        let began = Instant::now();
        let answer = http.get(format!("{admin}/metrics")).send().await.unwrap();
        text = answer.text().await.unwrap();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let revisions = text
        .lines()
        .filter(|line| line.starts_with("lectern_instances{"));
    let ms = |share: usize| times[(SCRAPES * share / 100).min(SCRAPES - 1)].as_secs_f64() * 1e3;
    println!(
        "a scrape of {} revisions, {} KiB: median {:.2} ms, p99 {:.2} ms, max {:.2} ms  (wanted: 20 ms)",
        revisions.count(),
        text.len() >> 10,
        ms(50),
        ms(99),
        ms(100),
    );
    drop(turns);
    running
        .stop(tokio::time::Instant::now() + Duration::from_secs(5))
        .await;
}
