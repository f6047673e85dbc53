//! Live updates over one connection: who may have them, that they come, and what ends them.

use std::time::Duration;

use corpus::samples::BIOLOGY;
use futures::{SinkExt, StreamExt};
use host::token::{self, Claims, Role};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::deploy::version;
use crate::harness::{PATIENCE, TestHost};
use crate::metrics::{scrape, value};

const KEY: &str = "0123456789abcdef0123456789abcdef";

struct Socket(WebSocketStream<TcpStream>);

/// Opens one; else the status and the code of the refusal.
async fn try_open(host: &TestHost, headers: &[(&str, &str)]) -> Result<Socket, (u16, String)> {
    let address = host.base.strip_prefix("http://").unwrap().to_owned();
    let path = headers.iter().find(|(name, _)| *name == "path");
    let path = path.map_or("/ws", |(_, path)| path);
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .unwrap();
    for (name, value) in headers.iter().filter(|(name, _)| *name != "path") {
        let name: tungstenite::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, response)) => {
            let chosen = response.headers().get("sec-websocket-protocol");
            if let Some(chosen) = chosen {
                assert_eq!(chosen, "lectern", "a token is never sent back");
            }
            Ok(Socket(socket))
        }
        Err(tungstenite::Error::Http(response)) => {
            let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
            Err((
                response.status().as_u16(),
                body["code"].as_str().unwrap().to_owned(),
            ))
        }
        Err(error) => panic!("{error}"),
    }
}

async fn open(host: &TestHost) -> Socket {
    try_open(host, &[]).await.ok().unwrap()
}

impl Socket {
    async fn say(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// The next message of text, or how the connection ended.
    async fn next(&mut self) -> Result<Value, Option<CloseFrame>> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Ok(serde_json::from_str(&text).unwrap());
                    }
                    Some(Ok(Message::Close(frame))) => return Err(frame),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(None),
                }
            }
        };
        let next = tokio::time::timeout(PATIENCE, next).await;
        next.expect("a message")
    }

    async fn heard(&mut self) -> Value {
        self.next().await.expect("the connection goes on")
    }

    /// Until a subscription's end, which is the last.
    async fn all_of(&mut self, id: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let message = self.heard().await;
            assert_eq!(message["id"], id, "{message}");
            let is_last = message["type"] == "end";
            all.push(message);
            if is_last {
                return all;
            }
        }
    }

    async fn closed(mut self) -> u16 {
        loop {
            if let Err(frame) = self.next().await {
                return frame.map_or(0, |frame| frame.code.into());
            }
        }
    }
}

fn bearer(user: &str) -> String {
    let signed = token::sign(KEY.as_bytes(), user, Role::User, Duration::from_secs(60));
    format!("Bearer {}", signed.unwrap())
}

async fn with_tokens() -> TestHost {
    TestHost::with("components", |config| {
        config.identity.secret = Some(KEY.to_owned().into());
    })
    .await
}

fn subscribe(id: &str, path: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "path": path })
}

#[tokio::test]
async fn a_document_s_progress_and_a_chat_s_words_come_over_one_connection() {
    let host = TestHost::start().await;
    let uploaded = host.upload("alice", "cells.txt", BIOLOGY).await.ok();
    let id = uploaded["document_id"].as_str().unwrap();
    let mut socket = open(&host).await;
    let path = format!("/document/{id}/events?user_id=alice");
    socket.say(subscribe("progress", &path)).await;
    let progress = socket.all_of("progress").await;
    let [.., last, end] = &progress[..] else {
        panic!("{progress:?}");
    };
    assert_eq!(last["data"]["status"], "completed", "{progress:?}");
    assert_eq!(end["status"], 200);

    let mut asked = subscribe("answer", "/chat");
    asked["body"] = json!({
        "message": "What is a cell membrane?", "user_id": "alice",
        "document_context": { "document_id": id },
    });
    let answer = loop {
        socket.say(asked.clone()).await;
        let answer = socket.all_of("answer").await;
        // Until chat has heard of the document.
        if answer[0]["status"] != 409 {
            break answer;
        }
    };
    let words: String = answer
        .iter()
        .filter(|message| message["event"] == "token")
        .map(|message| message["data"]["text"].as_str().unwrap())
        .collect();
    assert!(words.contains("membrane"), "{answer:?}");
    // Its id is free again.
    socket.say(asked).await;
    assert!(socket.all_of("answer").await.len() > 1);
    host.stop().await;
}

