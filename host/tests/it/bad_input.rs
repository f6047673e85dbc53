//! What clients get wrong, and what they send on purpose: typed errors, and a host that goes on.

use corpus::samples::BIOLOGY;
use futures::StreamExt;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{Answer, TestHost, pdf};

#[tokio::test]
async fn bodies_that_are_not_the_contract_s_are_refused() {
    let host = TestHost::start().await;
    for (path, body, code) in [
        ("/chat", "{}", "VALIDATION_ERROR"),
        ("/chat", "{\"message\": 5}", "VALIDATION_ERROR"),
        ("/chat", "{\"message\": \"\"}", "VALIDATION_ERROR"),
        ("/chat", "{\"message\"", "MALFORMED_JSON"),
        ("/chat", "", "MALFORMED_JSON"),
        ("/chat", "[1]", "VALIDATION_ERROR"),
        ("/quiz/generate", "{}", "VALIDATION_ERROR"),
        (
            "/quiz/generate",
            "{\"document_id\":\"d\",\"num_questions\":-1}",
            "VALIDATION_ERROR",
        ),
        (
            "/quiz/generate",
            "{\"document_id\":\"d\",\"difficulty\":\"insane\"}",
            "VALIDATION_ERROR",
        ),
        ("/quiz/submit", "{\"quiz_id\":\"q\"}", "VALIDATION_ERROR"),
        (
            "/quiz/submit",
            "{\"quiz_id\":\"q\",\"answers\":[]}",
            "VALIDATION_ERROR",
        ),
        ("/upload", "no form", "VALIDATION_ERROR"),
    ] {
        let answer = host.send(host.request(Method::POST, path).body(body)).await;
        assert_eq!(answer.code(), (400, code), "{path} {body}");
    }
    let deep = format!(
        "{{\"message\":\"x\",\"more\":{}{}}}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let answer = host
        .send(host.request(Method::POST, "/chat").body(deep))
        .await;
    assert_eq!(
        answer.status, 200,
        "an unknown member is skipped, however deep"
    );
    host.stop().await;
}

#[tokio::test]
async fn unknown_things_are_not_found_with_a_code_of_their_own() {
    let host = TestHost::start().await;
    for (path, code) in [
        ("/document/none", "DOCUMENT_NOT_FOUND"),
        ("/chat/history/none", "SESSION_NOT_FOUND"),
        ("/quiz/none", "QUIZ_NOT_FOUND"),
        ("/nothing", "NOT_FOUND"),
        ("/chat/nothing/here", "NOT_FOUND"),
    ] {
        assert_eq!(host.get(path).await.code(), (404, code), "{path}");
    }
    assert_eq!(host.get("/chat").await.code(), (405, "METHOD_NOT_ALLOWED"));
    let chat = json!({ "message": "x", "document_context": { "document_id": "none" } });
    assert_eq!(
        host.post("/chat", chat).await.code(),
        (404, "DOCUMENT_NOT_FOUND")
    );
    host.stop().await;
}

#[tokio::test]
async fn files_are_judged_by_content_not_by_name() {
    let host = TestHost::start().await;
    for (name, bytes, code) in [
        (
            "notes.pdf",
            &b"PK\x03\x04not a pdf"[..],
            (415, "UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            "notes.txt",
            b"\x89PNG\r\n\x1a\n....",
            (415, "UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            "notes.txt",
            b"binary\0\0\0",
            (415, "UNSUPPORTED_MEDIA_TYPE"),
        ),
        ("notes.txt", b"", (422, "EMPTY_DOCUMENT")),
    ] {
        assert_eq!(
            host.upload("alice", name, bytes).await.code(),
            code,
            "{name}"
        );
    }
    assert_eq!(
        host.get("/documents?user_id=alice").await.ok()["documents"],
        json!([]),
        "something is half stored"
    );
    let mislabelled = host.processed("alice", "really.txt", pdf(&[BIOLOGY])).await;
    assert_eq!(
        (&mislabelled["status"], &mislabelled["page_count"]),
        (&json!("completed"), &json!(1))
    );
    let named = host
        .upload("alice", "../../etc/\u{202E}passwd.txt", "Some text.")
        .await
        .ok();
    assert_eq!(named["filename"], "passwd.txt");
    host.stop().await;
}

async fn assert_unreadable(host: &TestHost, document: &Value) {
    let context = json!({ "document_id": document["document_id"] });
    let chat = json!({ "message": "x", "user_id": "alice", "document_context": context });
    let answer = host.post("/chat", chat).await;
    assert_eq!(answer.code(), (422, "DOCUMENT_UNREADABLE"), "{document}");
}

#[tokio::test]
async fn documents_that_cannot_be_read_fail_with_their_reason() {
    let host = TestHost::start().await;
    let whole = pdf(&[BIOLOGY]);
    let mut encrypted = String::from_utf8(whole.clone()).unwrap();
    encrypted = encrypted.replace(
        "/Root 1 0 R >>",
        "/Root 1 0 R /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>] \
         /Encrypt << /Filter /Standard /V 1 /R 2 /P -44 \
         /O <00000000000000000000000000000000000000000000000000000000000000ff> \
         /U <00000000000000000000000000000000000000000000000000000000000000ff> >> >>",
    );
    for (name, bytes, codes) in [
        (
            "encrypted.pdf",
            encrypted.into_bytes(),
            &["ENCRYPTED_DOCUMENT"][..],
        ),
        (
            "cut.pdf",
            b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog".to_vec(),
            &["CORRUPT_DOCUMENT", "NO_TEXT"],
        ),
        (
            "cyclic.pdf",
            cyclic(),
            &["CORRUPT_DOCUMENT", "NO_TEXT", "DOCUMENT_TOO_COMPLEX"],
        ),
    ] {
        let document = host.processed("alice", name, bytes).await;
        assert_eq!(document["status"], "failed", "{name} {document}");
        let code = document["failure"]["code"].as_str().unwrap();
        assert!(codes.contains(&code), "{name}: {code}");
        assert_unreadable(&host, &document).await;
    }
    // What reads and says nothing is no failure; there is nothing to be asked of it either.
    for (name, bytes) in [
        ("blank.pdf", pdf(&[""])),
        ("spaces.txt", b"  \n \n".to_vec()),
    ] {
        let document = host.processed("alice", name, bytes).await;
        assert_eq!(document["status"], "completed", "{name} {document}");
        assert_eq!(document["warnings"][0]["code"], "NO_TEXT", "{document}");
        assert_unreadable(&host, &document).await;
    }
    // The xref table is wrong, and the file reads all the same.
    let moved = [b"%PDF-1.4\n% moved\n", &whole[9..]].concat();
    assert_eq!(
        host.processed("alice", "moved.pdf", moved).await["status"],
        "completed"
    );
    host.stop().await;
}

/// A page tree that contains itself.
fn cyclic() -> Vec<u8> {
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n\
      2 0 obj\n<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>\nendobj\n\
      trailer\n<< /Root 1 0 R >>\n%%EOF\n"
        .to_vec()
}

#[tokio::test]
async fn forms_that_are_broken_or_too_much_store_nothing() {
    let host = TestHost::start().await;
    let send = async |form: Form| {
        host.send(host.request(Method::POST, "/upload").multipart(form))
            .await
    };
    let file = || Part::bytes(BIOLOGY.as_bytes().to_vec()).file_name("a.txt");
    assert_eq!(
        send(Form::new().text("user_id", "alice")).await.code().0,
        400
    );
    assert_eq!(
        send(Form::new().part("file", file()).part("file", file()))
            .await
            .code()
            .0,
        400
    );
    assert_eq!(
        send(
            Form::new()
                .part("file", file())
                .text("generate_notes", "maybe")
        )
        .await
        .code()
        .0,
        400
    );
    assert_eq!(
        send(Form::new().part("file", file()).text("user_id", "a\nb"))
            .await
            .code()
            .0,
        400
    );
    let many = (0..100).fold(Form::new(), |form, at| form.text(format!("f{at}"), "x"));
    assert_eq!(send(many).await.code().0, 400);
    let cut =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhalf a";
    let request = host
        .request(Method::POST, "/upload")
        .header("content-type", "multipart/form-data; boundary=b");
    assert_eq!(host.send(request.body(cut)).await.code().0, 400);
    assert_eq!(
        host.get("/documents?user_id=anonymous").await.ok()["documents"],
        json!([])
    );
    let without = Form::new()
        .part("file", file())
        .text("generate_notes", "false")
        .text("user_id", "alice");
    let id = send(without).await.ok()["document_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(host.settled(&id).await["notes"], serde_json::Value::Null);
    host.stop().await;
}

#[tokio::test]
async fn too_large_a_body_is_refused_before_it_is_read() {
    let host = TestHost::start().await;
    let request = host
        .request(Method::POST, "/upload")
        .header("content-length", (200u64 << 20).to_string());
    let answer = host
        .send(
            request
                .header("content-type", "multipart/form-data; boundary=b")
                .body(""),
        )
        .await;
    assert_eq!(answer.code(), (413, "PAYLOAD_TOO_LARGE"));
    let answer = host
        .send(
            host.request(Method::POST, "/chat")
                .body(vec![b' '; 2 << 20]),
        )
        .await;
    assert_eq!(answer.code(), (413, "PAYLOAD_TOO_LARGE"));
    // Without a length, it is cut off at the limit.
    let chunks =
        futures::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])));
    let answer = host
        .send(
            host.request(Method::POST, "/chat")
                .body(reqwest::Body::wrap_stream(chunks)),
        )
        .await;
    assert_eq!(answer.code(), (413, "PAYLOAD_TOO_LARGE"));
    host.stop().await;
}

