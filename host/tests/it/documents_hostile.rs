//! Files that are made to break their reader, among sound ones, and people who are after others' documents.

use corpus::samples::{BIOLOGY, HISTORY};
use documents::samples::{docx_of, package, pdf as sample};
use futures::StreamExt;
use host::config::backends::Ocr;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::documents::{file, id};
use crate::harness::TestHost;

#[tokio::test]
async fn of_a_batch_each_file_has_its_own_result() {
    let host = TestHost::start().await;
    let form = Form::new()
        .part("file", file(BIOLOGY, "a.txt"))
        .part("file", file(b"\x89PNG\r\n\x1a\n".to_vec(), "b.txt"))
        .part("file", file(docx_of(HISTORY), "../../c\u{202E}.docx"))
        .part("file", file("", "empty.txt"))
        .text("user_id", "alice");
    let batch = host.form("/upload/batch", form).await;
    assert_eq!(batch.status, 207, "{}", batch.body);
    let results = batch.body["documents"].as_array().unwrap();
    let codes: Vec<_> = results
        .iter()
        .map(|result| result["code"].as_str().unwrap_or("taken"))
        .collect();
    assert_eq!(
        codes,
        ["taken", "UNSUPPORTED_MEDIA_TYPE", "taken", "EMPTY_DOCUMENT"]
    );
    assert_eq!(results[2]["filename"], "c.docx");
    for taken in [&results[0], &results[2]] {
        assert_eq!(host.settled(&id(taken)).await["status"], "completed");
    }
    let two = Form::new()
        .part("file", file(BIOLOGY, "a.txt"))
        .part("file", file(BIOLOGY, "b.txt"));
    assert_eq!(
        host.form("/upload", two).await.code(),
        (400, "VALIDATION_ERROR")
    );
    let none = Form::new().text("user_id", "alice");
    assert_eq!(
        host.form("/upload/batch", none).await.code(),
        (400, "VALIDATION_ERROR")
    );
    host.stop().await;
}

#[tokio::test]
async fn nobody_sees_or_changes_another_s_document() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "a.txt", BIOLOGY).await;
    let (id, before) = (id(&document), document["notes"].clone());
    let notes = json!({ "notes": "stolen" });
    for (method, path) in [
        (Method::GET, format!("/document/{id}")),
        (Method::GET, format!("/document/{id}/events")),
        (Method::GET, format!("/document/{id}/notes")),
        (Method::PUT, format!("/document/{id}/notes")),
        (Method::GET, format!("/document/{id}/pages")),
        (Method::POST, format!("/process/{id}")),
        (Method::DELETE, format!("/document/{id}")),
    ] {
        let request = host
            .request(method.clone(), &format!("{path}?user_id=bob"))
            .json(&notes);
        assert_eq!(
            host.send(request).await.code(),
            (404, "DOCUMENT_NOT_FOUND"),
            "{method} {path}"
        );
    }
    for list in [
        "/documents?user_id=bob",
        "/documents/search?user_id=bob&q=cell",
    ] {
        let body = host.get(list).await.ok();
        assert!(
            body["documents"]
                .as_array()
                .or(body["results"].as_array())
                .unwrap()
                .is_empty()
        );
    }
    let after = host.get(&format!("/document/{id}")).await.ok();
    assert_eq!(
        (&after["notes"], &after["status"]),
        (&before, &json!("completed"))
    );
    host.stop().await;
}

