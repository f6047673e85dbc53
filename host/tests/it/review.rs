//! Spaced review, and who sees what of quizzes and cards.

use corpus::samples::{BIOLOGY, HISTORY};
use serde_json::{Value, json};

use crate::harness::TestHost;
use crate::quiz::{document, generate, key, submit};

#[tokio::test]
async fn answered_questions_come_back_when_they_are_due() {
    let host = TestHost::start().await;
    let id = document(&host, "alice", &format!("{BIOLOGY}\n{HISTORY}")).await;
    let quiz = generate(
        &host,
        json!({ "document_id": id, "user_id": "alice", "num_questions": 4 }),
    )
    .await;
    let mut answers = key(&host, &quiz).await;
    answers.insert("q1".into(), json!("wrong"));
    submit(&host, &quiz, answers).await;
    // Wrong in a minute, right in three days.
    let due = host.get("/review/due?user_id=alice").await.ok();
    assert_eq!((&due["due_count"], &due["cards"]), (&json!(0), &json!([])));
    let cards = host
        .get("/review/export?user_id=alice&format=json")
        .await
        .ok();
    let days: Vec<_> = cards["cards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| card["schedule"]["interval_days"].clone())
        .collect();
    assert_eq!(days, [0, 3, 3, 3]);

    host.sql("update quiz.review_cards set due = now() - interval '1 hour' * ascii(right(card_id, 1)) returning 'x'").await;
    let first = host.get("/review/due?user_id=alice&limit=3").await.ok();
    assert_eq!(first["due_count"], 4);
    assert_eq!(first["cards"].as_array().unwrap().len(), 3);
    let card = &first["cards"][0];
    assert!(
        card["question"].is_string() && card["options"].is_array() && card["answer"].is_string()
    );
    let interval = |rating: &str| card["intervals"][rating].as_i64().unwrap();
    assert!(
        interval("again") <= interval("hard")
            && interval("hard") <= interval("good")
            && interval("good") <= interval("easy"),
        "{card}"
    );
    rated_and_graded(&host, &first["cards"]).await;
    exported(&host).await;
    host.stop().await;
}

async fn rated_and_graded(host: &TestHost, cards: &Value) {
    let answer = |card: &Value, name: &str, value: Value| {
        let mut body = json!({ "card_id": card["card_id"], "user_id": "alice" });
        body[name] = value;
        body
    };
    let rated = host
        .post("/review/answer", answer(&cards[0], "rating", json!("easy")))
        .await
        .ok();
    assert!(
        rated["schedule"]["interval_days"].as_i64().unwrap() >= 3,
        "{rated}"
    );
    assert!(rated["schedule"]["due"].as_str().unwrap().ends_with('Z'));
    let right = answer(&cards[1], "answer", cards[1]["answer"].clone());
    let right = host.post("/review/answer", right).await.ok();
    assert_eq!(
        (&right["correct"], &right["rating"]),
        (&json!(true), &json!("good"))
    );
    let wrong = host
        .post(
            "/review/answer",
            answer(&cards[2], "answer", json!("nonsense")),
        )
        .await
        .ok();
    assert_eq!(
        (
            &wrong["correct"],
            &wrong["rating"],
            &wrong["schedule"]["interval_days"]
        ),
        (&json!(false), &json!("again"), &json!(0)),
        "{wrong}"
    );
    for (body, code) in [
        (
            json!({ "card_id": "none", "rating": "good" }),
            (404, "CARD_NOT_FOUND"),
        ),
        (
            json!({ "card_id": "none", "rating": "perfect" }),
            (400, "VALIDATION_ERROR"),
        ),
        (json!({ "card_id": "none" }), (400, "VALIDATION_ERROR")),
    ] {
        assert_eq!(host.post("/review/answer", body).await.code(), code);
    }
}

async fn exported(host: &TestHost) {
    let file = host.get("/review/export?user_id=alice").await;
    assert!(
        file.headers["content-disposition"]
            .to_str()
            .unwrap()
            .contains("attachment")
    );
    let file = file.body.as_str().unwrap().to_owned();
    let mut lines = file.lines();
    for expected in [
        "#separator:tab",
        "#html:false",
        "#guid column:1",
        "#tags column:4",
    ] {
        assert_eq!(lines.next(), Some(expected));
    }
    assert_eq!(lines.next(), Some("#columns:Guid\tFront\tBack\tTags"));
    assert_eq!(file.matches("\tlectern").count(), 4, "{file}");
    let code = host.get("/review/export?format=pdf").await;
    assert_eq!(code.code(), (400, "VALIDATION_ERROR"));
}

/// Cards of the user, as the database has them, moved so many days into the past.
async fn wait(host: &TestHost, user: &str, days: i64) {
    let micro = days * 86_400_000_000;
    let statement = format!(
        "update quiz.review_cards set due = due - interval '{days} days', memory = memory \
         || jsonb_build_object('due', (memory->>'due')::bigint - {micro}, \
         'last_review', (memory->>'last_review')::bigint - {micro}) where user_id = '{user}' returning card_id"
    );
    let moved = crate::quiz::sql(host, statement).await;
    assert_eq!(moved.len(), 3);
}

async fn taken(host: &TestHost, user: &str, text: &str) -> String {
    let id = document(host, user, text).await;
    let body = json!({ "document_id": id, "user_id": user, "num_questions": 3 });
    let quiz = generate(host, body).await;
    let answers = key(host, &quiz).await;
    let body = json!({ "quiz_id": quiz["quiz_id"], "user_id": user, "answers": answers });
    host.post("/quiz/submit", body).await.ok();
    quiz["quiz_id"].as_str().unwrap().to_owned()
}

/// Fields between tabs; a field in quotes may have line ends, and quotes twice.
fn records(file: &str) -> Vec<Vec<String>> {
    let mut records = vec![vec![String::new()]];
    let mut quoted = false;
    let mut letters = file.lines().filter(|line| !line.starts_with('#'));
    let rest: String = letters.by_ref().map(|line| format!("{line}\n")).collect();
    for c in rest.chars() {
        match c {
            '"' => quoted = !quoted,
            '\t' if !quoted => records.last_mut().unwrap().push(String::new()),
            '\n' if !quoted => records.push(vec![String::new()]),
            c => records.last_mut().unwrap().last_mut().unwrap().push(c),
        }
    }
    records.retain(|record| record.len() > 1);
    records
}

#[tokio::test]
async fn each_learner_s_cards_come_back_in_time_and_are_theirs_alone() {
    let host = TestHost::start().await;
    let hers = taken(&host, "alice", BIOLOGY).await;
    let his = taken(&host, "bob", HISTORY).await;
    let due = async |user: &str| {
        let path = format!("/review/due?user_id={user}");
        let due = host.get(&path).await.ok();
        due["due_count"].as_i64().unwrap()
    };
    assert_eq!((due("alice").await, due("bob").await), (0, 0));
    wait(&host, "alice", 4).await;
    assert_eq!((due("alice").await, due("bob").await), (3, 0));

    let answer = async |card: String, user: &str, rating: &str| {
        let body = json!({ "card_id": card, "user_id": user, "rating": rating });
        host.post("/review/answer", body).await
    };
    let stranger = answer(format!("{hers}.q1"), "bob", "easy").await;
    assert_eq!(stranger.code(), (404, "CARD_NOT_FOUND"));
    let mut intervals = Vec::new();
    for (question, rating) in [("q1", "again"), ("q2", "good"), ("q3", "easy")] {
        let rated = answer(format!("{hers}.{question}"), "alice", rating)
            .await
            .ok();
        intervals.push(rated["schedule"]["interval_days"].as_i64().unwrap());
    }
    // Forgotten: within the day. Known after four days: for longer than four days.
    assert!(
        intervals[0] == 0 && 4 < intervals[1] && intervals[1] < intervals[2],
        "{intervals:?}"
    );
    wait(&host, "alice", intervals[1]).await;
    assert_eq!((due("alice").await, due("bob").await), (2, 0));

    for (user, quiz) in [("alice", &hers), ("bob", &his)] {
        let path = format!("/review/export?user_id={user}&format=anki");
        let file = host.get(&path).await;
        let records = records(file.body.as_str().unwrap());
        assert_eq!(records.len(), 3, "{records:?}");
        for record in &records {
            assert_eq!(record.len(), 4, "{record:?}");
            assert!(record[0].starts_with(quiz.as_str()), "{record:?}");
            assert!(record[1].contains("\nA) ") && !record[2].is_empty());
        }
    }
    host.stop().await;
}
