//! The document reader as its users see it: what becomes of a file, page by page, and of one that is
//! deleted.

mod again;

use std::path::{Path, PathBuf};

use corpus::samples::{BIOLOGY, HISTORY};
use documents::samples::{docx, pdf as sample};
use host::config::backends::Ocr;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{Answer, PATIENCE, TestHost, pdf};

/// A scanned page that says LECTERN.
pub(crate) const PAGE: &[u8] = include_bytes!("../../crates/backend/tests/it/samples/page.jpg");

pub(crate) fn has_ocr() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |name| std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    has("tesseract") && has("pdftoppm")
}

pub(crate) fn file(bytes: impl Into<Vec<u8>>, name: &str) -> Part {
    Part::bytes(bytes.into()).file_name(name.to_owned())
}

impl TestHost {
    pub(crate) async fn form(&self, path: &str, form: Form) -> Answer {
        self.send(self.request(Method::POST, path).multipart(form))
            .await
    }

    /// Nothing waits any more.
    pub(crate) async fn quiet(&self) {
        let waiting = async {
            let sql = "select ((select count(*) from lectern.outbox) + (select count(*) from lectern.inbox))::text";
            while self.sql(sql).await != ["0"] {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("every event is handled");
    }
}

pub(crate) fn id(body: &Value) -> String {
    body["document_id"].as_str().unwrap().to_owned()
}

fn codes(document: &Value) -> Vec<&str> {
    let warnings = document["warnings"].as_array().unwrap();
    warnings
        .iter()
        .map(|warning| warning["code"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_word_document_becomes_text_and_notes_under_its_headings() {
    let host = TestHost::start().await;
    let body = |heading: &str, text: &str| {
        format!(
            "<w:p><w:pPr><w:pStyle w:val=\"Heading1\"/></w:pPr><w:r><w:t>{heading}</w:t></w:r></w:p>\
             <w:p><w:r><w:t>{text}</w:t></w:r></w:p>"
        )
    };
    let sentence =
        "The cell membrane surrounds the cell and controls what enters and what leaves it.";
    // Its name says something else.
    let document = host
        .processed(
            "alice",
            "lesson.pdf",
            docx(&body("what cells are made of", sentence)),
        )
        .await;
    assert_eq!(document["status"], "completed", "{document}");
    assert_eq!(
        (&document["type"], &document["page_count"]),
        (&json!("docx"), &Value::Null)
    );
    assert_eq!(
        document["extracted_text"],
        format!("what cells are made of\n\n{sentence}")
    );
    let notes = document["notes"].as_str().unwrap();
    assert!(
        notes.contains("## what cells are made of\n\n- The cell membrane"),
        "{notes}"
    );
    assert!(document["s3_key"].as_str().unwrap().ends_with(".docx"));
    let asked = json!({
        "message": "What surrounds the cell?", "user_id": "alice",
        "document_context": { "document_id": document["document_id"] },
    });
    let answer = host.post("/chat", asked).await.ok();
    assert!(
        answer["response"].as_str().unwrap().contains("membrane"),
        "{answer}"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_page_without_text_is_read_from_its_image() {
    if !has_ocr() {
        return;
    }
    let host = TestHost::start().await;
    let document = host
        .processed(
            "alice",
            "scan.pdf",
            sample::half_scanned(BIOLOGY, PAGE, 1000, 300),
        )
        .await;
    assert_eq!(document["status"], "completed", "{document}");
    assert!(
        document["extracted_text"]
            .as_str()
            .unwrap()
            .contains("LECTERN"),
        "{document}"
    );
    let needs = json!([{ "page": 2, "reason": "image_only", "status": "read" }]);
    assert_eq!(
        (&document["needs_ocr"], &document["warnings"]),
        (&needs, &json!([]))
    );
    let path = format!("/document/{}/pages", id(&document));
    let pages = host.get(&format!("{path}?limit=1")).await.ok();
    assert!(pages["pages"][0]["text"].as_str().unwrap().contains("cell"));
    let cursor = pages["next_cursor"].as_str().unwrap();
    let rest = host
        .get(&format!("{path}?limit=1&cursor={cursor}"))
        .await
        .ok();
    assert_eq!(rest["pages"][0]["needs_ocr"]["reason"], "image_only");
    assert_eq!(
        (&rest["pages"][0]["page"], &rest["next_cursor"]),
        (&json!(2), &Value::Null)
    );
    // What was kept for the while is gone.
    host.quiet().await;
    assert_eq!(
        stored(&host.folder().join("blobs/documents/work")),
        Vec::<PathBuf>::new()
    );
    host.stop().await;
}

#[tokio::test]
async fn many_scanned_pages_hold_up_no_other_document() {
    if !has_ocr() {
        return;
    }
    let host = TestHost::start().await;
    let scan = host
        .upload("alice", "scan.pdf", sample::scanned(8, PAGE, 1000, 300))
        .await
        .ok();
    let text = host.processed("bob", "a.txt", BIOLOGY).await;
    assert_eq!(text["status"], "completed");
    let scan = host.settled(&id(&scan)).await;
    let read = scan["needs_ocr"].as_array().unwrap();
    assert!(read.iter().all(|page| page["status"] == "read"), "{scan}");
    assert_eq!(
        scan["extracted_text"]
            .as_str()
            .unwrap()
            .matches("LECTERN")
            .count(),
        8
    );
    host.stop().await;
}

#[tokio::test]
async fn without_an_engine_a_scan_is_completed_with_warnings() {
    let host = TestHost::with("components", |config| config.backends.ocr.what = Ocr::None).await;
    let half = host
        .processed(
            "alice",
            "half.pdf",
            sample::half_scanned(BIOLOGY, PAGE, 1000, 300),
        )
        .await;
    assert_eq!(
        (&half["status"], codes(&half)),
        (&json!("completed"), vec!["PAGES_WITHOUT_TEXT"])
    );
    assert_eq!(half["warnings"][0]["pages"], json!([2]));
    let scan = host
        .processed("alice", "scan.pdf", sample::scanned(2, PAGE, 1000, 300))
        .await;
    assert_eq!(
        (&scan["status"], &scan["extracted_text"]),
        (&json!("completed"), &json!("\n\n"))
    );
    assert_eq!(codes(&scan), ["NO_TEXT", "PAGES_WITHOUT_TEXT"]);
    let asked = json!({
        "message": "What does it say?", "user_id": "alice",
        "document_context": { "document_id": scan["document_id"] },
    });
    assert_eq!(
        host.post("/chat", asked).await.code(),
        (422, "DOCUMENT_UNREADABLE")
    );
    let quiz =
        json!({ "document_id": scan["document_id"], "user_id": "alice", "num_questions": 3 });
    assert_eq!(
        host.post("/quiz/generate", quiz).await.code(),
        (422, "DOCUMENT_UNREADABLE")
    );
    host.stop().await;
}

#[tokio::test]
async fn a_password_opens_a_document_and_is_kept_nowhere() {
    let host = TestHost::start().await;
    let locked = host
        .processed(
            "alice",
            "a.pdf",
            sample::encrypted(BIOLOGY, "sesame-geheim"),
        )
        .await;
    assert_eq!(locked["failure"]["code"], "ENCRYPTED_DOCUMENT", "{locked}");
    let path = format!("/process/{}", id(&locked));
    host.post(&path, json!({ "password": "wrong" })).await.ok();
    assert_eq!(
        host.settled(&id(&locked)).await["failure"]["code"],
        "ENCRYPTED_DOCUMENT"
    );
    host.post(&path, json!({ "password": "sesame-geheim" }))
        .await
        .ok();
    assert_eq!(host.settled(&id(&locked)).await["status"], "completed");
    let form = Form::new()
        .text("password", "sesame-geheim")
        .text("user_id", "alice")
        .part(
            "file",
            file(sample::encrypted(HISTORY, "sesame-geheim"), "b.pdf"),
        );
    let uploaded = host.form("/upload", form).await.ok();
    let opened = host.settled(&id(&uploaded)).await;
    assert!(
        opened["extracted_text"]
            .as_str()
            .unwrap()
            .contains("James Watt"),
        "{opened}"
    );
    host.quiet().await;
    assert_eq!(
        tables_with(&host, "sesame-geheim").await,
        Vec::<String>::new()
    );
    assert_eq!(
        stored(&host.folder().join("blobs/documents/keys")),
        Vec::<PathBuf>::new()
    );
    let sealed = "select document_id from documents.documents where sealed_password is not null";
    assert_eq!(host.sql(sealed).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn a_stream_tells_how_far_a_document_is_until_it_ends() {
    let host = TestHost::start().await;
    let uploaded = host
        .upload("alice", "a.pdf", pdf(&[BIOLOGY; 150]))
        .await
        .ok();
    let path = format!("/document/{}/events", id(&uploaded));
    let response = host.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let told = response.text().await.unwrap();
    let events: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(events.last(), Some(&"completed"), "{told}");
    assert!(
        events[..events.len() - 1]
            .iter()
            .all(|event| *event == "progress"),
        "{told}"
    );
    // Told again to who comes back, and at once.
    let last = told
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back()
        .unwrap();
    let again = host
        .request(Method::GET, &path)
        .header("last-event-id", last);
    let again = again.send().await.unwrap().text().await.unwrap();
    assert_eq!(again.matches("event: completed").count(), 1, "{again}");
    assert_eq!(
        host.get("/document/none/events").await.code(),
        (404, "DOCUMENT_NOT_FOUND")
    );
    host.stop().await;
}

#[tokio::test]
async fn notes_are_edited_by_version_and_made_anew_when_asked() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "a.txt", BIOLOGY).await;
    let (path, made) = (
        format!("/document/{}/notes", id(&document)),
        document["notes"].clone(),
    );
    let notes = host.get(&path).await;
    let tag = notes.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(notes.body["notes"], made);
    assert!(
        notes.body["outline"]["definitions"][0]["page"].is_u64(),
        "{}",
        notes.body
    );
    let put = |tag: &str, notes: &str| {
        let request = host
            .request(Method::PUT, &path)
            .header("if-match", tag.to_owned());
        host.send(request.json(&json!({ "notes": notes })))
    };
    let edited = put(&tag, "mine").await;
    assert_eq!(
        (edited.status, &edited.body["notes"]),
        (200, &json!("mine"))
    );
    assert_ne!(edited.headers["etag"].to_str().unwrap(), tag);
    assert_eq!(put(&tag, "late").await.code(), (412, "PRECONDITION_FAILED"));
    assert_eq!(host.get(&path).await.ok()["notes"], "mine");
    let host = host.restart().await;
    assert_eq!(host.get(&path).await.ok()["notes"], "mine");
    let processed = async |body: Value| {
        let process = format!("/process/{}", id(&document));
        host.post(&process, body).await.ok();
        host.settled(&id(&document)).await
    };
    let kept = processed(json!({})).await;
    assert_eq!(kept["notes"], "mine");
    assert!(kept["notes_edited_at"].is_string());
    let again = processed(json!({ "replace_notes": true })).await;
    assert_eq!(
        (&again["notes"], &again["notes_edited_at"]),
        (&made, &Value::Null)
    );
    host.stop().await;
}

/// Files below a folder.
fn stored(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return vec![];
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                stored(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Tables of the document service and of the host that have the word in a row.
async fn tables_with(host: &TestHost, word: &str) -> Vec<String> {
    let sql = format!(
        "select table_schema || '.' || table_name from information_schema.tables \
         where table_schema in ('documents', 'lectern') and table_type = 'BASE TABLE' \
         and table_name not in ('revisions', 'artifacts') and strpos(query_to_xml(\
         format('select x::text from %I.%I x', table_schema, table_name), true, false, '')::text, '{word}') > 0"
    );
    host.sql(sql.leak()).await
}

#[tokio::test]
async fn a_deleted_document_is_found_nowhere() {
    let host = TestHost::start().await;
    let marked = format!("{BIOLOGY}\n\nThe zanzibarium is a rare organ of the cell.");
    let kept = host.processed("alice", "kept.txt", HISTORY).await;
    let document = host
        .processed("alice", "zanzibarium.txt", marked.clone())
        .await;
    let path = format!("/document/{}", id(&document));
    let before = host
        .get("/documents/search?q=zanzibarium&user_id=alice")
        .await
        .ok();
    assert_eq!(before["results"].as_array().unwrap().len(), 1, "{before}");
    host.quiet().await;
    assert!(!tables_with(&host, "zanzibarium").await.is_empty());
    assert_eq!(
        host.delete(&format!("{path}?user_id=bob")).await.code(),
        (404, "DOCUMENT_NOT_FOUND")
    );
    let gone = host.delete(&format!("{path}?user_id=alice")).await.ok();
    assert_eq!(gone["document_id"], document["document_id"]);
    for again in [
        host.get(&path).await,
        host.delete(&path).await,
        host.post(&format!("/process/{}", id(&document)), json!({}))
            .await,
    ] {
        assert_eq!(again.code(), (404, "DOCUMENT_NOT_FOUND"));
    }
    host.quiet().await;
    let after = host
        .get("/documents/search?q=zanzibarium&user_id=alice")
        .await
        .ok();
    assert_eq!(after["results"], json!([]));
    assert_eq!(
        tables_with(&host, "zanzibarium").await,
        Vec::<String>::new()
    );
    let blobs = stored(&host.folder().join("blobs"));
    for blob in &blobs {
        let bytes = std::fs::read(blob).unwrap();
        assert!(
            !bytes.windows(11).any(|window| window == b"zanzibarium"),
            "{}",
            blob.display()
        );
    }
    let names = |id: &str| {
        blobs
            .iter()
            .filter(|blob| blob.to_string_lossy().contains(id))
            .count()
    };
    assert_eq!((names(&id(&document)), names(&id(&kept))), (0, 2));
    host.stop().await;
}

#[tokio::test]
async fn a_document_that_is_deleted_while_it_is_read_leaves_nothing() {
    let host = TestHost::start().await;
    let book = pdf(&[BIOLOGY; 20]);
    for _ in 0..8 {
        let uploaded = host.upload("alice", "a.pdf", book.clone()).await.ok();
        host.delete(&format!("/document/{}", id(&uploaded)))
            .await
            .ok();
    }
    host.quiet().await;
    assert_eq!(stored(&host.folder().join("blobs")), Vec::<PathBuf>::new());
    let left = "select document_id from documents.documents union all select document_id from documents.pieces";
    assert_eq!(host.sql(left).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn one_s_own_documents_are_searched_in_their_language() {
    let host = TestHost::start().await;
    let german = "Die Zellen sind die kleinsten Bausteine des Lebens. Jede Zelle ist von einer Membran umgeben, \
                  die sie vor ihrer Umgebung schützt und den Stoffwechsel ermöglicht. <script>alert(1)</script>";
    let chinese = "细胞是生命的基本单位。它们会分裂，也会死亡。".repeat(3);
    host.processed("alice", "bio.pdf", pdf(&["Nothing of it here.", BIOLOGY]))
        .await;
    host.processed("alice", "zelle.txt", german).await;
    host.processed("alice", "cell.txt", chinese.as_str()).await;
    host.processed("bob", "bio.txt", BIOLOGY).await;
    let find = async |q: &str| {
        let asked = [("q", q), ("user_id", "alice")];
        let url = reqwest::Url::parse_with_params("http://any/documents/search", asked).unwrap();
        let path = format!("{}?{}", url.path(), url.query().unwrap());
        host.get(&path).await.ok()["results"]
            .as_array()
            .unwrap()
            .clone()
    };
    let marked = |result: &Value| {
        let snippet: Vec<char> = result["snippet"].as_str().unwrap().chars().collect();
        let place = &result["highlights"][0];
        let at = |key: &str| usize::try_from(place[key].as_u64().unwrap()).unwrap();
        snippet[at("start")..at("end")].iter().collect::<String>()
    };
    let english = find("releasing respiration").await;
    assert_eq!(english.len(), 1, "only one's own: {english:?}");
    assert_eq!(
        (&english[0]["filename"], &english[0]["page"]),
        (&json!("bio.pdf"), &json!(2))
    );
    let stemmed = find("Zelle Umgebungen").await;
    assert_eq!(stemmed[0]["filename"], "zelle.txt", "{stemmed:?}");
    assert!(
        ["Zellen", "Zelle", "Umgebung"].contains(&marked(&stemmed[0]).as_str()),
        "{stemmed:?}"
    );
    let pairs = find("生命的基本").await;
    assert_eq!(
        (&pairs[0]["filename"], marked(&pairs[0])),
        (&json!("cell.txt"), "生命的基本".to_owned())
    );
    assert!(find("photosynthesis -glucose OR \"quantum").await.len() <= 1);
    assert_eq!(find("parliament").await, Vec::<Value>::new());
    assert_eq!(
        host.get("/documents/search?user_id=alice").await.code(),
        (400, "VALIDATION_ERROR")
    );
    host.stop().await;
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again_and_lists_come_in_pages() {
    let host = TestHost::start().await;
    let mut ids = Vec::new();
    for name in ["a.txt", "b.txt", "c.txt"] {
        ids.push(id(&host.processed("alice", name, BIOLOGY).await));
    }
    let path = format!("/document/{}", ids[0]);
    let first = host.get(&path).await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let known = host
        .send(
            host.request(Method::GET, &path)
                .header("if-none-match", &tag),
        )
        .await;
    assert_eq!((known.status, &known.body), (304, &json!("")));
    host.post(&format!("/process/{}", ids[0]), json!({}))
        .await
        .ok();
    host.settled(&ids[0]).await;
    let anew = host
        .send(
            host.request(Method::GET, &path)
                .header("if-none-match", &tag),
        )
        .await;
    assert_eq!(anew.status, 200);
    let mut seen = Vec::new();
    let mut next = "/documents?user_id=alice&limit=2".to_owned();
    loop {
        let page = host.get(&next).await.ok();
        seen.extend(page["documents"].as_array().unwrap().iter().map(id));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        next = format!("/documents?user_id=alice&limit=2&cursor={cursor}");
    }
    ids.reverse();
    assert_eq!(seen, ids);
    let before_all_time = "/documents?cursor=LTkyMjMzNzIwMzY4NTQ3NzU4MDc6YQ";
    let refused = host.get(before_all_time).await;
    assert_eq!(refused.code(), (400, "VALIDATION_ERROR"));
    host.stop().await;
}

#[tokio::test]
async fn a_repeated_upload_is_one_document() {
    let host = TestHost::start().await;
    let send = async |key: &str, text: &str| {
        let form = Form::new()
            .text("user_id", "alice")
            .part("file", file(text, "a.txt"));
        let request = host
            .request(Method::POST, "/upload")
            .header("idempotency-key", key.to_owned());
        host.send(request.multipart(form)).await
    };
    let first = send("k1", BIOLOGY).await;
    let again = send("k1", BIOLOGY).await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!(
        send("k1", HISTORY).await.code(),
        (422, "IDEMPOTENCY_KEY_REUSED")
    );
    assert_ne!(
        send("k2", BIOLOGY).await.ok()["document_id"],
        first.body["document_id"]
    );
    let listed = host.get("/documents?user_id=alice").await.ok();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 2);
    host.quiet().await;
    assert_eq!(
        stored(&host.folder().join("blobs/documents/staged")),
        Vec::<PathBuf>::new()
    );
    host.stop().await;
}