#[tokio::test]
async fn hostile_files_end_in_text_or_a_typed_error_beside_sound_ones() {
    let host = TestHost::with("components", |config| config.backends.ocr.what = Ocr::None).await;
    // More than are read. `unpdf` goes through all of them for each.
    let many: Vec<&str> = vec!["A page."; 2_200];
    let half = sample::text(&[BIOLOGY]);
    let half = half[..half.len() / 2].to_vec();
    let files = [
        ("cyclic tree", sample::cyclic_tree(), "CORRUPT_DOCUMENT"),
        ("cyclic form", sample::cyclic_form(), "completed"),
        ("cyclic xref", sample::cyclic_xref(), "completed"),
        ("JBIG2 bomb", sample::jbig2_bomb(), "completed"),
        (
            "300 MiB",
            sample::flate_bomb(300, 2),
            "completed | DOCUMENT_TOO_COMPLEX",
        ),
        (
            "200,000 arrays",
            sample::nested(200_000),
            "completed | CORRUPT_DOCUMENT | DOCUMENT_TOO_COMPLEX",
        ),
        ("2,200 pages", sample::text(&many), "completed"),
        ("truncated", half, "completed | CORRUPT_DOCUMENT"),
        ("zip bomb", package::bomb(70), "DOCUMENT_TOO_COMPLEX"),
        (
            "lying zip bomb",
            package::lying_bomb(70),
            "DOCUMENT_TOO_COMPLEX | CORRUPT_DOCUMENT",
        ),
        ("XML bomb", package::xml_bomb(), "CORRUPT_DOCUMENT"),
        (
            "external entity",
            package::external_entity(),
            "CORRUPT_DOCUMENT",
        ),
        ("template", package::referring("A text."), "completed"),
        ("crowded", package::crowded(20_000), "DOCUMENT_TOO_COMPLEX"),
    ];
    let settle = async |(name, bytes, expected): (&'static str, Vec<u8>, &'static str)| {
        let uploaded = host.upload("mallory", name, bytes).await;
        assert_eq!(uploaded.status, 202, "{name}: {}", uploaded.body);
        let began = std::time::Instant::now();
        let document = host.settled(&id(&uploaded.body)).await;
        let code = document["failure"]["code"].as_str();
        let outcome = code
            .unwrap_or(document["status"].as_str().unwrap())
            .to_owned();
        eprintln!(
            "{name:20} {:>6} ms  {outcome} {}",
            began.elapsed().as_millis(),
            document["warnings"]
        );
        assert!(
            expected.split(" | ").any(|expected| expected == outcome),
            "{name}: {document}"
        );
    };
    futures::stream::iter(files).for_each(settle).await;
    assert_eq!(
        host.processed("alice", "a.txt", BIOLOGY).await["status"],
        "completed"
    );
    assert_eq!(
        host.upload("alice", "a.docx", package::encrypted_office())
            .await
            .code(),
        (422, "ENCRYPTED_DOCUMENT")
    );
    host.stop().await;
}

/// Bytes of this process that are in memory (proc(5)).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Reading alone: without notes, and less what a document of one page takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; alone, with --nocapture"]
async fn a_book_is_read_in_the_sandbox_about_as_fast_as_outside() {
    const PAGES: usize = 120;
    let host = TestHost::start().await;
    let book = |pages| sample::text(&[BIOLOGY, HISTORY].repeat(pages / 2 + 1)[..pages]);
    let native = |file: &[u8]| {
        let began = std::time::Instant::now();
        documents::pdf::read(file, None).unwrap();
        began.elapsed().as_secs_f64()
    };
    let sandbox = async |file: &[u8]| {
        let form = Form::new()
            .text("generate_notes", "false")
            .part("file", file_of(file));
        let began = std::time::Instant::now();
        let uploaded = host.form("/upload", form).await.ok();
        assert_eq!(host.settled(&id(&uploaded)).await["status"], "completed");
        began.elapsed().as_secs_f64()
    };
    let (small, large) = (book(1), book(PAGES));
    sandbox(&small).await;
    let before = resident();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let watch = {
        let done = done.clone();
        std::thread::spawn(move || {
            let mut most = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(resident());
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            most
        })
    };
    sandbox(&large).await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let grown = watch.join().unwrap().saturating_sub(before);
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let outside = native(&large) - native(&small);
        let inside = sandbox(&large).await - sandbox(&small).await;
        println!("{PAGES} pages: {outside:.3} s native, {inside:.3} s in the sandbox");
        ratios.push(inside / outside);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "median ratio {:.2}; grew by {:.1} MB",
        ratios[2],
        grown as f64 / 1e6
    );
    host.stop().await;
}

fn file_of(bytes: &[u8]) -> Part {
    file(bytes, "book.pdf")
}
