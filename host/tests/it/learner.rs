//! A learner's first hour, by the contract's examples.

use corpus::samples::{BIOLOGY, HISTORY};
use serde_json::{Value, json};

use crate::harness::{TestHost, pdf};

fn slice(text: &Value, citation: &Value) -> String {
    let number = |key: &str| usize::try_from(citation[key].as_u64().unwrap()).unwrap();
    let text: Vec<char> = text.as_str().unwrap().chars().collect();
    text[number("start")..number("end")].iter().collect()
}

#[tokio::test]
async fn a_pdf_becomes_text_notes_answers_and_a_quiz() {
    let host = TestHost::start().await;
    let uploaded = host
        .upload("alice", "lesson.pdf", pdf(&[BIOLOGY, HISTORY]))
        .await;
    assert_eq!(
        (uploaded.status, &uploaded.body["status"]),
        (202, &json!("processing"))
    );
    let id = uploaded.body["document_id"].as_str().unwrap().to_owned();
    assert_eq!(uploaded.body["s3_key"], format!("documents/alice/{id}.pdf"));

    let document = host.settled(&id).await;
    assert_eq!(
        (&document["status"], &document["page_count"]),
        (&json!("completed"), &json!(2)),
        "{document}"
    );
    assert!(
        document["extracted_text"]
            .as_str()
            .unwrap()
            .contains("James Watt patented")
    );
    assert!(
        document["notes"].as_str().unwrap().contains("(p. 2)"),
        "{}",
        document["notes"]
    );
    assert_eq!(document["engine"], "local-extractive");

    // At once: the services that follow the event have to be waited for by themselves.
    let question = json!({
        "message": "When did James Watt patent his steam engine?",
        "user_id": "alice",
        "document_context": { "document_id": id },
    });
    let answer = host.post("/chat", question).await.ok();
    assert!(
        answer["response"].as_str().unwrap().contains("1769"),
        "{answer}"
    );
    assert_eq!(answer["engine"], "local-extractive");
    let citation = &answer["citations"][0];
    assert_eq!(
        (&citation["document_id"], &citation["page"]),
        (&json!(id), &json!(2))
    );
    assert_eq!(
        slice(&document["extracted_text"], citation),
        citation["quote"].as_str().unwrap()
    );

    let session = answer["session_id"].as_str().unwrap();
    let history = host
        .get(&format!("/chat/history/{session}?user_id=alice"))
        .await
        .ok();
    let roles: Vec<_> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["role"])
        .collect();
    assert_eq!(roles, ["user", "assistant"]);
    let sessions = host.get("/chat/sessions?user_id=alice").await.ok();
    assert_eq!(sessions["sessions"][0]["message_count"], 2);

    for kind in ["multiple_choice", "true_false"] {
        quiz(&host, &id, kind).await;
    }
    host.stop().await;
}

async fn quiz(host: &TestHost, document: &str, kind: &str) {
    let wanted = json!({
        "document_id": document, "user_id": "alice", "num_questions": 5, "difficulty": "medium", "quiz_type": kind,
    });
    let generated = host.post("/quiz/generate", wanted).await;
    assert_eq!(generated.status, 201, "{}", generated.body);
    let quiz = generated.body;
    let questions = quiz["questions"].as_array().unwrap();
    assert_eq!(questions.len(), 5, "{quiz}");
    let id = quiz["quiz_id"].as_str().unwrap();
    let shown = host.get(&format!("/quiz/{id}?user_id=alice")).await.ok();
    assert_eq!(shown["questions"], quiz["questions"]);
    // Nothing that the contract does not show: no key by any name.
    for question in questions {
        let members: Vec<_> = question
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(members, ["options", "question", "question_id", "type"]);
    }

    let first_option: serde_json::Map<String, Value> = questions
        .iter()
        .map(|question| {
            (
                question["question_id"].as_str().unwrap().to_owned(),
                question["options"][0].clone(),
            )
        })
        .collect();
    let submit = |answers: Value| json!({ "quiz_id": quiz["quiz_id"], "user_id": "alice", "answers": answers });
    let guessed = host
        .post("/quiz/submit", submit(Value::Object(first_option)))
        .await
        .ok();
    let key: serde_json::Map<String, Value> = guessed["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            (
                result["question_id"].as_str().unwrap().to_owned(),
                result["correct_answer"].clone(),
            )
        })
        .collect();
    let correct = guessed["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|result| result["correct"] == true)
        .count();
    assert_eq!(guessed["correct_answers"], correct);
    assert_eq!(
        guessed["score"],
        (100.0 * correct as f64 / 5.0).round() as u64
    );

    let known = host
        .post("/quiz/submit", submit(Value::Object(key)))
        .await
        .ok();
    assert_eq!(
        (&known["score"], &known["correct_answers"]),
        (&json!(100), &json!(5))
    );
    let nothing = host.post("/quiz/submit", submit(json!({}))).await;
    assert_eq!(nothing.code(), (400, "NO_ANSWERS"));
    let little = host
        .post("/quiz/submit", submit(json!({ "q1": "?" })))
        .await;
    let little = little.ok();
    assert_eq!(
        (&little["score"], &little["results"][1]["user_answer"]),
        (&json!(0), &Value::Null)
    );
    let history = host.get("/quiz/history?user_id=alice").await.ok();
    assert_eq!(history["quizzes"][0]["score"], 0, "the newest comes first");
}

