//! What a learner who waits costs: the memory that the host grows by when 10,000 WebSockets are open and
//! silent. The clients are another process. `just bench-idle` runs it.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![allow(clippy::print_stdout, reason = "a bench's result")]

#[allow(dead_code, reason = "a part is another bench's")]
#[path = "../handlers/resident.rs"]
mod resident;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use host::config::Config;
use host::gateway::{self, Door, Gateway};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const CONNECTIONS: usize = 10_000;
/// What they may take together.
const MOST_MIB: f64 = 300.0;
/// Opened at once.
const ABREAST: usize = 64;
/// The word that has this program be the clients.
const CLIENTS: &str = "clients";

fn main() {
    let files = CONNECTIONS as u64 + 1_000;
    let (_, most) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    assert!(
        most >= files,
        "the system lets a process have {most} files: {files} are needed"
    );
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let arguments: Vec<_> = std::env::args().collect();
    match &arguments[..] {
        [_, word, address] if word == CLIENTS => runtime.block_on(clients(address)),
        _ => runtime.block_on(measure()),
    }
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    // The private database's user walks through it.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/components");
    let config = Config::embedded(folder.path(), components);
    let running = host::assemble::assemble(&config).await.unwrap();
    let gateway = Gateway::new(running.platform.clone(), &config.identity).unwrap();
    let gateway = Arc::new(gateway.with_edge(&config.edge, &config.identity));
    let door = Door::open(&config.edge, &config.limits.proxies).unwrap();
    let listener = TcpListener::bind(config.listen).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let ever = std::future::pending();
        gateway::serve_at(&door, listener, gateway, ever, Duration::ZERO).await;
    });
    let before = kib();
    let mut clients = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([CLIENTS, &address])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(clients.stdout.take().unwrap()).lines();
    let open = said.next_line().await.unwrap();
    assert_eq!(open.as_deref(), Some("open"));
    let after = kib();
    let (mib, each) = (
        (after - before) / 1_024.0,
        (after - before) / CONNECTIONS as f64,
    );
    println!(
        "{CONNECTIONS} idle WebSockets: the host grew by {mib:.0} MiB, {each:.1} KiB each \
         (from {:.0} to {:.0} MiB)",
        before / 1_024.0,
        after / 1_024.0
    );
    assert!(mib <= MOST_MIB, "more than {MOST_MIB} MiB");
    clients.kill().await.unwrap();
    running
        .stop(tokio::time::Instant::now() + Duration::from_secs(10))
        .await;
}

/// Opens them all, says so, and keeps them until it is killed.
async fn clients(address: &str) {
    let opened = futures::stream::iter(0..CONNECTIONS).map(|_| async {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/ws");
        let opened = tokio_tungstenite::client_async(url, stream).await;
        opened.unwrap().0
    });
    let mut open: Vec<_> = opened.buffer_unordered(ABREAST).collect().await;
    println!("open");
    // Answers what it is asked, as clients do.
    let reading = open
        .iter_mut()
        .map(|socket| async { while socket.next().await.is_some() {} });
    futures::future::join_all(reading).await;
}

/// KiB of this process.
fn kib() -> f64 {
    resident::resident() as f64 / 1_024.0
}
