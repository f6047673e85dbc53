//! The document reader under load, and when a run fails that follows a good one.

use std::time::Duration;

use corpus::samples::{BIOLOGY, HISTORY};
use documents::samples::pdf as sample;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestHost};

impl TestHost {
    async fn until(&self, sql: &'static str, expected: &[&str]) {
        let seen = async {
            while self.sql(sql).await != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, seen).await;
        assert!(waited.is_ok(), "{sql}: {:?}", self.sql(sql).await);
    }
}

fn path(body: &Value) -> String {
    format!("/document/{}", body["document_id"].as_str().unwrap())
}

#[tokio::test]
async fn two_books_of_one_learner_hold_up_nobody_and_a_delete_frees_the_reader() {
    let host = TestHost::start().await;
    let book = sample::text(&[BIOLOGY, HISTORY].repeat(1_000));
    assert!(book.len() > 1 << 20);
    let reading =
        "select filename from documents.readings join documents.documents using (document_id)";
    let first = host.upload("alice", "one.pdf", book.clone()).await.ok();
    host.until(reading, &["one.pdf"]).await;
    let second = host.upload("alice", "two.pdf", book).await.ok();
    host.processed("bob", "small.txt", BIOLOGY).await;
    assert_eq!(host.sql(reading).await, ["one.pdf"]);
    assert_eq!(
        host.get(&path(&second)).await.ok()["progress"]["stage"],
        "queued"
    );
    host.delete(&path(&first)).await.ok();
    host.until(reading, &["two.pdf"]).await;
    host.delete(&path(&second)).await.ok();
    host.until("select count(*)::text from lectern.inbox", &["0"])
        .await;
    let left = "select key from documents.leftovers";
    assert_eq!(host.sql(left).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn a_run_that_fails_after_a_good_one_takes_nothing_away() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "a.txt", BIOLOGY).await;
    let (path, id) = (path(&document), document["document_id"].as_str().unwrap());
    let mine = host.request(Method::PUT, &format!("{path}/notes"));
    host.send(mine.json(&json!({ "notes": "mine" }))).await.ok();
    // The file is lost: the next run cannot read it.
    let key = document["s3_key"].as_str().unwrap();
    let lost = host.folder().join(format!("blobs/documents/{key}~blob"));
    std::fs::remove_file(&lost).unwrap_or_else(|e| panic!("{}: {e}", lost.display()));
    for _ in 0..2 {
        host.post(&format!("/process/{id}"), json!({})).await.ok();
        let after = host.settled(id).await;
        assert_eq!(after["status"], "completed");
        assert_eq!(after["failure"]["code"], "CORRUPT_DOCUMENT");
        assert_eq!(after["warnings"].as_array().unwrap().len(), 1);
        assert_eq!(after["warnings"][0]["code"], "REPROCESSING_FAILED");
        assert_eq!(after["extracted_text"], document["extracted_text"]);
        assert_eq!(after["notes"], "mine");
    }
    let chat = json!({ "message": "What is mitosis?", "user_id": "alice", "document_context": { "document_id": id } });
    let answer = host.post("/chat", chat).await.ok();
    assert!(
        answer["response"].as_str().unwrap().contains("Mitosis"),
        "{answer}"
    );
    host.stop().await;
}
