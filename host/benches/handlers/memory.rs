//! What a large upload makes the host grow by.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures::{StreamExt, stream};

use crate::load::{apart, connect};
use crate::resident::{resident, watch};

const BOUNDARY: &str = "boundary-of-the-bench";
const MB: usize = 1_000_000;

/// Uploads 100 MB to the document service, in chunks as they come off a socket.
pub(crate) fn upload(gateway: SocketAddr) {
    apart(move |runtime| {
        // Instances, buffers and pools are made by the first.
        runtime.block_on(send(gateway, 2 * MB));
        let before = resident();
        let done = Arc::new(AtomicBool::new(false));
        let watch = watch(done.clone());
        let started = Instant::now();
        runtime.block_on(send(gateway, 100 * MB));
        let took = started.elapsed();
        done.store(true, Ordering::Relaxed);
        let grown = watch.join().unwrap().saturating_sub(before);
        println!(
            "\nPOST /upload of 100 MB: {:.2} s, resident memory {} MB before, grew by {:.1} MB",
            took.as_secs_f64(),
            before / MB,
            grown as f64 / MB as f64
        );
    });
}

async fn send(address: SocketAddr, size: usize) {
    // 64 KB of it at a time, all of them the same memory; a NUL would make it no text.
    let chunk = Bytes::from_static(&[b'a'; 50_000]);
    let head = Bytes::from(format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n%PDF-1.4\n"
    ));
    let tail = Bytes::from(format!("\r\n--{BOUNDARY}--\r\n"));
    let parts = stream::iter([head])
        .chain(stream::iter(std::iter::repeat_n(
            chunk.clone(),
            size / chunk.len(),
        )))
        .chain(stream::iter([tail]))
        .map(Ok::<_, std::convert::Infallible>);
    let request = Request::post("/upload")
        .header("host", "localhost")
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(Body::from_stream(parts))
        .unwrap();
    let response = connect(address).await.send_request(request).await.unwrap();
    assert_eq!(response.status(), 202, "see target/bench.log");
}
