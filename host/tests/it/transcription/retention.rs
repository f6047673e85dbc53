//! How long recordings are kept.

use std::time::Duration;

use host::client::Upload;

use super::{HEARD, engine, id, tone};
use crate::harness::{PATIENCE, TestHost, target};

/// The service with the clock of a test.
pub(super) fn hurried() -> Upload {
    let folder = target().join("components");
    let manifest = std::fs::read_to_string(folder.join("stt.toml")).unwrap();
    let migrations = target().join("../migrations/stt");
    let migrations = std::fs::read_dir(migrations).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    });
    Upload {
        wasm: std::fs::read(folder.join("stt.wasm")).unwrap(),
        manifest: Some(manifest.replace("every = \"10m\"", "every = \"1s\"")),
        migrations: migrations.collect(),
        ..Upload::default()
    }
}

#[tokio::test]
async fn what_is_too_old_is_gone_and_its_id_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("cat <<'END'\n{HEARD}\nEND\n");
    let host = TestHost::with("components", |config| {
        engine(config, folder.path(), &script);
        config.settings = std::mem::take(&mut config.settings).with("AUDIO_RETENTION_DAYS", "14");
    })
    .await;
    let old = id(&host
        .transcribe(tone(), "old.wav", &[("user_id", "alice")])
        .await
        .ok());
    let new = id(&host
        .transcribe(tone(), "new.wav", &[("user_id", "alice")])
        .await
        .ok());
    host.transcribed(&old).await;
    host.transcribed(&new).await;
    host.sql(
        "update stt.transcription_jobs set submitted_at = now() - case filename when 'old.wav' then interval '15 days' \
         else interval '13 days' end returning ''",
    )
    .await;
    host.operator().deploy("stt", hurried()).await.unwrap();
    let gone = async {
        while host.get(&format!("/transcription/{old}")).await.status == 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it goes");
    for path in ["", "/subtitles", "/events"] {
        let answer = host.get(&format!("/transcription/{old}{path}")).await;
        assert_eq!(answer.code(), (410, "TRANSCRIPTION_GONE"), "{path}");
    }
    let others = host.get(&format!("/transcription/{old}?user_id=bob")).await;
    assert_eq!(others.code(), (404, "TRANSCRIPTION_NOT_FOUND"));
    assert_eq!(host.get(&format!("/transcription/{new}")).await.status, 200);
    let cleared = async {
        while host.recordings() > 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, cleared)
        .await
        .expect("the audio goes too");
    assert_eq!(
        host.sql("select count(*)::text from stt.transcription_jobs")
            .await,
        ["1"]
    );
    host.stop().await;
}
