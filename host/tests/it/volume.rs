//! What a request reads does not grow with what its sender has: who has thousands of sessions, documents and
//! quizzes waits no longer for one of them than who has a few.

use std::collections::BTreeMap;

use corpus::samples::BIOLOGY;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::harness::{PATIENCE, TestHost, text_of};
use crate::quiz::{quiet, sql};
use crate::transcription::{hears, tone};

const MANY: usize = 3_000;
/// Rows that a scan reads at most, on average: a page of a list, or what is asked for.
const FEW: u64 = 60;
/// Often enough that PostgreSQL keeps the plan.
const OFTEN: u64 = 8;

/// What learners have many of, its key, and what it is listed by.
const TABLES: [(&str, &str, &str); 7] = [
    ("chat.chat_sessions", "session_id", "updated_at"),
    ("documents.documents", "document_id", "uploaded_at"),
    ("quiz.quizzes", "quiz_id", "created_at"),
    ("quiz.quiz_submissions", "submission_id", "submitted_at"),
    ("quiz.review_cards", "card_id", "due"),
    ("stt.transcription_jobs", "job_id", "submitted_at"),
    ("tts.audio", "audio_id", "requested_at"),
];

/// What alice asks for, again and again.
struct Alice<'a> {
    host: &'a TestHost,
    document: String,
    quiz: String,
    paths: Vec<String>,
}

impl<'a> Alice<'a> {
    /// With one of everything.
    async fn new(host: &'a TestHost) -> Self {
        let document = host.processed("alice", "a.txt", BIOLOGY).await;
        let document = text_of(&document, "document_id");
        let wanted = json!({ "document_id": document, "user_id": "alice", "num_questions": 3 });
        let quiz = host.post("/quiz/generate", wanted).await.ok();
        let mut alice = Self {
            host,
            quiz: text_of(&quiz, "quiz_id"),
            paths: Vec::new(),
            document,
        };
        let graded = host.send(alice.submits()).await.ok();
        let job = host
            .transcribe(tone(), "a.wav", &[("user_id", "alice")])
            .await
            .ok();
        let say = json!({ "text": "Cells divide.", "user_id": "alice" });
        let audio = host.post("/synthesize", say).await.ok();
        alice.paths = [
            format!("/document/{}", alice.document),
            format!("/document/{}/notes", alice.document),
            "/chat/history/hers".into(),
            format!("/quiz/{}", alice.quiz),
            format!("/quiz/submissions/{}", text_of(&graded, "submission_id")),
            format!("/transcription/{}", text_of(&job, "job_id")),
            format!("/audio/{}", text_of(&audio, "audio_id")),
        ]
        .into_iter()
        .chain(LISTS.map(ToOwned::to_owned))
        .collect();
        alice
    }

    fn asks(&self) -> RequestBuilder {
        let question = json!({
            "message": "What controls what enters a cell?", "session_id": "hers", "user_id": "alice",
            "document_context": { "document_id": self.document },
        });
        self.host.request(Method::POST, "/chat").json(&question)
    }

    fn submits(&self) -> RequestBuilder {
        let said = json!({ "quiz_id": self.quiz, "user_id": "alice", "answers": { "q1": "x" } });
        self.host.request(Method::POST, "/quiz/submit").json(&said)
    }

    fn reviews(&self) -> RequestBuilder {
        let card = format!("{}.q1", self.quiz);
        let said = json!({ "card_id": card, "user_id": "alice", "rating": "good" });
        let request = self.host.request(Method::POST, "/review/answer");
        request.json(&said)
    }

    async fn ask(&self) {
        self.host.send(self.asks()).await.ok();
    }

    async fn round(&self) {
        for request in [self.asks(), self.submits(), self.reviews()] {
            self.host.send(request).await.ok();
        }
        for path in &self.paths {
            let mark = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{mark}user_id=alice");
            self.host.get(&path).await.ok();
        }
    }
}

const LISTS: [&str; 7] = [
    "/documents?limit=20",
    "/chat/sessions?limit=20",
    "/quizzes?limit=20",
    "/quiz/history?limit=20",
    "/transcriptions?limit=20",
    "/audio?limit=20",
    "/review/due?limit=20",
];

/// So much more of everything, as she has it.
async fn grow(host: &TestHost) {
    for (table, key, time) in TABLES {
        let other = match table {
            // Another quiz each: nobody takes one a thousand times.
            "quiz.quiz_submissions" => {
                ", 'quiz_id', (select quiz_id from quiz.quizzes where quiz_id <> t.quiz_id offset n - 1 limit 1)"
            }
            // Those that are due are counted.
            "quiz.review_cards" => ", 'due', t.due + interval '1 year'",
            _ => "",
        };
        let statement = format!(
            "insert into {table} overriding user value select (jsonb_populate_record(null::{table}, \
             to_jsonb(t) || jsonb_build_object('{key}', gen_random_uuid()::text, \
             '{time}', t.{time} - n * interval '1 second'{other}))).* \
             from (select * from {table} limit 1) t, generate_series(1, {MANY}) n"
        );
        sql(host, statement).await;
        let count = sql(host, format!("select count(*)::text from {table}")).await;
        assert!(count[0].parse::<usize>().unwrap() > MANY, "{table}");
    }
}

/// Scans of each table, and the rows that they read.
async fn read(host: &TestHost) -> BTreeMap<String, (u64, u64)> {
    let statement = "select concat_ws(' ', schemaname || '.' || relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0), \
         coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables";
    let rows = host.sql(statement).await;
    let rows = rows.iter().map(|row| {
        let mut words = row.split(' ');
        let table = words.next().unwrap().to_owned();
        let mut number = || words.next().unwrap().parse().unwrap();
        (table, (number(), number()))
    });
    rows.collect()
}

/// Sends requests until those tables were scanned often: none may have read many rows a scan.
async fn few_are_read(host: &TestHost, tables: &[&str], requests: impl AsyncFn()) {
    let before = read(host).await;
    // PostgreSQL counts with a delay, and at the end of a statement.
    let counted = async {
        loop {
            requests().await;
            let now = read(host).await;
            let more = tables.iter().map(|table| {
                let ((scans, rows), (then, fewer)) = (now[*table], before[*table]);
                (*table, scans - then, rows - fewer)
            });
            let more: Vec<_> = more.collect();
            if more.iter().all(|(_, scans, _)| *scans >= OFTEN) {
                return more;
            }
        }
    };
    let counted = tokio::time::timeout(PATIENCE, counted).await.unwrap();
    for (table, scans, rows) in counted {
        assert!(rows / scans <= FEW, "{table}: {rows} rows in {scans} scans");
    }
}

#[tokio::test]
async fn a_request_reads_no_more_where_its_sender_has_thousands() {
    let folder = tempfile::tempdir().unwrap();
    let host = TestHost::with("components", |config| hears(config, folder.path())).await;
    let alice = Alice::new(&host).await;
    for _ in 0..OFTEN {
        alice.round().await;
    }
    quiet(&host).await;
    grow(&host).await;
    // As a service just installed is, and a busy one for its first minute: PostgreSQL has no statistics, and
    // keeps the plans that it made of empty tables.
    few_are_read(&host, &["chat.chat_sessions"], async || alice.ask().await).await;
    host.sql("analyze").await;
    let tables = TABLES.map(|(table, ..)| table);
    few_are_read(&host, &tables, async || alice.round().await).await;
    host.stop().await;
}
