//! Sessions renamed, searched, exported and deleted; a request repeated; a document deleted; two users.

use corpus::samples::BIOLOGY;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, PATIENCE, TestHost};
use crate::scripted::{Script, Scripted};

async fn ask(host: &TestHost, session: &str, message: &str) -> Value {
    let body = json!({ "message": message, "user_id": "alice", "session_id": session });
    host.post("/chat", body).await.ok()
}

async fn call(host: &TestHost, method: Method, path: &str, body: Value) -> Answer {
    host.send(host.request(method, path).json(&body)).await
}

async fn search(host: &TestHost, q: &str) -> Value {
    let base = format!("{}/chat/sessions", host.base);
    let query = [("user_id", "alice"), ("q", q)];
    let url = reqwest::Url::parse_with_params(&base, query).unwrap();
    let path = url.as_str().strip_prefix(&host.base).unwrap().to_owned();
    host.get(&path).await.ok()
}

#[tokio::test]
async fn a_session_is_named_by_its_first_message_renamed_searched_exported_and_deleted() {
    let host = TestHost::start().await;
    ask(&host, "a", "What is photosynthesis?").await;
    ask(&host, "a", "And respiration?").await;
    ask(&host, "b", "细胞是什么东西").await;
    let sessions = host.get("/chat/sessions?user_id=alice").await.ok();
    assert_eq!(sessions["sessions"][0]["session_id"], "b");
    assert_eq!(sessions["sessions"][1]["title"], "What is photosynthesis?");
    assert_eq!(sessions["sessions"][1]["message_count"], 4);

    for (q, found) in [
        ("photosynthesis", json!(["a"])),
        ("photosyn", json!(["a"])),
        ("RESPIRATION", json!(["a"])),
        ("细胞", json!(["b"])),
        ("50%_'\"\\", json!([])),
        ("unheard", json!([])),
    ] {
        let found_now = search(&host, q).await;
        let ids: Vec<&Value> = found_now["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| &s["session_id"])
            .collect();
        assert_eq!(json!(ids), found, "{q}: {found_now}");
    }
    let found = search(&host, "respiration").await;
    assert_eq!(found["sessions"][0]["snippet"], "And **respiration**?");

    let history = "/chat/history/a?user_id=alice";
    assert_eq!(
        host.get(history).await.ok()["title"],
        "What is photosynthesis?"
    );
    let path = "/chat/sessions/a?user_id=alice";
    let renamed = call(&host, Method::PATCH, path, json!({ "title": " Plants " }))
        .await
        .ok();
    assert_eq!(renamed["title"], "Plants");
    assert_eq!(host.get(history).await.ok()["title"], "Plants");
    for title in [json!(""), json!("a\nb"), json!("x".repeat(121)), json!(5)] {
        let refused = call(&host, Method::PATCH, path, json!({ "title": title })).await;
        assert_eq!(refused.code(), (400, "VALIDATION_ERROR"));
    }

    let markdown = host
        .get("/chat/sessions/a/export?user_id=alice&format=markdown")
        .await;
    assert_eq!(
        markdown.headers["content-disposition"],
        "attachment; filename=\"chat.md\""
    );
    let text = markdown.ok();
    assert!(
        text.as_str()
            .unwrap()
            .starts_with("# Plants\n\n## Question, "),
        "{text}"
    );
    let exported = host.get("/chat/sessions/a/export?user_id=alice").await.ok();
    assert_eq!(
        exported["messages"],
        host.get(history).await.ok()["messages"]
    );
    let unknown = host
        .get("/chat/sessions/a/export?user_id=alice&format=pdf")
        .await;
    assert_eq!(unknown.code(), (400, "VALIDATION_ERROR"));

    assert_eq!(
        call(&host, Method::DELETE, path, json!({})).await.ok()["session_id"],
        "a"
    );
    assert_eq!(host.get(history).await.code(), (404, "SESSION_NOT_FOUND"));
    assert_eq!(
        call(&host, Method::DELETE, path, json!({})).await.code(),
        (404, "SESSION_NOT_FOUND")
    );
    assert_eq!(
        host.sql("select session_id from chat.chat_messages where session_id = 'a'")
            .await,
        Vec::<String>::new()
    );
    host.stop().await;
}

#[tokio::test]
async fn sessions_and_histories_are_read_a_page_at_a_time() {
    let host = TestHost::start().await;
    for at in 0..5 {
        ask(&host, "s", &format!("Question {at}")).await;
        ask(&host, &format!("s{at}"), "Hello").await;
    }
    let whole = host.get("/chat/history/s?user_id=alice").await.ok();
    assert_eq!(
        (
            whole["messages"].as_array().unwrap().len(),
            &whole["next_cursor"]
        ),
        (10, &Value::Null)
    );
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = host
            .get(&format!("/chat/history/s?user_id=alice&limit=4{cursor}"))
            .await
            .ok();
        pages.insert(0, page["messages"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(pages.concat()), whole["messages"]);
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=x"] {
        let refused = host
            .get(&format!("/chat/history/s?user_id=alice&{bad}"))
            .await;
        assert_eq!(refused.code(), (400, "VALIDATION_ERROR"), "{bad}");
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = host
            .get(&format!("/chat/sessions?user_id=alice&limit=2{cursor}"))
            .await
            .ok();
        seen.extend(
            page["sessions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|s| s["session_id"].clone()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(seen), json!(["s4", "s", "s3", "s2", "s1", "s0"]));
    host.stop().await;
}

#[tokio::test]
async fn a_question_with_a_key_is_asked_once() {
    let model = Scripted::start(|_| Script::Says("Hello, learner.".into(), 5)).await;
    let host = model.host().await;
    let body = json!({ "message": "Hi", "user_id": "alice", "session_id": "s" });
    let send = |body: &Value, accept: &'static str| {
        host.request(Method::POST, "/chat")
            .header("idempotency-key", "k")
            .header("accept", accept)
            .json(body)
    };
    let first = host.send(send(&body, "*/*")).await.ok();
    let again = host.send(send(&body, "*/*")).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.ok(), first);
    // A stream cannot be had twice: what was said is told whole.
    assert_eq!(
        host.send(send(&body, "text/event-stream")).await.ok(),
        first
    );
    assert_eq!(model.chats().len(), 1);
    let other = json!({ "message": "Bye", "user_id": "alice", "session_id": "s" });
    assert_eq!(
        host.send(send(&other, "*/*")).await.code(),
        (422, "IDEMPOTENCY_KEY_REUSED")
    );
    let stored = host.get("/chat/history/s?user_id=alice").await.ok();
    assert_eq!(stored["messages"].as_array().unwrap().len(), 2);
    host.stop().await;
}

#[tokio::test]
async fn of_a_deleted_document_nothing_is_left_in_answers() {
    let host = TestHost::start().await;
    let marked =
        format!("{BIOLOGY}\n\nThe zygomorphic quaternion controls the membrane of every cell.");
    let document = host.processed("alice", "zygo.txt", marked).await;
    let id = document["document_id"].as_str().unwrap().to_owned();
    let body = |key: &'static str| {
        let body = json!({
            "message": "What controls the membrane?", "user_id": "alice", "session_id": "s",
            "document_context": { "document_id": id },
        });
        host.request(Method::POST, "/chat")
            .header("idempotency-key", key)
            .json(&body)
    };
    let answer = host.send(body("k")).await.ok();
    assert!(
        answer["response"].as_str().unwrap().contains("zygomorphic"),
        "{answer}"
    );
    let history = "/chat/history/s?user_id=alice";
    host.get(history).await.ok();
    // As the documents service does.
    host.sql(
        "with gone as (insert into lectern.outbox (event_id, component, topic, key, payload) \
         select gen_random_uuid(), 'documents', 'document.deleted', document_id, jsonb_build_object( \
         'document_id', document_id, 'tenant', '', 'user_id', user_id) from documents.documents \
         returning event_id::text) select event_id from gone cross join lateral (select pg_notify('lectern_outbox', '')) told",
    )
    .await;
    let gone = async {
        while host.get(history).await.ok()["messages"][1]["citations"] != json!([]) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the quotes go");
    assert_eq!(
        host.send(body("other")).await.code(),
        (404, "DOCUMENT_NOT_FOUND")
    );
    let left = host
        .sql(
            "select coalesce(string_agg(t, ' '), '') from (select row_to_json(m)::text as t from chat.chat_messages m \
             union all select row_to_json(i)::text from chat.idempotency i union all select row_to_json(p)::text \
             from chat.passages p union all select row_to_json(w)::text from chat.document_words w union all \
             select row_to_json(s)::text from chat.shelf s) all_rows",
        )
        .await;
    for word in ["zygo", "quaternion"] {
        assert!(!left[0].contains(word), "{word}");
    }
    let redacted = host.get(history).await.ok()["messages"][1].clone();
    assert_eq!(
        (&redacted["grounded"], &redacted["finish"]),
        (&json!(null), &json!("deleted"))
    );
    let published = host
        .sql("select payload::text from lectern.outbox where topic = 'chat.message'")
        .await;
    assert!(
        published.iter().all(|event| !event.contains("quaternion")),
        "{published:?}"
    );
    let export = host
        .get("/chat/sessions/s/export?user_id=alice&format=markdown")
        .await
        .ok();
    assert!(!export.as_str().unwrap().contains("quaternion"), "{export}");
    host.stop().await;
}

#[tokio::test]
async fn a_request_that_was_killed_and_is_repeated_asks_its_question_once() {
    let host = TestHost::start().await;
    let send = || {
        host.request(Method::POST, "/chat")
            .header("idempotency-key", "k")
            .json(&json!({ "message": "What is mitosis?", "user_id": "alice" }))
    };
    let first = host.send(send()).await.ok();
    // As if it had been killed before it answered, and its lease had passed.
    host.sql(
        "with a as (delete from chat.chat_messages where role = 'assistant' returning 1), \
         i as (update chat.idempotency set status = null, body = null, claimed_at = now() - interval '1 hour' returning 1) \
         select count(*)::text from a, i",
    )
    .await;
    let again = host.send(send()).await.ok();
    assert_eq!(again["session_id"], first["session_id"]);
    let session = first["session_id"].as_str().unwrap();
    let history = host
        .get(&format!("/chat/history/{session}?user_id=alice"))
        .await
        .ok();
    assert_eq!(
        history["messages"].as_array().unwrap().len(),
        2,
        "{history}"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_key_whose_request_failed_asks_what_comes_with_it_next() {
    let host = TestHost::start().await;
    let send = |message: &'static str| {
        host.request(Method::POST, "/chat")
            .header("idempotency-key", "k")
            .json(&json!({ "message": message, "user_id": "alice", "session_id": "s" }))
    };
    host.send(send("What is mitosis?")).await.ok();
    // As if its answer could not be stored: its question is, and the key is free again.
    host.sql(
        "with a as (delete from chat.chat_messages where role = 'assistant' returning 1), \
         i as (delete from chat.idempotency returning 1) select count(*)::text from a, i",
    )
    .await;
    host.send(send("What is a cell?")).await.ok();
    let history = host.get("/chat/history/s?user_id=alice").await.ok();
    let messages = history["messages"].as_array().unwrap();
    let asked: Vec<&Value> = messages
        .iter()
        .filter(|message| message["role"] == "user")
        .map(|message| &message["content"])
        .collect();
    assert_eq!(asked, ["What is mitosis?", "What is a cell?"], "{history}");
    assert_eq!(messages.len(), 3, "{history}");
    host.stop().await;
}

#[tokio::test]
async fn an_answer_stands_behind_its_question() {
    let host = TestHost::start().await;
    ask(&host, "s", "First?").await;
    ask(&host, "s", "Second?").await;
    // As if both had been asked before the first was answered.
    host.sql(
        "with moved as (update chat.chat_messages m set ordinal = default \
         where m.role = 'assistant' and m.turn = (select min(ordinal) from chat.chat_messages) returning 1) \
         select count(*)::text from moved",
    )
    .await;
    let (mut order, mut next) = (Vec::new(), String::new());
    for _ in 0..4 {
        let path = format!("/chat/history/s?user_id=alice&limit=1{next}");
        let page = host.get(&path).await.ok();
        order.push(page["messages"][0]["content"].clone());
        next = format!(
            "&cursor={}",
            page["next_cursor"].as_str().unwrap_or_default()
        );
    }
    assert_eq!(
        (&order[1], &order[3]),
        (&json!("Second?"), &json!("First?"))
    );
    host.stop().await;
}

fn keyed(host: &TestHost) -> reqwest::RequestBuilder {
    host.request(Method::POST, "/chat")
        .header("idempotency-key", "k")
        .json(&json!({ "message": "What is mitosis?", "user_id": "alice" }))
}

async fn refused(host: &TestHost) -> String {
    let answer = host.send(keyed(host)).await;
    assert_eq!(answer.code(), (409, "IDEMPOTENCY_KEY_IN_USE"));
    answer.headers["retry-after"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_whose_request_died_is_free_when_its_lease_ends() {
    let host = TestHost::start().await;
    host.send(keyed(&host)).await.ok();
    // As if it had been killed before it answered, so long ago.
    for (dead, told) in [
        (
            "update chat.idempotency set status = null, body = null, claimed_at = now() - interval '12 s' returning key",
            "5",
        ),
        (
            "update chat.idempotency set claimed_at = now() - interval '28.5 s' returning key",
            "2",
        ),
    ] {
        host.sql(dead).await;
        assert_eq!(refused(&host).await, told);
    }
    host.sql("update chat.idempotency set claimed_at = now() - interval '31 s' returning key")
        .await;
    host.send(keyed(&host)).await.ok();
    host.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_long_keeps_its_key() {
    let model = Scripted::start(|_| Script::Hangs("Hm".into())).await;
    let host = model.host().await;
    let client = tokio::spawn(keyed(&host).send());
    let wait = async |sql: &'static str| {
        let seen = async {
            while host.sql(sql).await != ["1"] {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "{sql}");
    };
    wait("select count(*)::text from chat.chat_messages").await;
    host.sql("update chat.idempotency set claimed_at = now() - interval '25 s' returning key")
        .await;
    wait("select count(*)::text from chat.idempotency where claimed_at > now() - interval '15 s'")
        .await;
    assert_eq!(refused(&host).await, "5");
    client.abort();
    host.stop().await;
}
