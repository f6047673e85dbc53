//! What a swap does: how long each kind takes, what it costs the requests beside it, and what a
//! component weighs. `just bench-swap`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends where something is wrong"
)]

#[allow(dead_code, reason = "a part is another bench's")]
#[path = "../handlers/resident.rs"]
mod resident;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use host::admin::Admin;
use host::assemble;
use host::client::{Client, Upload};
use host::config::Config;
use host::gateway::{self, Gateway};
use host::token::{self, Role};
use tokio::net::TcpListener;

const KEY: &[u8] = b"the bench's operator signs with this";
const ROUNDS: u32 = 20;

struct Bench {
    base: String,
    operator: Client,
    http: reqwest::Client,
}

/// The probe as another component: `name` answers at its own route, `salt` makes its bytes new.
fn probe(name: &str, version: u32, salt: Option<u32>) -> Upload {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-components");
    let manifest = std::fs::read_to_string(folder.join("probe.toml")).unwrap();
    let events = "[grants.events]\npublish = [\"probe.asked\"]\nconsume = [\"probe.asked\"]\n";
    let manifest = manifest
        .replace("name = \"probe\"", &format!("name = \"{name}\""))
        .replace("routes = [\"/probe\"]", &format!("routes = [\"/{name}\"]"))
        .replace(events, "[grants.events]\n")
        .replacen("memory_mib = 64", "memory_mib = 64\nconcurrency = 512", 1);
    let mut wasm = std::fs::read(folder.join("probe.wasm")).unwrap();
    if let Some(salt) = salt {
        // A custom section: no other code, and another digest.
        wasm.extend([0, 6, 1, b's']);
        wasm.extend(salt.to_le_bytes());
    }
    Upload {
        wasm,
        manifest: Some(format!(
            "{manifest}\n[instance]\nconcurrency = 1\n[config]\nVERSION = \"{version}\"\n"
        )),
        ..Upload::default()
    }
}

fn resident_kib() -> f64 {
    resident::resident() as f64 / 1_024.0
}

fn shown(what: &str, mut times: Vec<Duration>, bound: &str) {
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{what:<46} median {:>9.3} ms  max {:>9.3} ms  ({bound})",
        ms(times[times.len() / 2]),
        ms(times[times.len() - 1])
    );
}

impl Bench {
    async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
        let began = Instant::now();
        let done = work.await;
        (began.elapsed(), done)
    }

    async fn swaps(&self) {
        let (mut switch, mut compiled, mut new, mut back) = (vec![], vec![], vec![], vec![]);
        for round in 0..ROUNDS {
            let upload = probe("probe", round, None);
            let (took, deployed) = Self::timed(self.operator.deploy("probe", upload)).await;
            compiled.push(took);
            let checks = deployed.unwrap().checks;
            let ms = checks
                .iter()
                .find(|check| check.check == "switch")
                .unwrap()
                .ms;
            switch.push(Duration::from_secs_f64(ms / 1e3));
            let upload = probe("probe", round, Some(round));
            let (took, deployed) = Self::timed(self.operator.deploy("probe", upload)).await;
            deployed.unwrap();
            new.push(took);
            let (took, rolled) = Self::timed(self.operator.rollback("probe")).await;
            rolled.unwrap();
            back.push(took);
        }
        shown("switch", switch, "wanted: 1 ms");
        shown("rollback, through the API", back, "wanted: 10 ms");
        shown(
            "deploy of compiled bytes, through the API",
            compiled,
            "wanted: 20 ms",
        );
        let kib = probe("probe", 0, None).wasm.len() >> 10;
        shown(
            &format!("deploy of {kib} KiB of new bytes"),
            new,
            "wanted: 1000 ms",
        );
    }

    async fn p99(&self, over: &AtomicBool, least: usize) -> (Duration, usize) {
        let mut times = vec![];
        while !over.load(Ordering::Relaxed) || times.len() < least {
            let url = format!("{}/probe/empty", self.base);
            let (took, answer) = Self::timed(self.http.get(url).send()).await;
            assert_eq!(answer.unwrap().status(), 200);
            times.push(took);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.sort_unstable();
        (times[times.len() * 99 / 100], times.len())
    }

    async fn beside_a_deploy(&self) {
        let over = AtomicBool::new(true);
        let (alone, _) = self.p99(&over, 2_000).await;
        over.store(false, Ordering::Relaxed);
        let deploys = async {
            for salt in 0..5 {
                let upload = probe("other", salt, Some(1_000 + salt));
                self.operator.deploy("other", upload).await.unwrap();
            }
            over.store(true, Ordering::Relaxed);
        };
        let ((beside, count), ()) = tokio::join!(self.p99(&over, 0), deploys);
        println!(
            "p99 of requests alone {} µs, of {count} beside five deploys of new bytes {} µs: {:.2} times  (wanted: 2)",
            alone.as_micros(),
            beside.as_micros(),
            beside.as_secs_f64() / alone.as_secs_f64()
        );
    }

    async fn weights(&self) {
        const COMPONENTS: u32 = 20;
        let before = resident_kib();
        for number in 0..COMPONENTS {
            let upload = probe(&format!("idle{number}"), 0, Some(2_000 + number));
            let name = format!("idle{number}");
            self.operator.deploy(&name, upload).await.unwrap();
        }
        let idle = (resident_kib() - before) / f64::from(COMPONENTS) / 1_024.0;
        println!("an idle component: {idle:.2} MiB of resident memory  (wanted: 4)");
        const INSTANCES: usize = 200;
        let before = resident_kib();
        let url = format!("{}/probe/pause/1500", self.base);
        let busy = futures::future::join_all((0..INSTANCES).map(|_| self.http.get(&url).send()));
        let during = async {
            tokio::time::sleep(Duration::from_millis(1_000)).await;
            resident_kib()
        };
        let (_, during) = tokio::join!(busy, during);
        let each = (during - before) / INSTANCES as f64;
        println!("a warm instance, with its request: {each:.0} KiB  (wanted: 1024)");
    }
}

async fn start(folder: &Path) -> (Bench, assemble::Running) {
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
    let bench = Bench {
        base,
        operator: Client::new(&admin, token.into()),
        http: reqwest::Client::new(),
    };
    (bench, running)
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let (bench, running) = start(folder.path()).await;
    bench
        .operator
        .deploy("probe", probe("probe", 0, None))
        .await
        .unwrap();
    bench.swaps().await;
    bench.beside_a_deploy().await;
    bench.weights().await;
    running
        .stop(tokio::time::Instant::now() + Duration::from_secs(5))
        .await;
}