#[tokio::test]
async fn what_no_database_can_hold_is_the_contract_s_error() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "a.txt", BIOLOGY).await;
    let id = document["document_id"].as_str().unwrap();
    let context = |context: Value| json!({ "message": "hi", "document_context": context });
    for (path, body) in [
        ("/chat", context(json!({ "document_id": "a\0b" }))),
        ("/chat", context(json!({ "relevant_text": "a\0b" }))),
        ("/quiz/submit", json!({ "quiz_id": "\0", "answers": {} })),
        (
            "/quiz/submit",
            json!({ "quiz_id": "a", "answers": { "q1": "\0" } }),
        ),
        (
            "/quiz/generate",
            json!({ "document_id": id, "user_id": "a\0" }),
        ),
    ] {
        let answer = host.post(path, body).await;
        assert_eq!(answer.code(), (400, "VALIDATION_ERROR"), "{path}");
    }
    for path in ["/document/%FF", "/quiz/%FF", "/chat/history/%E0%80"] {
        assert_eq!(
            host.get(path).await.code(),
            (400, "VALIDATION_ERROR"),
            "{path}"
        );
    }
    // 254 bytes: as long as a user may be called.
    let long = "ä".repeat(127);
    assert_eq!(
        host.processed(&long, "a.txt", BIOLOGY).await["status"],
        "completed"
    );
    host.stop().await;
}

