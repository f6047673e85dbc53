//! Transcription by commands: by pocketsphinx as it is installed, and by ones that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backend::engine_command::{Config, EngineCommand};
use backend::flite::Flite;
use backend::jobs::Room;
use bytes::Bytes;
use capability::blobs::{self, Blobs, ByteStream, Key, Stat};
use capability::speech::{Format, Input, Speech};
use capability::transcription::contract::{self, ended, english};
use capability::transcription::{
    Cause, Error, Failure, MediaFormat, Request, State, Transcription,
};
use futures::TryStreamExt;

use crate::missing::has;
use crate::shelf::{SPOKEN, Shelf, key, wav};

const POCKETSPHINX: &str = "pocketsphinx_continuous -infile {input} -logfn /dev/null";

pub(crate) fn config(command: &str) -> Config {
    Config {
        timeout: Duration::from_secs(60),
        room: Room {
            places: 1,
            queue: 1,
        },
        ..Config::new(command.into())
    }
}

/// Speech of the host's own voice.
async fn spoken(shelf: &Shelf) -> Key {
    let request = capability::speech::Request {
        input: Input::Text("The weather is nice and the sun is shining.".into()),
        voice: "kal16".into(),
        engine: None,
        format: Format::Pcm,
        sample_rate: None,
    };
    let audio = Flite::new(1).unwrap().synthesize(&request).await.unwrap();
    let samples: Vec<Bytes> = audio.data.try_collect().await.unwrap();
    shelf
        .put("a/spoken.wav", wav(16_000, &samples.concat()))
        .await
}

#[tokio::test]
async fn a_command_keeps_the_contract() {
    if !has(&["pocketsphinx_continuous"]) {
        return;
    }
    let shelf = Shelf::new().await;
    let spoken = spoken(&shelf).await;
    let engine = EngineCommand::new(config(POCKETSPHINX), shelf.blobs.clone()).unwrap();
    contract::all(&engine, &spoken, &key("a/missing.wav")).await;
}

#[tokio::test]
async fn other_formats_are_converted() {
    if !has(&["pocketsphinx_continuous", "ffmpeg"]) {
        return;
    }
    let shelf = Shelf::new().await;
    let engine = EngineCommand::new(config(POCKETSPHINX), shelf.blobs.clone()).unwrap();
    let request = Request {
        format: MediaFormat::Ogg,
        ..english(&shelf.put("a/spoken.ogg", SPOKEN).await)
    };
    engine.start("a", &request).await.unwrap();
    let State::Done(transcript) = ended(&engine, "a").await else {
        panic!("no transcript");
    };
    assert!(
        transcript.text.contains("unit of life"),
        "{}",
        transcript.text
    );
    // A playlist that calls itself a recording, of a file of the host's.
    let playlist = "#EXTM3U\n#EXTINF:1,\n/etc/passwd\n";
    let request = Request {
        audio: shelf.put("a/playlist", playlist).await,
        ..request
    };
    engine.start("b", &request).await.unwrap();
    let State::Failed(failure) = ended(&engine, "b").await else {
        panic!("it did not fail");
    };
    assert_eq!(failure.cause, Cause::Corrupt, "{failure}");
    assert!(!failure.reason.contains("lectern-job"), "{failure}");
}

async fn outcome(command: &str) -> State {
    let shelf = Shelf::new().await;
    let silence = shelf.put("a", wav(16_000, &[7; 3_200])).await;
    let engine = EngineCommand::new(config(command), shelf.blobs.clone()).unwrap();
    engine.start("a", &english(&silence)).await.unwrap();
    ended(&engine, "a").await
}

#[tokio::test]
async fn what_a_command_prints_is_the_transcript() {
    let State::Done(silent) = outcome("true {input}").await else {
        panic!("no transcript");
    };
    assert_eq!((silent.text.as_str(), silent.engine.as_str()), ("", "true"));
    let State::Done(said) = outcome("echo {language} '$HOME;' \"{input}\"").await else {
        panic!("no transcript");
    };
    assert!(said.text.starts_with("en $HOME; /"), "{}", said.text);
}

