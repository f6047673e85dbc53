//! Engines: none, a program that fails, one of OpenAI's kind, Amazon's with S3; and what they do.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_fake::{ACCESS_KEY_ID, Fake, Object, Pace, SECRET_ACCESS_KEY, Trouble};
use backend::aws::{self, Keys};
use backend::s3::Buckets;
use bytes::Bytes;
use host::config::Config;
use host::config::backends::Transcription;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use super::retention::hurried;
use super::{HEARD, calls, engine, id, tone, wav};
use crate::harness::{PATIENCE, TestHost};

#[tokio::test]
async fn without_an_engine_a_recording_is_kept_and_measured() {
    let host = TestHost::start().await;
    let taken = host.transcribe(tone(), "a.wav", &[]).await.ok();
    let job = id(&taken);
    let failed = host.transcribed(&job).await;
    assert_eq!(
        (&failed["status"], &failed["transcript"]),
        (&json!("failed"), &Value::Null)
    );
    assert_eq!(failed["failure"]["code"], "ENGINE_NOT_CONFIGURED");
    let told = failed["failure"]["error"].as_str().unwrap();
    assert!(
        told.ends_with("tell the operator; the recording is kept"),
        "{told}"
    );
    assert_eq!(failed["duration"], 2.5);
    assert_eq!(host.recordings(), 1);
    let subtitles = host.get(&format!("/transcription/{job}/subtitles")).await;
    assert_eq!(subtitles.code(), (422, "TRANSCRIPTION_FAILED"));
    assert_eq!(subtitles.body["details"]["code"], "ENGINE_NOT_CONFIGURED");
    host.stop().await;
}

#[tokio::test]
async fn an_engine_that_fails_says_why_and_one_without_times_has_no_subtitles() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo cannot read this >&2; exit 3";
    let host = TestHost::with("components", |config| engine(config, folder.path(), script)).await;
    let taken = host.transcribe(tone(), "a.wav", &[]).await.ok();
    let failed = host.transcribed(&id(&taken)).await;
    assert_eq!(failed["failure"]["code"], "TRANSCRIPTION_FAILED");
    assert!(
        failed["failure"]["reason"]
            .as_str()
            .unwrap()
            .ends_with("cannot read this"),
        "{failed}"
    );
    let told = failed["failure"]["error"].as_str().unwrap();
    assert!(told.contains("upload the recording again"), "{told}");
    host.stop().await;

    let host = TestHost::with("components", |config| {
        engine(config, folder.path(), "echo hello")
    })
    .await;
    let taken = host
        .transcribe(tone(), "a.wav", &[("speakers", "2")])
        .await
        .ok();
    let job = id(&taken);
    let done = host.transcribed(&job).await;
    assert_eq!(done["transcript"], "hello");
    assert_eq!(
        done["warnings"],
        json!(["NO_WORD_TIMES", "SPEAKERS_NOT_TOLD_APART"])
    );
    let subtitles = host.get(&format!("/transcription/{job}/subtitles")).await;
    assert_eq!(subtitles.code(), (422, "NO_WORD_TIMES"));
    host.stop().await;
}

#[tokio::test]
async fn a_job_whose_engine_ended_with_its_host_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let slow = format!("echo x >> {}/calls; sleep 600", folder.path().display());
    let host = TestHost::with("components", |config| engine(config, folder.path(), &slow)).await;
    let taken = host.transcribe(tone(), "a.wav", &[]).await.ok();
    let begun = async {
        while calls(folder.path()) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun)
        .await
        .expect("it begins");
    let host = host
        .restart_changed(|config| engine(config, folder.path(), "echo heard"))
        .await;
    let done = host.transcribed(&id(&taken)).await;
    assert_eq!(done["transcript"], "heard", "{done}");
    host.stop().await;
}

