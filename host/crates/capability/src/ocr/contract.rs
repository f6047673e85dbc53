//! What every [`Ocr`] must do.

use std::time::Duration;

use bytes::Bytes;

use super::{Error, Ocr, Request, State};
use crate::blobs::Key;

/// What the engines are shown.
pub struct Samples {
    /// PNG or JPEG; shows the word LECTERN and other text.
    pub image: Bytes,
    /// A PDF whose two pages show text; the word LECTERN on the first.
    pub document: Key,
    /// A key that holds nothing.
    pub missing: Key,
}

/// Polls until the job has ended.
pub async fn ended(engine: &dyn Ocr, job: &str) -> State {
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

fn request(document: &Key, pages: &[u32]) -> Request {
    Request {
        document: document.clone(),
        pages: pages.to_vec(),
        languages: vec!["en".into()],
    }
}

/// Every case.
pub async fn all(engine: &dyn Ocr, samples: &Samples) {
    an_image_is_read(engine, &samples.image).await;
    what_is_no_image_is_invalid(engine).await;
    a_job_reads_the_pages_asked_for(engine, &samples.document).await;
    a_document_that_is_not_there_is_told(engine, &samples.missing).await;
    a_job_that_never_was_is_not_found(engine).await;
}

/// One image.
pub async fn an_image_is_read(engine: &dyn Ocr, image: &Bytes) {
    let lines = engine
        .recognize(image.clone(), &["en".into()])
        .await
        .expect("lines");
    let found = lines.iter().any(|line| line.text.contains("LECTERN"));
    assert!(found, "{lines:?}");
    assert!(lines.iter().all(|l| (0.0..=1.0).contains(&l.confidence)));
}

/// No image.
pub async fn what_is_no_image_is_invalid(engine: &dyn Ocr) {
    let text = Bytes::from_static(b"not an image");
    let lines = engine.recognize(text, &[]).await;
    assert!(matches!(lines, Err(Error::Invalid(_))), "{lines:?}");
}

/// A job, and a page that the document does not have.
pub async fn a_job_reads_the_pages_asked_for(engine: &dyn Ocr, document: &Key) {
    let first = request(document, &[1, 99]);
    engine.start("contract.a", &first).await.expect("start");
    engine.start("contract.a", &first).await.expect("again");
    let State::Done(found) = ended(engine, "contract.a").await else {
        panic!("no page was read");
    };
    // All of them, or nothing where the engine does not count.
    let through = engine.progress("contract.a").await.expect("a count");
    assert!(matches!(through, 0 | 2), "{through}");
    let numbers: Vec<_> = found.pages.iter().map(|page| page.number).collect();
    assert_eq!((numbers, found.failed), (vec![1], vec![99]));
    let lines = &found.pages[0].lines;
    assert!(
        lines.iter().any(|l| l.text.contains("LECTERN")),
        "{lines:?}"
    );
    engine.forget("contract.a").await.expect("forget");
    engine.forget("contract.a").await.expect("forget again");
}

/// The document is missing: told at the start, or by the job.
pub async fn a_document_that_is_not_there_is_told(engine: &dyn Ocr, missing: &Key) {
    match engine.start("contract.b", &request(missing, &[1])).await {
        Err(Error::NoDocument) => {}
        Ok(()) => {
            let state = ended(engine, "contract.b").await;
            assert!(matches!(state, State::Failed(_)), "{state:?}");
        }
        Err(other) => panic!("{other}"),
    }
    engine.forget("contract.b").await.expect("forget");
}

/// No such job.
pub async fn a_job_that_never_was_is_not_found(engine: &dyn Ocr) {
    assert_eq!(engine.poll("contract.never").await, Err(Error::NotFound));
}
