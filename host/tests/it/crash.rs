//! The host dies at a named step of upload → processed → notes → the other services' context, and
//! the next one finishes what it left: nothing lost, nothing doubled.

use std::time::Duration;

use corpus::samples::BIOLOGY;
use serde_json::Value;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::process::Command;

use crate::harness::{PATIENCE, TestHost, data_dir, database, target};
use crate::process::{Host, count, effects, start};

/// Each is passed several times by one document: by the upload, by each consumer.
const STEPS: &[&str] = &[
    "postgres::before_commit",
    "postgres::after_commit",
    "relay::before_send",
    "relay::after_send",
    "relay::after_commit",
    "inbox::claimed",
    "inbox::before_settle",
    "inbox::after_settle",
];

/// How long the steps after a document's completion take at most, where they are taken.
const LATE: Duration = Duration::from_millis(300);

impl Host {
    async fn upload(&self) -> Option<String> {
        let file = reqwest::multipart::Part::bytes(BIOLOGY.as_bytes().to_vec()).file_name("a.txt");
        let form = reqwest::multipart::Form::new()
            .part("file", file)
            .text("user_id", "alice");
        let sent = reqwest::Client::new()
            .post(format!("{}/upload", self.base))
            .multipart(form)
            .send()
            .await;
        let body: Value = sent.ok()?.json().await.ok()?;
        body["document_id"].as_str().map(ToOwned::to_owned)
    }

    async fn status(&self, id: &str) -> Option<Value> {
        let url = format!("{}/document/{id}", self.base);
        let body: Value = reqwest::get(url).await.ok()?.json().await.ok()?;
        Some(body["status"].clone())
    }
}

/// Nothing waits any more.
async fn settled(connection: &mut PgConnection) {
    let waiting = async {
        loop {
            let sql = "select (select count(*) from lectern.outbox) + (select count(*) from lectern.inbox)";
            if count(connection, sql).await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("every event is handled");
}

/// Answers whether the host came so far as to die.
async fn dies_and_recovers(step: &str, nth: usize) -> bool {
    let folder = data_dir();
    let mut doomed = start(folder.path(), &format!("{step}={nth}*off->return"), &[]).await;
    let uploaded = doomed.upload().await;
    let answered = async {
        let Some(id) = &uploaded else { return false };
        loop {
            match doomed.status(id).await {
                None => return false,
                Some(status) if status == "processing" => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Some(_) => return true,
            }
        }
    };
    let answers = tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("the document is done or the host is dead");
    // Every host comes to each step once, however busy the machine; one that still answers may yet come to
    // it again, or never will.
    let patience = if answers && nth > 0 { LATE } else { PATIENCE };
    let died = tokio::time::timeout(patience, doomed.child.wait())
        .await
        .is_ok();
    assert!(
        died || answers,
        "{step} {nth}: the host lives and does not answer"
    );
    let _ = doomed.child.kill().await;

    let host = start(folder.path(), "", &[]).await;
    let mut connection = database(folder.path(), "lectern").await;
    settled(&mut connection).await;
    let documents = count(&mut connection, "select count(*) from documents.documents").await;
    let completed = count(
        &mut connection,
        "select count(*) from documents.documents where status = 'completed'",
    )
    .await;
    assert!(
        documents >= i64::from(uploaded.is_some()),
        "{step} {nth}: an accepted document is lost"
    );
    assert_eq!(
        completed, documents,
        "{step} {nth}: a document is not finished"
    );
    assert_eq!(
        count(&mut connection, "select count(*) from lectern.dead_letters").await,
        0,
        "{step} {nth}"
    );
    let expected: Vec<(String, i64)> = [
        "chat document.processed",
        "documents document.uploaded",
        "quiz document.processed",
    ]
    .iter()
    .filter(|_| documents > 0)
    .map(|what| ((*what).to_owned(), documents))
    .collect();
    assert_eq!(
        effects(&mut connection).await,
        expected,
        "{step} {nth} died={died}"
    );
    for sql in [
        "select count(*) from chat.shelf",
        "select count(*) from quiz.shelf where terms <> '[]'",
    ] {
        assert_eq!(
            count(&mut connection, sql).await,
            documents,
            "{step} {nth}: {sql}"
        );
    }
    connection.close().await.unwrap();
    host.stop().await;
    died
}

#[tokio::test]
async fn a_host_that_dies_at_any_step_loses_and_doubles_nothing() {
    for step in STEPS {
        for nth in 0..4 {
            let died = dies_and_recovers(step, nth).await;
            assert!(died || nth > 0, "{step} is never passed");
        }
    }
}

#[tokio::test]
async fn a_host_that_is_killed_at_any_moment_loses_and_doubles_nothing() {
    for milliseconds in [0, 5, 10, 20, 40, 80, 160] {
        let folder = data_dir();
        let mut doomed = start(folder.path(), "", &[]).await;
        let id = doomed.upload().await.unwrap();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        doomed.child.kill().await.unwrap();
        let host = start(folder.path(), "", &[]).await;
        let mut connection = database(folder.path(), "lectern").await;
        settled(&mut connection).await;
        assert_eq!(
            host.status(&id).await.unwrap(),
            "completed",
            "{milliseconds} ms"
        );
        assert_eq!(
            effects(&mut connection)
                .await
                .iter()
                .map(|(_, n)| *n)
                .collect::<Vec<_>>(),
            [1, 1, 1]
        );
        connection.close().await.unwrap();
        host.stop().await;
    }
}

#[tokio::test]
async fn two_hosts_cannot_share_a_data_directory() {
    let host = TestHost::start().await;
    let second = Command::new(env!("CARGO_BIN_EXE_lectern"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(host.folder())
        .env("LECTERN_COMPONENTS", target().join("components"))
        .output()
        .await
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another host"));
    host.stop().await;
}