#[tokio::test]
async fn a_connection_is_its_token_s() {
    let host = with_tokens().await;
    let alice = bearer("alice");
    let alice_token = alice.strip_prefix("Bearer ").unwrap();
    let in_query = format!("/ws?token={alice_token}&access_token={alice_token}");
    for (headers, refused) in [
        (vec![], (401, "UNAUTHENTICATED")),
        (vec![("path", in_query.as_str())], (401, "UNAUTHENTICATED")),
        (
            vec![("authorization", "Bearer x")],
            (401, "UNAUTHENTICATED"),
        ),
        (
            vec![("sec-websocket-protocol", "lectern, bearer.x")],
            (401, "UNAUTHENTICATED"),
        ),
    ] {
        let (status, code) = try_open(&host, &headers).await.err().unwrap();
        assert_eq!((status, code.as_str()), refused, "{headers:?}");
    }
    let file = reqwest::multipart::Part::bytes(BIOLOGY.as_bytes()).file_name("a.txt");
    let form = reqwest::multipart::Form::new().part("file", file);
    let upload = host.request(Method::POST, "/upload").multipart(form);
    let uploaded = host.send(upload.header("authorization", &alice)).await.ok();
    let path = format!(
        "/document/{}/events",
        uploaded["document_id"].as_str().unwrap()
    );

    let protocols = format!("lectern, bearer.{alice_token}");
    let as_page = [("sec-websocket-protocol", protocols.as_str())];
    let as_bob = bearer("bob");
    let as_bob = [("authorization", as_bob.as_str())];
    for (headers, status) in [(as_page, 200), (as_bob, 404)] {
        let mut socket = try_open(&host, &headers).await.ok().unwrap();
        socket.say(subscribe("1", &path)).await;
        let all = socket.all_of("1").await;
        let end = all.last().unwrap();
        assert_eq!(end["status"], status, "{end}");
        if status == 404 {
            assert_eq!(end["body"]["code"], "DOCUMENT_NOT_FOUND", "{end}");
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let host = with_tokens().await;
    let mut claims = Claims::new("alice", Role::User, Duration::ZERO);
    // Tokens are taken for a minute longer, as clocks differ: two seconds are left.
    claims.exp -= 58;
    let signed = token::encode(KEY.as_bytes(), &claims).unwrap();
    let authorization = format!("Bearer {signed}");
    let headers = [("authorization", authorization.as_str())];
    let socket = try_open(&host, &headers).await.ok().unwrap();
    assert_eq!(socket.closed().await, 4_401);
    host.stop().await;
}

#[tokio::test]
async fn a_page_that_nobody_has_named_opens_none() {
    let host = TestHost::start().await;
    for origin in ["https://evil.example", "null", "http://localhost.evil"] {
        let refused = try_open(&host, &[("origin", origin)]).await.err().unwrap();
        assert_eq!(refused, (403, "ORIGIN_NOT_ALLOWED".into()), "{origin}");
    }
    for origin in ["http://localhost:5173", host.base.as_str()] {
        assert!(
            try_open(&host, &[("origin", origin)]).await.is_ok(),
            "{origin}"
        );
    }
    let plain = host.get("/ws").await;
    assert_eq!(plain.code(), (426, "UPGRADE_REQUIRED"));
    assert_eq!(plain.headers["upgrade"], "websocket");
    host.stop().await;
}

#[tokio::test]
async fn what_is_no_message_is_told_and_a_flood_ends_the_connection() {
    let host = TestHost::probe().await;
    let mut socket = open(&host).await;
    for (said, code) in [
        (json!("hello"), "MALFORMED_MESSAGE"),
        (
            json!({ "type": "subscribe", "id": "1" }),
            "MALFORMED_MESSAGE",
        ),
        (subscribe("", "/probe/empty"), "INVALID_ID"),
        (subscribe("1", "/ws"), "INVALID_PATH"),
        (subscribe("1", "http://169.254.169.254/"), "INVALID_PATH"),
    ] {
        socket.say(said).await;
        let told = socket.heard().await;
        assert_eq!(
            (&told["type"], &told["code"]),
            (&json!("error"), &json!(code))
        );
    }
    // Climbing is refused where every request's is; what is no stream is answered whole.
    for (path, status) in [
        ("/probe/../chat", 400),
        ("/none", 404),
        ("/probe/empty", 200),
    ] {
        socket.say(subscribe("1", path)).await;
        assert_eq!(socket.heard().await["status"], status, "{path}");
    }
    for _ in 0..200 {
        // The host may end it meanwhile.
        let text = Message::text(r#"{"type":"unsubscribe","id":"none"}"#);
        let _ = socket.0.send(text).await;
    }
    assert_eq!(socket.closed().await, 1_008);
    // A message in pieces without end, and without a byte.
    let mut socket = open(&host).await;
    let piece = |opcode| Message::Frame(Frame::message(vec![], OpCode::Data(opcode), false));
    let _ = socket.0.send(piece(Data::Text)).await;
    for _ in 0..200 {
        let _ = socket.0.send(piece(Data::Continue)).await;
    }
    assert_eq!(socket.closed().await, 1_008);
    let mut socket = open(&host).await;
    let _ = socket.0.send(Message::text("x".repeat(65 << 10))).await;
    assert_eq!(socket.closed().await, 1_009);
    let mut socket = open(&host).await;
    socket.0.send(Message::binary(vec![0])).await.unwrap();
    assert_eq!(socket.closed().await, 1_003);
    assert_eq!(host.get("/probe/empty").await.status, 200);
    let counted = async {
        loop {
            let metrics = scrape(&host).await;
            if value(&metrics, "lectern_websockets ") == Some(0.0) {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let metrics = tokio::time::timeout(PATIENCE, counted).await.unwrap();
    for (how, often) in [("flood", 2.0), ("too_large", 1.0), ("no_text", 1.0)] {
        let name = format!("lectern_websocket_endings_total{{how=\"{how}\"}}");
        assert_eq!(value(&metrics, &name), Some(often), "{how}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_connection_has_sixteen_subscriptions_and_each_can_be_ended() {
    let host = TestHost::probe().await;
    let mut socket = open(&host).await;
    for number in 0..17 {
        socket
            .say(subscribe(&number.to_string(), "/probe/stream/600"))
            .await;
    }
    socket.say(subscribe("3", "/probe/stream/600")).await;
    let mut begun = std::collections::BTreeSet::new();
    let mut refused = vec![];
    while begun.len() < 16 || refused.len() < 2 {
        let message = socket.heard().await;
        let id = message["id"].as_str().unwrap().to_owned();
        match message["type"].as_str().unwrap() {
            "event" => {
                begun.insert(id);
            }
            _ => refused.push((id, message["code"].clone())),
        }
    }
    let code = |id: &str, code: &str| (id.to_owned(), json!(code));
    let expected = [code("16", "TOO_MANY_SUBSCRIPTIONS"), code("3", "ID_IN_USE")];
    assert_eq!(refused, expected);
    for number in 0..16 {
        let id = number.to_string();
        socket.say(json!({ "type": "unsubscribe", "id": id })).await;
        loop {
            let message = socket.heard().await;
            if message["type"] == "end" {
                assert_eq!(
                    (&message["id"], &message["cancelled"]),
                    (&json!(id), &json!(true))
                );
                break;
            }
        }
    }
    // Nothing of them is left: what waits of a stream of a minute would hold up the end.
    socket.say(subscribe("3", "/probe/stream/1")).await;
    let all = socket.all_of("3").await;
    assert_eq!(all.last().unwrap()["status"], 200, "{all:?}");
    host.stop().await;
}

#[tokio::test]
async fn a_subscription_stays_with_the_revision_that_it_began_on() {
    let host = TestHost::probe().await;
    let operator = host.operator();
    operator.deploy("probe", version(1)).await.unwrap();
    let mut socket = open(&host).await;
    socket.say(subscribe("old", "/probe/stream/10")).await;
    assert_eq!(socket.heard().await["data"], 0);
    operator.deploy("probe", version(2)).await.unwrap();
    let all = socket.all_of("old").await;
    let [.., last, end] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(
        (&last["data"], &end["status"]),
        (&json!("end 1"), &json!(200))
    );
    socket.say(subscribe("new", "/probe/stream/1")).await;
    let all = socket.all_of("new").await;
    assert_eq!(all[all.len() - 2]["data"], "end 2", "{all:?}");
    host.stop().await;
}

#[tokio::test]
async fn a_host_that_ends_says_so_to_its_connections() {
    let host = TestHost::probe().await;
    let mut socket = open(&host).await;
    socket.say(subscribe("1", "/probe/stream/600")).await;
    assert_eq!(socket.heard().await["type"], "event");
    let (code, ()) = tokio::join!(socket.closed(), host.stop());
    assert_eq!(code, 1_001);
}

#[tokio::test]
async fn subscriptions_are_counted_where_a_trusted_proxy_says_the_client_is() {
    let host = TestHost::with("test-components", |config| {
        config.limits.rates = host::config::limits::rates("address.read=2/1h").unwrap();
        config
            .limits
            .rates
            .retain(|rule| rule.name == "address.read");
        config.limits.proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    for address in ["7.7.7.1", "7.7.7.2", "7.7.7.3"] {
        let headers = [("x-forwarded-for", address)];
        let mut socket = try_open(&host, &headers).await.ok().unwrap();
        socket.say(subscribe("1", "/probe/empty")).await;
        assert_eq!(socket.heard().await["status"], 200, "{address}");
        socket.say(subscribe("2", "/probe/empty")).await;
        assert_eq!(socket.heard().await["status"], 429, "{address}");
    }
    host.stop().await;
}
