//! What a submission counts for: the first one of a quiz tells what the learner knows, the others are
//! practice, and one that answers nothing is none.

use corpus::samples::{BIOLOGY, HISTORY};
use serde_json::{Map, Value, json};

use crate::harness::TestHost;
use crate::quiz::{deliver, document, generate, key, quiet, submit};

async fn cards(host: &TestHost) -> Vec<Value> {
    let path = "/review/export?user_id=alice&format=json";
    let cards = host.get(path).await.ok();
    cards["cards"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_submission_that_answers_nothing_shows_no_key_and_counts_for_nothing() {
    let host = TestHost::start().await;
    let id = document(&host, "alice", BIOLOGY).await;
    let body = json!({ "document_id": id, "user_id": "alice", "num_questions": 3 });
    let quiz = generate(&host, body).await;
    for nothing in [
        json!({}),
        json!({ "q1": null, "q2": "" }),
        json!({ "q1": "  ", "q3": [] }),
    ] {
        let body = json!({ "quiz_id": quiz["quiz_id"], "user_id": "alice", "answers": nothing });
        let refused = host.post("/quiz/submit", body).await;
        assert_eq!(refused.code(), (400, "NO_ANSWERS"), "{nothing}");
        assert_eq!(refused.body.get("results"), None);
    }
    let history = host.get("/quiz/history?user_id=alice").await.ok();
    assert_eq!(history["quizzes"], json!([]));
    assert_eq!(cards(&host).await.len(), 0);
    let graded = submit(&host, &quiz, key(&host, &quiz).await).await;
    assert_eq!(
        (&graded["attempt"], &graded["practice"], &graded["score"]),
        (&json!(1), &json!(false), &json!(100))
    );
    host.stop().await;
}

#[tokio::test]
async fn only_the_first_submission_of_a_quiz_tells_what_the_learner_knows() {
    let host = TestHost::start().await;
    let id = document(&host, "alice", &format!("{BIOLOGY}\n{HISTORY}")).await;
    let body = json!({ "document_id": id, "user_id": "alice", "num_questions": 4 });
    let quiz = generate(&host, body).await;
    let right = key(&host, &quiz).await;
    let wrong = Map::from_iter([("q1".to_owned(), json!("no idea"))]);
    let first = submit(&host, &quiz, wrong).await;
    assert_eq!(
        (&first["score"], &first["attempt"], &first["practice"]),
        (&json!(0), &json!(1), &json!(false))
    );
    let analytics = host.get("/quiz/analytics?user_id=alice").await.ok();
    let learnt = cards(&host).await;
    // Even when all cards are due again.
    host.sql("update quiz.review_cards set due = now() - interval '1 hour' returning 'x'")
        .await;
    let second = submit(&host, &quiz, right).await;
    assert_eq!(
        (&second["score"], &second["attempt"], &second["practice"]),
        (&json!(100), &json!(2), &json!(true))
    );
    let after = host.get("/quiz/analytics?user_id=alice").await.ok();
    assert_eq!(after, analytics);
    assert_eq!(
        (&after["answered"], &after["accuracy"]),
        (&json!(4), &json!(0.0))
    );
    let known = cards(&host).await;
    let reps = |cards: &[Value]| -> Vec<Value> {
        let of = |card: &Value| card["schedule"]["reps"].clone();
        cards.iter().map(of).collect()
    };
    assert_eq!(reps(&known), reps(&learnt));
    let history = host.get("/quiz/history?user_id=alice").await.ok();
    let listed: Vec<_> = history["quizzes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["attempt"], &item["practice"], &item["score"]))
        .collect();
    assert_eq!(
        listed,
        [
            (&json!(2), &json!(true), &json!(100)),
            (&json!(1), &json!(false), &json!(0))
        ]
    );
    let again = second["submission_id"].as_str().unwrap();
    let again = host.get(&format!("/quiz/submissions/{again}")).await.ok();
    assert_eq!(again, second);
    host.stop().await;
}

#[tokio::test]
async fn of_submissions_at_once_one_counts() {
    let host = TestHost::start().await;
    let id = document(&host, "alice", BIOLOGY).await;
    let body = json!({ "document_id": id, "user_id": "alice", "num_questions": 3 });
    let quiz = generate(&host, body).await;
    let right = key(&host, &quiz).await;
    let all = (0..6).map(|_| submit(&host, &quiz, right.clone()));
    let graded = futures::future::join_all(all).await;
    let mut attempts: Vec<u64> = graded
        .iter()
        .map(|graded| graded["attempt"].as_u64().unwrap())
        .collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2, 3, 4, 5, 6]);
    let known = host.get("/quiz/analytics?user_id=alice").await.ok();
    assert_eq!(known["answered"], 3);
    host.stop().await;
}

#[tokio::test]
async fn a_quiz_of_fewer_questions_than_were_asked_for_says_so() {
    let host = TestHost::start().await;
    let id = document(&host, "alice", BIOLOGY).await;
    let body = json!({ "document_id": id, "user_id": "alice", "num_questions": 50 });
    let quiz = generate(&host, body).await;
    let made = quiz["total_questions"].as_u64().unwrap();
    assert!(0 < made && made < 50, "{quiz}");
    assert_eq!(quiz["requested"], 50);
    assert_eq!(quiz["warnings"][0]["code"], "FEWER_QUESTIONS");
    let message = quiz["warnings"][0]["message"].as_str().unwrap();
    assert!(message.contains(&format!("{made} of 50")), "{message}");
    let path = format!("/quiz/{}?user_id=alice", quiz["quiz_id"].as_str().unwrap());
    let shown = host.get(&path).await.ok();
    assert_eq!(
        (&shown["requested"], &shown["warnings"]),
        (&quiz["requested"], &quiz["warnings"])
    );
    let event = json!({
        "quiz_id": "asked", "document_id": id, "user_id": "alice", "num_questions": 50,
    });
    let event_id = "00000000-0000-4000-8000-0000000000f1";
    deliver(&host, event_id, "quiz.requested", &event).await;
    quiet(&host).await;
    let by_event = host.get("/quiz/asked?user_id=alice").await.ok();
    assert_eq!(by_event["requested"], 50);
    assert_eq!(by_event["warnings"][0]["code"], "FEWER_QUESTIONS");

    let body = json!({ "document_id": id, "user_id": "alice", "num_questions": 2 });
    let whole = generate(&host, body).await;
    assert_eq!(
        (&whole["requested"], &whole["warnings"]),
        (&json!(2), &json!([]))
    );
    host.stop().await;
}
