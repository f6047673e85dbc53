//! The routes.

mod engines;

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use guest::events::{Disposition, Event, payload};
use guest::schedule::Tick;
use guest::{Caller, Problem, blobs, events, params, postgres};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

guest::serve!(router);
guest::consume!(handle);
guest::schedule!(tick);

fn router() -> Router {
    Router::new()
        .route("/probe/empty", get(|| async { "hello" }))
        .route("/probe/select", get(select))
        .route("/probe/whoami", get(whoami))
        .route("/probe/sink", post(sink))
        .route("/probe/store/{key}", post(store).get(load))
        .route("/probe/sql", post(sql))
        .route("/probe/publish/{topic}", post(publish))
        .route("/probe/effects", get(effects))
        .route("/probe/misbehave/{how}", get(misbehave))
        // The same under another name, for the tests that run two of it.
        .route("/hostile/misbehave/{how}", get(misbehave))
        .route("/probe/version", get(version))
        .route("/probe/socket/{address}", get(socket))
        .route("/probe/pause/{ms}", get(pause))
        .route("/probe/stream/{tenths}", get(stream))
        .route("/health", get(health))
        .merge(engines::routes())
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Well, unless the manifest's `config` says otherwise.
async fn health() -> (StatusCode, Json<Value>) {
    if let Some(delay) = setting("HEALTH_DELAY_MS") {
        guest::wasip3::clocks::monotonic_clock::wait_for(delay * 1_000_000).await;
    }
    match setting("UNHEALTHY") {
        None => (StatusCode::OK, Json(json!({ "status": "healthy" }))),
        Some(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "unhealthy" })),
        ),
    }
}

/// Which revision answers; how well, the manifest's `config` says.
async fn version() -> (StatusCode, String) {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    if let Some(delay) = setting("DELAY_MS") {
        guest::wasip3::clocks::monotonic_clock::wait_for(delay * 1_000_000).await;
    }
    if setting("TRAP_EACH").is_some_and(|each| call % each == each - 1) {
        panic!("as asked");
    }
    let status = match setting("FAIL_EACH") {
        Some(each) if call % each == each - 1 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    (status, std::env::var("VERSION").unwrap_or_default())
}

/// Tries to reach an address by itself, and to listen.
async fn socket(Path(address): Path<String>) -> String {
    let reached = std::net::TcpStream::connect(&address).map(|_| ());
    let listening = std::net::TcpListener::bind("127.0.0.1:0").map(|_| ());
    let found = std::net::ToSocketAddrs::to_socket_addrs("localhost:80").map(|_| ());
    format!(
        "{} {} {}",
        reached.is_ok(),
        listening.is_ok(),
        found.is_ok()
    )
}

/// Answers after so many milliseconds.
async fn pause(Path(ms): Path<u64>) -> &'static str {
    guest::wasip3::clocks::monotonic_clock::wait_for(ms * 1_000_000).await;
    "rested"
}

/// An event every tenth of a second, so many of them, then the version of who sent them.
async fn stream(Path(tenths): Path<u64>) -> impl IntoResponse {
    let events = futures::stream::iter(0..=tenths).then(move |number| async move {
        if number < tenths {
            guest::wasip3::clocks::monotonic_clock::wait_for(100_000_000).await;
            return Ok::<_, std::io::Error>(format!("data: {number}\n\n"));
        }
        let version = std::env::var("VERSION").unwrap_or_default();
        Ok(format!("data: end {version}\n\n"))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(events))
}

async fn select() -> Result<String, Problem> {
    let row = postgres::fetch_optional("select 1::bigint", vec![]).await?;
    Ok(row.map_or(0, |row| row.int(0)).to_string())
}

async fn whoami(caller: Caller) -> Json<Value> {
    Json(json!({ "user": caller.user, "admin": caller.admin }))
}

/// Counts the body's bytes, and keeps none.
async fn sink(body: Body) -> Result<String, Problem> {
    let mut size = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        size += chunk
            .map_err(|_| Problem::validation("the body broke off"))?
            .len();
    }
    Ok(size.to_string())
}

async fn store(Path(key): Path<String>, body: Body) -> Result<String, Problem> {
    let chunks = body
        .into_data_stream()
        .map(|chunk| chunk.map_err(|_| Problem::validation("the body broke off")));
    Ok(blobs::put(&key, Box::pin(chunks), 200 << 20)
        .await?
        .to_string())
}

