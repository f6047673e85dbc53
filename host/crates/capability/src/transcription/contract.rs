//! What every [`Transcription`] must do.

use std::time::Duration;

use super::{Error, MediaFormat, Request, State, Transcription};
use crate::blobs::Key;

/// A request for that audio, in English.
pub fn english(audio: &Key) -> Request {
    Request {
        audio: audio.clone(),
        format: MediaFormat::Wav,
        language_code: Some("en-US".into()),
        speakers: None,
        vocabulary: vec![],
        duration_ms: None,
    }
}

/// Until the engine keeps nothing of the job.
pub async fn forgotten(engine: &dyn Transcription, job: &str) {
    let forgetting = async {
        loop {
            match engine.forget(job).await {
                Ok(()) => return,
                Err(Error::NotYet | Error::QuotaExceeded) => {}
                Err(error) => panic!("the job is not forgotten: {error}"),
            }
            assert_eq!(engine.poll(job).await, Err(Error::NotFound));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), forgetting)
        .await
        .expect("a job that is forgotten within 60 s");
}

/// Polls until the job has ended.
pub async fn ended(engine: &dyn Transcription, job: &str) -> State {
    let polling = async {
        loop {
            match engine.poll(job).await {
                Ok(State::Running) | Err(Error::QuotaExceeded) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok(state) => return state,
                Err(error) => panic!("the job is lost: {error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), polling)
        .await
        .expect("a job that ends within 60 s")
}

/// Every case. `spoken` is English speech as WAV, `missing` a key that holds nothing.
pub async fn all(engine: &dyn Transcription, spoken: &Key, missing: &Key) {
    a_job_ends_with_a_transcript(engine, spoken).await;
    a_forgotten_job_is_gone(engine, spoken).await;
    audio_that_is_not_there_is_told(engine, missing).await;
}

/// Start, start again, poll.
pub async fn a_job_ends_with_a_transcript(engine: &dyn Transcription, spoken: &Key) {
    let request = english(spoken);
    engine.start("contract.a", &request).await.expect("start");
    engine
        .start("contract.a", &request)
        .await
        .expect("start again");
    let State::Done(transcript) = ended(engine, "contract.a").await else {
        panic!("no transcript");
    };
    assert!(!transcript.text.is_empty() && !transcript.engine.is_empty());
    assert!(
        transcript
            .words
            .windows(2)
            .all(|w| w[0].start_ms <= w[1].start_ms)
    );
    let sure = transcript.confidence.unwrap_or(1.0);
    assert!((0.0..=1.0).contains(&sure), "{sure}");
    forgotten(engine, "contract.a").await;
}

/// Forget.
pub async fn a_forgotten_job_is_gone(engine: &dyn Transcription, spoken: &Key) {
    engine
        .start("contract.b", &english(spoken))
        .await
        .expect("start");
    forgotten(engine, "contract.b").await;
    engine.forget("contract.b").await.expect("forget again");
    assert_eq!(engine.poll("contract.b").await, Err(Error::NotFound));
    assert_eq!(engine.poll("contract.never").await, Err(Error::NotFound));
}

/// The audio is missing: told at the start, or by the job.
pub async fn audio_that_is_not_there_is_told(engine: &dyn Transcription, missing: &Key) {
    match engine.start("contract.c", &english(missing)).await {
        Err(Error::NoAudio) => {}
        Ok(()) => {
            let state = ended(engine, "contract.c").await;
            assert!(matches!(state, State::Failed(_)), "{state:?}");
        }
        Err(other) => panic!("{other}"),
    }
    forgotten(engine, "contract.c").await;
}
