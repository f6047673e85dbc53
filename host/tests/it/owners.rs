//! Every route of every service, asked by others for what is alice's: by her neighbour, by who has her
//! name in another tenant or in none, by an administrator elsewhere. The routes are read from
//! `/openapi.json`, which is made of the services' routers, so that a new one fails here until it is asked
//! too.

mod matrix;

use corpus::samples::BIOLOGY;
use host::token::{self, Claims, Role};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{Answer, PATIENCE, TestHost, text_of};
use crate::transcription::{hears, tone};

const KEY: &str = "the tests' users sign with this key";
/// A word that is in all that she writes, and in nothing else.
const WORD: &str = "zanzibarite";

/// What the host answers of itself alone.
const OF_THE_HOST: [&str; 11] = [
    "GET /usage",
    "GET /ws",
    // Two users by each of these: `webhooks`.
    "GET /webhooks",
    "POST /webhooks",
    "GET /webhooks/{id}",
    "DELETE /webhooks/{id}",
    "GET /webhooks/{id}/deliveries",
    "POST /webhooks/{id}/ping",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /v1/audio/models",
];

/// Methods and patterns, as in `PATCH /chat/sessions/{id}`.
fn routes(host: &TestHost) -> Vec<String> {
    let mut routes = host.document().routes();
    routes.retain(|route| !OF_THE_HOST.contains(&route.as_str()));
    routes
}

struct Caller<'a> {
    host: &'a TestHost,
    token: String,
}

enum Body {
    None,
    Json(Value),
    /// A form with that file.
    File(&'static str, Vec<u8>),
}

impl<'a> Caller<'a> {
    fn new(host: &'a TestHost, user: &str, tenant: Option<&str>, role: Role) -> Self {
        let claims = Claims {
            tenant: tenant.map(ToOwned::to_owned),
            ..Claims::new(user, role, std::time::Duration::from_secs(3_600))
        };
        let token = token::encode(KEY.as_bytes(), &claims).unwrap();
        Self { host, token }
    }

    /// All with the same key: what is kept for her to be answered again is not for others.
    async fn send(&self, method: Method, path: &str, body: Body) -> Answer {
        let request = self.request(method, path, &body);
        let request = request.header("idempotency-key", "the-same-for-all");
        self.host.send(request).await
    }

    fn request(&self, method: Method, path: &str, body: &Body) -> reqwest::RequestBuilder {
        let request = self.host.request(method, path).bearer_auth(&self.token);
        match body {
            Body::None => request,
            Body::Json(body) => request.json(body),
            Body::File(name, bytes) => {
                let file = Part::bytes(bytes.clone()).file_name(*name);
                request.multipart(Form::new().part("file", file))
            }
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::None).await
    }

    async fn post(&self, path: &str, body: Body) -> Value {
        self.send(Method::POST, path, body).await.ok()
    }

    async fn settled(&self, path: &str) {
        let settled = async {
            while self.get(path).await.ok()["status"] == "processing" {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled)
            .await
            .expect("it ends");
    }
}

/// What is hers, by the names that routes and answers have for it.
struct Hers {
    document: String,
    batched_document: String,
    session: String,
    quiz: String,
    submission: String,
    card: String,
    job: String,
    batched_job: String,
    audio: String,
    batch: String,
}

fn text() -> Vec<u8> {
    format!("{BIOLOGY}\n\nThe {WORD} is a rare organ of the cell.").into_bytes()
}

impl Hers {
    async fn make(alice: &Caller<'_>) -> Self {
        let uploaded = alice.post("/upload", Body::File("zanzibarite.txt", text()));
        let document = text_of(&uploaded.await, "document_id");
        let batch = alice.post("/upload/batch", Body::File("zanzibarite.txt", text()));
        let batched_document = text_of(&batch.await["documents"][0], "document_id");
        for document in [&document, &batched_document] {
            alice.settled(&format!("/document/{document}")).await;
        }
        let (quiz, submission) = Self::quiz(alice, &document).await;
        let job = alice.post("/transcribe", Body::File("a.wav", tone()));
        let job = text_of(&job.await, "job_id");
        let batch = alice.post("/transcribe/batch", Body::File("a.wav", tone()));
        let batched_job = text_of(&batch.await["transcriptions"][0], "job_id");
        for job in [&job, &batched_job] {
            alice.settled(&format!("/transcription/{job}")).await;
        }
        let say = json!({ "text": format!("Say {WORD}.") });
        let audio = alice.post("/synthesize", Body::Json(say.clone())).await;
        let items = Body::Json(json!({ "items": [say] }));
        let batch = text_of(&alice.post("/synthesize/batch", items).await, "batch_id");
        alice.settled(&format!("/synthesize/batch/{batch}")).await;
        Self {
            session: Self::session(alice, &document).await,
            document,
            batched_document,
            card: format!("{quiz}.q1"),
            quiz,
            submission,
            job,
            batched_job,
            audio: text_of(&audio, "audio_id"),
            batch,
        }
    }

