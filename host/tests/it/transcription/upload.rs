//! An upload as large as any engine takes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::multipart::{Form, Part};

use super::{id, tone, wav};
use crate::harness::{PATIENCE, TestHost};

/// Of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// WAV of two channels at 192 kHz, 32 bits: so long a file of the usual kind would be too long to take.
fn large(bytes: u64) -> Form {
    let mut head = wav(0, 0.0);
    head[22..24].copy_from_slice(&2_u16.to_le_bytes());
    head[24..28].copy_from_slice(&192_000_u32.to_le_bytes());
    head[28..32].copy_from_slice(&1_536_000_u32.to_le_bytes());
    head[32..36].copy_from_slice(&[8, 0, 32, 0]);
    let data = u32::try_from(bytes - 44).unwrap();
    head[40..44].copy_from_slice(&data.to_le_bytes());
    let piece = Bytes::from(vec![7; 64 << 10]);
    let pieces = (0..data.div_ceil(64 << 10)).map(move |at| {
        let left = usize::try_from(data - at * (64 << 10)).unwrap();
        Ok::<_, std::io::Error>(piece.slice(..left.min(piece.len())))
    });
    let all = std::iter::once(Ok(head.into())).chain(pieces);
    let body = reqwest::Body::wrap_stream(futures::stream::iter(all));
    let file = Part::stream_with_length(body, bytes).file_name("large.wav");
    Form::new().part("file", file)
}

/// `just bench-upload`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes 2 GiB"]
async fn a_recording_of_2_gib_passes_through_little_memory() {
    let host = TestHost::start().await;
    host.transcribe(tone(), "warm.wav", &[]).await.ok();
    let begun = std::time::Instant::now();
    let before = resident();
    let request = host.request(Method::POST, "/transcribe");
    let request = request.timeout(20 * PATIENCE).multipart(large(2 << 30));
    let mut most = before;
    let taken = {
        let mut sending = std::pin::pin!(host.send(request));
        loop {
            tokio::select! {
                answer = &mut sending => break answer.ok(),
                () = tokio::time::sleep(Duration::from_millis(50)) => most = most.max(resident()),
            }
        }
    };
    let grown = most.saturating_sub(before) >> 20;
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("2 GiB in {seconds:.1} s; the host and its client grew by {grown} MiB at most");
    assert_eq!(host.transcribed(&id(&taken)).await["duration"], 1_398.1);
    assert!(grown < 32, "{grown} MiB");
    host.stop().await;
}
