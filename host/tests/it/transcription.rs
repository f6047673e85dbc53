//! Recordings to text: the contract's examples through the real host, with a program of this machine's
//! that listens.

mod deleted;
mod engines;
mod killed;
mod odd;
mod retention;
mod round_trip;
mod upload;

use std::path::Path;
use std::time::Duration;

use backend::engine_command;
use host::config::Config;
use host::config::backends::Transcription;
use host::token::{self, Claims, Role};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{Answer, PATIENCE, TestHost};

const KEY: &str = "the tests' users sign with this key";
/// What the tests' engine hears in everything.
const HEARD: &str = r#"{"text":"Cells divide. They grow, too.","language":"english","words":[
    {"word":"Cells","start":0.1,"end":0.4,"probability":0.9},
    {"word":"divide.","start":0.5,"end":0.9,"probability":0.7},
    {"word":"They","start":1.2,"end":1.4,"probability":0.8},
    {"word":"grow,","start":1.5,"end":1.8,"probability":0.8},
    {"word":"too.","start":1.9,"end":2.2,"probability":0.8}]}"#;

/// RIFF WAVE of a tone, or of silence.
pub(crate) fn wav(milliseconds: u32, loudness: f64) -> Vec<u8> {
    let samples = milliseconds * 16;
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    for long in [16_000_u32, 32_000] {
        file.extend(long.to_le_bytes());
    }
    file.extend(b"\x02\0\x10\0data");
    file.extend((samples * 2).to_le_bytes());
    for at in 0..samples {
        let value = (f64::from(at) / 6.0).sin() * loudness * 32_767.0;
        file.extend((value as i16).to_le_bytes());
    }
    file
}

pub(crate) fn tone() -> Vec<u8> {
    wav(2_500, 0.5)
}

/// A program for `sh`, `{input}` being the recording.
fn engine(config: &mut Config, folder: &Path, script: &str) {
    let path = folder.join("engine.sh");
    std::fs::write(&path, script).unwrap();
    let command = format!("sh {} {{input}}", path.display());
    config.backends.transcription.what =
        Transcription::Command(engine_command::Config::new(command));
}

/// An engine that hears [`HEARD`], and notes in `calls` that it was asked.
pub(crate) fn hears(config: &mut Config, folder: &Path) {
    let script = format!(
        "echo x >> {}/calls\ncat <<'END'\n{HEARD}\nEND\n",
        folder.display()
    );
    engine(config, folder, &script);
}

/// A host with that engine.
async fn hearing(folder: &Path) -> TestHost {
    TestHost::with("components", |config| hears(config, folder)).await
}

fn calls(folder: &Path) -> usize {
    let calls = std::fs::read_to_string(folder.join("calls"));
    calls.unwrap_or_default().lines().count()
}