#[tokio::test]
async fn a_text_is_read_and_what_it_does_not_say_is_not_invented() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "notes.txt", BIOLOGY).await;
    assert_eq!(document["extracted_text"], BIOLOGY);
    assert_eq!(document["page_count"], Value::Null);
    let question = json!({
        "message": "Who won the football world cup?",
        "user_id": "alice",
        "document_context": { "document_id": document["document_id"] },
    });
    let answer = host.post("/chat", question).await.ok();
    assert!(
        answer["response"]
            .as_str()
            .unwrap()
            .contains("not found in the document"),
        "{answer}"
    );
    assert_eq!(answer["citations"], json!([]));
    let given = json!({ "message": "What does the cell membrane do?", "document_context": { "relevant_text": BIOLOGY } });
    let answer = host.post("/chat", given).await.ok();
    let citation = &answer["citations"][0];
    assert_eq!(
        slice(&json!(BIOLOGY), citation),
        citation["quote"].as_str().unwrap()
    );
    assert_eq!(citation["document_id"], Value::Null);
    host.stop().await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "notes.txt", BIOLOGY).await;
    let id = document["document_id"].as_str().unwrap().to_owned();
    let question = json!({ "message": "What is mitosis?", "user_id": "alice", "session_id": "mine", "document_context": { "document_id": id } });
    host.post("/chat", question.clone()).await.ok();
    let before = host.get(&format!("/document/{id}")).await.ok();
    let restarted = host.restart().await;
    assert_eq!(restarted.get(&format!("/document/{id}")).await.ok(), before);
    let history = restarted.get("/chat/history/mine?user_id=alice").await.ok();
    assert_eq!(history["messages"].as_array().unwrap().len(), 2);
    restarted.post("/chat", question).await.ok();
    restarted.stop().await;
}

#[tokio::test]
async fn what_is_one_s_own_is_nobody_else_s() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "notes.txt", BIOLOGY).await;
    let id = document["document_id"].as_str().unwrap();
    let quiz = host
        .post(
            "/quiz/generate",
            json!({ "document_id": id, "user_id": "alice", "num_questions": 2 }),
        )
        .await
        .ok();
    let quiz = quiz["quiz_id"].as_str().unwrap();
    let chat = json!({ "message": "What is mitosis?", "user_id": "alice", "session_id": "hers", "document_context": { "document_id": id } });
    host.post("/chat", chat).await.ok();
    for path in [
        format!("/document/{id}?user_id=bob"),
        "/chat/history/hers?user_id=bob".to_owned(),
        format!("/quiz/{quiz}?user_id=bob"),
    ] {
        assert_eq!(host.get(&path).await.code().0, 404, "{path}");
    }
    assert_eq!(
        host.get("/documents?user_id=bob").await.ok()["documents"],
        json!([])
    );
    assert_eq!(
        host.get("/chat/sessions?user_id=bob").await.ok()["sessions"],
        json!([])
    );
    assert_eq!(
        host.get("/quiz/history?user_id=bob").await.ok()["quizzes"],
        json!([])
    );
    for (path, body, code) in [
        (
            "/chat",
            json!({ "message": "x", "user_id": "bob", "document_context": { "document_id": id } }),
            "DOCUMENT_NOT_FOUND",
        ),
        (
            "/quiz/generate",
            json!({ "document_id": id, "user_id": "bob" }),
            "DOCUMENT_NOT_FOUND",
        ),
        (
            "/quiz/submit",
            json!({ "quiz_id": quiz, "user_id": "bob", "answers": {} }),
            "QUIZ_NOT_FOUND",
        ),
    ] {
        assert_eq!(host.post(path, body).await.code(), (404, code), "{path}");
    }
    // A session's name is its owner's: of hers it tells nothing, and does nothing to it.
    let his = json!({ "message": "x", "user_id": "bob", "session_id": "hers" });
    assert_eq!(host.post("/chat", his).await.status, 200);
    let messages = async |user: &str| {
        let path = format!("/chat/history/hers?user_id={user}");
        let history = host.get(&path).await.ok();
        history["messages"].as_array().unwrap().len()
    };
    assert_eq!((messages("alice").await, messages("bob").await), (2, 2));
    host.stop().await;
}

#[tokio::test]
async fn processing_again_is_possible_and_harmless() {
    let host = TestHost::start().await;
    let document = host.processed("alice", "notes.txt", BIOLOGY).await;
    let id = document["document_id"].as_str().unwrap();
    for _ in 0..3 {
        let again = host.post(&format!("/process/{id}"), json!({})).await;
        assert_eq!(
            (again.status, &again.body["message"]),
            (202, &json!("Processing started"))
        );
    }
    let after = host.settled(id).await;
    assert_eq!(after["notes"], document["notes"]);
    assert_eq!(
        host.post("/process/none", json!({})).await.code(),
        (404, "DOCUMENT_NOT_FOUND")
    );
    host.stop().await;
}
