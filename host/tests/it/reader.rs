//! The document reader under load, and when a run fails that follows a good one.

use std::path::Path;
use std::time::Duration;

use corpus::samples::{BIOLOGY, HISTORY};
use documents::samples::{package, pdf as sample};
use host::config::backends::Ocr;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::documents::{PAGE, has_ocr};
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

#[tokio::test]
async fn a_word_document_with_a_password_opens_with_it() {
    let host = TestHost::start().await;
    let upload = async |file: &[u8], password: Option<&str>| {
        let part = Part::bytes(file.to_vec()).file_name("a.docx");
        // The password comes behind the file.
        let mut form = Form::new().text("user_id", "alice").part("file", part);
        if let Some(password) = password {
            form = form.text("password", password.to_owned());
        }
        host.form("/upload", form).await
    };
    for (name, file) in package::locked() {
        assert_eq!(
            upload(&file, None).await.code(),
            (422, "ENCRYPTED_DOCUMENT"),
            "{name}"
        );
        let uploaded = upload(&file, Some("wrong")).await.ok();
        let id = uploaded["document_id"].as_str().unwrap();
        let locked = host.settled(id).await;
        assert_eq!(locked["failure"]["code"], "ENCRYPTED_DOCUMENT", "{name}");
        let path = format!("/process/{id}");
        host.post(&path, json!({ "password": "pässword" }))
            .await
            .ok();
        let opened = host.settled(id).await;
        assert_eq!(opened["status"], "completed", "{name}");
        assert_eq!(opened["extracted_text"], "Mitosis divides a cell.");
    }
    let (_, file) = package::locked().next().unwrap();
    let uploaded = upload(&file, Some("pässword")).await.ok();
    let opened = host.settled(uploaded["document_id"].as_str().unwrap());
    assert_eq!(opened.await["extracted_text"], "Mitosis divides a cell.");
    host.stop().await;
}

/// A PDF of more than 4 MiB, nearly all of it pictures.
fn pictures() -> Vec<u8> {
    let picture: Vec<u8> = (0..5_u32 << 20)
        .map(|at| (at.wrapping_mul(at) >> 9) as u8)
        .collect();
    sample::half_scanned(BIOLOGY, &picture, 2_000, 1_000)
}

#[tokio::test]
async fn a_large_pdf_is_read_without_its_pictures_and_whole_where_it_must_be() {
    let host = TestHost::with("components", |config| config.backends.ocr.what = Ocr::None).await;
    let sound = pictures();
    // The objects are found by the file's own index alone: none of them begins a line.
    let lines = sound.split_inclusive(|&byte| byte == b'\n');
    let odd: Vec<u8> = lines
        .flat_map(|line| match line {
            b"endobj\n" => b"endobj ",
            line => line,
        })
        .copied()
        .collect();
    let mut texts = Vec::new();
    for file in [sound, odd] {
        let document = host.processed("alice", "a.pdf", file).await;
        assert_eq!(document["status"], "completed", "{document}");
        assert_eq!(document["page_count"], 2);
        assert_eq!(document["needs_ocr"][0]["reason"], "image_only");
        texts.push(document["extracted_text"].clone());
    }
    assert!(
        texts[0].as_str().unwrap().contains("mitosis"),
        "{}",
        texts[0]
    );
    assert_eq!(texts[0], texts[1]);
    host.stop().await;
}

#[tokio::test]
async fn a_scan_says_how_many_of_its_pages_are_read() {
    if !has_ocr() {
        return;
    }
    let host = TestHost::start().await;
    let scan = sample::scanned(12, PAGE, 1000, 300);
    let uploaded = host.upload("alice", "scan.pdf", scan).await.ok();
    let path = path(&uploaded);
    let told = async {
        loop {
            let document = host.get(&path).await.ok();
            assert_eq!(document["status"], "processing", "{document}");
            let progress = &document["progress"];
            if progress["stage"] == "ocr" && progress["done"] != 0 {
                return progress.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await;
    let told = told.expect("the progress of some pages");
    assert_eq!(told["total"], 12);
    assert!(
        told["done"].as_u64().is_some_and(|done| done < 12),
        "{told}"
    );
    host.delete(&path).await.ok();
    host.stop().await;
}

/// Has the clock call the documents' sweep now, and waits until it has.
async fn swept(host: &TestHost) {
    host.sql("update lectern.timers set due_at = now() - interval '1 s' where component = 'documents' returning name")
        .await;
    host.until(
        "select count(*)::text from lectern.timers where component = 'documents' and due_at < now()",
        &["0"],
    )
    .await;
}

#[tokio::test]
async fn bytes_that_the_store_kept_at_a_deletion_go_by_the_clock() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "a.txt", BIOLOGY).await;
    host.quiet().await;
    let blobs = host.folder().join("blobs/documents");
    let id = document["document_id"].as_str().unwrap();
    let folders = [blobs.join("documents/alice"), blobs.join("text").join(id)];
    // The store is away: where its folders were, nothing can be deleted.
    let away = |folder: &Path| folder.with_extension("away");
    for folder in &folders {
        std::fs::rename(folder, away(folder)).unwrap();
        std::fs::write(folder, "").unwrap();
    }
    host.delete(&path(&document)).await.ok();
    // What asks for them to go is tried in vain, and lost.
    let waits = "select count(*)::text from lectern.inbox where topic = 'document.deleted' and consumer = 'documents'";
    host.until(waits, &["1"]).await;
    host.sql("delete from lectern.inbox where topic = 'document.deleted' returning topic")
        .await;
    swept(&host).await;
    let left = "select count(*)::text from documents.leftovers";
    assert_ne!(host.sql(left).await, ["0"]);
    for folder in &folders {
        std::fs::remove_file(folder).unwrap();
        std::fs::rename(away(folder), folder).unwrap();
    }
    swept(&host).await;
    host.until(left, &["0"]).await;
    for folder in &folders {
        let bytes = std::fs::read_dir(folder).map_or(0, Iterator::count);
        assert_eq!(bytes, 0, "{}", folder.display());
    }
    host.stop().await;
}