async fn load(Path(key): Path<String>) -> Result<Vec<u8>, Problem> {
    Ok(blobs::read(&key, 1 << 20).await?)
}

/// Any statement: the database is what confines it.
async fn sql(statement: String) -> Result<String, Problem> {
    use guest::bindings::capabilities::lectern::platform::postgres as wit;
    let (columns, mut rows, ended) = match wit::query(statement, vec![]).await {
        Ok(found) => found,
        Err(error) => return Ok(format!("error: {error:?}")),
    };
    let mut count = 0;
    while let Some(row) = rows.next().await {
        count += usize::from(row.len() == columns.len());
    }
    match ended.await {
        Ok(()) => Ok(count.to_string()),
        Err(error) => Ok(format!("after {count} rows: {error:?}")),
    }
}

#[derive(Serialize, Deserialize)]
struct Asked {
    what: String,
}

async fn publish(
    Path(topic): Path<String>,
    Json(asked): Json<Asked>,
) -> Result<&'static str, Problem> {
    let tx = postgres::begin().await?;
    events::publish_in(&tx, &topic, &asked.what, &json!(asked)).await?;
    postgres::commit(tx).await?;
    Ok("published")
}

const TABLES: [&str; 2] = [
    "create table if not exists inbox (event_id text primary key, topic text not null)",
    "create table if not exists effects (what text, attempt integer, previous text)",
];

async fn handle(event: Event) -> Result<(), Disposition> {
    let Asked { what } = payload(&event)?;
    if setting("REJECT_ALL").is_some() {
        return Err(Disposition::Reject("as configured".into()));
    }
    for table in TABLES {
        postgres::execute(table, vec![]).await?;
    }
    let previous = event.previous.map(|failure| format!("{failure:?}"));
    match (what.as_str(), event.attempt) {
        ("reject", _) => return Err(Disposition::Reject("as asked".into())),
        ("trap", 1) => panic!("as asked"),
        ("spin", 1) => spin(),
        ("grow", 1) => grow(),
        ("wait", 1) => wait().await,
        ("retry", 1) => return Err(Disposition::Retry(Some(1))),
        ("always trap", _) => panic!("as asked"),
        _ => {}
    }
    let tx = postgres::begin().await?;
    if events::first_time(&tx, &event).await? {
        postgres::execute_in(
            &tx,
            "insert into effects values ($1, $2, $3)",
            params![what, event.attempt, previous],
        )
        .await?;
        postgres::commit(tx).await?;
    }
    Ok(())
}

async fn effects() -> Result<Json<Vec<Value>>, Problem> {
    for table in TABLES {
        postgres::execute(table, vec![]).await?;
    }
    let rows = postgres::fetch(
        "select what, attempt, previous from effects order by what",
        vec![],
    )
    .await?;
    let effect = |mut row: postgres::Row| json!([row.text(0), row.int(1), row.opt_text(2)]);
    Ok(Json(rows.into_iter().map(effect).collect()))
}

/// Leaves the time under the timer's name, unless the name says otherwise.
async fn tick(tick: Tick) -> Result<(), String> {
    match tick.name.as_str() {
        "fail" => Err("as asked".repeat(1_000)),
        "trap" => panic!("as asked"),
        "wait" => {
            wait().await;
            Ok(())
        }
        name => {
            let due = tick.due_at.to_string().into_bytes();
            let stored = blobs::put_bytes(&format!("tick-{name}"), due).await;
            stored.map_err(|_| "the time cannot be left".into())
        }
    }
}

async fn misbehave(Path(how): Path<String>) -> String {
    match how.as_str() {
        "trap" => panic!("as asked"),
        "spin" => spin(),
        "grow" => grow(),
        "wait" => wait().await,
        "flood" => flood(),
        _ => {}
    }
    "survived".to_owned()
}

fn spin() {
    let mut x = 0u64;
    loop {
        x = std::hint::black_box(x.wrapping_add(1));
    }
}

fn grow() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        std::hint::black_box(&hoard);
    }
}

async fn wait() {
    guest::wasip3::clocks::monotonic_clock::wait_for(60_000_000_000).await;
}

fn flood() {
    // Several times `limits.log_kib`.
    for _ in 0..4_000 {
        eprintln!("INFO a line that fills the log with nothing of any use to anybody at all");
    }
}
