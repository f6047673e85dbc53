//! What the sandbox costs: the same handler native and as a component, in one process, the server on
//! one core and the load on another. `just bench` runs it.
//!
//! CPU time is the process's without the load's own thread. Rounds of all cases alternate, and each
//! figure is the median of its rounds, so that a machine's mood meets every case alike; the ratios
//! are what to compare between machines.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![allow(clippy::print_stdout, reason = "a bench's result")]

mod load;
mod memory;
mod resident;
mod servers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backend::postgres::cluster::Cluster;
use host::config::Config;

use self::load::Measured;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 16;

/// A server, and what is asked of it.
struct Case {
    name: &'static str,
    address: SocketAddr,
    path: &'static str,
    /// The place of the case that this one is compared with.
    native: usize,
}

fn main() {
    quiet();
    // One worker for one core: with more, threads would wake each other where none can gain.
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
    let database = cluster.config().clone();
    let probe = config(folder.path(), "test-components", database.clone());
    let running = runtime.block_on(host::assemble::assemble(&probe)).unwrap();
    let servers = runtime.block_on(servers::start(&running.platform, &database));
    load::pin_process(0);
    handlers(&servers);
    runtime.block_on(running.stop(tokio::time::Instant::now() + Duration::from_secs(10)));

    let whole = config(folder.path(), "components", database);
    let running = runtime.block_on(host::assemble::assemble(&whole)).unwrap();
    let gateway = runtime.block_on(servers::gateway(&running.platform));
    memory::upload(gateway);
    runtime.block_on(running.stop(tokio::time::Instant::now() + Duration::from_secs(10)));
    runtime.block_on(cluster.stop());
}

/// The log is written as in service, and not to the terminal.
fn quiet() {
    let log = std::fs::File::create(target().join("bench.log")).unwrap();
    nix::unistd::dup2_stderr(log).unwrap();
    host::telemetry::init();
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

fn config(folder: &Path, components: &str, database: backend::postgres::Config) -> Config {
    let mut config = Config::embedded(folder, target().join(components));
    config.backends.database = Some(database);
    config
}

fn handlers(servers: &servers::Servers) {
    let case = |name, address, path, native| Case {
        name,
        address,
        path,
        native,
    };
    let cases = [
        case("empty, native", servers.native, "/probe/empty", 0),
        case("empty, component", servers.component, "/probe/empty", 0),
        case(
            "empty, component behind the gateway",
            servers.gateway,
            "/probe/empty",
            0,
        ),
        case("one SELECT, native", servers.native, "/probe/select", 3),
        case(
            "one SELECT, component",
            servers.component,
            "/probe/select",
            3,
        ),
        case(
            "one SELECT, component behind the gateway",
            servers.gateway,
            "/probe/select",
            3,
        ),
    ];
    for case in &cases {
        load::run(case.address, case.path, CONNECTIONS, ROUND / 4);
    }
    let mut rounds: Vec<Vec<Measured>> = cases.iter().map(|_| vec![]).collect();
    for _ in 0..ROUNDS {
        for (case, rounds) in cases.iter().zip(&mut rounds) {
            rounds.push(load::run(case.address, case.path, CONNECTIONS, ROUND));
        }
    }
    report(
        &cases,
        &rounds.iter().map(|r| median(r)).collect::<Vec<_>>(),
    );
}

/// Each figure's own median.
fn median(rounds: &[Measured]) -> Measured {
    let of = |figure: fn(&Measured) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Measured {
        cpu: of(|m| m.cpu),
        rate: of(|m| m.rate),
        p50: of(|m| m.p50),
        p99: of(|m| m.p99),
    }
}

fn report(cases: &[Case], measured: &[Measured]) {
    println!(
        "{:42} {:>9} {:>7} {:>9} {:>7} {:>7} {:>7}",
        "", "CPU µs", "ratio", "req/s", "ratio", "p50 µs", "p99 µs"
    );
    for (case, m) in cases.iter().zip(measured) {
        let native = &measured[case.native];
        println!(
            "{:42} {:>9.1} {:>6.1}x {:>9.0} {:>6.2}x {:>7.0} {:>7.0}",
            case.name,
            m.cpu,
            m.cpu / native.cpu,
            m.rate,
            m.rate / native.rate,
            m.p50,
            m.p99
        );
    }
}
