//! Text from images against a fake Textract, and what the real one is known for.

use std::time::Duration;

use aws_fake::{ACCESS_KEY_ID, Object, Pace, SECRET_ACCESS_KEY, Trouble};
use backend::textract::Textract;
use bytes::Bytes;
use capability::blobs::Key;
use capability::ocr::contract::{self, Samples, ended};
use capability::ocr::{Error, MAX_IMAGE, Ocr, Pages, Request, State};

use crate::amazon::{Amazon, NOBODY, account, bucket, key};

const START: &str = "StartDocumentTextDetection";
const JOB: &str = "reader.job";

async fn amazon() -> (Amazon, Textract) {
    let amazon = Amazon::start().await;
    let engine = engine(&amazon);
    (amazon, engine)
}

/// As a host that is started anew has it.
fn engine(amazon: &Amazon) -> Textract {
    Textract::new(&amazon.aws, amazon.blobs.clone())
}

/// As far as the fake looks at it: a PNG's head and end.
fn png() -> Bytes {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend([0, 0, 0, 16, 0, 0, 0, 16, 8, 2, 0, 0, 0, 0, 0, 0, 0]);
    png.extend(b"\0\0\0\0IEND\xAE\x42\x60\x82");
    png.into()
}

/// A document of so many pages, each of which tells its number.
fn document(amazon: &Amazon, pages: u32) -> Key {
    let pages = (1..=pages).map(|page| vec!["LECTERN".into(), format!("page {page}")]);
    amazon.put("reader/document.pdf", Object::Document(pages.collect()))
}

fn request(document: &Key, pages: impl IntoIterator<Item = u32>) -> Request {
    Request {
        document: document.clone(),
        pages: pages.into_iter().collect(),
        languages: vec![],
    }
}

async fn pages(engine: &Textract, request: &Request) -> Pages {
    engine.start(JOB, request).await.unwrap();
    match ended(engine, JOB).await {
        State::Done(pages) => pages,
        other => panic!("{other:?}"),
    }
}

fn numbers(pages: &Pages) -> Vec<u32> {
    pages.pages.iter().map(|page| page.number).collect()
}

#[tokio::test]
async fn textract_keeps_the_contract() {
    let (amazon, engine) = amazon().await;
    let samples = Samples {
        image: png(),
        document: document(&amazon, 2),
        missing: key("reader/missing.pdf"),
    };
    contract::all(&engine, &samples).await;
}

#[tokio::test]
async fn an_image_without_text_has_no_lines() {
    let (amazon, engine) = amazon().await;
    amazon.fake.show(&[]);
    assert_eq!(engine.recognize(png(), &[]).await, Ok(vec![]));
}

#[tokio::test]
async fn an_image_that_is_too_large_costs_no_call() {
    let (amazon, engine) = amazon().await;
    let large = Bytes::from(vec![0; MAX_IMAGE + 1]);
    let limit = MAX_IMAGE as u64;
    let got = engine.recognize(large, &[]).await;
    assert_eq!(got, Err(Error::TooLarge { limit }));
    assert_eq!(amazon.fake.calls("DetectDocumentText"), 0);
}

#[tokio::test]
async fn what_textract_does_not_read_is_invalid() {
    let (amazon, engine) = amazon().await;
    let wrong: [&[u8]; 3] = [
        b"PK\x03\x04 a DOCX",
        b"\x89PNG\r\n\x1a\n cut",
        b"%PDF-1.7 /Type /Pages /Type /Page /Type /Page",
    ];
    for wrong in wrong {
        let got = engine.recognize(Bytes::copy_from_slice(wrong), &[]).await;
        assert!(matches!(got, Err(Error::Invalid(_))), "{got:?}");
    }
    let other = amazon.put("reader/a.docx", Object::Other);
    for pages in [vec![1], vec![], vec![0]] {
        let got = engine.start(JOB, &request(&other, pages)).await;
        assert!(matches!(got, Err(Error::Invalid(_))), "{got:?}");
    }
}

#[tokio::test]
async fn a_result_is_read_over_all_its_answers_and_several_polls() {
    let (amazon, engine) = amazon().await;
    amazon.fake.pace(Pace::Looks(0));
    amazon.fake.blocks_a_page(3);
    let document = document(&amazon, 40);
    engine
        .start(JOB, &request(&document, 1..=40))
        .await
        .unwrap();
    assert_eq!(engine.poll(JOB).await, Ok(State::Running));
    let State::Done(found) = ended(&engine, JOB).await else {
        panic!("no result")
    };
    assert_eq!(numbers(&found), (1..=40).collect::<Vec<_>>());
    for page in &found.pages {
        let lines: Vec<_> = page.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, ["LECTERN", &format!("page {}", page.number)]);
        assert!(page.lines.iter().all(|line| line.confidence == 0.995));
    }
}

