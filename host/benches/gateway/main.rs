//! What the gateway costs a request, and what is left of the service at twice the load that it can bear.
//! `just bench-gateway` runs it.
//!
//! The first part asks an empty component, once by `dispatch` alone and once through all that a learner's
//! request meets: token, rates, log line, metrics, routes. Rounds alternate, and the difference of their
//! medians is the gateway's own. The second asks questions about a document at fixed times, whether those
//! before were answered or not.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![allow(clippy::print_stdout, reason = "a bench's result")]

#[path = "../handlers/load.rs"]
mod load;
mod overload;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use host::assemble::{self, Platform};
use host::config::{Config, limits};
use host::dispatch::{Kind, dispatch};
use host::gateway::{self, Gateway};
use host::token::{self, Role};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use self::load::Measured;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 16;
const SECRET: &str = "the bench's learners sign with this";
/// Of the gateway's CPU time, in microseconds.
const PROMISED: f64 = 40.0;

fn main() {
    let null = std::fs::File::create("/dev/null").unwrap();
    // The log is written as in service, and to nowhere.
    nix::unistd::dup2_stderr(null).unwrap();
    host::telemetry::init();
    cost();
    overload::run();
}

/// So many threads for one core.
fn runtime(threads: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap()
}

/// Of a host with tokens and rates, on a private database.
fn config(folder: &Path, components: &str) -> Config {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let mut config = Config::embedded(folder, target.join(components));
    config.identity.secret = Some(SECRET.to_owned().into());
    // So many that none is refused, and each is counted.
    let all = limits::rates("on").unwrap();
    config.limits.rates = all
        .into_iter()
        .map(|mut rule| {
            rule.rate.burst = 1_000_000_000.try_into().unwrap();
            rule
        })
        .collect();
    config
}

/// The private database's user walks through it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    folder
}

fn bearer(user: &str) -> String {
    let valid = Duration::from_secs(3_600);
    let token = token::sign(SECRET.as_bytes(), user, Role::User, valid).unwrap();
    format!("Bearer {token}")
}

async fn gateway(platform: &Arc<Platform>, config: &Config) -> SocketAddr {
    let gateway = Arc::new(Gateway::new(platform.clone(), &config.identity).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ever = std::future::pending();
    tokio::spawn(gateway::serve(listener, gateway, ever, Duration::ZERO));
    address
}

/// The component, with nothing before it but the server.
async fn bare(platform: &Arc<Platform>) -> SocketAddr {
    let revision = platform.live().table().services()[0].stable.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let revision = revision.clone();
        async move {
            let response = dispatch(&revision, request.map(Body::new), Kind::Request).await;
            Ok::<Response, Infallible>(response.unwrap())
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let connection = Builder::new(TokioExecutor::new());
            let service = service.clone();
            tokio::spawn(async move {
                let _ = connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

fn cost() {
    let (runtime, folder) = (runtime(1), folder());
    let config = config(folder.path(), "test-components");
    let running = runtime.block_on(assemble::assemble(&config)).unwrap();
    let bare = runtime.block_on(bare(&running.platform));
    let whole = runtime.block_on(gateway(&running.platform, &config));
    load::pin_process(0);
    let bearer = bearer("alice");
    let round = |address| {
        let headers = [("authorization", bearer.clone())];
        load::run_with(address, "/probe/empty", headers, CONNECTIONS, ROUND)
    };
    let (mut without, mut with) = (vec![], vec![]);
    for measured in 0..=ROUNDS {
        let (a, b) = (round(bare), round(whole));
        // The first compiles, connects, fills.
        if measured > 0 {
            without.push(a);
            with.push(b);
        }
    }
    let (without, with) = (median(&without), median(&with));
    let own = with - without;
    println!("an empty component: {without:.1} µs of CPU, behind the gateway {with:.1} µs");
    println!("the gateway's own: {own:.1} µs a request, of {PROMISED} that are promised");
    runtime.block_on(running.stop(tokio::time::Instant::now() + Duration::from_secs(10)));
}

/// Of the CPU times.
fn median(rounds: &[Measured]) -> f64 {
    let mut all: Vec<f64> = rounds.iter().map(|measured| measured.cpu).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
