//! A document that is read again: what is there of it meanwhile, its notes, and its password under a key.

use corpus::samples::BIOLOGY;
use documents::samples::pdf as sample;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

use super::{file, id, tables_with};
use crate::harness::{Answer, TestHost, pdf};

#[tokio::test]
async fn while_a_document_is_read_again_what_was_read_of_it_is_there() {
    let host = TestHost::start().await;
    let book = pdf(&["Nothing of it here.", BIOLOGY]);
    let document = host.processed("alice", "bio.pdf", book).await;
    let path = format!("/document/{}/pages", id(&document));
    let search = "/documents/search?q=respiration&user_id=alice";
    let before = (
        host.get(&path).await.ok(),
        host.get(search).await.ok()["results"].clone(),
    );
    assert_eq!(before.0["pages"].as_array().unwrap().len(), 2);
    assert_ne!(before.1, json!([]));
    host.quiet().await;
    // As a run that waits for its turn leaves it.
    host.sql(
        "update documents.documents set status = 'processing', stage = 'queued', run = 2 returning document_id",
    )
    .await;
    let shown = host.get(&format!("/document/{}", id(&document))).await.ok();
    assert_eq!(shown["status"], "processing");
    let meanwhile = (
        host.get(&path).await.ok(),
        host.get(search).await.ok()["results"].clone(),
    );
    assert_eq!(meanwhile, before);
    host.stop().await;
}

#[tokio::test]
async fn notes_that_an_upload_did_without_are_made_when_they_are_asked_for() {
    let host = TestHost::start().await;
    let upload = async |part| {
        let form = Form::new()
            .text("user_id", "alice")
            .text("generate_notes", "false")
            .part("file", part);
        host.settled(&id(&host.form("/upload", form).await.ok()))
            .await
    };
    let again = async |document: &Value, how: Value| {
        let path = format!("/process/{}", id(document));
        host.post(&path, how).await.ok();
        host.settled(&id(document)).await
    };
    let document = upload(file(BIOLOGY, "a.txt")).await;
    assert_eq!(
        (&document["status"], &document["notes"]),
        (&json!("completed"), &Value::Null)
    );
    let without = again(&document, json!({ "generate_notes": false })).await;
    assert_eq!(without["notes"], Value::Null);
    let made = again(&document, json!({})).await["notes"].clone();
    assert!(made.as_str().is_some_and(|notes| !notes.is_empty()));
    // What is not made anew stays, even where somebody has edited it.
    let kept = again(&document, json!({ "generate_notes": false })).await;
    assert_eq!(kept["notes"], made);
    let notes = format!("/document/{}/notes", id(&document));
    let mine = host.request(Method::PUT, &notes);
    host.send(mine.json(&json!({ "notes": "mine" }))).await.ok();
    let how = json!({ "generate_notes": false, "replace_notes": true });
    assert_eq!(again(&document, how).await["notes"], "mine");

    // Nothing of this one has been read, so that its upload has the say.
    let locked = upload(file(sample::encrypted(BIOLOGY, "sesame"), "b.pdf")).await;
    assert_eq!(locked["failure"]["code"], "ENCRYPTED_DOCUMENT");
    let opened = again(&locked, json!({ "password": "sesame" })).await;
    assert_eq!(
        (&opened["status"], &opened["notes"]),
        (&json!("completed"), &Value::Null)
    );
    host.stop().await;
}

#[tokio::test]
async fn a_key_that_comes_with_another_password_is_refused() {
    let host = TestHost::start().await;
    let locked = || file(sample::encrypted(BIOLOGY, "sesame-right"), "a.pdf");
    let upload = async |password: &str| -> Answer {
        let form = Form::new()
            .text("user_id", "alice")
            .text("password", password.to_owned())
            .part("file", locked());
        let request = host
            .request(Method::POST, "/upload")
            .header("idempotency-key", "up");
        host.send(request.multipart(form)).await
    };
    let first = upload("sesame-wrong").await.ok();
    assert_eq!(upload("sesame-wrong").await.ok(), first);
    let refused = upload("sesame-right").await;
    assert_eq!(refused.code(), (422, "IDEMPOTENCY_KEY_REUSED"));

    let failed = host.settled(&id(&first)).await;
    assert_eq!(failed["failure"]["code"], "ENCRYPTED_DOCUMENT");
    let path = format!("/process/{}?user_id=alice", id(&first));
    let process = async |key: &'static str, password: &str| -> Answer {
        let request = host
            .request(Method::POST, &path)
            .header("idempotency-key", key);
        host.send(request.json(&json!({ "password": password })))
            .await
    };
    process("k", "sesame-wrong").await.ok();
    host.settled(&id(&first)).await;
    let again = process("k", "sesame-wrong").await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let refused = process("k", "sesame-right").await;
    assert_eq!(refused.code(), (422, "IDEMPOTENCY_KEY_REUSED"));
    process("k2", "sesame-right").await.ok();
    assert_eq!(host.settled(&id(&first)).await["status"], "completed");
    host.quiet().await;
    assert_eq!(tables_with(&host, "sesame").await, Vec::<String>::new());
    host.stop().await;
}