#[tokio::test]
async fn pages_that_could_be_read_are_kept_and_the_others_told() {
    let (amazon, engine) = amazon().await;
    let document = document(&amazon, 3);
    amazon.fake.spoil_pages(&[2]);
    let found = pages(&engine, &request(&document, [1, 2, 3])).await;
    assert_eq!((numbers(&found), found.failed), (vec![1, 3], vec![2]));
}

#[tokio::test]
async fn a_job_of_which_no_page_could_be_read_has_failed() {
    let (amazon, engine) = amazon().await;
    let document = document(&amazon, 3);
    engine.start(JOB, &request(&document, [9])).await.unwrap();
    let state = ended(&engine, JOB).await;
    assert!(matches!(state, State::Failed(_)), "{state:?}");
}

#[tokio::test]
async fn a_job_that_fails_tells_why() {
    let (amazon, engine) = amazon().await;
    amazon.fake.fail_jobs(Some("The document is encrypted."));
    let document = document(&amazon, 1);
    engine.start(JOB, &request(&document, [1])).await.unwrap();
    let state = ended(&engine, JOB).await;
    assert_eq!(state, State::Failed("The document is encrypted.".into()));
}

#[tokio::test]
async fn a_host_that_is_started_anew_gets_the_same_job() {
    let (amazon, engine_before) = amazon().await;
    amazon.fake.pace(Pace::Looks(5));
    let request = request(&document(&amazon, 1), [1]);
    pages(&engine_before, &request).await;
    let engine = engine(&amazon);
    assert_eq!(engine.poll(JOB).await, Err(Error::NotFound));
    engine.start(JOB, &request).await.unwrap();
    // A new job would run.
    let state = engine.poll(JOB).await;
    assert!(matches!(state, Ok(State::Done(_))), "{state:?}");
}

#[tokio::test]
async fn a_name_that_is_used_again_reads_the_other_document() {
    let (amazon, engine) = amazon().await;
    pages(&engine, &request(&document(&amazon, 1), [1])).await;
    engine.forget(JOB).await.unwrap();
    let page = vec!["another".to_owned()];
    let other = amazon.put("reader/other.pdf", Object::Document(vec![page]));
    let found = pages(&engine, &request(&other, [1])).await;
    assert_eq!(found.pages[0].lines[0].text, "another");
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_starts_one_job_and_what_is_slow_is_polled() {
    let (amazon, engine) = amazon().await;
    amazon.fake.trouble(START, Trouble::Lose, 1);
    amazon.fake.pace(Pace::Time(Duration::from_millis(200)));
    let found = pages(&engine, &request(&document(&amazon, 1), [1])).await;
    assert_eq!(numbers(&found), [1]);
    assert_eq!(amazon.fake.calls(START), 2);
}

#[tokio::test]
async fn a_throttled_poll_asks_for_patience_and_loses_nothing() {
    let (amazon, engine) = amazon().await;
    amazon.fake.pace(Pace::Looks(0));
    amazon.fake.blocks_a_page(2);
    let document = document(&amazon, 2);
    engine
        .start(JOB, &request(&document, [1, 2]))
        .await
        .unwrap();
    let poll = "GetDocumentTextDetection";
    amazon.fake.trouble(poll, Trouble::Throttle, 3);
    assert_eq!(engine.poll(JOB).await, Err(Error::QuotaExceeded));
    let Ok(State::Done(found)) = engine.poll(JOB).await else {
        panic!("no result")
    };
    assert_eq!(numbers(&found), [1, 2]);
}

#[tokio::test]
async fn a_document_that_is_missing_is_told_at_the_start() {
    let (_amazon, engine) = amazon().await;
    let missing = request(&key("reader/missing.pdf"), [1]);
    let got = engine.start(JOB, &missing).await;
    assert_eq!(got, Err(Error::NoDocument));
}

#[tokio::test]
async fn wrong_credentials_are_told_from_a_service_that_is_away() {
    let (amazon, _) = amazon().await;
    let url = amazon.fake.url();
    for (id, secret) in [("else", SECRET_ACCESS_KEY), (ACCESS_KEY_ID, "else")] {
        let aws = account(url, id, secret).await;
        let engine = Textract::new(&aws, bucket(&aws, "bucket"));
        let got = engine.recognize(png(), &[]).await;
        assert!(matches!(got, Err(Error::AccessDenied(_))), "{got:?}");
    }
    let aws = account(NOBODY, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
    let engine = Textract::new(&aws, bucket(&aws, "bucket"));
    let got = engine.recognize(png(), &[]).await;
    assert!(matches!(got, Err(Error::Unavailable(_))), "{got:?}");
}
