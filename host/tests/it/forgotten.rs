//! A document that is deleted leaves nothing of itself, whatever was done with it before: not in a table of
//! any service's or the host's, not in a blob, not in an answer.

use std::path::Path;

use corpus::samples::{BIOLOGY, HISTORY};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestHost, text_of};
use crate::model::Model;
use crate::quiz::{self, deliver, key, quiet, sql};

/// A word that is in the document, its name, and nothing else.
const WORD: &str = "xylophagous";
/// What an index keeps of it.
const STEM: &str = "xylophag";

fn text() -> String {
    format!(
        "{BIOLOGY}\n\nThe {WORD} beetle is a small insect that eats the wood of old houses. The {WORD} beetle \
         lives in oak."
    )
}

/// Tables of all schemas with the word in a row; but the components themselves, which are no learner's.
async fn tables_with_it(host: &TestHost) -> Vec<String> {
    let statement = format!(
        "select table_schema || '.' || table_name from information_schema.tables \
         where table_schema not in ('pg_catalog', 'information_schema') and table_type = 'BASE TABLE' \
         and (table_schema, table_name) <> ('lectern', 'wasm') and strpos(lower(query_to_xml(\
         format('select x::text from %I.%I x', table_schema, table_name), true, false, '')::text), '{STEM}') > 0 \
         order by 1"
    );
    sql(host, statement).await
}

/// Files below a folder with the word in them or in their names.
fn files_with_it(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.extend(files_with_it(&path));
        } else if name.contains(STEM) || has_it(&std::fs::read(&path).unwrap()) {
            found.push(name);
        }
    }
    found
}

fn has_it(bytes: &[u8]) -> bool {
    let word = STEM.as_bytes();
    bytes
        .windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}

/// A POST that is kept to be answered again.
async fn kept(host: &TestHost, path: &str, body: Value) -> Value {
    let request = host.request(Method::POST, path).json(&body);
    let request = request.header("idempotency-key", uuid::Uuid::new_v4().to_string());
    host.send(request).await.ok()
}

async fn upload(host: &TestHost, path: &str, name: &str, text: String) -> Value {
    let file = Part::bytes(text.into_bytes()).file_name(name.to_owned());
    let form = Form::new().part("file", file).text("user_id", "alice");
    let request = host.request(Method::POST, path).multipart(form);
    let request = request.header("idempotency-key", uuid::Uuid::new_v4().to_string());
    host.send(request).await.ok()
}

/// Deletes it, and waits until everybody has heard of that.
async fn delete(host: &TestHost, document: &str) {
    let path = format!("/document/{document}?user_id=alice");
    host.delete(&path).await.ok();
    quiet(host).await;
}

/// Asks about it: all at once, as a stream, and of it beside another.
async fn chat(host: &TestHost, document: &str, other: &str) {
    let ask = |session: &str, message: &str, documents: &[&str]| {
        json!({
            "message": message, "user_id": "alice", "session_id": session,
            "document_context": { "document_ids": documents },
        })
    };
    let question = format!("What does the {WORD} beetle eat?");
    let answer = kept(host, "/chat", ask("hers", &question, &[document])).await;
    assert!(
        answer["response"].as_str().unwrap().contains(WORD),
        "{answer}"
    );
    let both = ask("both", "Which beetle eats wood?", &[other, document]);
    let answer = kept(host, "/chat", both).await;
    assert!(
        answer["response"].as_str().unwrap().contains(WORD),
        "{answer}"
    );
    let request = host
        .request(Method::POST, "/chat")
        .header("accept", "text/event-stream")
        .json(&ask("streamed", &question, &[document]));
    let stream = host.send(request).await.ok();
    let told = stream.as_str().unwrap();
    assert!(
        told.contains(WORD) && told.contains("event: done"),
        "{told}"
    );
}

/// A quiz of these, submitted by who knows all, and one card reviewed.
async fn quiz(host: &TestHost, documents: &[&str]) -> Vec<String> {
    let wanted = json!({
        "document_ids": documents, "user_id": "alice", "num_questions": 50, "quiz_type": "mixed",
    });
    let quiz = kept(host, "/quiz/generate", wanted).await;
    let quiz_id = text_of(&quiz, "quiz_id");
    let card = card(host, &quiz_id).await;
    let said = key(host, &quiz).await;
    let body = json!({ "quiz_id": quiz_id, "user_id": "alice", "answers": said });
    let graded = kept(host, "/quiz/submit", body).await;
    assert_eq!(graded["score"], 100);
    let body = json!({ "card_id": card, "user_id": "alice", "answer": WORD });
    let reviewed = kept(host, "/review/answer", body).await;
    assert!(reviewed.to_string().contains(WORD), "{reviewed}");
    vec![
        format!("/quiz/{quiz_id}"),
        format!("/quiz/submissions/{}", text_of(&graded, "submission_id")),
    ]
}

