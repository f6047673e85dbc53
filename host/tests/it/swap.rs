//! Thousands of swaps under load: nothing is lost, nothing doubled, and the memory is back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use host::client::Upload;
use reqwest::Method;
use serde_json::json;

use crate::deploy::version;
use crate::harness::{PATIENCE, TestHost};

/// What the load is, and how it went.
struct Load {
    host: TestHost,
    over: AtomicBool,
    requests: AtomicU64,
    streams: AtomicU64,
    uploads: AtomicU64,
    events: AtomicU64,
    /// Tenths of a second that a stream lasts.
    tenths: u64,
    upload: usize,
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// With time for uploads of any length on a machine that is busy.
fn roomy(number: u32) -> Upload {
    let upload = version(number);
    let manifest = upload.manifest.map(|text| {
        text.replace("cpu_ms = 500", "cpu_ms = 60_000")
            .replace("deadline_ms = 3_000", "deadline_ms = 300_000")
    });
    Upload { manifest, ..upload }
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    async fn requests(&self) {
        while self.goes_on() {
            let answer = self.host.get("/probe/version").await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each stream comes whole, from the revision that it began on.
    async fn streams(&self) {
        while self.goes_on() {
            let path = format!("/probe/stream/{}", self.tenths);
            let request = self.host.request(Method::GET, &path).timeout(3 * PATIENCE);
            let mut chunks = request.send().await.unwrap().bytes_stream();
            let mut text = Vec::new();
            while let Some(chunk) = chunks.next().await {
                text.extend_from_slice(&chunk.expect("a stream that is not cut off"));
            }
            let text = String::from_utf8(text).unwrap();
            let numbers = text
                .lines()
                .filter(|line| line.starts_with("data: "))
                .count();
            assert_eq!(numbers as u64, self.tenths + 1, "{text}");
            assert!(text.contains("data: end "), "{text}");
            self.streams.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn uploads(&self) {
        while self.goes_on() {
            let chunk = bytes::Bytes::from(vec![7u8; 64 << 10]);
            let count = self.upload / chunk.len();
            let body = futures::stream::iter(
                (0..count).map(move |_| Ok::<_, std::io::Error>(chunk.clone())),
            );
            let request = self
                .host
                .request(Method::POST, "/probe/sink")
                .timeout(3 * PATIENCE);
            let answer = self
                .host
                .send(request.body(reqwest::Body::wrap_stream(body)))
                .await;
            assert_eq!(answer.ok(), json!(self.upload));
            self.uploads.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn events(&self) {
        while self.goes_on() {
            let number = self.events.fetch_add(1, Ordering::Relaxed);
            let what = json!({ "what": format!("event {number}") });
            let answer = self.host.post("/probe/publish/probe.asked", what).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How long each switch took, and the resident memory after each tenth of them.
    async fn swaps(&self, count: u64) -> (Vec<Duration>, Vec<u64>) {
        let (mut switches, mut resident) = (Vec::new(), Vec::new());
        for number in 0..count {
            let upload = roomy(u32::try_from(number % 50).unwrap());
            let deployed = self.host.operator().deploy("probe", upload).await.unwrap();
            let switch = deployed.checks.iter().find(|check| check.check == "switch");
            switches.push(Duration::from_secs_f64(switch.unwrap().ms / 1e3));
            if (number + 1) % (count / 10).max(1) == 0 {
                resident.push(resident_mib());
            }
        }
        self.over.store(true, Ordering::Relaxed);
        (switches, resident)
    }

    /// How often each event took effect, once nothing waits any more.
    async fn effects(&self) -> BTreeMap<String, u64> {
        let settled = async {
            while self.host.sql("select count(*)::text from lectern.inbox union all select count(*)::text from lectern.outbox").await
                != ["0", "0"]
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled)
            .await
            .expect("all events are handled");
        let mut seen = BTreeMap::new();
        for what in self.host.sql("select what from probe.effects").await {
            *seen.entry(what).or_default() += 1;
        }
        seen
    }
}

/// `SWAPS`, `STREAM_TENTHS` and `UPLOAD_MIB` make it longer: see `just soak-swap`.
#[tokio::test(flavor = "multi_thread")]
async fn swaps_under_load_lose_and_double_nothing() {
    let host = TestHost::probe().await;
    host.get("/probe/effects").await.ok();
    let load = Arc::new(Load {
        host,
        over: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        streams: AtomicU64::new(0),
        uploads: AtomicU64::new(0),
        events: AtomicU64::new(0),
        tenths: from_environment("STREAM_TENTHS", 15),
        upload: usize::try_from(from_environment("UPLOAD_MIB", 5)).unwrap() << 20,
    });
    let swaps = from_environment("SWAPS", 40);
    // The first revision too has to have the time.
    load.host
        .operator()
        .deploy("probe", roomy(0))
        .await
        .unwrap();
    let before = resident_mib();
    let began = Instant::now();
    let ((mut switches, resident), ..) = tokio::join!(
        load.swaps(swaps),
        futures::future::join_all((0..4).map(|_| load.requests())),
        futures::future::join_all((0..4).map(|_| load.streams())),
        futures::future::join_all((0..2).map(|_| load.uploads())),
        load.events(),
    );
    let effects = load.effects().await;
    let published = load.events.load(Ordering::Relaxed);
    let lost = (0..published)
        .filter(|n| !effects.contains_key(&format!("event {n}")))
        .count();
    let doubled = effects.values().filter(|count| **count > 1).count();
    switches.sort_unstable();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    eprintln!(
        "{swaps} swaps in {:.1} s; {} requests, {} streams of {:.1} s, {} uploads of {} MiB, {published} events: \
         0 failed, {lost} lost, {doubled} doubled; switch p50 {} µs, max {} µs; resident {before} MiB before, {resident:?} by tenths",
        began.elapsed().as_secs_f64(),
        count(&load.requests),
        count(&load.streams),
        load.tenths as f64 / 10.0,
        count(&load.uploads),
        load.upload >> 20,
        switches[switches.len() / 2].as_micros(),
        switches[switches.len() - 1].as_micros(),
    );
    assert_eq!((lost, doubled), (0, 0));
    assert!(count(&load.requests) > swaps && count(&load.streams) > 0 && count(&load.uploads) > 0);
    former_revisions_end(&load.host).await;
    let load = Arc::into_inner(load).unwrap();
    load.host.stop().await;
}

/// Nobody but the stable revision is there, and it has nothing in hand any more.
async fn former_revisions_end(host: &TestHost) {
    let ended = async {
        loop {
            let stats = host.operator().stats("probe").await.unwrap();
            assert_eq!(stats.revisions.len(), 1);
            if stats.revisions[0].running == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("nothing goes on");
}

#[tokio::test]
async fn a_stream_that_outlives_the_drain_deadline_is_ended_and_told() {
    let host = TestHost::probe().await;
    let mut short = version(1);
    short.manifest = short
        .manifest
        .map(|text| format!("{text}\n[rollout]\ndrain_ms = 300\n"));
    host.operator().deploy("probe", short).await.unwrap();
    let request = host.request(Method::GET, "/probe/stream/600");
    let mut chunks = request.send().await.unwrap().bytes_stream();
    chunks.next().await.unwrap().unwrap();
    host.operator().deploy("probe", version(2)).await.unwrap();
    let ended = async { while let Some(Ok(_)) = chunks.next().await {} };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the stream is ended");
    assert_eq!(host.get("/probe/version").await.ok(), 2);
    host.stop().await;
}
