//! Tesseract and Poppler as they are installed.

use std::sync::Arc;

use backend::jobs::Room;
use backend::tesseract::Tesseract;
use bytes::Bytes;
use capability::ocr::contract::{self, Samples, ended};
use capability::ocr::{Error, Ocr, Request, State};

use crate::missing::has;
use crate::shelf::{PAGE, Shelf, key, scanned};

const ROOM: Room = Room {
    places: 1,
    queue: 4,
};

async fn engine() -> Option<(Tesseract, Shelf)> {
    if !has(&["tesseract", "pdftoppm"]) {
        return None;
    }
    let shelf = Shelf::new().await;
    let engine = Tesseract::find(ROOM, shelf.blobs.clone()).await.unwrap();
    Some((engine, shelf))
}

#[tokio::test]
async fn tesseract_keeps_the_contract() {
    let Some((engine, shelf)) = engine().await else {
        return;
    };
    let samples = Samples {
        image: Bytes::from_static(PAGE),
        document: shelf.put("a/scanned.pdf", scanned(2, 1, PAGE)).await,
        missing: key("a/missing.pdf"),
    };
    contract::all(&engine, &samples).await;
}

fn request(document: &str, pages: &[u32]) -> Request {
    Request {
        document: key(document),
        pages: pages.to_vec(),
        languages: vec!["en".into()],
    }
}

#[tokio::test]
async fn what_is_no_document_fails_and_says_so() {
    let Some((engine, shelf)) = engine().await else {
        return;
    };
    shelf.put("no.pdf", "not a document").await;
    engine.start("a", &request("no.pdf", &[1])).await.unwrap();
    let state = ended(&engine, "a").await;
    assert!(matches!(state, State::Failed(_)), "{state:?}");
}

#[tokio::test]
async fn a_page_as_large_as_a_wall_is_read() {
    let Some((engine, shelf)) = engine().await else {
        return;
    };
    shelf.put("wall.pdf", scanned(1, 17, PAGE)).await;
    engine.start("a", &request("wall.pdf", &[1])).await.unwrap();
    let State::Done(found) = ended(&engine, "a").await else {
        panic!("it was not read");
    };
    assert!(
        found.pages[0]
            .lines
            .iter()
            .any(|l| l.text.contains("LECTERN"))
    );
}

#[tokio::test]
async fn an_image_that_is_broken_or_too_large_is_refused() {
    let Some((engine, _shelf)) = engine().await else {
        return;
    };
    let broken = Bytes::from_static(b"\x89PNG\r\n\x1a\nand no more");
    let refused = engine.recognize(broken, &[]).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let large = Bytes::from(vec![0xff; (10 << 20) + 1]);
    let refused = engine.recognize(large, &[]).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn one_more_job_than_there_is_room_for_is_refused() {
    let Some((engine, shelf)) = engine().await else {
        return;
    };
    let engine = Arc::new(engine);
    shelf.put("a.pdf", scanned(20, 1, PAGE)).await;
    let all: Vec<u32> = (1..=20).collect();
    for job in 0..5 {
        let job = job.to_string();
        engine.start(&job, &request("a.pdf", &all)).await.unwrap();
    }
    let refused = engine.start("5", &request("a.pdf", &all)).await;
    assert_eq!(refused, Err(Error::QuotaExceeded));
    engine.forget("0").await.unwrap();
    assert_eq!(engine.poll("0").await, Err(Error::NotFound));
    engine.start("5", &request("a.pdf", &all)).await.unwrap();
}