/// The card that will be of a question about the beetle.
async fn card(host: &TestHost, quiz: &str) -> String {
    let about = sql(
        host,
        format!(
            "select quiz_id || '.q' || ordinal from quiz.quiz_questions \
             where quiz_id = '{quiz}' and source->>'quote' like '%{WORD}%' order by ordinal"
        ),
    );
    let about = about.await;
    let first = about.into_iter().next();
    first.expect("a question about the beetle")
}

/// All answers that could tell of it.
async fn answers_with_it(host: &TestHost, document: &str, more: &[String]) -> Vec<String> {
    let document =
        ["", "/events", "/notes", "/pages"].map(|what| format!("/document/{document}{what}"));
    let sessions = ["hers", "both", "streamed"]
        .into_iter()
        .flat_map(|session| {
            [
                format!("/chat/history/{session}"),
                format!("/chat/sessions/{session}/export?format=json"),
                format!("/chat/sessions/{session}/export?format=markdown"),
            ]
        });
    let lists = [
        "/chat/sessions",
        "/chat/sessions?q=beetle",
        "/documents",
        "/documents/search?q=beetle",
        "/quiz/history",
        "/quiz/analytics",
        "/quizzes",
        "/review/due",
        "/review/export",
        "/review/export?format=json",
    ];
    let lists = lists.map(ToOwned::to_owned);
    let all = document.iter().cloned().chain(sessions).chain(lists);
    let mut found = Vec::new();
    for path in all.chain(more.iter().cloned()) {
        let mark = if path.contains('?') { '&' } else { '?' };
        let answer = host.get(&format!("{path}{mark}user_id=alice")).await;
        if has_it(answer.body.to_string().as_bytes()) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn of_a_deleted_document_nothing_is_left_anywhere() {
    let host = TestHost::start().await;
    let uploaded = upload(&host, "/upload", &format!("{WORD}.txt"), text()).await;
    let document = text_of(&uploaded, "document_id");
    let other = upload(&host, "/upload", "other.txt", HISTORY.to_owned()).await;
    let other = text_of(&other, "document_id");
    for document in [&document, &other] {
        assert_eq!(host.settled(document).await["status"], "completed");
    }
    quiet(&host).await;
    chat(&host, &document, &other).await;
    let mut paths = quiz(&host, &[&document]).await;
    paths.extend(quiz(&host, &[&other, &document]).await);
    quiet(&host).await;

    // It was in all of these.
    let tables = tables_with_it(&host).await;
    for table in [
        "chat.chat_messages",
        "chat.chat_sessions",
        "chat.document_words",
        "chat.idempotency",
        "chat.passages",
        "documents.documents",
        "documents.idempotency",
        "documents.pieces",
        "quiz.idempotency",
        "quiz.passages",
        "quiz.quiz_questions",
        "quiz.quiz_submissions",
        "quiz.review_cards",
    ] {
        assert!(
            tables.iter().any(|found| found == table),
            "{table}: {tables:?}"
        );
    }
    let blobs = host.folder().join("blobs");
    assert_eq!(files_with_it(&blobs).len(), 2);
    assert!(answers_with_it(&host, &document, &paths).await.len() > 15);

    delete(&host, &document).await;
    assert_eq!(tables_with_it(&host).await, Vec::<String>::new());
    assert_eq!(files_with_it(&blobs), Vec::<String>::new());
    assert_eq!(
        answers_with_it(&host, &document, &paths).await,
        Vec::<String>::new()
    );
    // The other is there, and what was scored.
    assert_eq!(
        host.get(&format!("/document/{other}")).await.ok()["status"],
        "completed"
    );
    let history = host.get("/quiz/history?user_id=alice").await.ok();
    assert_eq!(history["quizzes"].as_array().unwrap().len(), 2);
    host.stop().await;
}

#[tokio::test]
async fn of_a_deleted_batch_s_file_nothing_is_left_either() {
    let host = TestHost::start().await;
    let batch = upload(&host, "/upload/batch", &format!("{WORD}.txt"), text()).await;
    let document = text_of(&batch["documents"][0], "document_id");
    host.settled(&document).await;
    quiet(&host).await;
    assert!(!tables_with_it(&host).await.is_empty());
    delete(&host, &document).await;
    assert_eq!(tables_with_it(&host).await, Vec::<String>::new());
    assert_eq!(
        files_with_it(&host.folder().join("blobs")),
        Vec::<String>::new()
    );
    host.stop().await;
}

/// Says of the document what stands there, and later, without it, the same again.
fn parrot(request: &Value) -> Option<String> {
    let messages = request["messages"].as_array().unwrap();
    let asked = messages.last().unwrap()["content"].as_str().unwrap();
    let system = messages[0]["content"].as_str().unwrap();
    if !system.starts_with("You help a learner.") {
        return None;
    }
    let said = match asked.contains("again") {
        true => format!("As I said, the {WORD} beetle."),
        false => {
            format!("The {WORD} beetle is a small insect that eats the wood of old houses [1].")
        }
    };
    Some(said)
}

#[tokio::test]
async fn what_a_model_says_again_without_the_document_goes_with_it() {
    let model = Model::start(parrot).await;
    let host = model.host().await;
    let document = host.processed("alice", "a.txt", text()).await;
    let document = text_of(&document, "document_id");
    quiet(&host).await;
    let ask =
        |message: &str| json!({ "message": message, "user_id": "alice", "session_id": "hers" });
    let mut about = ask("Which beetle eats wood?");
    about["document_context"] = json!({ "document_id": document });
    for question in [about, ask("Say that again."), ask("And again?")] {
        let answer = kept(&host, "/chat", question).await;
        assert!(
            answer["response"].as_str().unwrap().contains(WORD),
            "{answer}"
        );
    }
    delete(&host, &document).await;
    assert_eq!(tables_with_it(&host).await, Vec::<String>::new());
    let history = host.get("/chat/history/hers?user_id=alice").await.ok();
    assert!(!has_it(history.to_string().as_bytes()), "{history}");
    // The session goes on.
    let answer = host.post("/chat", ask("Hello again")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    host.stop().await;
}

#[tokio::test]
async fn a_text_that_went_before_it_was_read_holds_up_no_deletion() {
    let host = TestHost::start().await;
    let document = quiz::document(&host, "alice", &text()).await;
    // As of a second run, whose text is gone when the others hear of it.
    let processed = json!({
        "schema_version": 1, "document_id": document, "tenant": "", "user_id": "alice", "filename": "lesson.txt",
        "status": "completed", "page_count": null, "text_key": format!("text/{document}/2.json"),
    });
    let event = |number: u8| format!("00000000-0000-4000-8000-0000000000d{number}");
    deliver(&host, &event(1), "document.processed", &processed).await;
    quiet(&host).await;
    // What they know of it stays until they are told.
    let asked = json!({
        "message": format!("What does the {WORD} beetle eat?"), "user_id": "alice",
        "document_context": { "document_id": document },
    });
    let answer = host.post("/chat", asked).await.ok();
    assert!(
        answer["response"].as_str().unwrap().contains(WORD),
        "{answer}"
    );
    let gone =
        json!({ "schema_version": 1, "document_id": document, "tenant": "", "user_id": "alice" });
    deliver(&host, &event(2), "document.processed", &processed).await;
    deliver(&host, &event(3), "document.deleted", &gone).await;
    quiet(&host).await;
    let statuses = "select status from chat.shelf union all select status from quiz.shelf";
    assert_eq!(host.sql(statuses).await, ["deleted", "deleted"]);
    let left = "select body from chat.passages union all select body from quiz.passages union all \
                select topic from lectern.dead_letters";
    assert_eq!(host.sql(left).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn dead_letters_go_when_they_are_old() {
    let host = TestHost::start().await;
    host.sql(
        "insert into lectern.dead_letters (consumer, event_id, topic, key, payload, occurred_at, attempts, reason, died_at) \
         select 'chat', gen_random_uuid(), 'document.processed', age::text, '{}', now(), 5, 'trap', \
         now() - make_interval(days => age) from generate_series(29, 12031, 2) age returning key",
    )
    .await;
    // The clock looks when it begins, and every hour.
    let host = host.restart().await;
    let left = async {
        while host.sql("select key from lectern.dead_letters").await != ["29"] {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let gone = tokio::time::timeout(PATIENCE, left).await;
    assert!(gone.is_ok(), "old dead letters are still there");
    host.stop().await;
}
