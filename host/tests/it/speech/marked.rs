//! Speech marks: asked for once, patiently, and kept as they come.

use std::time::Duration;

use aws_fake::Trouble;
use futures::future::join_all;
use reqwest::Method;

use super::amazon::{SPEAK, long, with_polly};
use super::id;
use crate::harness::PATIENCE;

#[tokio::test]
async fn marks_are_asked_for_once_however_many_want_them() {
    let (fake, host) = with_polly().await;
    let spoken = host.post("/synthesize", long("mp3", "neural")).await.ok();
    let path = format!("/audio/{}/marks", id(&spoken));
    fake.delay(Duration::from_millis(200));
    // Which passes.
    fake.trouble(SPEAK, Trouble::Throttle, 5);
    let before = fake.calls(SPEAK);
    let all = join_all((0..8).map(|_| host.get(&path))).await;
    // Four calls, and five that were refused.
    assert_eq!(fake.calls(SPEAK) - before, 9);
    let first = all[0].body.clone();
    assert_eq!(
        first["speech_marks"].as_array().unwrap().len(),
        200 + 200 * 11
    );
    for answer in all {
        assert_eq!((answer.status, &answer.body), (200, &first));
    }
    host.stop().await;
}

#[tokio::test]
async fn what_an_engine_has_told_is_not_asked_for_again() {
    let (fake, host) = with_polly().await;
    let spoken = host.post("/synthesize", long("mp3", "neural")).await.ok();
    let path = format!("/audio/{}/marks", id(&spoken));
    fake.delay(Duration::from_millis(300));
    let before = fake.calls(SPEAK);
    let asked = tokio::spawn(host.request(Method::GET, &path).send());
    let some = async {
        let told = "select count(*)::text from tts.renditions where marks_told <> '[]'";
        while host.sql(told).await != ["1"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, some)
        .await
        .expect("the first call is kept");
    // As often as one call is tried.
    fake.trouble(SPEAK, Trouble::Throttle, 15);
    assert_eq!(asked.await.unwrap().unwrap().status(), 503);
    assert_eq!(host.get(&path).await.status, 200);
    assert_eq!(fake.calls(SPEAK) - before, 4 + 15);
    host.stop().await;
}