pub(crate) fn form(file: impl Into<Vec<u8>>, name: &str, fields: &[(&'static str, &str)]) -> Form {
    // The file first, as curl users write it.
    let file = Part::bytes(file.into()).file_name(name.to_owned());
    fields
        .iter()
        .fold(Form::new().part("file", file), |form, (name, value)| {
            form.text(*name, (*value).to_owned())
        })
}

impl TestHost {
    pub(crate) async fn transcribe(
        &self,
        file: impl Into<Vec<u8>>,
        name: &str,
        fields: &[(&'static str, &str)],
    ) -> Answer {
        let form = form(file, name, fields);
        self.send(self.request(Method::POST, "/transcribe").multipart(form))
            .await
    }

    /// Once the job has ended.
    pub(crate) async fn transcribed(&self, id: &str) -> Value {
        self.transcribed_within(id, PATIENCE).await
    }

    async fn transcribed_within(&self, id: &str, patience: Duration) -> Value {
        let ended = async {
            loop {
                let job = self.get(&format!("/transcription/{id}")).await.ok();
                if job["status"] != "processing" {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = tokio::time::timeout(patience, ended).await;
        ended.expect("the job ends")
    }

    /// Files of that service in the folder of blobs.
    fn recordings(&self) -> usize {
        files(&self.folder().join("blobs/stt"))
    }
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true => files(&entry.path()),
            false => 1,
        })
        .sum()
}

fn id(answer: &Value) -> String {
    answer["job_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_recording_becomes_a_transcript_by_the_contract_s_examples() {
    let folder = tempfile::tempdir().unwrap();
    let host = hearing(folder.path()).await;
    let fields = [("user_id", "alice"), ("language_code", "en-GB")];
    let taken = host.transcribe(tone(), "lecture.mp3", &fields).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let job = id(&taken.body);
    assert_eq!(taken.headers["location"], format!("/transcription/{job}"));
    assert_eq!(taken.body["filename"], "lecture.mp3");
    assert_eq!(taken.body["status"], "processing");
    // By its content, whatever its name says.
    assert_eq!(taken.body["s3_key"], format!("audio/alice/{job}.wav"));
    assert!(taken.body["submitted_at"].is_string());

    let done = host.transcribed(&job).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["transcript"], "Cells divide. They grow, too.");
    assert_eq!(done["confidence"], 0.8);
    assert_eq!(done["duration"], 2.5);
    assert_eq!(done["language_code"], "en-GB");
    assert_eq!(done["engine"], "sh");
    assert!(done["completed_at"].is_string() && done["failure"].is_null());
    assert_eq!(done["warnings"], json!([]));
    let second = &done["words"][1];
    assert_eq!(
        (&second["text"], &second["start_ms"], &second["punctuation"]),
        (&json!("divide"), &json!(500), &json!("."))
    );

    let list = host.get("/transcriptions?user_id=alice").await.ok();
    assert_eq!(list["transcriptions"][0]["job_id"], json!(job));
    assert_eq!(list["transcriptions"][0]["status"], "completed");

    let srt = host.get(&format!("/transcription/{job}/subtitles")).await;
    assert_eq!(
        srt.headers["content-type"],
        "application/x-subrip; charset=utf-8"
    );
    let srt = srt.ok();
    let expected = "1\n00:00:00,100 --> 00:00:01,100\nCells divide. They grow, too.\n\n";
    assert!(
        srt.as_str().unwrap().ends_with("too.\n\n"),
        "{srt} {expected}"
    );
    let vtt = host
        .get(&format!("/transcription/{job}/subtitles?format=vtt"))
        .await
        .ok();
    assert!(
        vtt.as_str()
            .unwrap()
            .starts_with("WEBVTT\n\n00:00:00.100 --> "),
        "{vtt}"
    );
    let bad = host
        .get(&format!("/transcription/{job}/subtitles?format=ass"))
        .await;
    assert_eq!(bad.code(), (400, "VALIDATION_ERROR"));

    assert_eq!(host.recordings(), 1);
    let deleted = host.delete(&format!("/transcription/{job}")).await.ok();
    assert_eq!(
        deleted,
        json!({ "message": "Transcription deleted successfully", "job_id": job })
    );
    assert_eq!(host.recordings(), 0);
    for answer in [
        host.get(&format!("/transcription/{job}")).await,
        host.delete(&format!("/transcription/{job}")).await,
        host.get(&format!("/transcription/{job}/subtitles")).await,
        host.get(&format!("/transcription/{job}/events")).await,
    ] {
        assert_eq!(answer.code(), (404, "TRANSCRIPTION_NOT_FOUND"));
    }
    let left = "select (select count(*) from stt.transcription_jobs) + (select count(*) from stt.leftovers) || ''";
    assert_eq!(host.sql(left).await, ["0"]);
    let health = host.get("/stt/health").await.ok();
    assert_eq!(
        (&health["status"], &health["service"]),
        (&json!("healthy"), &json!("stt"))
    );
    host.stop().await;
}

/// What is published goes on to Kafka or its consumers: here it is also kept.
async fn keep_events(host: &TestHost) {
    for statement in [
        "create table lectern.seen (topic text, payload jsonb)",
        "create function lectern.see() returns trigger language plpgsql as $$ begin \
         insert into lectern.seen values (new.topic, new.payload); return new; end $$",
        "create trigger see after insert on lectern.outbox for each row execute function lectern.see()",
    ] {
        host.sql(statement).await;
    }
}

#[tokio::test]
async fn the_event_of_a_transcript_has_all_but_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let host = hearing(folder.path()).await;
    keep_events(&host).await;
    let fields = [("user_id", "alice")];
    let taken = host.transcribe(tone(), "a.wav", &fields).await.ok();
    host.transcribed(&id(&taken)).await;
    let events = host
        .sql("select payload::text from lectern.seen where topic = 'audio.transcription.completed'")
        .await;
    assert_eq!(events.len(), 1, "once");
    let event: Value = serde_json::from_str(&events[0]).unwrap();
    for (member, value) in [
        ("job_id", taken["job_id"].clone()),
        ("tenant", json!("")),
        ("user_id", json!("alice")),
        ("filename", json!("a.wav")),
        ("status", json!("completed")),
        ("duration", json!(2.5)),
        ("language_code", json!("en-US")),
        ("engine", json!("sh")),
    ] {
        assert_eq!(event[member], value, "{member}");
    }
    assert!(event["confidence"].is_number() && event["completed_at"].is_string());
    assert!(!events[0].contains("divide"), "{event}");
    host.stop().await;
}

#[tokio::test]
async fn stored_audio_is_transcribed_by_event_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let host = hearing(folder.path()).await;
    keep_events(&host).await;
    let fields = [("user_id", "alice")];
    let first = id(&host.transcribe(tone(), "a.wav", &fields).await.ok());
    host.transcribed(&first).await;
    host.sql(
        "insert into lectern.outbox (component, topic, key, payload) \
         select 'stt', 'audio.transcription.requested', who.id, jsonb_build_object('job_id', who.id, \
         'user_id', who.name, 's3_key', coalesce(who.key, s3_key), 'language_code', 'auto') \
         from stt.transcription_jobs, (values ('again', 'alice', null), ('stolen', 'bob', null), \
         ('none', 'alice', 'audio/alice/none.wav'), ('again', 'alice', null)) as who(id, name, key) returning ''",
    )
    .await;
    host.sql("select pg_notify('lectern_outbox', '')::text")
        .await;
    let known = async |id: &str| {
        while host.get(&format!("/transcription/{id}")).await.status == 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known("again"))
        .await
        .unwrap();
    let again = host.transcribed("again").await;
    assert_eq!(again["transcript"], "Cells divide. They grow, too.");
    // As the engine found it, and the file's name for want of another.
    assert_eq!(again["language_code"], "en");
    assert_eq!(again["filename"], format!("{first}.wav"));
    tokio::time::timeout(PATIENCE, known("none")).await.unwrap();
    let none = host.transcribed("none").await;
    assert_eq!(none["failure"]["code"], "AUDIO_NOT_FOUND");
    let given_up = async {
        let dead = "select key from lectern.dead_letters";
        while host.sql(dead).await != ["stolen"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_up)
        .await
        .expect("a dead letter");
    assert_eq!(host.get("/transcription/stolen").await.status, 404);
    let completed =
        "select count(*)::text from lectern.seen where topic = 'audio.transcription.completed'";
    assert_eq!(host.sql(completed).await, ["3"]);
    // Of the same audio: it goes with the last of them.
    host.delete(&format!("/transcription/{first}")).await.ok();
    assert_eq!(host.recordings(), 1);
    host.delete("/transcription/again").await.ok();
    assert_eq!(host.recordings(), 0);
    host.stop().await;
}

#[tokio::test]
async fn silence_is_an_empty_transcript_that_no_engine_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let host = hearing(folder.path()).await;
    let taken = host.transcribe(wav(3_000, 0.0), "a.wav", &[]).await.ok();
    let job = id(&taken);
    let done = host.transcribed(&job).await;
    assert_eq!(
        (&done["status"], &done["transcript"]),
        (&json!("completed"), &json!(""))
    );
    assert_eq!(
        (&done["confidence"], &done["duration"]),
        (&Value::Null, &json!(3.0))
    );
    assert_eq!(done["warnings"], json!(["SILENCE"]));
    assert_eq!(calls(folder.path()), 0);
    let vtt = host
        .get(&format!("/transcription/{job}/subtitles?format=vtt"))
        .await;
    assert_eq!(vtt.ok(), "WEBVTT\n\n");
    host.stop().await;
}

#[tokio::test]
async fn whoever_follows_a_job_is_told_how_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "while ! [ -e {0}/go ]; do sleep 0.05; done; echo heard",
        folder.path().display()
    );
    let host = TestHost::with("components", |config| {
        engine(config, folder.path(), &script)
    })
    .await;
    let job = id(&host.transcribe(tone(), "a.wav", &[]).await.ok());
    let early = host.get(&format!("/transcription/{job}/subtitles")).await;
    assert_eq!(early.code(), (409, "TRANSCRIPTION_PROCESSING"));
    let request = host.request(Method::GET, &format!("/transcription/{job}/events"));
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: processing\n"), "{first:?}");
    std::fs::write(folder.path().join("go"), "").unwrap();
    let rest = stream.text().await.unwrap();
    assert!(rest.contains("event: completed\n"), "{rest}");
    host.stop().await;
}

fn bearer(user: &str, tenant: Option<&str>) -> String {
    let claims = Claims {
        tenant: tenant.map(ToOwned::to_owned),
        ..Claims::new(user, Role::User, Duration::from_secs(600))
    };
    format!("Bearer {}", token::encode(KEY.as_bytes(), &claims).unwrap())
}

#[tokio::test]
async fn a_recording_is_its_owner_s_alone_on_every_route() {
    let host = TestHost::with("components", |config| {
        config.identity.secret = Some(KEY.to_owned().into());
    })
    .await;
    let alice = bearer("alice", Some("school"));
    let send = async |who: &str, method: Method, path: &str| {
        let request = host.request(method, path).header("authorization", who);
        host.send(request).await
    };
    let upload = host
        .request(Method::POST, "/transcribe")
        .header("authorization", &alice)
        .multipart(form(tone(), "hers.wav", &[]));
    let job = id(&host.send(upload).await.ok());
    let others = [
        bearer("bob", Some("school")),
        bearer("alice", None),
        bearer("alice", Some("other")),
    ];
    for other in &others {
        for (method, path) in [
            (Method::GET, format!("/transcription/{job}")),
            (Method::GET, format!("/transcription/{job}/subtitles")),
            (Method::GET, format!("/transcription/{job}/events")),
            (Method::DELETE, format!("/transcription/{job}")),
        ] {
            let answer = send(other, method, &path).await;
            assert_eq!(answer.code(), (404, "TRANSCRIPTION_NOT_FOUND"), "{path}");
        }
        let list = send(other, Method::GET, "/transcriptions").await.ok();
        assert_eq!(list["transcriptions"], json!([]));
    }
    for path in [
        "/transcriptions?user_id=alice".to_owned(),
        format!("/transcription/{job}?user_id=alice"),
    ] {
        let answer = send(&others[0], Method::GET, &path).await;
        assert_eq!(answer.code(), (403, "FORBIDDEN"), "{path}");
    }
    let as_alice = host
        .request(Method::POST, "/transcribe")
        .header("authorization", &others[0])
        .multipart(form(tone(), "a.wav", &[("user_id", "alice")]));
    assert_eq!(host.send(as_alice).await.code(), (403, "FORBIDDEN"));
    let hers = send(&alice, Method::GET, "/transcriptions").await.ok();
    assert_eq!(hers["transcriptions"].as_array().unwrap().len(), 1);
    for path in ["/transcribe", "/transcribe/batch"] {
        let nobody = host.send(host.request(Method::POST, path)).await;
        assert_eq!(nobody.code(), (401, "UNAUTHENTICATED"));
    }
    assert_eq!(host.recordings(), 1);
    host.stop().await;
}

#[tokio::test]
async fn a_repeated_upload_is_one_job_and_pages_follow_each_other() {
    let host = TestHost::start().await;
    let send = async |file: Vec<u8>, key: &str| {
        let request = host.request(Method::POST, "/transcribe");
        let request = request.header("idempotency-key", key);
        host.send(request.multipart(form(file, "a.wav", &[("user_id", "alice")])))
            .await
    };
    let first = send(tone(), "one").await;
    let again = send(tone(), "one").await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.body, again.body);
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = send(wav(900, 0.5), "one").await;
    assert_eq!(other.code(), (422, "IDEMPOTENCY_KEY_REUSED"));
    let broken = send(b"no sound at all, but a text".to_vec(), "two").await;
    assert_eq!(broken.code(), (415, "UNSUPPORTED_MEDIA_TYPE"));
    let mended = send(wav(800, 0.5), "two").await;
    assert_eq!(mended.status, 202);
    assert_eq!(host.recordings(), 2);
    let page = host.get("/transcriptions?user_id=alice&limit=1").await;
    assert!(
        page.headers["link"]
            .to_str()
            .unwrap()
            .contains("rel=\"next\"")
    );
    let next = page.body["next_cursor"].as_str().unwrap();
    let rest = host
        .get(&format!(
            "/transcriptions?user_id=alice&limit=1&cursor={next}"
        ))
        .await
        .ok();
    assert_eq!(rest["transcriptions"][0]["job_id"], first.body["job_id"]);
    assert_eq!(rest["next_cursor"], Value::Null);
    host.stop().await;
}

#[tokio::test]
async fn of_a_batch_each_recording_is_a_job_and_what_is_none_is_told() {
    let host = TestHost::start().await;
    let batch = Form::new()
        .text("user_id", "alice")
        .part("file", Part::bytes(tone()).file_name("one.wav"))
        .part(
            "file",
            Part::bytes(&b"a text, and no sound"[..]).file_name("two.wav"),
        )
        .part("file", Part::bytes(wav(800, 0.2)).file_name("three.wav"));
    let request = host.request(Method::POST, "/transcribe/batch");
    let answer = host.send(request.multipart(batch)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let jobs = answer.body["transcriptions"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    let rejected = &answer.body["rejected"][0];
    assert_eq!(
        (&rejected["filename"], &rejected["code"]),
        (&json!("two.wav"), &json!("UNSUPPORTED_MEDIA_TYPE"))
    );
    for job in jobs {
        host.transcribed(&id(job)).await;
    }
    assert_eq!(host.recordings(), 2);
    host.stop().await;
}
