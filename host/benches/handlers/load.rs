//! The load: one thread on a core of its own, keep-alive connections, one request at a time on each.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use axum::http::request::Builder;
use futures::future::join_all;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use tokio::net::TcpStream;

/// The core that the server is not on.
const CORE: usize = 1;

/// What a round gave.
#[allow(dead_code, reason = "a bench reads what it compares")]
pub(crate) struct Measured {
    /// Microseconds of the server's CPU time per request.
    pub(crate) cpu: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
}

/// Pins every thread there is so far, and those they start.
pub(crate) fn pin_process(core: usize) {
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let id = task.unwrap().file_name().into_string().unwrap();
        pin(Pid::from_raw(id.parse().unwrap()), core);
    }
}

fn pin(thread: Pid, core: usize) {
    let mut set = CpuSet::new();
    set.set(core).unwrap();
    // On a machine with one core they share it; the ratios still hold.
    if sched_setaffinity(thread, &set).is_err() {
        println!("cannot pin a thread to core {core}");
    }
}

/// CPU time in microseconds.
pub(crate) fn cpu(who: UsageWho) -> i64 {
    let usage = getrusage(who).unwrap();
    (usage.user_time() + usage.system_time()).num_microseconds()
}

/// Of all threads but the one that asks, in microseconds.
pub(crate) fn server_cpu() -> i64 {
    cpu(UsageWho::RUSAGE_SELF) - cpu(UsageWho::RUSAGE_THREAD)
}

/// Runs `work` on the load's own thread and core.
pub(crate) fn apart<T: Send + 'static>(
    work: impl FnOnce(&tokio::runtime::Runtime) -> T + Send + 'static,
) -> T {
    let thread = std::thread::spawn(move || {
        pin(Pid::from_raw(0), CORE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        work(&runtime)
    });
    thread.join().unwrap()
}

/// One round.
#[allow(dead_code, reason = "another bench has headers")]
pub(crate) fn run(
    address: SocketAddr,
    path: &'static str,
    connections: usize,
    time: Duration,
) -> Measured {
    run_with(address, path, [], connections, time)
}

/// One round, of requests with those headers.
pub(crate) fn run_with<const N: usize>(
    address: SocketAddr,
    path: &'static str,
    headers: [(&'static str, String); N],
    connections: usize,
    time: Duration,
) -> Measured {
    apart(move |runtime| {
        let mut clients: Vec<_> =
            runtime.block_on(join_all((0..connections).map(|_| connect(address))));
        let (before, started) = (server_cpu(), Instant::now());
        let until = started + time;
        let all = join_all(
            clients
                .iter_mut()
                .map(|client| client_loop(client, address, path, &headers, until)),
        );
        let mut latencies = runtime.block_on(all).concat();
        let (cpu, wall) = (server_cpu() - before, started.elapsed());
        latencies.sort_unstable();
        let requests = latencies.len();
        let percentile = |percent: usize| f64::from(latencies[(requests - 1) * percent / 100]);
        Measured {
            cpu: cpu as f64 / requests as f64,
            rate: requests as f64 / wall.as_secs_f64(),
            p50: percentile(50),
            p99: percentile(99),
        }
    })
}

pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Microseconds of each request.
async fn client_loop(
    client: &mut SendRequest<Body>,
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, String)],
    until: Instant,
) -> Vec<u32> {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let started = Instant::now();
        // Absolute, so that a bare dispatch finds the authority that the gateway would fill in.
        let request = Request::get(format!("http://{address}{path}")).header("host", "localhost");
        let with = |request: Builder, (name, value): &(&str, String)| request.header(*name, value);
        let request = headers.iter().fold(request, with);
        let request = request.body(Body::empty()).unwrap();
        client.ready().await.unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        latencies.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    latencies
}
