//! Quizzes as learners, other services and those who would cheat see them.

use std::collections::BTreeMap;

use corpus::samples::{BIOLOGY, HISTORY};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::harness::{PATIENCE, TestHost, data_dir, database, pdf};
use crate::process;

/// A statement as the administrator; its first column.
pub(crate) async fn sql(host: &TestHost, statement: String) -> Vec<String> {
    host.sql(Box::leak(statement.into_boxed_str())).await
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Gives an event to its consumers, as the relay does.
pub(crate) async fn deliver(host: &TestHost, id: &str, topic: &str, payload: &Value) {
    let statement = format!(
        "insert into lectern.inbox (consumer, event_id, topic, key, payload, occurred_at) \
         select consumer, {}::uuid, topic, 'k', {}::jsonb, now() from lectern.subscriptions where topic = {} \
         returning consumer",
        literal(id),
        literal(&payload.to_string()),
        literal(topic)
    );
    let consumers = sql(host, statement).await;
    assert!(consumers.contains(&"quiz".to_owned()), "{consumers:?}");
    host.sql("select pg_notify('lectern_inbox', '')::text")
        .await;
}

/// Waits until no event is under way.
pub(crate) async fn quiet(host: &TestHost) {
    let done = async {
        let left = "select count(*)::text from lectern.inbox union all select count(*)::text from lectern.outbox";
        while host.sql(left).await != ["0", "0"] {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap();
}

/// What keeps every published payload for the test.
const REMEMBER: [&str; 4] = [
    "create table lectern.seen (topic text, payload text)",
    "create function lectern.see() returns trigger language plpgsql security definer as \
     $$ begin insert into lectern.seen values (new.topic, new.payload::text); return new; end $$",
    "create trigger see after insert on lectern.outbox for each row execute function lectern.see()",
    "select 'ready'",
];

async fn remember_events(host: &TestHost) {
    for statement in REMEMBER {
        host.sql(statement).await;
    }
}

async fn told(host: &TestHost) -> Vec<Value> {
    let payloads = host
        .sql("select payload from lectern.seen where topic = 'quiz.generated' order by payload")
        .await;
    payloads
        .iter()
        .map(|payload| serde_json::from_str(payload).unwrap())
        .collect()
}

pub(crate) async fn document(host: &TestHost, user: &str, text: &str) -> String {
    let document = host.processed(user, "lesson.txt", text).await;
    quiet(host).await;
    document["document_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn generate(host: &TestHost, body: Value) -> Value {
    let answer = host.post("/quiz/generate", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

/// The key, by question, as the database has it.
pub(crate) async fn key(host: &TestHost, quiz: &Value) -> Map<String, Value> {
    let statement = format!(
        "select jsonb_object_agg('q' || ordinal, correct_answer)::text from quiz.quiz_questions where quiz_id = {}",
        literal(quiz["quiz_id"].as_str().unwrap())
    );
    serde_json::from_str(&sql(host, statement).await[0]).unwrap()
}

pub(crate) async fn submit(host: &TestHost, quiz: &Value, answers: Map<String, Value>) -> Value {
    let body = json!({ "quiz_id": quiz["quiz_id"], "user_id": "alice", "answers": answers });
    host.post("/quiz/submit", body).await.ok()
}

#[tokio::test]
async fn a_quiz_of_every_type_is_made_taken_and_listed() {
    let host = TestHost::start().await;
    let id = document(&host, "alice", &format!("{BIOLOGY}\n{HISTORY}")).await;
    for quiz_type in ["multiple_choice", "true_false", "short_answer", "mixed"] {
        for difficulty in ["easy", "medium", "hard"] {
            let quiz = generate(
                &host,
                json!({ "document_id": id, "user_id": "alice", "num_questions": 6, "quiz_type": quiz_type, "difficulty": difficulty }),
            )
            .await;
            let questions = quiz["questions"].as_array().unwrap();
            assert_eq!(questions.len(), 6, "{quiz}");
            for question in questions {
                let options = question["options"].as_array().unwrap().len();
                let expected = match question["type"].as_str().unwrap() {
                    "multiple_choice" => 4,
                    "true_false" => 2,
                    _ => 0,
                };
                assert_eq!(options, expected, "{question}");
            }
            let graded = submit(&host, &quiz, key(&host, &quiz).await).await;
            assert_eq!(
                (&graded["score"], &graded["correct_answers"]),
                (&json!(100), &json!(6)),
                "{graded}"
            );
        }
    }
    pages(&host, "/quiz/history?user_id=alice", 12).await;
    pages(&host, "/quizzes?user_id=alice", 12).await;
    let known = host.get("/quiz/analytics?user_id=alice").await.ok();
    assert_eq!(
        (&known["answered"], &known["accuracy"]),
        (&json!(72), &json!(1.0)),
        "{known}"
    );
    assert_eq!(known["by_type"].as_array().unwrap().len(), 3);
    assert_eq!(known["by_difficulty"].as_array().unwrap().len(), 3);
    assert_eq!(known["by_document"][0]["document_id"], id);
    assert_eq!(known["over_time"].as_array().unwrap().len(), 1);
    // The topics are the terms of the document's notes.
    let terms = sql(
        &host,
        format!(
            "select terms::text from quiz.shelf where document_id = {}",
            literal(&id)
        ),
    )
    .await;
    let terms: Vec<String> = serde_json::from_str(&terms[0]).unwrap();
    let topics = known["by_topic"].as_array().unwrap();
    assert!(!terms.is_empty() && topics.len() > 2, "{known}");
    for topic in topics {
        assert!(
            terms.contains(&topic["topic"].as_str().unwrap().to_owned()),
            "{topic}"
        );
    }
    host.stop().await;
}

/// Goes through a list a page at a time.
async fn pages(host: &TestHost, path: &str, all: usize) {
    let name = "quizzes";
    let whole = host.get(path).await.ok();
    let whole = whole[name].as_array().unwrap();
    assert_eq!(whole.len(), all);
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = host.get(&format!("{path}&limit=5{cursor}")).await;
        let linked = page.headers.contains_key("link");
        let page = page.ok();
        found.extend(page[name].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert!(linked);
    }
    assert_eq!(&found, whole);
}

#[tokio::test]
async fn a_quiz_of_several_documents_names_the_source_of_each_question() {
    let host = TestHost::start().await;
    let first = document(&host, "alice", BIOLOGY).await;
    let second = host.processed("alice", "b.pdf", pdf(&[HISTORY])).await;
    let second = second["document_id"].as_str().unwrap().to_owned();
    quiet(&host).await;
    let quiz = generate(
        &host,
        json!({ "document_ids": [first, second, first], "user_id": "alice", "num_questions": 6, "quiz_type": "mixed" }),
    )
    .await;
    assert_eq!(quiz["document_id"], first);
    assert_eq!(quiz["document_ids"], json!([first, second]));
    let graded = submit(&host, &quiz, key(&host, &quiz).await).await;
    let mut sources: BTreeMap<String, usize> = BTreeMap::new();
    for result in graded["results"].as_array().unwrap() {
        let source = &result["source"];
        let id = source["document_id"].as_str().unwrap();
        *sources.entry(id.to_owned()).or_default() += 1;
        let text = host
            .get(&format!("/document/{id}?user_id=alice"))
            .await
            .ok();
        let text: Vec<char> = text["extracted_text"].as_str().unwrap().chars().collect();
        let at = |name: &str| usize::try_from(source[name].as_u64().unwrap()).unwrap();
        let slice: String = text[at("start")..at("end")].iter().collect();
        assert_eq!(source["quote"], slice);
    }
    assert_eq!(sources, BTreeMap::from([(first.clone(), 3), (second, 3)]));
    for (body, code) in [
        (
            json!({ "document_ids": [first, "none"], "user_id": "alice" }),
            (404, "DOCUMENT_NOT_FOUND"),
        ),
        (
            json!({ "document_ids": [], "user_id": "alice" }),
            (400, "VALIDATION_ERROR"),
        ),
        (
            json!({ "document_ids": vec!["x"; 1_000].iter().enumerate().map(|(at, x)| format!("{x}{at}")).collect::<Vec<_>>() }),
            (400, "VALIDATION_ERROR"),
        ),
    ] {
        assert_eq!(host.post("/quiz/generate", body).await.code(), code);
    }
    host.stop().await;
}

#[tokio::test]
async fn a_quiz_that_is_requested_by_an_event_is_made_once_and_told_of() {
    let host = TestHost::start().await;
    remember_events(&host).await;
    let id = document(&host, "alice", BIOLOGY).await;
    let event = "00000000-0000-4000-8000-000000000001";
    let request = json!({
        "quiz_id": "mine", "request_id": "r1", "document_id": id, "user_id": "alice", "num_questions": 3,
        "difficulty": "easy", "quiz_type": "short_answer",
    });
    // Whoever delivers at least once delivers twice.
    for _ in 0..2 {
        deliver(&host, event, "quiz.requested", &request).await;
        quiet(&host).await;
    }
    let told_of = told(&host).await;
    assert_eq!(told_of.len(), 1, "{told_of:?}");
    let made = &told_of[0];
    assert_eq!(
        (&made["status"], &made["quiz_id"], &made["request_id"]),
        (&json!("completed"), &json!("mine"), &json!("r1"))
    );
    assert_eq!(
        (&made["num_questions"], &made["tenant"]),
        (&json!(3), &json!(""))
    );
    let quiz = host.get("/quiz/mine?user_id=alice").await.ok();
    assert_eq!(quiz["total_questions"], 3);

    for (number, change, code) in [
        (2, json!({}), "QUIZ_EXISTS"),
        (
            3,
            json!({ "quiz_id": "x", "num_questions": 0 }),
            "VALIDATION_ERROR",
        ),
        (
            4,
            json!({ "quiz_id": "x", "difficulty": "insane" }),
            "VALIDATION_ERROR",
        ),
        (5, json!({ "quiz_id": "../x" }), "VALIDATION_ERROR"),
        (
            6,
            json!({ "quiz_id": "x", "user_id": "bob" }),
            "DOCUMENT_NOT_FOUND",
        ),
    ] {
        let mut request = request.clone();
        request
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        request["request_id"] = json!(format!("r{number}"));
        let event = format!("00000000-0000-4000-8000-00000000000{number}");
        deliver(&host, &event, "quiz.requested", &request).await;
        quiet(&host).await;
        let told_of = told(&host).await;
        let of_request = told_of
            .iter()
            .find(|told| told["request_id"] == request["request_id"]);
        let of_request = of_request.unwrap_or_else(|| panic!("{number}: {told_of:?}"));
        assert_eq!(
            (&of_request["status"], &of_request["code"]),
            (&json!("failed"), &json!(code))
        );
    }
    assert!(
        host.sql("select topic from lectern.dead_letters")
            .await
            .is_empty()
    );
    assert_eq!(
        host.get("/quizzes?user_id=alice").await.ok()["quizzes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    host.stop().await;
}

/// Uploads a document past the harness, to a host that is a process of its own.
async fn uploaded(client: &reqwest::Client, base: &str) -> String {
    let file = reqwest::multipart::Part::bytes(BIOLOGY.as_bytes().to_vec()).file_name("a.txt");
    let form = reqwest::multipart::Form::new()
        .part("file", file)
        .text("user_id", "alice");
    let upload = client.post(format!("{base}/upload")).multipart(form);
    let uploaded: Value = upload.send().await.unwrap().json().await.unwrap();
    uploaded["document_id"].as_str().unwrap().to_owned()
}

/// Everything that a learner can be told of a quiz that they have not answered.
async fn told_before(
    client: &reqwest::Client,
    base: &str,
    document: &str,
    quiz_type: &str,
) -> Vec<String> {
    let body = json!({ "document_id": document, "user_id": "alice", "num_questions": 6, "quiz_type": quiz_type });
    let made = loop {
        let asked = client.post(format!("{base}/quiz/generate")).json(&body);
        let answer = asked.send().await.unwrap();
        if answer.status() == 201 {
            break answer.json::<Value>().await.unwrap();
        }
    };
    let quiz = made["quiz_id"].as_str().unwrap();
    let mut told = vec![made.to_string()];
    for path in [
        format!("/quiz/{quiz}?user_id=alice"),
        format!("/quiz/{quiz}"),
        format!("/quiz/submissions/{quiz}"),
        "/quizzes?user_id=alice".into(),
        "/quiz/history?user_id=alice".into(),
        "/quiz/analytics?user_id=alice".into(),
        "/review/due?user_id=alice".into(),
        "/review/export?user_id=alice".into(),
        "/review/export?user_id=alice&format=json".into(),
    ] {
        let answer = client.get(format!("{base}{path}")).send().await.unwrap();
        told.push(answer.text().await.unwrap());
    }
    let wrong = json!({ "quiz_id": quiz, "user_id": "alice", "answers": { "q99": "x" } });
    let submit = client.post(format!("{base}/quiz/submit")).json(&wrong);
    let answer = submit.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    told.push(answer.text().await.unwrap());
    told
}

#[tokio::test]
async fn the_key_stays_until_the_answers_are_in() {
    let folder = data_dir();
    let host = process::start(folder.path(), "", &[]).await;
    let client = reqwest::Client::new();
    let mut all = Vec::new();
    let mut connection = database(folder.path(), "lectern").await;
    for statement in REMEMBER {
        let done = sqlx::query(statement).execute(&mut connection).await;
        done.unwrap();
    }
    let document = uploaded(&client, &host.base).await;
    for quiz_type in ["multiple_choice", "true_false", "short_answer", "mixed"] {
        all.extend(told_before(&client, &host.base, &document, quiz_type).await);
    }
    let published: Vec<String> =
        sqlx::query_scalar("select payload from lectern.seen where topic like 'quiz.%'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(published.len(), 4);
    all.extend(published);
    let secrets: Vec<String> = sqlx::query_scalar("select explanation from quiz.quiz_questions")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(secrets.len() > 20, "{secrets:?}");
    // A model answer is a sentence's part, and the sentence may be asked about in another quiz.
    let answers: Vec<(String, String)> = sqlx::query_as(
        "select quiz_id, correct_answer from quiz.quiz_questions \
         where question_type = 'short_answer' and correct_answer like '% % %'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(answers.len() >= 2, "{answers:?}");
    host.stop().await;
    all.push(std::fs::read_to_string(folder.path().join("host.log")).unwrap());
    for text in &all {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret}\n{text}");
        }
        for (quiz, answer) in &answers {
            let is_told = text.contains(quiz.as_str()) && text.contains(answer.as_str());
            assert!(!is_told, "{answer}\n{text}");
        }
        for name in [
            "correct_answer",
            "explanation",
            "\"answer\"",
            "\"quote\"",
            "rubric",
        ] {
            assert!(!text.contains(name), "{name}\n{text}");
        }
    }
}

#[tokio::test]
async fn of_a_document_that_is_deleted_only_scores_stay() {
    let host = TestHost::start().await;
    let marked = format!(
        "{BIOLOGY}\n\nThe xylophagous beetle is a small insect that eats the wood of old houses. {HISTORY}"
    );
    let id = document(&host, "alice", &marked).await;
    let other = document(&host, "alice", HISTORY).await;
    let mut made = Vec::new();
    for documents in [json!([id]), json!([other, id]), json!([other])] {
        let body = json!({ "document_ids": documents, "user_id": "alice", "num_questions": 50, "quiz_type": "mixed" });
        let request = host
            .request(Method::POST, "/quiz/generate")
            .header("idempotency-key", documents.to_string().replace(' ', ""))
            .json(&body);
        let quiz = host.send(request).await.ok();
        let graded = submit(&host, &quiz, key(&host, &quiz).await).await;
        assert_eq!(graded["score"], 100);
        made.push((quiz, graded));
    }
    let tables =
        "select table_name::text from information_schema.tables where table_schema = 'quiz'";
    assert!(found(&host, tables, "xylophagous").await > 5);
    let gone = json!({ "document_id": id, "user_id": "alice", "tenant": "" });
    deliver(
        &host,
        "00000000-0000-4000-8000-00000000000a",
        "document.deleted",
        &gone,
    )
    .await;
    quiet(&host).await;
    assert_eq!(found(&host, tables, "xylophagous").await, 0);
    for (quiz, graded) in &made[..2] {
        let quiz = quiz["quiz_id"].as_str().unwrap();
        let submission = graded["submission_id"].as_str().unwrap();
        for path in [
            format!("/quiz/{quiz}?user_id=alice"),
            format!("/quiz/submissions/{submission}?user_id=alice"),
        ] {
            assert_eq!(host.get(&path).await.status, 404, "{path}");
        }
        let again = json!({ "quiz_id": quiz, "user_id": "alice", "answers": {} });
        assert_eq!(
            host.post("/quiz/submit", again).await.code(),
            (404, "QUIZ_NOT_FOUND")
        );
    }
    let list = host.get("/quizzes?user_id=alice").await.ok();
    assert_eq!(list["quizzes"].as_array().unwrap().len(), 1);
    let history = host.get("/quiz/history?user_id=alice").await.ok();
    let scores: Vec<_> = history["quizzes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|quiz| quiz["score"].clone())
        .collect();
    assert_eq!(scores, [100, 100, 100]);
    host.stop().await;
}

/// Rows of all tables that hold the marker.
async fn found(host: &TestHost, tables: &'static str, marker: &str) -> usize {
    let mut found = 0;
    for table in host.sql(tables).await {
        let rows = sql(
            host,
            format!("select 'x' from quiz.{table} as t where t::text ilike '%{marker}%'"),
        )
        .await;
        found += rows.len();
    }
    found
}

#[tokio::test]
async fn a_request_that_is_repeated_with_its_key_does_nothing_more() {
    let host = TestHost::start().await;
    let id = document(&host, "alice", BIOLOGY).await;
    let send = |path: &'static str, key: &'static str, body: Value| {
        host.send(
            host.request(Method::POST, path)
                .header("idempotency-key", key)
                .json(&body),
        )
    };
    let wanted = json!({ "document_id": id, "user_id": "alice", "num_questions": 3 });
    let first = send("/quiz/generate", "a", wanted.clone()).await;
    let again = send("/quiz/generate", "a", wanted).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(
        (&first.body, first.headers.get("location")),
        (&again.body, again.headers.get("location"))
    );
    let other = json!({ "document_id": id, "user_id": "alice", "num_questions": 4 });
    assert_eq!(
        send("/quiz/generate", "a", other).await.code(),
        (422, "IDEMPOTENCY_KEY_REUSED")
    );

    let answers =
        json!({ "quiz_id": first.body["quiz_id"], "user_id": "alice", "answers": { "q1": "?" } });
    let submitted = send("/quiz/submit", "a", answers.clone()).await;
    assert_eq!(
        submitted.body,
        send("/quiz/submit", "a", answers).await.body
    );
    assert_eq!(submitted.status, 201);
    let card = format!("{}.q1", first.body["quiz_id"].as_str().unwrap());
    let rated = json!({ "card_id": card, "user_id": "alice", "rating": "good" });
    let reviewed = send("/review/answer", "a", rated.clone()).await;
    assert_eq!(reviewed.body, send("/review/answer", "a", rated).await.body);
    assert_eq!(reviewed.body["schedule"]["reps"], 2, "{}", reviewed.body);

    for (list, name, count) in [("/quizzes", "quizzes", 1), ("/quiz/history", "quizzes", 1)] {
        let all = host.get(&format!("{list}?user_id=alice")).await.ok();
        assert_eq!(all[name].as_array().unwrap().len(), count);
    }
    host.stop().await;
}
