//! Jobs of engines on hosts that share a database.

use std::path::Path;
use std::time::Duration;

use backend::engine_command::EngineCommand;
use capability::transcription::contract::{ended, english};
use capability::transcription::{Error, Request, State, Transcription};
use sqlx::PgPool;

use crate::engine_command::config;
use crate::server::Server;
use crate::shelf::{Shelf, wav};

/// As one of the hosts has it: waits for the file `go`, and notes that it was called.
fn host(folder: &Path, shelf: &Shelf, pool: &PgPool) -> EngineCommand {
    let folder = folder.display();
    let script = format!(
        "echo x >> {folder}/calls; while ! [ -e {folder}/go ]; do sleep 0.02; done; cat {folder}/go"
    );
    let command = format!("sh -c '{script}' {{input}}");
    let engine = EngineCommand::new(config(&command), shelf.blobs.clone());
    engine.unwrap().shared(pool.clone())
}

fn calls(folder: &Path) -> usize {
    let calls = std::fs::read_to_string(folder.join("calls"));
    calls.unwrap_or_default().lines().count()
}

async fn until(mut what: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("it comes about within 60 s");
}

struct Scene {
    server: Server,
    shelf: Shelf,
    folder: tempfile::TempDir,
    spoken: Request,
}

impl Scene {
    async fn new() -> Self {
        let shelf = Shelf::new().await;
        let spoken = english(&shelf.put("a", wav(16_000, &[7; 3_200])).await);
        Self {
            server: Server::start().await,
            folder: tempfile::tempdir().unwrap(),
            shelf,
            spoken,
        }
    }

    fn host(&self) -> EngineCommand {
        host(self.folder.path(), &self.shelf, &self.server.platform)
    }

    fn go(&self, said: &str) {
        std::fs::write(self.folder.path().join("go"), said).unwrap();
    }
}

#[tokio::test]
async fn one_of_two_hosts_runs_a_job_and_both_know_how_it_stands() {
    let scene = Scene::new().await;
    let (one, other) = (scene.host(), scene.host());
    one.start("stt.a", &scene.spoken).await.unwrap();
    until(async || calls(scene.folder.path()) == 1).await;
    assert_eq!(other.poll("stt.a").await, Ok(State::Running));
    other.start("stt.a", &scene.spoken).await.unwrap();
    assert_eq!(other.poll("stt.a").await, Ok(State::Running));
    scene.go("heard");
    for host in [&other, &one] {
        let State::Done(transcript) = ended(host, "stt.a").await else {
            panic!("no transcript");
        };
        assert_eq!(transcript.text, "heard");
    }
    // Done is done: to start it again does nothing.
    other.start("stt.a", &scene.spoken).await.unwrap();
    assert!(matches!(other.poll("stt.a").await, Ok(State::Done(_))));
    assert_eq!(calls(scene.folder.path()), 1);
    other.forget("stt.a").await.unwrap();
    assert_eq!(one.poll("stt.a").await, Err(Error::NotFound));
    scene.server.stop().await;
}

#[tokio::test]
async fn another_host_takes_a_job_over_when_the_one_that_ran_it_is_gone() {
    let scene = Scene::new().await;
    let (one, other) = (scene.host(), scene.host());
    one.start("stt.a", &scene.spoken).await.unwrap();
    until(async || calls(scene.folder.path()) == 1).await;
    assert_eq!(other.poll("stt.a").await, Ok(State::Running));
    // What the end of a host looks like: its session ends.
    drop(one);
    until(async || other.poll("stt.a").await == Err(Error::NotFound)).await;
    scene.go("heard");
    other.start("stt.a", &scene.spoken).await.unwrap();
    let state = ended(&other, "stt.a").await;
    assert!(matches!(state, State::Done(_)), "{state:?}");
    assert_eq!(calls(scene.folder.path()), 2);
    scene.server.stop().await;
}

#[tokio::test]
async fn a_host_whose_session_breaks_keeps_its_job() {
    let scene = Scene::new().await;
    let one = scene.host();
    one.start("stt.a", &scene.spoken).await.unwrap();
    until(async || calls(scene.folder.path()) == 1).await;
    sqlx::query("select pg_terminate_backend(holder) from lectern.engine_jobs")
        .execute(&scene.server.platform)
        .await
        .unwrap();
    // It says so under its next session, and nobody needs to take the job over.
    until(async || {
        let held = "select exists (select from lectern.engine_jobs join pg_stat_activity on pid = holder \
                    and backend_start = holder_since)";
        let held = sqlx::query_scalar(held);
        held.fetch_one(&scene.server.platform).await.unwrap()
    })
    .await;
    scene.go("heard");
    let state = ended(&scene.host(), "stt.a").await;
    assert!(matches!(state, State::Done(_)), "{state:?}");
    assert_eq!(calls(scene.folder.path()), 1);
    scene.server.stop().await;
}

#[tokio::test]
async fn a_job_that_is_forgotten_ends_wherever_it_runs() {
    let scene = Scene::new().await;
    let (one, other) = (scene.host(), scene.host());
    one.start("stt.a", &scene.spoken).await.unwrap();
    until(async || calls(scene.folder.path()) == 1).await;
    other.forget("stt.a").await.unwrap();
    until(async || one.poll("stt.a").await == Err(Error::NotFound)).await;
    scene.server.stop().await;
}

#[tokio::test]
async fn a_failed_job_is_told_by_all_and_run_again_by_any() {
    let scene = Scene::new().await;
    let (one, other) = (scene.host(), scene.host());
    scene.go("{\"no\":1}");
    one.start("stt.a", &scene.spoken).await.unwrap();
    let state = ended(&one, "stt.a").await;
    assert!(matches!(state, State::Failed(_)), "{state:?}");
    assert_eq!(other.poll("stt.a").await, Ok(state));
    scene.go("heard");
    other.start("stt.a", &scene.spoken).await.unwrap();
    let state = ended(&one, "stt.a").await;
    assert!(matches!(state, State::Done(_)), "{state:?}");
    scene.server.stop().await;
}
