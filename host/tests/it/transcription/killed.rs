//! Hosts that are killed at work: no engine, no recording and no half of an upload is left behind.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Client};
use serde_json::Value;

use super::retention::hurried;
use super::{files, form, id, tone};
use crate::harness::{PATIENCE, TestHost, config, data_dir, sql};
use crate::process::{Host, start};

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect(what);
}

async fn killed(mut host: Host) {
    let pid = Pid::from_raw(i32::try_from(host.child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    host.child.wait().await.unwrap();
}

/// Whether a process with those words runs, in whatever namespace.
fn runs(words: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let line = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline"));
    let mut lines = processes.filter_map(|process| line(process).ok());
    lines.any(|line| String::from_utf8_lossy(&line).replace('\0', " ").trim() == words)
}

/// Folders of the engines' files.
fn scratch(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.starts_with("lectern-job-"))
        .collect()
}

#[tokio::test]
async fn an_engine_ends_with_its_host_and_the_next_one_removes_its_files() {
    let folder = data_dir();
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    // No other test's.
    let (own, child) = (std::process::id(), std::process::id() + 1_000_000);
    let (own, child) = (format!("sleep 600.{own}"), format!("sleep 600.{child}"));
    let script = folder.path().join("engine.sh");
    std::fs::write(&script, format!("{child} & exec {own}\n")).unwrap();
    let variables = [
        (
            "LECTERN_STT_COMMAND",
            format!("sh {} {{input}}", script.display()),
        ),
        ("TMPDIR", temporary.display().to_string()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let host = start(folder.path(), "", &variables).await;
    let sending = Client::new().post(format!("{}/transcribe", host.base));
    let taken = sending.multipart(form(tone(), "a.wav", &[])).send();
    let taken: Value = taken.await.unwrap().json().await.unwrap();
    until("the engine begins", || runs(&own) && runs(&child)).await;
    let left = scratch(&temporary);
    assert_eq!(left.len(), 1, "{left:?}");
    killed(host).await;
    until("the engine ends", || !runs(&own)).await;
    // What it started is had where namespaces are; `lectern doctor` says where they are not.
    if backend::isolation::lacks().await.is_empty() {
        until("its children end", || !runs(&child)).await;
    }
    std::fs::write(&script, "echo heard\n").unwrap();
    let host = start(folder.path(), "", &variables).await;
    assert!(!scratch(&temporary).contains(&left[0]), "it is swept");
    // And the job goes on.
    let url = format!("{}/transcription/{}", host.base, id(&taken));
    let done = async {
        loop {
            let job: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
            if job["status"] != "processing" {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, done).await.unwrap();
    assert_eq!(done["transcript"], "heard", "{done}");
    host.stop().await;
    assert_eq!(scratch(&temporary), [""; 0]);
}

#[tokio::test]
async fn what_was_uploaded_to_a_host_that_was_killed_goes() {
    let folder = data_dir();
    let stored = folder.path().join("blobs/stt");
    let host = start(folder.path(), "", &[]).await;
    // One file is whole, and the next one never ends.
    let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from(tone()))]);
    let endless = begun.chain(stream::pending());
    let endless = Part::stream(Body::wrap_stream(endless)).file_name("b.wav");
    let batch = Form::new()
        .part("file", Part::bytes(tone()).file_name("a.wav"))
        .part("file", endless);
    let sending = Client::new().post(format!("{}/transcribe/batch", host.base));
    let sending = tokio::spawn(sending.multipart(batch).send());
    let begun = async {
        while files(&stored) != 1
            || sql(folder.path(), "select key from stt.uploads")
                .await
                .len()
                != 2
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let begun = tokio::time::timeout(PATIENCE, begun).await;
    begun.expect("the first file is stored, and the second one begun");
    killed(host).await;
    assert!(sending.await.unwrap().is_err());

    let config = config(folder.path(), "components");
    let host = TestHost::on(folder, config).await;
    assert_eq!(files(&stored), 1, "nobody knows yet that it is nobody's");
    let due = "update stt.uploads set due_at = now() - interval '1 second' returning key";
    assert_eq!(host.sql(due).await.len(), 2);
    host.operator().deploy("stt", hurried()).await.unwrap();
    until("the file goes", || files(&stored) == 0).await;
    let rows = async {
        while host.sql("select key from stt.uploads").await != [""; 0] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, rows).await.unwrap();
    host.stop().await;
}
