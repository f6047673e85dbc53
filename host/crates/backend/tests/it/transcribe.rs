//! Transcription against a fake Transcribe, and what the real one is known for.

use std::time::Duration;

use aws_fake::{ACCESS_KEY_ID, Object, Pace, SECRET_ACCESS_KEY, Trouble};
use backend::transcribe::Transcribe;
use capability::blobs::Key;
use capability::transcription::contract::{self, ended, english, forgotten};
use capability::transcription::{Cause, Error, Request, State, Transcript, Transcription};

use crate::amazon::{Amazon, NOBODY, account, bucket, key};

const START: &str = "StartTranscriptionJob";
const SAID: &str = "Hello, you there. I am well.";

async fn amazon() -> (Amazon, Transcribe, Key) {
    let amazon = Amazon::start().await;
    let engine = engine(&amazon);
    let spoken = amazon.put("stt/spoken.wav", Object::Audio(SAID.into()));
    (amazon, engine, spoken)
}

/// As a host that is started anew has it.
fn engine(amazon: &Amazon) -> Transcribe {
    Transcribe::new(&amazon.aws, amazon.blobs.clone()).unwrap()
}

async fn transcript(engine: &Transcribe, request: &Request) -> Transcript {
    engine.start("stt.job", request).await.unwrap();
    match ended(engine, "stt.job").await {
        State::Done(transcript) => transcript,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn transcribe_keeps_the_contract() {
    let (_amazon, engine, spoken) = amazon().await;
    contract::all(&engine, &spoken, &key("stt/missing.wav")).await;
}

#[tokio::test]
async fn words_have_times_speakers_and_what_follows_them() {
    let (_amazon, engine, spoken) = amazon().await;
    let request = Request {
        speakers: Some(2),
        ..english(&spoken)
    };
    let transcript = transcript(&engine, &request).await;
    assert_eq!(transcript.text, SAID);
    assert_eq!(transcript.words.len(), 6);
    let [hello, .., well] = &transcript.words[..] else {
        panic!("{transcript:?}")
    };
    assert_eq!((hello.start_ms, hello.end_ms), (40, 400));
    assert_eq!(hello.punctuation, ",");
    assert_eq!(hello.speaker.as_deref(), Some("spk_0"));
    assert_eq!(well.speaker.as_deref(), Some("spk_1"));
    // Punctuation, of which Transcribe says 0.0, is none of it.
    assert_eq!(transcript.confidence, Some(0.95));
}

#[tokio::test]
async fn a_language_that_is_not_given_is_found() {
    let (_amazon, engine, spoken) = amazon().await;
    let request = Request {
        language_code: None,
        ..english(&spoken)
    };
    let transcript = transcript(&engine, &request).await;
    assert_eq!(transcript.language_code.as_deref(), Some("en-US"));
}

#[tokio::test]
async fn a_language_is_found_among_those_that_the_operator_names() {
    let (amazon, _, spoken) = amazon().await;
    let found = async |languages: &[&str], job: &str| {
        let languages = languages.iter().map(|&code| code.to_owned()).collect();
        let engine = engine(&amazon).with_languages(languages);
        let request = Request {
            language_code: None,
            ..english(&spoken)
        };
        engine.start(job, &request).await?;
        match ended(&engine, job).await {
            State::Done(transcript) => Ok(transcript.language_code.unwrap()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        found(&["de-DE", "fr-FR"], "stt.a").await,
        Ok("de-DE".into())
    );
    assert_eq!(found(&["fr-FR"], "stt.b").await, Ok("fr-FR".into()));
    let unknown = found(&["de-DE", "xx-XX"], "stt.c").await;
    assert!(matches!(unknown, Err(Error::Invalid(_))), "{unknown:?}");
}

#[tokio::test]
async fn silence_is_an_empty_transcript() {
    let (amazon, engine, _) = amazon().await;
    let silence = amazon.put("stt/silence.wav", Object::Audio(String::new()));
    let transcript = transcript(&engine, &english(&silence)).await;
    assert_eq!(
        (transcript.text.as_str(), transcript.confidence),
        ("", None)
    );
}

#[tokio::test]
async fn what_transcribe_cannot_take_is_invalid() {
    let (_amazon, engine, spoken) = amazon().await;
    let good = english(&spoken);
    let refused = [
        Request {
            speakers: Some(31),
            ..good.clone()
        },
        Request {
            language_code: Some("xx-XX".into()),
            ..good.clone()
        },
        Request {
            language_code: None,
            vocabulary: vec!["Lectern".into()],
            ..good
        },
    ];
    for request in refused {
        let got = engine.start("stt.job", &request).await;
        assert!(matches!(got, Err(Error::Invalid(_))), "{got:?}");
    }
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_starts_one_job() {
    let (amazon, engine, spoken) = amazon().await;
    amazon.fake.trouble(START, Trouble::Lose, 1);
    assert_eq!(transcript(&engine, &english(&spoken)).await.text, SAID);
    assert_eq!(amazon.fake.calls(START), 2);
}

#[tokio::test]
async fn another_audio_s_job_of_that_name_is_not_taken_for_it() {
    let (amazon, engine, spoken) = amazon().await;
    engine.start("stt.job", &english(&spoken)).await.unwrap();
    let other = amazon.put("stt/other.wav", Object::Audio("Secret.".into()));
    let got = engine.start("stt.job", &english(&other)).await;
    assert!(matches!(got, Err(Error::Invalid(_))), "{got:?}");
}

#[tokio::test]
async fn a_job_that_fails_tells_why() {
    let (amazon, engine, spoken) = amazon().await;
    let other = "The media format provided does not match the detected media format.";
    for (job, why, cause) in [
        ("stt.a", other, Cause::Corrupt),
        (
            "stt.b",
            "Invalid sample rate for audio file.",
            Cause::Format,
        ),
        (
            "stt.c",
            "Invalid file size: file size too large.",
            Cause::Refused,
        ),
        ("stt.d", "Internal failure.", Cause::Engine),
    ] {
        amazon.fake.fail_jobs(Some(why));
        engine.start(job, &english(&spoken)).await.unwrap();
        let State::Failed(failure) = ended(&engine, job).await else {
            panic!("it did not fail");
        };
        assert_eq!((failure.cause, failure.reason.as_str()), (cause, why));
    }
}

#[tokio::test]
async fn a_slow_job_runs_until_it_ends_and_another_host_finds_it() {
    let (amazon, engine_before, spoken) = amazon().await;
    amazon.fake.pace(Pace::Time(Duration::from_millis(300)));
    engine_before
        .start("stt.job", &english(&spoken))
        .await
        .unwrap();
    assert_eq!(engine_before.poll("stt.job").await, Ok(State::Running));
    let state = ended(&engine(&amazon), "stt.job").await;
    assert!(matches!(state, State::Done(_)), "{state:?}");
}

#[tokio::test]
async fn a_throttled_poll_asks_for_patience() {
    let (amazon, engine, spoken) = amazon().await;
    engine.start("stt.job", &english(&spoken)).await.unwrap();
    let poll = "GetTranscriptionJob";
    amazon.fake.trouble(poll, Trouble::Throttle, 3);
    assert_eq!(engine.poll("stt.job").await, Err(Error::QuotaExceeded));
    assert_eq!(engine.poll("stt.job").await, Ok(State::Running));
}

#[tokio::test]
async fn a_vocabulary_is_waited_for_and_deleted_with_its_job() {
    let (amazon, engine_before, spoken) = amazon().await;
    let request = Request {
        vocabulary: vec!["Lectern".into(), "Los Angeles".into()],
        ..english(&spoken)
    };
    engine_before.start("stt.job", &request).await.unwrap();
    assert_eq!(amazon.fake.calls(START), 0);
    // The host ends; the next one knows nothing of it, and is asked again.
    let engine = engine(&amazon);
    assert_eq!(engine.poll("stt.job").await, Err(Error::NotFound));
    assert_eq!(transcript(&engine, &request).await.text, SAID);
    engine.forget("stt.job").await.unwrap();
    assert_eq!(engine.poll("stt.job").await, Err(Error::NotFound));
    // Once more, and the vocabulary is a new one.
    engine.start("stt.job", &request).await.unwrap();
    assert_eq!(engine.poll("stt.job").await, Ok(State::Running));
    assert_eq!(amazon.fake.calls("DeleteVocabulary"), 1);
}

#[tokio::test]
async fn a_vocabulary_that_is_not_ready_is_forgotten_too() {
    let (amazon, engine, spoken) = amazon().await;
    let request = Request {
        vocabulary: vec!["Lectern".into()],
        ..english(&spoken)
    };
    engine.start("stt.job", &request).await.unwrap();
    // Refused while it is made ready, then not.
    assert_eq!(engine.forget("stt.job").await, Err(Error::NotYet));
    forgotten(&engine, "stt.job").await;
    assert!(amazon.fake.calls("DeleteVocabulary") >= 2);
}

#[tokio::test]
async fn a_vocabulary_that_transcribe_refuses_fails_the_job() {
    let (_amazon, engine, spoken) = amazon().await;
    let request = Request {
        vocabulary: vec!["R2D2".into()],
        ..english(&spoken)
    };
    engine.start("stt.job", &request).await.unwrap();
    let state = ended(&engine, "stt.job").await;
    assert!(matches!(state, State::Failed(_)), "{state:?}");
}

#[tokio::test]
async fn a_running_job_that_is_forgotten_is_deleted_when_it_has_ended() {
    let (amazon, engine_before, spoken) = amazon().await;
    amazon.fake.pace(Pace::Looks(u32::MAX));
    engine_before
        .start("stt.job", &english(&spoken))
        .await
        .unwrap();
    assert_eq!(engine_before.forget("stt.job").await, Err(Error::NotYet));
    assert_eq!(engine_before.poll("stt.job").await, Err(Error::NotFound));
    // The host ends, and the next one knows nothing of that: whoever wants it gone asks again.
    let other = engine(&amazon);
    assert_eq!(other.forget("stt.job").await, Err(Error::NotYet));
    amazon.fake.pace(Pace::Looks(0));
    forgotten(&other, "stt.job").await;
    assert_eq!(amazon.fake.transcription_jobs(), [""; 0]);
}

#[tokio::test]
async fn audio_that_transcribe_may_not_read_is_told_from_audio_that_is_missing() {
    let (amazon, engine, _) = amazon().await;
    let closed = amazon.put("stt/closed.wav", Object::Other);
    let got = engine.start("stt.job", &english(&closed)).await;
    assert!(matches!(got, Err(Error::AccessDenied(_))), "{got:?}");
    let missing = english(&key("stt/missing.wav"));
    let got = engine.start("stt.job", &missing).await;
    assert_eq!(got, Err(Error::NoAudio));
}

#[tokio::test]
async fn a_transcript_that_cannot_be_downloaded_is_worth_another_poll() {
    let (amazon, engine, spoken) = amazon().await;
    engine.start("stt.job", &english(&spoken)).await.unwrap();
    amazon.fake.pace(Pace::Looks(0));
    for trouble in [Trouble::Fail, Trouble::Lose, Trouble::Cut] {
        amazon.fake.trouble("GetTranscript", trouble, 1);
        let Err(Error::Unavailable(why)) = engine.poll("stt.job").await else {
            panic!("{trouble:?}")
        };
        assert!(!why.contains("results"), "the address is a secret: {why}");
    }
    let state = engine.poll("stt.job").await;
    assert!(matches!(state, Ok(State::Done(_))), "{state:?}");
}

#[tokio::test]
async fn wrong_credentials_are_told_from_a_service_that_is_away() {
    let (amazon, _, spoken) = amazon().await;
    let url = amazon.fake.url();
    for (id, secret) in [("else", SECRET_ACCESS_KEY), (ACCESS_KEY_ID, "else")] {
        let aws = account(url, id, secret).await;
        let engine = Transcribe::new(&aws, bucket(&aws, "bucket")).unwrap();
        let got = engine.start("stt.job", &english(&spoken)).await;
        assert!(matches!(got, Err(Error::AccessDenied(_))), "{got:?}");
    }
    let aws = account(NOBODY, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
    let engine = Transcribe::new(&aws, bucket(&aws, "bucket")).unwrap();
    let got = engine.poll("stt.job").await;
    assert!(matches!(got, Err(Error::Unavailable(_))), "{got:?}");
}