    async fn session(alice: &Caller<'_>, document: &str) -> String {
        let question = json!({
            "message": format!("What is {WORD}?"), "session_id": format!("about-{document}"),
            "document_context": { "document_id": document },
        });
        let answer = alice.post("/chat", Body::Json(question)).await;
        assert!(answer["response"].as_str().unwrap().contains(WORD));
        text_of(&answer, "session_id")
    }

    async fn quiz(alice: &Caller<'_>, document: &str) -> (String, String) {
        let wanted = json!({ "document_id": document, "num_questions": 3 });
        let quiz = alice.post("/quiz/generate", Body::Json(wanted)).await;
        let answers = json!({ "quiz_id": quiz["quiz_id"], "answers": { "q1": WORD } });
        let graded = alice.post("/quiz/submit", Body::Json(answers)).await;
        (text_of(&quiz, "quiz_id"), text_of(&graded, "submission_id"))
    }

    fn names(&self) -> [&str; 11] {
        [
            WORD,
            &self.document,
            &self.batched_document,
            &self.session,
            &self.quiz,
            &self.submission,
            &self.card,
            &self.job,
            &self.batched_job,
            &self.audio,
            &self.batch,
        ]
    }

    /// How somebody else asks that route for what is hers.
    fn asked(&self, route: &str) -> Vec<Asked> {
        self.of_chat(route)
            .or_else(|| self.of_documents(route))
            .or_else(|| self.of_quizzes(route))
            .or_else(|| self.of_transcriptions(route))
            .or_else(|| self.of_audio(route))
            .or_else(|| self.of_openai(route))
            .unwrap_or_else(|| {
                panic!("{route} is new: how does somebody else ask it for what is hers?")
            })
    }

    fn of_chat(&self, route: &str) -> Option<Vec<Asked>> {
        let (document, session) = (&self.document, &self.session);
        let about =
            json!({ "message": "What is it?", "document_context": { "document_ids": [document] } });
        let of_session = format!("/chat/sessions/{session}");
        Some(match route {
            // A session's name is its owner's, so that nobody can name another's: `chat_owners`.
            "POST /chat" => vec![
                json("/chat", about, Told::NotThere),
                json("/chat", json!({ "message": "Hi" }), Told::Nothing),
            ],
            "GET /chat/history/{id}" => vec![one(format!("/chat/history/{session}"))],
            "GET /chat/sessions" => vec![
                list("/chat/sessions".into()),
                list(format!("/chat/sessions?q={WORD}")),
            ],
            "PATCH /chat/sessions/{id}" => vec![json(
                &of_session,
                json!({ "title": "Mine" }),
                Told::NotThere,
            )],
            "DELETE /chat/sessions/{id}" => vec![one(of_session)],
            "GET /chat/sessions/{id}/export" => ["json", "markdown"]
                .map(|format| one(format!("{of_session}/export?format={format}")))
                .into(),
            _ => return None,
        })
    }

    fn of_documents(&self, route: &str) -> Option<Vec<Asked>> {
        let path = format!("/document/{}", self.document);
        Some(vec![match route {
            "POST /upload" => file("/upload", "b.txt", BIOLOGY.into()),
            "POST /upload/batch" => file("/upload/batch", "b.txt", BIOLOGY.into()),
            "GET /document/{id}" | "DELETE /document/{id}" => one(path),
            "GET /document/{id}/events" => one(format!("{path}/events")),
            "GET /document/{id}/notes" => one(format!("{path}/notes")),
            "PUT /document/{id}/notes" => json(
                &format!("{path}/notes"),
                json!({ "notes": "Mine" }),
                Told::NotThere,
            ),
            "GET /document/{id}/pages" => one(format!("/document/{}/pages", self.batched_document)),
            "GET /documents" => list("/documents".into()),
            "GET /documents/search" => list(format!("/documents/search?q={WORD}")),
            "POST /process/{id}" => one(format!("/process/{}", self.document)),
            _ => return None,
        }])
    }