/// Amazon's Transcribe and S3.
pub(super) fn amazon(config: &mut Config, fake: &Fake) {
    let backends = &mut config.backends;
    backends.aws = aws::Config {
        endpoint_url: Some(fake.url().to_owned()),
        keys: Some(Keys {
            access_key_id: ACCESS_KEY_ID.into(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned().into(),
            session_token: None,
        }),
        ..aws::Config::new("us-east-1")
    };
    backends.has_s3_endpoint = true;
    backends.buckets = Buckets {
        default: None,
        by_component: [("stt".to_owned(), "recordings".to_owned())].into(),
    };
    backends.transcription.what = Transcription::Transcribe(vec![]);
}

/// What is in the bucket, to the fake.
pub(super) fn recordings_say(fake: &Fake, said: &'static str) {
    fake.look_up_with(Box::new(move |uri| {
        uri.starts_with("s3://recordings/")
            .then(|| Object::Audio(said.into()))
    }));
}

#[tokio::test]
async fn transcribe_is_asked_until_it_has_ended_and_forgets() {
    let fake = Fake::start().await.unwrap();
    recordings_say(&fake, "Hello, you there. I am well.");
    // Slow, throttled, and with an answer that is lost: all of that passes.
    fake.pace(Pace::Looks(4));
    fake.trouble("StartTranscriptionJob", Trouble::Lose, 1);
    fake.trouble("GetTranscriptionJob", Trouble::Throttle, 6);
    let host = TestHost::with("components", |config| amazon(config, &fake)).await;
    let fields = [
        ("user_id", "alice"),
        ("speakers", "2"),
        ("vocabulary", "Lectern"),
    ];
    let taken = host.transcribe(tone(), "a.wav", &fields).await.ok();
    let key = taken["s3_key"].as_str().unwrap().to_owned();
    let job = id(&taken);
    let done = host.transcribed(&job).await;
    assert_eq!(done["transcript"], "Hello, you there. I am well.", "{done}");
    assert_eq!(
        (&done["engine"], &done["confidence"]),
        (&json!("transcribe"), &json!(0.95))
    );
    assert_eq!(done["words"][5]["speaker"], "spk_1");
    assert_eq!(done["duration"], 2.5);
    let vtt = host
        .get(&format!("/transcription/{job}/subtitles?format=vtt"))
        .await
        .ok();
    assert!(
        vtt.as_str().unwrap().contains("<v spk_0>Hello, you there."),
        "{vtt}"
    );
    // A transcript that is kept here is kept nowhere else.
    let forgotten = async {
        while !fake.transcription_jobs().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten)
        .await
        .expect("the job there goes");

    fake.fail_jobs(Some("The media is broken."));
    let taken = host
        .transcribe(tone(), "b.wav", &[("language_code", "auto")])
        .await
        .ok();
    let failed = host.transcribed(&id(&taken)).await;
    assert_eq!(failed["failure"]["code"], "TRANSCRIPTION_FAILED");
    assert_eq!(failed["failure"]["reason"], "The media is broken.");
    host.delete(&format!("/transcription/{job}")).await.ok();
    let left = "s3://recordings/".to_owned();
    let (folder, last) = key.rsplit_once('/').unwrap();
    assert!(!fake.is_stored(&format!("{left}stt/{folder}/~{last}")));
    host.stop().await;
}

#[tokio::test]
async fn a_job_that_is_deleted_while_it_runs_is_forgotten_after_a_restart() {
    let fake = Fake::start().await.unwrap();
    recordings_say(&fake, "Hello.");
    fake.pace(Pace::Looks(u32::MAX));
    let host = TestHost::with("components", |config| amazon(config, &fake)).await;
    let job = id(&host.transcribe(tone(), "a.wav", &[]).await.ok());
    let begun = async {
        while fake.transcription_jobs().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun)
        .await
        .expect("it begins");
    host.delete(&format!("/transcription/{job}")).await.ok();
    let answer = host.get(&format!("/transcription/{job}")).await;
    assert_eq!(answer.code(), (404, "TRANSCRIPTION_NOT_FOUND"));
    // Amazon is at work on it, and the note of that outlives the host.
    let host = host.restart_changed(|config| amazon(config, &fake)).await;
    let left = "select job_id from stt.leftovers";
    assert_eq!(host.sql(left).await, [job.as_str()]);
    assert_eq!(fake.transcription_jobs().len(), 1);
    fake.pace(Pace::Looks(0));
    host.sql("update stt.leftovers set due_at = now() returning ''")
        .await;
    host.operator().deploy("stt", hurried()).await.unwrap();
    let gone = async {
        while !host.sql(left).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it goes");
    assert_eq!(fake.transcription_jobs(), [""; 0]);
    host.stop().await;
}

/// A server of OpenAI's kind, which is busy at first.
async fn openai() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = move |request: hyper::Request<hyper::body::Incoming>| {
        let asked = asked.clone();
        async move {
            request.into_body().collect().await.unwrap();
            let (status, said) = match asked.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => (503, "busy"),
                _ => (200, HEARD),
            };
            let response = hyper::Response::builder().status(status);
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(said))).unwrap())
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(answer.clone());
            tokio::spawn(async move {
                let connection = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    url
}

fn whisper(url: String) -> Transcription {
    Transcription::OpenAi(backend::openai_transcription::Config {
        base_url: url,
        key: None,
        model: "whisper-1".into(),
        room: backend::jobs::Room {
            places: 2,
            queue: 10,
        },
        timeout: PATIENCE,
    })
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_is_asked_again() {
    let url = openai().await;
    let host = TestHost::with("components", |config| {
        config.backends.transcription.what = whisper(url);
    })
    .await;
    let fields = [("language_code", "auto"), ("vocabulary", "")];
    let taken = host.transcribe(tone(), "a.wav", &fields).await.ok();
    let done = host.transcribed(&id(&taken)).await;
    assert_eq!(
        done["transcript"], "Cells divide. They grow, too.",
        "{done}"
    );
    assert_eq!(
        (&done["engine"], &done["language_code"]),
        (&json!("whisper-1"), &json!("en"))
    );
    host.stop().await;
}

/// RIFF WAVE of a telephone: silence in the codes of IMA ADPCM, or of mu-law.
fn telephone(tag: u8) -> Vec<u8> {
    let (bits, code) = if tag == 0x11 { (4, 0) } else { (8, 0xFF) };
    let mut file = wav(0, 0.0);
    (file[20], file[34]) = (tag, bits);
    file[24..28].copy_from_slice(&8_000_u32.to_le_bytes());
    file[28..32].copy_from_slice(&(u32::from(bits) * 1_000).to_le_bytes());
    file[32] = if tag == 0x11 { 0 } else { 1 };
    file[33] = u8::from(tag == 0x11);
    file[40..44].copy_from_slice(&16_384_u32.to_le_bytes());
    file.extend([code; 16_384]);
    file
}

#[tokio::test]
async fn a_telephone_that_says_nothing_is_heard_to_say_nothing() {
    if !crate::missing::has(&["ffmpeg"]) {
        return;
    }
    let url = openai().await;
    let host = TestHost::with("components", |config| {
        config.backends.transcription.what = whisper(url);
    })
    .await;
    // One is listened to as it comes in, the other one by the host.
    for (tag, warning) in [(7, "SILENCE"), (0x11, "NO_SPEECH")] {
        let taken = host.transcribe(telephone(tag), "a.wav", &[]).await;
        assert_eq!(taken.status, 202, "{}", taken.body);
        let done = host.transcribed(&id(&taken.body)).await;
        assert_eq!(
            (&done["status"], &done["transcript"]),
            (&json!("completed"), &json!(""))
        );
        assert_eq!(done["warnings"], json!([warning]));
    }
    host.stop().await;
}

#[tokio::test]
async fn recordings_lie_in_the_bucket_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let setting = crate::services::wanted;
    let (Some(url), Some(bucket)) = (setting("AWS_ENDPOINT_URL_S3"), setting("S3_BUCKET_STT"))
    else {
        return;
    };
    let script = format!("cat <<'END'\n{HEARD}\nEND\n");
    let host = TestHost::with("components", |config| {
        engine(config, folder.path(), &script);
        let backends = &mut config.backends;
        backends.aws = aws::Config {
            endpoint_url: Some(url),
            keys: Some(Keys {
                access_key_id: setting("AWS_ACCESS_KEY_ID").unwrap(),
                secret_access_key: setting("AWS_SECRET_ACCESS_KEY").unwrap().into(),
                session_token: None,
            }),
            ..aws::Config::new("us-east-1")
        };
        backends.has_s3_endpoint = true;
        backends.buckets.by_component = [("stt".to_owned(), bucket)].into();
    })
    .await;
    let taken = host.transcribe(wav(60_000, 0.5), "a.wav", &[]).await.ok();
    let job = id(&taken);
    assert_eq!(host.recordings(), 0, "none in the folder");
    let done = host.transcribed(&job).await;
    assert_eq!(
        (&done["status"], &done["duration"]),
        (&json!("completed"), &json!(60.0)),
        "{done}"
    );
    host.delete(&format!("/transcription/{job}")).await.ok();
    assert_eq!(
        host.sql("select count(*)::text from stt.leftovers").await,
        ["0"]
    );
    host.stop().await;
}
