//! The contract's examples, all of them, through the real host and the real components: once on what
//! the host brings with it, once on the servers that a deployment has.

mod shape;
mod topics;

use corpus::samples::{BIOLOGY, HISTORY};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Map, Value, json};

use self::shape::{is_moment, resembles};
use crate::backends;
use crate::harness::{Answer, TestHost, config, data_dir, pdf};
use crate::transcription::{hears, tone};

const USER: &str = "user-123";
const AT: &str = "2025-12-05T10:30:00Z";

#[tokio::test]
async fn every_example_of_the_contract_holds_on_embedded_defaults() {
    let engine = tempfile::tempdir().unwrap();
    let host = TestHost::with("components", |config| hears(config, engine.path())).await;
    let host = host.described().await;
    let document = documents(&host).await;
    chat(&host, &document).await;
    quiz(&host, &document).await;
    transcription(&host).await;
    speech(&host).await;
    health(&host).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_contract_holds_on_real_servers() {
    let (folder, run) = (data_dir(), backends::run());
    let engine = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), "components");
    if backends::real(&mut config, &run).is_none() {
        return;
    }
    hears(&mut config, engine.path());
    let host = TestHost::on(folder, config).await.described().await;
    let document = documents(&host).await;
    chat(&host, &document).await;
    let quiz = quiz(&host, &document).await;
    let job = transcription(&host).await;
    let audio = speech(&host).await;
    health(&host).await;
    let made = topics::Made {
        document: &document,
        quiz: &quiz,
        job: &job,
        audio: &audio,
    };
    topics::have_their_records(&run, &made).await;
    topics::are_taken_from_strangers(&host, &run, &document).await;
    host.stop().await;
}

fn text<'a>(body: &'a Value, member: &str) -> &'a str {
    body[member].as_str().unwrap()
}

/// The contract's error body, which every service has.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.code(), (status, code), "{}", answer.body);
    resembles(
        &answer.body,
        &json!({ "error": "Error message description", "code": "ERROR_CODE", "timestamp": AT }),
    );
}

/// Answers a document that is read.
async fn documents(host: &TestHost) -> String {
    let upload = |name: &str, fields: &[(&'static str, &'static str)]| {
        let file = Part::bytes(pdf(&[BIOLOGY, HISTORY])).file_name(name.to_owned());
        let form = Form::new().part("file", file);
        let form = fields
            .iter()
            .fold(form, |form, (name, value)| form.text(*name, *value));
        host.send(host.request(Method::POST, "/upload").multipart(form))
    };
    let fields = [("user_id", USER), ("generate_notes", "true")];
    let uploaded = upload("document.pdf", &fields).await.ok();
    let id = text(&uploaded, "document_id").to_owned();
    resembles(
        &uploaded,
        &json!({
            "document_id": "doc-uuid", "filename": "document.pdf", "status": "processing",
            "s3_key": "documents/user-123/doc-uuid.pdf", "uploaded_at": AT,
        }),
    );
    assert_eq!(uploaded["filename"], "document.pdf");
    assert_eq!(uploaded["status"], "processing");
    assert_eq!(uploaded["s3_key"], format!("documents/{USER}/{id}.pdf"));

    let document = host.settled(&id).await;
    resembles(
        &document,
        &json!({
            "document_id": "doc-uuid", "filename": "document.pdf", "status": "completed",
            "extracted_text": "Full extracted text...", "notes": "AI-generated notes...", "page_count": 10,
            "processed_at": AT,
        }),
    );
    assert_eq!(document["status"], "completed");
    assert_eq!(document["page_count"], 2);

    // The optional fields really are.
    let bare = upload("bare.pdf", &[]).await.ok();
    let other = text(&bare, "document_id").to_owned();
    assert_eq!(host.settled(&other).await["status"], "completed");
    let started = host
        .post(&format!("/process/{other}"), json!({}))
        .await
        .ok();
    assert_eq!(
        started,
        json!({ "message": "Processing started", "document_id": other })
    );
    let listed = host.get(&format!("/documents?user_id={USER}")).await.ok();
    resembles(
        &listed,
        &json!({ "documents": [{
            "document_id": "doc-uuid", "filename": "document.pdf", "status": "completed", "uploaded_at": AT,
        }] }),
    );
    assert_eq!(listed["documents"][0]["document_id"], id.as_str());
    let unknown = host.get("/document/none").await;
    refused(&unknown, 404, "DOCUMENT_NOT_FOUND");
    id
}