#[tokio::test]
async fn a_command_that_fails_gives_no_transcript() {
    for (command, cause) in [
        ("false {input}", Cause::Engine),
        ("yes {input}", Cause::Answer),
        (r#"sh -c 'echo "{}"' {input}"#, Cause::Answer),
    ] {
        let state = outcome(command).await;
        let State::Failed(failure) = state else {
            panic!("{command}: {state:?}");
        };
        assert_eq!(failure.cause, cause, "{command}: {failure}");
    }
}

#[tokio::test]
async fn one_more_job_than_there_is_room_for_is_refused() {
    let shelf = Shelf::new().await;
    let silence = english(&shelf.put("a", wav(16_000, &[7; 3_200])).await);
    let command = config("sh -c 'sleep 1000' {input}");
    let engine = EngineCommand::new(command, shelf.blobs.clone()).unwrap();
    engine.start("a", &silence).await.unwrap();
    engine.start("b", &silence).await.unwrap();
    engine.start("a", &silence).await.unwrap();
    assert_eq!(engine.start("c", &silence).await, Err(Error::QuotaExceeded));
    engine.forget("a").await.unwrap();
    engine.start("c", &silence).await.unwrap();
    assert_eq!(engine.poll("c").await, Ok(State::Running));
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_in_its_time() {
    let shelf = Shelf::new().await;
    let silence = english(&shelf.put("a", wav(16_000, &[7; 3_200])).await);
    let hanging = Config {
        timeout: Duration::from_secs(1),
        ..config("sh -c 'sleep 1000' {input}")
    };
    let engine = EngineCommand::new(hanging, shelf.blobs.clone()).unwrap();
    engine.start("a", &silence).await.unwrap();
    let State::Failed(Failure { cause, reason }) = ended(&engine, "a").await else {
        panic!("it did not fail");
    };
    assert_eq!(cause, Cause::Timeout);
    assert!(reason.contains("longer than 1 s"), "{reason}");
}

/// Until there is no such job.
pub(crate) async fn dropped(engine: &dyn Transcription, job: &str) {
    let running = async {
        loop {
            match engine.poll(job).await {
                Ok(State::Running) => tokio::time::sleep(Duration::from_millis(10)).await,
                other => return other,
            }
        }
    };
    let state = tokio::time::timeout(Duration::from_secs(60), running).await;
    assert_eq!(state, Ok(Err(Error::NotFound)));
}

/// A store that fails so many reads, and then none.
struct Failing {
    blobs: Arc<dyn Blobs>,
    left: AtomicU32,
}

#[async_trait]
impl Blobs for Failing {
    async fn put(&self, key: &Key, data: ByteStream, limit: u64) -> Result<Stat, blobs::Error> {
        self.blobs.put(key, data, limit).await
    }

    async fn get(
        &self,
        key: &Key,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, ByteStream), blobs::Error> {
        let fewer = |left: u32| left.checked_sub(1);
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        match self.left.fetch_update(set, get, fewer) {
            Ok(_) => Err(blobs::Error::Unavailable("status 503".into())),
            Err(_) => self.blobs.get(key, offset, length).await,
        }
    }

    async fn head(&self, key: &Key) -> Result<Stat, blobs::Error> {
        self.blobs.head(key).await
    }

    async fn rename(&self, key: &Key, to: &Key) -> Result<(), blobs::Error> {
        self.blobs.rename(key, to).await
    }

    async fn delete(&self, key: &Key) -> Result<(), blobs::Error> {
        self.blobs.delete(key).await
    }
}

#[tokio::test]
async fn a_store_that_fails_drops_the_job_and_a_failed_one_runs_again() {
    let shelf = Shelf::new().await;
    let silence = english(&shelf.put("a", wav(16_000, &[7; 3_200])).await);
    let failing = Failing {
        blobs: shelf.blobs.clone(),
        left: AtomicU32::new(1),
    };
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let command = format!("test -e {} -a -e {{input}}", mark.display());
    let engine = EngineCommand::new(config(&command), Arc::new(failing)).unwrap();
    engine.start("a", &silence).await.unwrap();
    dropped(&engine, "a").await;
    engine.start("a", &silence).await.unwrap();
    let state = ended(&engine, "a").await;
    assert!(matches!(state, State::Failed(_)), "{state:?}");
    std::fs::write(&mark, "").unwrap();
    engine.start("a", &silence).await.unwrap();
    let state = ended(&engine, "a").await;
    assert!(matches!(state, State::Done(_)), "{state:?}");
}
