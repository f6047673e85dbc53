//! Speech, transcription, OCR and the clock through the sandbox, with engines of this machine's.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use backend::flite::Flite;
use bytes::Bytes;
use capability::ComponentName;
use capability::blobs::local::LocalBlobs;
use capability::blobs::scoped::Scoped;
use capability::blobs::{Blobs, Key};
use capability::ocr::{self, Line, Ocr, Page, Pages};
use capability::transcription::{self, State, Transcript, Transcription};
use futures::TryStreamExt;
use http_body_util::BodyExt;
use runtime::{
    BodyError, CallError, Capabilities, Component, Engine, Haste, Manifest, Refused, Revision,
};
use serde_json::json;

use crate::harness::{TestHost, target};

/// Answers at once, and keeps what it was asked.
#[derive(Default)]
struct Asked(Mutex<Vec<String>>);

impl Asked {
    fn keep(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transcription for Asked {
    async fn start(
        &self,
        job: &str,
        request: &transcription::Request,
    ) -> Result<(), transcription::Error> {
        self.keep(format!("transcribe {job} {}", request.audio));
        Ok(())
    }

    async fn poll(&self, job: &str) -> Result<State, transcription::Error> {
        self.keep(format!("poll {job}"));
        Ok(State::Done(Transcript {
            text: "as said".into(),
            confidence: None,
            language_code: None,
            words: vec![],
            engine: "asked".into(),
        }))
    }

    async fn forget(&self, _: &str) -> Result<(), transcription::Error> {
        Ok(())
    }
}

#[async_trait]
impl Ocr for Asked {
    async fn recognize(&self, image: Bytes, _: &[String]) -> Result<Vec<Line>, ocr::Error> {
        let line = |text: String| Line {
            text,
            confidence: 1.0,
        };
        Ok(vec![
            line(format!("{} bytes", image.len())),
            line("end".into()),
        ])
    }

    async fn start(&self, job: &str, request: &ocr::Request) -> Result<(), ocr::Error> {
        self.keep(format!("ocr {job} {}", request.document));
        Ok(())
    }

    async fn poll(&self, job: &str) -> Result<ocr::State, ocr::Error> {
        self.keep(format!("poll {job}"));
        let page = Page {
            number: 1,
            lines: vec![],
        };
        Ok(ocr::State::Done(Pages {
            pages: vec![page],
            failed: vec![2],
        }))
    }

    async fn forget(&self, _: &str) -> Result<(), ocr::Error> {
        Ok(())
    }
}

const GRANTS: &str = "[grants.postgres]\n[grants.events]\n[grants.blobs]\n[grants.speech]\n\
    voices = [\"kal16\"]\n[grants.transcription]\n[grants.ocr]\n\
    [event_limits]\ndeadline_ms = 2_000\n";

/// The probe in service, without a database.
struct Probe {
    revision: Revision,
    asked: Arc<Asked>,
    blobs: Arc<dyn Blobs>,
    _folder: tempfile::TempDir,
}

fn component(manifest: &str, capabilities: Capabilities) -> Result<Component, Refused> {
    let wasm = std::fs::read(target().join("test-components/probe.wasm")).unwrap();
    let engine = Engine::new(Some(Path::new(&target().join("test-compiled")))).unwrap();
    let manifest = Manifest::parse(manifest).unwrap();
    Component::new(&engine, manifest, &wasm, capabilities, Haste::Start)
}

impl Probe {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(LocalBlobs::open(folder.path()).await.unwrap());
        let asked = Arc::new(Asked::default());
        let own = Scoped::new(blobs.clone(), ComponentName::parse("probe").unwrap());
        let capabilities = Capabilities {
            blobs: Some(Arc::new(own)),
            speech: Some(Arc::new(Flite::new(2).unwrap())),
            transcription: Some(asked.clone()),
            ocr: Some(asked.clone()),
            ..Capabilities::default()
        };
        let component = component(&format!("name = \"probe\"\n{GRANTS}"), capabilities).unwrap();
        Self {
            revision: Revision::new(Arc::new(component), "test".into()),
            asked,
            blobs,
            _folder: folder,
        }
    }

    async fn send(&self, method: &str, path: &str, body: &'static str) -> String {
        let body = Body::from(body).map_err(|_| BodyError::ConnectionTerminated);
        let request = axum::http::Request::builder()
            .method(method)
            .uri(format!("http://lectern/probe/{path}"))
            .body(body.boxed_unsync());
        let answer = self.revision.handle(request.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    async fn stored(&self, key: &str) -> String {
        let key = Key::parse(key).unwrap();
        let (_, data) = self.blobs.get(&key, 0, None).await.unwrap();
        let chunks: Vec<Bytes> = data.try_collect().await.unwrap();
        String::from_utf8(chunks.concat()).unwrap()
    }
}

#[tokio::test]
async fn a_component_speaks_with_the_voices_it_is_granted() {
    let probe = Probe::start().await;
    assert_eq!(probe.send("GET", "voices", "").await, "kal16");
    let spoken = probe.send("POST", "speak/kal16", "Hello. And more.").await;
    let [rate, size, end] = spoken.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{spoken}");
    };
    assert_eq!((rate, end), ("16000", "Ok(())"));
    assert!(size.parse::<usize>().unwrap() > 16_000, "{spoken}");
    let marks = probe.send("POST", "marks/kal16", "Hello. And more.").await;
    assert_eq!(marks, "Hello.|And more.");
    for (voice, text) in [
        ("kal", "Hello."),
        ("kal16", "<speak>Hello."),
        ("nobody", "Hello."),
    ] {
        let refused = probe.send("POST", &format!("speak/{voice}"), text).await;
        assert!(refused.contains("Invalid"), "{voice}: {refused}");
    }
}

#[tokio::test]
async fn a_component_s_jobs_and_keys_are_its_own() {
    let probe = Probe::start().await;
    assert_eq!(
        probe.send("POST", "transcribe/job.1/a.wav", "").await,
        "started"
    );
    assert_eq!(
        probe.send("GET", "transcribe/job.1", "").await,
        "done: as said"
    );
    assert_eq!(probe.send("POST", "ocr/job-1/a.pdf", "").await, "started");
    assert_eq!(probe.send("GET", "ocr/job-1", "").await, "done: 1 [2]");
    let asked = [
        "transcribe probe.job.1 probe/a.wav",
        "poll probe.job.1",
        "ocr probe.job-1 probe/a.pdf",
        "poll probe.job-1",
    ];
    assert_eq!(probe.asked.all(), asked);
    for path in [
        "transcribe/job/%2E%2E%2Fa",
        "transcribe/a%2Fb/a",
        "ocr/job/a%20b",
        "ocr/a.b/a",
    ] {
        let refused = probe.send("POST", path, "").await;
        assert!(refused.contains("Invalid"), "{path}: {refused}");
    }
    assert_eq!(
        probe.asked.all().len(),
        4,
        "what is refused reaches no engine"
    );
}

#[tokio::test]
async fn an_image_is_read_line_by_line() {
    let probe = Probe::start().await;
    assert_eq!(
        probe.send("POST", "recognize", "12345").await,
        "5 bytes|end"
    );
}

#[tokio::test]
async fn the_clock_calls_an_instance_of_its_own() {
    let probe = Probe::start().await;
    let revision = &probe.revision;
    revision
        .run_scheduled("sweep", 1_764_000_000_000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(probe.stored("probe/tick-sweep").await, "1764000000000");
    let failed = revision
        .run_scheduled("fail", 1)
        .await
        .unwrap()
        .unwrap_err();
    assert!(failed.starts_with("as asked") && failed.len() == 2_000);
    let trapped = revision.run_scheduled("trap", 1).await;
    assert!(matches!(trapped, Err(CallError::Trap(_))), "{trapped:?}");
    let late = revision.run_scheduled("wait", 1).await;
    assert!(matches!(late, Err(CallError::Deadline)), "{late:?}");
    let counted = revision.stats().snapshot();
    assert_eq!((counted.events, counted.errors), (4, 3));
}

#[tokio::test]
async fn a_call_by_the_clock_ends_with_its_revision() {
    let probe = Probe::start().await;
    let call = probe.revision.run_scheduled("wait", 1);
    let drain = async {
        while probe.revision.running() == 0 {
            tokio::task::yield_now().await;
        }
        probe.revision.drain(Duration::ZERO).await
    };
    let (ended, left) = tokio::join!(call, drain);
    assert!(matches!(ended, Err(CallError::Retired)), "{ended:?}");
    assert_eq!(left, 1);
}

#[test]
fn a_schedule_without_its_export_is_refused() {
    let engine = Engine::new(None).unwrap();
    let manifest = "name = \"a\"\n[schedule.tick]\nevery = \"1h\"";
    let manifest = Manifest::parse(manifest).unwrap();
    let (empty, nothing) = (b"\0asm\x0d\0\x01\0", Capabilities::default());
    let refused = Component::new(&engine, manifest, empty, nothing, Haste::Start);
    assert!(matches!(
        refused,
        Err(Refused::NotExported {
            export: "lectern:platform/schedule-handler",
            key: "schedule",
            ..
        })
    ));
}

#[test]
fn an_engine_that_is_not_granted_is_not_linked() {
    for grant in ["speech", "transcription", "ocr"] {
        let grants = GRANTS.replace("voices = [\"kal16\"]\n", "");
        let grants = grants.replace(&format!("[grants.{grant}]\n"), "");
        let manifest = format!("name = \"probe\"\n{grants}");
        let refused = component(&manifest, Capabilities::default()).err();
        let told = refused.expect("refused").to_string();
        assert!(told.contains(&format!("add `[grants.{grant}]`")), "{told}");
    }
}

#[tokio::test]
async fn the_platform_has_a_voice_of_its_own() {
    let host = TestHost::probe().await;
    assert_eq!(host.get("/probe/voices").await.ok(), json!("kal16 kal"));
    host.stop().await;
}
