//! What is deleted before its turn, or while it begins; and what of it is paid for.

use std::time::Duration;

use aws_fake::{Fake, Pace};
use reqwest::Method;

use super::engines::{amazon, recordings_say};
use super::retention::hurried;
use super::{calls, engine, form, hearing, hears, id, keep_events, tone, wav};
use crate::harness::{PATIENCE, TestHost};
use crate::limits::{bearer, with_tokens};

/// Requests are kept, and go to nobody until [`released`].
async fn hold_requests(host: &TestHost) {
    keep_events(host).await;
    for statement in [
        "create function lectern.hold() returns trigger language plpgsql as $$ begin \
         delete from lectern.outbox where seq = new.seq; return new; end $$",
        "create trigger hold after insert on lectern.outbox for each row \
         when (new.topic = 'audio.transcription.requested') execute function lectern.hold()",
    ] {
        host.sql(statement).await;
    }
}

/// They go out, and once more as somebody else's would.
async fn released(host: &TestHost) {
    host.sql("drop trigger hold on lectern.outbox").await;
    host.sql(
        "insert into lectern.outbox (component, topic, key, payload) \
         select 'stt', topic, payload->>'job_id', again from lectern.seen, \
         lateral (values (payload), (payload - 'stored')) as each (again) \
         where topic = 'audio.transcription.requested' returning ''",
    )
    .await;
    host.sql("select pg_notify('lectern_outbox', '')::text")
        .await;
    let waiting = "select ((select count(*) from lectern.outbox) + (select count(*) from lectern.inbox))::text";
    let handled = async {
        while host.sql(waiting).await != ["0"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, handled)
        .await
        .expect("they are handled");
}

#[tokio::test]
async fn a_recording_that_is_deleted_before_its_turn_stays_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let host = hearing(folder.path()).await;
    hold_requests(&host).await;
    let job = id(&host.transcribe(tone(), "a.wav", &[]).await.ok());
    let path = format!("/transcription/{job}");
    host.delete(&path).await.ok();
    released(&host).await;
    let answer = host.get(&path).await;
    assert_eq!(answer.code(), (404, "TRANSCRIPTION_NOT_FOUND"));
    let told =
        "select count(*)::text from lectern.seen where topic = 'audio.transcription.completed'";
    assert_eq!(host.sql(told).await, ["0"]);
    assert_eq!(calls(folder.path()), 0);
    let remembered = "select job_id from stt.deleted_jobs";
    assert_eq!(host.sql(remembered).await, [job.as_str()]);
    // Not for ever.
    host.sql("update stt.deleted_jobs set deleted_at = now() - interval '2 years' returning ''")
        .await;
    host.operator().deploy("stt", hurried()).await.unwrap();
    let forgotten = async {
        while !host.sql(remembered).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten)
        .await
        .expect("it is forgotten");
    host.stop().await;
}

async fn of_alice(host: &TestHost, request: reqwest::RequestBuilder) -> serde_json::Value {
    let request = request.header("authorization", bearer("alice", None));
    host.send(request).await.ok()
}

#[tokio::test]
async fn the_seconds_of_what_is_deleted_unheard_are_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let host = TestHost::with("components", |config| {
        hears(config, folder.path());
        with_tokens(config);
        config.limits.budgets.transcription_seconds = Some(100);
    })
    .await;
    hold_requests(&host).await;
    let send = async |request| of_alice(&host, request).await;
    let used = async || {
        let usage = send(host.request(Method::GET, "/usage")).await;
        usage["usage"]["stt_seconds"]["used"].clone()
    };
    let dictate = host.request(Method::POST, "/transcribe");
    let job = id(&send(dictate.multipart(form(tone(), "a.wav", &[]))).await);
    assert_eq!(used().await, 3);
    send(host.request(Method::DELETE, &format!("/transcription/{job}"))).await;
    assert_eq!(used().await, 0);
    released(&host).await;
    assert_eq!(used().await, 0);
    host.stop().await;
}

#[tokio::test]
async fn what_was_heard_beyond_the_length_that_was_told_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    // As pocketsphinx prints it.
    let late = r#"{"b":99,"d":1,"p":0.9,"t":"late","w":[{"b":99,"d":1,"p":0.9,"t":"late"}]}"#;
    let host = TestHost::with("components", |config| {
        engine(config, folder.path(), &format!("echo '{late}'"));
        with_tokens(config);
        config.limits.budgets.transcription_seconds = Some(1_000);
    })
    .await;
    let send = async |request| of_alice(&host, request).await;
    // A second, says the file; the engine hears a hundred.
    let dictate = host.request(Method::POST, "/transcribe");
    send(dictate.multipart(form(wav(900, 0.5), "a.wav", &[]))).await;
    let counted = async {
        loop {
            let usage = send(host.request(Method::GET, "/usage")).await;
            if usage["usage"]["stt_seconds"]["used"] == 101 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted)
        .await
        .expect("it is counted");
    host.stop().await;
}

#[tokio::test]
async fn the_vocabulary_of_a_job_that_is_deleted_while_it_begins_is_forgotten() {
    let fake = Fake::start().await.unwrap();
    recordings_say(&fake, "Hello.");
    fake.pace(Pace::Looks(u32::MAX));
    fake.delay_of("CreateVocabulary", Duration::from_secs(2));
    let host = TestHost::with("components", |config| amazon(config, &fake)).await;
    let fields = [("language_code", "en-US"), ("vocabulary", "Lectern")];
    let job = id(&host.transcribe(tone(), "a.wav", &fields).await.ok());
    let begins = async {
        while fake.calls("CreateVocabulary") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begins)
        .await
        .expect("it begins");
    host.delete(&format!("/transcription/{job}")).await.ok();
    assert!(fake.vocabularies().is_empty(), "there was none to delete");
    // The engine is not done with it yet, which is noted.
    let left = "select job_id from stt.leftovers where aws_job_name is not null";
    let noted = async {
        while host.sql(left).await != [job.as_str()] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, noted)
        .await
        .expect("it is noted");
    assert_eq!(fake.vocabularies().len(), 1);
    fake.pace(Pace::Looks(0));
    host.sql("update stt.leftovers set due_at = now() returning ''")
        .await;
    host.operator().deploy("stt", hurried()).await.unwrap();
    let gone = async {
        while !host.sql(left).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it goes");
    assert!(fake.vocabularies().is_empty());
    host.stop().await;
}