    fn of_quizzes(&self, route: &str) -> Option<Vec<Asked>> {
        let (document, quiz) = (&self.document, &self.quiz);
        let submission = format!("/quiz/submissions/{}", self.submission);
        Some(vec![match route {
            "POST /quiz/generate" => json(
                "/quiz/generate",
                json!({ "document_ids": [document] }),
                Told::NotThere,
            ),
            "POST /quiz/submit" => json(
                "/quiz/submit",
                json!({ "quiz_id": quiz, "answers": { "q1": "x" } }),
                Told::NotThere,
            ),
            "GET /quiz/history" => list("/quiz/history".into()),
            "GET /quiz/analytics" => list(format!("/quiz/analytics?document_id={document}")),
            "GET /quiz/submissions/{id}" => one(submission),
            "POST /quiz/submissions/{id}/marks" => json(
                &format!("{submission}/marks"),
                json!({ "marks": { "q1": 1 } }),
                Told::NotThere,
            ),
            "GET /quiz/{id}" => one(format!("/quiz/{quiz}")),
            "GET /quizzes" => list("/quizzes".into()),
            "GET /review/due" => list("/review/due".into()),
            "POST /review/answer" => {
                let body = json!({ "card_id": self.card, "rating": "good" });
                json("/review/answer", body, Told::NotThere)
            }
            "GET /review/export" => {
                return Some(
                    ["anki", "json"]
                        .map(|format| list(format!("/review/export?format={format}")))
                        .into(),
                );
            }
            _ => return None,
        }])
    }

    fn of_transcriptions(&self, route: &str) -> Option<Vec<Asked>> {
        let path = format!("/transcription/{}", self.job);
        Some(vec![match route {
            "POST /transcribe" => file("/transcribe", "b.wav", tone()),
            "POST /transcribe/batch" => file("/transcribe/batch", "b.wav", tone()),
            "GET /transcription/{id}" | "DELETE /transcription/{id}" => one(path),
            "GET /transcription/{id}/subtitles" => one(format!("{path}/subtitles")),
            "GET /transcription/{id}/events" => {
                one(format!("/transcription/{}/events", self.batched_job))
            }
            "GET /transcriptions" => list("/transcriptions".into()),
            _ => return None,
        }])
    }

    fn of_audio(&self, route: &str) -> Option<Vec<Asked>> {
        let path = format!("/audio/{}", self.audio);
        let theirs = json!({ "text": "My own words." });
        Some(vec![match route {
            "POST /synthesize" => json("/synthesize", theirs, Told::Nothing),
            "POST /synthesize/batch" => json(
                "/synthesize/batch",
                json!({ "items": [theirs] }),
                Told::Nothing,
            ),
            "GET /synthesize/batch/{id}" => one(format!("/synthesize/batch/{}", self.batch)),
            "GET /audio" => list("/audio".into()),
            "GET /audio/{id}" | "DELETE /audio/{id}" => one(path),
            "GET /audio/{id}/content" => one(format!("{path}/content")),
            "GET /audio/{id}/marks" => one(format!("{path}/marks")),
            "GET /voices" => list("/voices".into()),
            _ => return None,
        }])
    }

    fn of_openai(&self, route: &str) -> Option<Vec<Asked>> {
        let ask = |metadata: Value| {
            let messages = json!([{ "role": "user", "content": "What is it?" }]);
            json!({ "model": "lectern", "messages": messages, "metadata": metadata })
        };
        Some(match route {
            "POST /v1/chat/completions" => vec![
                json(
                    "/v1/chat/completions",
                    ask(json!({ "document_ids": self.document })),
                    Told::NotThere,
                ),
                json(
                    "/v1/chat/completions",
                    ask(
                        json!({ "document_ids": self.batched_document, "session_id": self.session }),
                    ),
                    Told::NotThere,
                ),
            ],
            "POST /v1/audio/speech" => {
                vec![json(
                    "/v1/audio/speech",
                    json!({ "input": "My own words." }),
                    Told::Nothing,
                )]
            }
            "POST /v1/audio/transcriptions" => {
                vec![file("/v1/audio/transcriptions", "b.wav", tone())]
            }
            "GET /v1/audio/voices" => vec![list("/v1/audio/voices".into())],
            _ => return None,
        })
    }