#[tokio::test]
async fn the_largest_document_harms_no_request_beside_it() {
    let host = TestHost::start().await;
    let line = "细胞膜是细胞的边界，它把细胞的内部和外部分开。";
    let text = line.repeat((14 << 20) / line.len());
    let document = host.processed("alice", "big.txt", text.clone()).await;
    assert_eq!(
        (&document["status"], &document["truncated"]),
        (&json!("completed"), &json!(true))
    );
    let kept = document["extracted_text"].as_str().unwrap();
    assert!(text.starts_with(kept) && kept.len() > 11 << 20);
    let path = format!("/document/{}", document["document_id"].as_str().unwrap());
    let reads = futures::future::join_all((0..12).map(|_| host.get(&path)));
    let uploads = futures::future::join_all((0..4).map(|_| host.upload("bob", "a.txt", BIOLOGY)));
    let (reads, uploads) = tokio::join!(reads, uploads);
    assert!(
        reads
            .iter()
            .all(|read| read.status == 200 && read.body["extracted_text"] == kept)
    );
    assert!(uploads.iter().all(|upload| upload.status == 202));
    let asked = json!({
        "message": "细胞膜是什么？", "user_id": "alice",
        "document_context": { "document_id": document["document_id"] },
    });
    let answers = futures::future::join_all((0..4).map(|_| host.post("/chat", asked.clone())));
    for answer in answers.await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    host.stop().await;
}

#[tokio::test]
async fn bytes_that_the_disk_has_changed_fail_the_document_and_not_the_service() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "a.txt", BIOLOGY).await;
    let key = document["s3_key"].as_str().unwrap();
    let stored = host.folder().join(format!("blobs/documents/{key}~blob"));
    let mut bytes = std::fs::read(&stored).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&stored, bytes).unwrap();
    let id = document["document_id"].as_str().unwrap();
    host.post(&format!("/process/{id}"), json!({})).await.ok();
    let again = host.settled(id).await;
    assert_eq!(
        (&again["status"], &again["failure"]["code"]),
        (&json!("completed"), &json!("CORRUPT_DOCUMENT")),
        "{again}"
    );
    // What was read before is still there to be read.
    assert_eq!(again["extracted_text"], document["extracted_text"]);
    host.stop().await;
}

/// A request whose body begins like that, and never ends.
async fn stalled(host: &TestHost, path: &str, kind: &str, begin: &'static str) -> Answer {
    let begin = futures::stream::iter([Ok::<_, std::io::Error>(begin)]);
    let body = reqwest::Body::wrap_stream(begin.chain(futures::stream::pending()));
    let request = host.request(Method::POST, path);
    host.send(request.header("content-type", kind).body(body))
        .await
}

#[tokio::test]
async fn a_body_that_stalls_is_cut_off_and_holds_up_nobody() {
    let host = TestHost::start().await;
    let (form, json) = ("multipart/form-data; boundary=x", "application/json");
    let file = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc";
    let many = futures::future::join_all((0..100).map(|_| stalled(&host, "/upload", form, file)));
    // What the host reads itself.
    let url = "{\"url\": ";
    let webhook = stalled(&host, "/webhooks", json, url);
    let speech = stalled(&host, "/v1/audio/speech", json, "{\"input\": ");
    let recording = stalled(&host, "/v1/audio/transcriptions", form, file);
    let meanwhile = async {
        assert_eq!(host.get("/documents/health").await.status, 200);
        assert_eq!(host.upload("bob", "a.txt", BIOLOGY).await.status, 202);
    };
    let (ended, webhook, speech, recording, ()) =
        tokio::join!(many, webhook, speech, recording, meanwhile);
    for answer in ended.iter().chain([&webhook]) {
        assert_eq!(answer.code(), (408, "REQUEST_TIMEOUT"));
    }
    for answer in [speech, recording] {
        assert_eq!(
            (answer.status, &answer.body["error"]["code"]),
            (408, &json!("REQUEST_TIMEOUT")),
            "{}",
            answer.body
        );
    }
    host.stop().await;
}
