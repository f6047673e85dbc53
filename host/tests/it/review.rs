//! Spaced review, and who sees what of quizzes and cards.

use std::time::Duration;

use corpus::samples::{BIOLOGY, HISTORY};
use host::token::{self, Claims, Role};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::harness::{Answer, TestHost};
use crate::quiz::{document, generate, key, quiet, submit};

const KEY: &str = "0123456789abcdef0123456789abcdef";

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

fn bearer(tenant: Option<&str>, user: &str, role: Role) -> String {
    let mut claims = Claims::new(user, role, Duration::from_secs(600));
    claims.tenant = tenant.map(ToOwned::to_owned);
    let token = token::encode(KEY.as_bytes(), &claims).unwrap();
    format!("Bearer {token}")
}

async fn send(host: &TestHost, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let request = host
        .request(method.clone(), path)
        .header("authorization", token);
    host.send(if method == Method::POST {
        request.json(body)
    } else {
        request
    })
    .await
}

/// Every route of quizzes and review, with what is alice's: a status for somebody else, and a member
/// that is then empty.
fn routes(
    document: &str,
    quiz: &str,
    submission: &str,
) -> Vec<(Method, String, Value, u16, &'static str)> {
    let post = Method::POST;
    let get = Method::GET;
    let none = Value::Null;
    vec![
        (
            post.clone(),
            "/quiz/generate".into(),
            json!({ "document_id": document }),
            404,
            "",
        ),
        (
            post.clone(),
            "/quiz/generate".into(),
            json!({ "document_ids": [document] }),
            404,
            "",
        ),
        (
            post.clone(),
            "/quiz/submit".into(),
            json!({ "quiz_id": quiz, "answers": {} }),
            404,
            "",
        ),
        (get.clone(), format!("/quiz/{quiz}"), none.clone(), 404, ""),
        (
            get.clone(),
            format!("/quiz/submissions/{submission}"),
            none.clone(),
            404,
            "",
        ),
        (
            get.clone(),
            "/quiz/history".into(),
            none.clone(),
            200,
            "quizzes",
        ),
        (get.clone(), "/quizzes".into(), none.clone(), 200, "quizzes"),
        (
            get.clone(),
            "/quiz/analytics".into(),
            none.clone(),
            200,
            "by_document",
        ),
        (
            get.clone(),
            format!("/quiz/analytics?document_id={document}"),
            none.clone(),
            200,
            "by_topic",
        ),
        (
            get.clone(),
            "/review/due".into(),
            none.clone(),
            200,
            "cards",
        ),
        (
            get.clone(),
            "/review/export?format=json".into(),
            none,
            200,
            "cards",
        ),
        (
            post,
            "/review/answer".into(),
            json!({ "card_id": format!("{quiz}.q1"), "rating": "good" }),
            404,
            "",
        ),
    ]
}

#[tokio::test]
async fn nobody_sees_or_changes_another_s_quizzes_and_cards() {
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(KEY.to_owned().into())
    })
    .await;
    let alice = bearer(Some("school"), "alice", Role::User);
    let form = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(BIOLOGY.as_bytes().to_vec()).file_name("a.txt"),
    );
    let upload = host
        .request(Method::POST, "/upload")
        .header("authorization", &alice)
        .multipart(form);
    let document = host.send(upload).await.ok()["document_id"]
        .as_str()
        .unwrap()
        .to_owned();
    quiet(&host).await;
    let made = send(
        &host,
        &alice,
        Method::POST,
        "/quiz/generate",
        &json!({ "document_id": document, "num_questions": 3 }),
    )
    .await
    .ok();
    let quiz = made["quiz_id"].as_str().unwrap().to_owned();
    let body = json!({ "quiz_id": quiz, "answers": Map::new() });
    let graded = send(&host, &alice, Method::POST, "/quiz/submit", &body)
        .await
        .ok();
    let submission = graded["submission_id"].as_str().unwrap().to_owned();
    host.sql("update quiz.review_cards set due = now() returning 'x'")
        .await;
    let before = state(&host).await;
    let strangers = [
        bearer(Some("school"), "bob", Role::User),
        bearer(Some("other"), "alice", Role::User),
        bearer(None, "alice", Role::User),
        bearer(Some("other"), "root", Role::Admin),
    ];
    for token in &strangers {
        for (method, path, body, status, empty) in routes(&document, &quiz, &submission) {
            let answer = send(&host, token, method, &path, &body).await;
            assert_eq!(answer.status, status, "{path} {}", answer.body);
            if !empty.is_empty() {
                assert_eq!(answer.body[empty], json!([]), "{path}");
            }
        }
        let marks = format!("/quiz/submissions/{submission}/marks");
        let answer = send(
            &host,
            token,
            Method::POST,
            &marks,
            &json!({ "marks": { "q1": 1 } }),
        )
        .await;
        assert!(matches!(answer.status, 403 | 404), "{}", answer.body);
    }
    // Her own name in another's token is no help.
    for (method, path, mut body, ..) in routes(&document, &quiz, &submission) {
        let path = if path.contains('?') {
            format!("{path}&user_id=alice")
        } else {
            format!("{path}?user_id=alice")
        };
        if method == Method::POST {
            body["user_id"] = json!("alice");
        }
        let answer = send(&host, &strangers[0], method, &path, &body).await;
        assert_eq!(answer.code(), (403, "FORBIDDEN"), "{path}");
    }
    assert_eq!(state(&host).await, before);
    // She gives no marks herself, and sees all that is hers.
    let marks = format!("/quiz/submissions/{submission}/marks");
    let answer = send(&host, &alice, Method::POST, &marks, &json!({ "marks": {} })).await;
    assert_eq!(answer.code(), (403, "FORBIDDEN"));
    for (method, path, body, ..) in routes(&document, &quiz, &submission) {
        let answer = send(&host, &alice, method, &path, &body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{path} {}",
            answer.body
        );
    }
    host.stop().await;
}

async fn state(host: &TestHost) -> Vec<String> {
    host.sql(
        "select md5(string_agg(t::text, ',' order by t::text)) from quiz.review_cards t union all \
         select md5(string_agg(t::text, ',' order by t::text)) from quiz.quiz_submissions t union all \
         select count(*)::text from quiz.quizzes",
    )
    .await
}