    /// All that she can read, but for what changes by itself.
    async fn seen(&self, alice: &Caller<'_>) -> Vec<(String, Value)> {
        let mut seen = Vec::new();
        for route in routes(alice.host) {
            if !route.starts_with("GET ")
                || route.ends_with("/events")
                || route.ends_with("/content")
            {
                continue;
            }
            for (path, ..) in self.asked(&route) {
                let mut body = alice.get(&path).await.ok();
                lasting(&mut body);
                seen.push((path, body));
            }
        }
        seen
    }
}

/// A path, a body, and what there is to answer.
type Asked = (String, Body, Told);

/// A thing of hers.
fn one(path: String) -> Asked {
    (path, Body::None, Told::NotThere)
}

/// What the asker has, of which hers is no part.
fn list(path: String) -> Asked {
    (path, Body::None, Told::Nothing)
}

fn json(path: &str, body: Value, told: Told) -> Asked {
    (path.to_owned(), Body::Json(body), told)
}

fn file(path: &str, name: &'static str, bytes: Vec<u8>) -> Asked {
    (path.to_owned(), Body::File(name, bytes), Told::Nothing)
}

/// Without addresses that expire, and intervals that count from now.
fn lasting(body: &mut Value) {
    match body {
        Value::Object(members) => {
            members.retain(|name, _| !["s3_url", "intervals"].contains(&name.as_str()));
            members.values_mut().for_each(lasting);
        }
        Value::Array(items) => items.iter_mut().for_each(lasting),
        _ => {}
    }
}

/// What somebody else is told.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// 404, or 403 where only an administrator may.
    NotThere,
    /// Something, but nothing of hers.
    Nothing,
}

async fn host(engine: &std::path::Path) -> TestHost {
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(KEY.to_owned().into());
        hears(config, engine);
    });
    host.await.described().await
}

#[tokio::test]
async fn no_route_of_any_service_shows_or_changes_what_is_somebody_else_s() {
    let engine = tempfile::tempdir().unwrap();
    let host = host(engine.path()).await;
    let caller = |user, tenant, role| Caller::new(&host, user, tenant, role);
    let alice = caller("alice", Some("school"), Role::User);
    let hers = Hers::make(&alice).await;
    let before = hers.seen(&alice).await;
    for (who, other) in [
        ("bob", caller("bob", Some("school"), Role::User)),
        (
            "alice elsewhere",
            caller("alice", Some("college"), Role::User),
        ),
        ("alice of no tenant", caller("alice", None, Role::User)),
        (
            "an administrator elsewhere",
            caller("root", Some("college"), Role::Admin),
        ),
        (
            "an administrator of no tenant",
            caller("root", None, Role::Admin),
        ),
    ] {
        for route in routes(&host) {
            let (method, _) = route.split_once(' ').unwrap();
            let method: Method = method.parse().unwrap();
            for (path, body, told) in hers.asked(&route) {
                let shown = format!("{who}: {method} {path}");
                let answer = other.send(method.clone(), &path, body).await;
                is_nothing_of(&hers, &answer, told, &shown);
            }
        }
        streamed(&hers, &other, who).await;
    }
    assert_eq!(hers.seen(&alice).await, before);
    host.stop().await;
}

#[track_caller]
fn is_nothing_of(hers: &Hers, answer: &Answer, told: Told, shown: &str) {
    let (status, body) = (answer.status, answer.body.to_string());
    match told {
        Told::NotThere => {
            // Of OpenAI's routes the form is another.
            if answer.body["error"].is_string() {
                answer.code();
            }
            assert!(matches!(status, 403 | 404), "{shown}: {status} {body}");
        }
        Told::Nothing => assert!((200..300).contains(&status), "{shown}: {status} {body}"),
    }
    for name in hers.names() {
        assert!(!body.contains(name), "{shown} tells of {name}: {body}");
    }
}

/// Who wants a stream gets an error as anybody else does.
async fn streamed(hers: &Hers, other: &Caller<'_>, who: &str) {
    for (path, body, told) in hers.asked("POST /chat") {
        let request = other.request(Method::POST, &path, &body);
        let request = request.header("accept", "text/event-stream");
        let answer = other.host.send(request).await;
        is_nothing_of(hers, &answer, told, &format!("{who}: a stream of {path}"));
    }
}

#[tokio::test]
async fn without_a_token_no_route_of_any_service_answers() {
    let engine = tempfile::tempdir().unwrap();
    let host = host(engine.path()).await;
    let alice = Caller::new(&host, "alice", None, Role::User);
    let hers = Hers::make(&alice).await;
    for route in routes(&host) {
        let (method, _) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        for (path, body, _) in hers.asked(&route) {
            let nobody = Caller {
                host: &host,
                token: String::new(),
            };
            let answer = nobody.send(method.clone(), &path, body).await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
        }
    }
    host.stop().await;
}