/// Services hear of a document behind Kafka, and say until then that it is processed.
async fn once_known(host: &TestHost, path: &str, body: Value) -> Value {
    loop {
        let answered = host.post(path, body.clone()).await;
        if answered.status != 409 {
            return answered.ok();
        }
        assert_eq!(answered.code(), (409, "DOCUMENT_PROCESSING"));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn chat(host: &TestHost, document: &str) {
    let question = json!({
        "message": "What do mitochondria do?",
        "session_id": "optional-session-id",
        "user_id": USER,
        "document_context": { "document_id": document, "relevant_text": "extracted document text" },
    });
    let answered = once_known(host, "/chat", question).await;
    let example = json!({
        "session_id": "generated-session-id", "response": "AI response text", "timestamp": AT,
    });
    resembles(&answered, &example);
    assert_eq!(answered["session_id"], "optional-session-id");
    let first = host
        .post("/chat", json!({ "message": "Hello", "user_id": USER }))
        .await
        .ok();
    resembles(&first, &example);

    let session = text(&first, "session_id");
    let history = host
        .get(&format!("/chat/history/{session}?user_id={USER}"))
        .await
        .ok();
    resembles(
        &history,
        &json!({
            "session_id": "session-123",
            "messages": [{ "role": "user", "content": "Hello", "timestamp": AT }],
        }),
    );
    assert_eq!(history["session_id"], session);
    let messages = history["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant"]);
    assert_eq!(messages[0]["content"], "Hello");

    let sessions = host
        .get(&format!("/chat/sessions?user_id={USER}"))
        .await
        .ok();
    resembles(
        &sessions,
        &json!({ "sessions": [{
            "session_id": "session-123", "created_at": AT, "last_message": AT, "message_count": 10,
        }] }),
    );
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(sessions["sessions"][0]["message_count"], 2);
    let empty = json!({ "message": "", "user_id": USER });
    refused(&host.post("/chat", empty).await, 400, "VALIDATION_ERROR");
}

/// Answers the quiz.
async fn quiz(host: &TestHost, document: &str) -> String {
    let wanted = json!({
        "document_id": document, "user_id": USER, "num_questions": 10, "difficulty": "medium",
        "quiz_type": "multiple_choice",
    });
    let example = json!({
        "quiz_id": "quiz-uuid",
        "document_id": "doc-uuid",
        "questions": [{
            "question_id": "q1", "question": "What is machine learning?",
            "options": ["Option A", "Option B", "Option C", "Option D"], "type": "multiple_choice",
        }],
        "total_questions": 10,
        "created_at": AT,
    });
    let made = once_known(host, "/quiz/generate", wanted).await;
    resembles(&made, &example);
    let id = text(&made, "quiz_id").to_owned();
    let questions = made["questions"].as_array().unwrap();
    assert_eq!(made["total_questions"], questions.len());
    assert_eq!(made["document_id"], document);
    for (at, question) in questions.iter().enumerate() {
        assert_eq!(question["question_id"], format!("q{}", at + 1));
        assert_eq!(question["options"].as_array().unwrap().len(), 4);
        assert_eq!(question["type"], "multiple_choice");
    }
    let found = host.get(&format!("/quiz/{id}?user_id={USER}")).await.ok();
    resembles(&found, &example);
    assert_eq!(found["questions"], made["questions"]);

    let first = |question: &Value| {
        let id = text(question, "question_id").to_owned();
        (id, question["options"][0].clone())
    };
    let answers: Map<String, Value> = questions.iter().map(first).collect();
    let submission = json!({ "quiz_id": id, "user_id": USER, "answers": answers });
    let graded = host.post("/quiz/submit", submission).await.ok();
    resembles(
        &graded,
        &json!({
            "submission_id": "sub-uuid", "quiz_id": "quiz-uuid", "score": 85, "total_questions": 10,
            "correct_answers": 9,
            "results": [{
                "question_id": "q1", "correct": true, "user_answer": "Option A", "correct_answer": "Option A",
            }],
            "submitted_at": AT,
        }),
    );
    let right = graded["results"].as_array().unwrap().iter();
    let right = right.filter(|result| result["user_answer"] == result["correct_answer"]);
    assert_eq!(graded["correct_answers"], right.count());
    let history = host
        .get(&format!("/quiz/history?user_id={USER}"))
        .await
        .ok();
    resembles(
        &history,
        &json!({ "quizzes": [{
            "quiz_id": "quiz-uuid", "document_id": "doc-uuid", "score": 85, "submitted_at": AT,
        }] }),
    );
    assert_eq!(history["quizzes"][0]["score"], graded["score"]);
    every_type(host, document).await;
    refused(&host.get("/quiz/none").await, 404, "QUIZ_NOT_FOUND");
    id
}

/// True or false, and answers in words.
async fn every_type(host: &TestHost, document: &str) {
    for (quiz_type, answer) in [
        ("true_false", "True"),
        ("short_answer", "Short answer text"),
    ] {
        let wanted = json!({
            "document_id": document, "user_id": USER, "num_questions": 2, "difficulty": "medium",
            "quiz_type": quiz_type,
        });
        let made = once_known(host, "/quiz/generate", wanted).await;
        assert_eq!(made["questions"][0]["type"], quiz_type);
        let answers = json!({ "q1": answer, "q2": answer });
        let submission = json!({ "quiz_id": made["quiz_id"], "user_id": USER, "answers": answers });
        let graded = host.post("/quiz/submit", submission).await.ok();
        assert_eq!(graded["results"][0]["user_answer"], answer, "{graded}");
    }
}

/// Answers the job of which the audio stays.
async fn transcription(host: &TestHost) -> Value {
    let fields = [("user_id", USER), ("language_code", "en-US")];
    let taken = host.transcribe(tone(), "audio.wav", &fields).await.ok();
    resembles(
        &taken,
        &json!({
            "job_id": "transcription-job-uuid", "filename": "audio.mp3", "status": "processing",
            "s3_key": "audio/user-123/job-uuid.mp3", "submitted_at": AT,
        }),
    );
    let id = text(&taken, "job_id").to_owned();
    assert_eq!(taken["status"], "processing");
    assert_eq!(taken["s3_key"], format!("audio/{USER}/{id}.wav"));
    let done = host.transcribed(&id).await;
    resembles(
        &done,
        &json!({
            "job_id": "transcription-job-uuid", "status": "completed",
            "transcript": "Transcribed text content...", "confidence": 0.95, "duration": 120.5,
            "completed_at": AT,
        }),
    );
    assert_eq!(done["status"], "completed");
    let listed = host
        .get(&format!("/transcriptions?user_id={USER}"))
        .await
        .ok();
    resembles(
        &listed,
        &json!({ "transcriptions": [{
            "job_id": "transcription-job-uuid", "filename": "audio.mp3", "status": "completed",
            "submitted_at": AT,
        }] }),
    );
    assert_eq!(listed["transcriptions"][0]["job_id"], id.as_str());

    let bare = host.transcribe(tone(), "bare.wav", &[]).await.ok();
    let path = format!("/transcription/{}", text(&bare, "job_id"));
    let done = host.transcribed(text(&bare, "job_id")).await;
    assert_eq!(done["language_code"], "en-US");
    assert_eq!(
        host.delete(&path).await.ok(),
        json!({ "message": "Transcription deleted successfully", "job_id": bare["job_id"] })
    );
    refused(&host.get(&path).await, 404, "TRANSCRIPTION_NOT_FOUND");
    taken
}

/// Answers an audio.
async fn speech(host: &TestHost) -> String {
    let wanted = json!({
        "text": "Hello, this is a test.", "voice_id": "Joanna", "language_code": "en-US",
        "output_format": "mp3", "user_id": USER,
    });
    let spoken = host.post("/synthesize", wanted.clone()).await.ok();
    let s3_url = "https://s3.amazonaws.com/bucket/audio/audio-uuid.mp3";
    resembles(
        &spoken,
        &json!({
            "audio_id": "audio-uuid", "s3_url": s3_url, "duration": 2.5, "cached": false, "generated_at": AT,
        }),
    );
    assert_eq!(spoken["cached"], false);
    let again = host.post("/synthesize", wanted).await.ok();
    assert_eq!(again["cached"], true);

    let id = text(&spoken, "audio_id").to_owned();
    let found = host.get(&format!("/audio/{id}?user_id={USER}")).await.ok();
    resembles(
        &found,
        &json!({
            "audio_id": "audio-uuid", "text": "Hello, this is a test.", "voice_id": "Joanna",
            "s3_url": s3_url, "format": "mp3", "duration": 2.5, "generated_at": AT,
        }),
    );
    assert_eq!(found["text"], "Hello, this is a test.");
    assert_eq!(found["format"], "mp3");
    // Whoever has the address needs nothing more.
    let address = host.address(text(&found, "s3_url"));
    let bytes = reqwest::get(address).await.unwrap();
    assert_eq!(bytes.headers()["content-type"], "audio/mpeg");
    assert!(bytes.bytes().await.unwrap().len() > 1_000);

    let voices = host.get("/voices?language_code=en-US").await.ok();
    resembles(
        &voices,
        &json!({ "voices": [{
            "id": "Joanna", "name": "Joanna", "language_code": "en-US", "gender": "Female",
        }] }),
    );
    let other = text(&again, "audio_id");
    assert_ne!(other, id, "each request has its own");
    let path = format!("/audio/{other}?user_id={USER}");
    assert_eq!(
        host.delete(&path).await.ok(),
        json!({ "message": "Audio deleted successfully", "audio_id": other })
    );
    refused(&host.get(&path).await, 404, "AUDIO_NOT_FOUND");
    id
}

/// On the gateway, and on each service's own port.
async fn health(host: &TestHost) {
    let example = |service: &str| {
        json!({
            "status": "healthy", "service": service, "timestamp": AT,
            "dependencies": { "database": "connected", "kafka": "connected", "aws": "connected" },
        })
    };
    let own = host.get("/health").await.ok();
    resembles(&own, &example("lectern"));
    for service in ["chat", "documents", "quiz", "stt", "tts"] {
        let of_gateway = host.get(&format!("/{service}/health")).await.ok();
        let port = host.port(service).await;
        let of_port = reqwest::get(format!("{port}/health")).await.unwrap();
        for health in [of_gateway, of_port.json().await.unwrap()] {
            resembles(&health, &example(service));
            assert_eq!(health["service"], service);
            assert_eq!(health["status"], "healthy");
            assert_eq!(health["dependencies"]["database"], "connected");
        }
    }
}
