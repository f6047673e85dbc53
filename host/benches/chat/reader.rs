//! What a PDF costs in the sandbox beside the same code native, and what it makes the host grow by.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::Request;
use corpus::samples::{BIOLOGY, HISTORY};
use documents::samples::pdf as sample;
use nix::sys::resource::UsageWho;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::load::{apart, cpu, server_cpu};
use crate::resident::{resident, watch};
use crate::{post, send, target};

/// Of the book that is read in both.
const PAGES: usize = 300;
const ROUNDS: usize = 5;
/// Of the large file, with a picture of [`PICTURE`] bytes on each.
const LARGE_PAGES: usize = 1_000;
const PICTURE: usize = 39_000;
const MB: f64 = 1e6;

/// By the clock, and CPU.
type Times = (Duration, Duration);

/// Reads a book by turns in the sandbox and native, and prints the medians: of the reading alone by the clock,
/// and of all that the processing takes by CPU time, beside native reading.
pub(crate) fn speed(gateway: SocketAddr) {
    let texts = [BIOLOGY, HISTORY].repeat(PAGES / 2);
    let file = sample::text(&texts);
    let id = upload(gateway, form(file.clone()));
    let (mut native, mut sandbox) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bytes = file.clone();
        native.push(apart(move |_| {
            let (before, started) = (cpu(UsageWho::RUSAGE_THREAD), Instant::now());
            let reading = documents::pdf::read(&bytes, None).unwrap();
            assert_eq!(reading.document.pages.len(), PAGES);
            let took = started.elapsed();
            (took, micros(cpu(UsageWho::RUSAGE_THREAD) - before))
        }));
        let asked = id.clone();
        let cpu = apart(move |runtime| {
            let before = server_cpu();
            let again = post(&format!("/process/{asked}"), "application/json", "");
            let (status, answer) = runtime.block_on(send(gateway, again));
            assert_eq!(status, 202, "{answer}");
            ended(runtime, gateway, &asked);
            micros(server_cpu() - before)
        });
        sandbox.push((read_in(&id), cpu));
    }
    let median = |times: &[Times], of: fn(&Times) -> Duration| {
        let mut all: Vec<Duration> = times.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2].as_secs_f64() * 1e3
    };
    let by = [
        ("by the clock", (|times| times.0) as fn(&Times) -> Duration),
        ("CPU, with storing and indexing", |times| times.1),
    ];
    for (what, of) in by {
        let (native, sandbox) = (median(&native, of), median(&sandbox, of));
        println!(
            "a PDF of {PAGES} pages to text, {what}: native {native:.0} ms, in the sandbox {sandbox:.0} ms ({:.2}x)",
            sandbox / native
        );
    }
}

fn micros(of: i64) -> Duration {
    Duration::from_micros(of.unsigned_abs())
}

/// Uploads a large PDF, and prints how much the host grows until it is read.
pub(crate) fn memory(gateway: SocketAddr) {
    // Made before the memory is looked at: it is the client's.
    let form = form(large());
    let size = form.len();
    let before = resident();
    let done = Arc::new(AtomicBool::new(false));
    let watch = watch(done.clone());
    let started = Instant::now();
    let id = upload(gateway, form);
    let took = started.elapsed();
    done.store(true, Ordering::Relaxed);
    let grown = watch.join().unwrap().saturating_sub(before);
    println!(
        "a PDF of {LARGE_PAGES} pages and {:.0} MB: {:.1} s, read in {:.1} s; resident memory {:.0} MB before, grew by {:.0} MB",
        size as f64 / MB,
        took.as_secs_f64(),
        read_in(&id).as_secs_f64(),
        before as f64 / MB,
        grown as f64 / MB
    );
}

/// Pages of text, each with a picture that nothing packs.
fn large() -> Vec<u8> {
    let mut random = 7_u64;
    let pictures: Vec<Vec<u8>> = (0..LARGE_PAGES)
        .map(|_| {
            let byte = |_| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (random >> 56) as u8
            };
            (0..PICTURE).map(byte).collect()
        })
        .collect();
    sample::illustrated(BIOLOGY, &pictures)
}

fn form(mut file: Vec<u8>) -> Bytes {
    let head = "--b\r\nContent-Disposition: form-data; name=\"user_id\"\r\n\r\nalice\r\n\
                --b\r\nContent-Disposition: form-data; name=\"generate_notes\"\r\n\r\nfalse\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
    file.splice(..0, head.bytes());
    file.extend(b"\r\n--b--\r\n");
    file.into()
}

/// Uploads it, and waits until it is read.
fn upload(gateway: SocketAddr, form: Bytes) -> String {
    apart(move |runtime| {
        let upload = post("/upload", "multipart/form-data; boundary=b", form);
        let (status, uploaded) = runtime.block_on(send(gateway, upload));
        assert_eq!(status, 202, "{uploaded}");
        let id = uploaded["document_id"].as_str().unwrap().to_owned();
        ended(runtime, gateway, &id);
        id
    })
}

/// By the list, which has no text.
fn ended(runtime: &Runtime, gateway: SocketAddr, id: &str) {
    loop {
        let request = Request::get("/documents?user_id=alice").header("host", "localhost");
        let asked = send(gateway, request.body(Body::empty()).unwrap());
        let (status, list): (u16, Value) = runtime.block_on(asked);
        if status != 200 {
            // A machine that is busy with something else answers late.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        let all = list["documents"].as_array().unwrap();
        let document = all.iter().find(|document| document["document_id"] == id);
        match document.unwrap()["status"].as_str() {
            Some("processing") => std::thread::sleep(Duration::from_millis(50)),
            status => return assert_eq!(status, Some("completed"), "{list}"),
        }
    }
}

/// As the component says in its last line about it: the reading alone.
fn read_in(id: &str) -> Duration {
    let log = std::fs::read_to_string(target().join("bench.log")).unwrap();
    let said = format!("document {id} is read: ");
    let line = log.lines().rfind(|line| line.contains(&said)).unwrap();
    let (_, milliseconds) = line.split_once(" ms=").unwrap();
    let digits: String = milliseconds
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    Duration::from_millis(digits.parse().unwrap())
}
