//! Pages that are read from their image, by the `ocr` capability; best effort: what it cannot do fails no
//! document.

use guest::bindings::capabilities::lectern::platform::ocr as wit;
use guest::wasip3::clocks::monotonic_clock::wait_for;
use guest::{Problem, log};

use super::run::{Run, Stage};
use crate::ocr::Line;

/// How often to ask while an event is in hand, and how long between, in nanoseconds: a page or two are
/// done by then. More pages wait outside, so that they hold up no other document.
const POLLS: u32 = 8;
const BETWEEN: u64 = 250_000_000;
/// Polls between two times that it is told how far the engine is: a second.
const TELL: u32 = 4;
/// Between two looks of an event, in milliseconds.
const PAUSE: u64 = 3_000;
/// In seconds; a document of 2,000 pages takes an hour or two.
const PATIENCE: i64 = 6 * 3_600;

/// How it stands.
pub(super) enum Looked {
    /// What was read; nothing where nothing could be.
    Done(Vec<(u32, Vec<Line>)>),
    /// Look again after so many milliseconds.
    Wait(u64),
    /// The run is over.
    Over,
}

/// The job's name. A run has its own, as the engine remembers what it was asked.
pub(super) fn job(id: &str, run: u32) -> String {
    format!("{id}-{run}")
}

/// Starts the engine where it does not run, and waits a little for what it finds.
pub(super) async fn look(
    run: &Run,
    pages: &[u32],
    languages: &[String],
) -> Result<Looked, Problem> {
    if run.looked_for > PATIENCE {
        log::warn(&format!(
            "document {}: the text engine takes too long",
            run.id
        ));
        return Ok(Looked::Done(vec![]));
    }
    let job = job(&run.id, run.number);
    let mut told = match run.stage {
        Stage::Ocr => run.stage_done,
        _ => 0,
    };
    for poll in 1..=POLLS {
        let asked = match wit::poll(job.clone()).await {
            // An engine of the host's own forgets its jobs when the host ends.
            Err(wit::Error::NotFound) => {
                let (key, pages) = (run.s3_key.clone(), pages.to_vec());
                let started = wit::start(job.clone(), key, pages, languages.to_vec()).await;
                started.map(|()| wit::State::Running)
            }
            asked => asked,
        };
        match asked {
            Ok(wit::State::Running) => {
                wait_for(BETWEEN).await;
                if poll % TELL == 0 && !tell(run, &job, &mut told, pages.len()).await? {
                    return Ok(Looked::Over);
                }
            }
            Ok(wit::State::Done(found)) => return Ok(Looked::Done(lines(found))),
            Ok(wit::State::Failed(_)) => {
                log::warn(&format!(
                    "document {}: no page could be read from its image",
                    run.id
                ));
                return Ok(Looked::Done(vec![]));
            }
            Err(error) if may_pass(&error) => return Ok(Looked::Wait(PAUSE)),
            Err(error) => {
                if !matches!(error, wit::Error::NotConfigured) {
                    log::warn(&format!(
                        "document {}: no page is read from its image: {error}",
                        run.id
                    ));
                }
                return Ok(Looked::Done(vec![]));
            }
        }
    }
    if run.is_alive().await? {
        Ok(Looked::Wait(PAUSE))
    } else {
        Ok(Looked::Over)
    }
}

/// Says how many pages the engine is through with, where there are more than before; whether the run is
/// still on.
async fn tell(run: &Run, job: &str, told: &mut u32, pages: usize) -> Result<bool, Problem> {
    // An engine that does not know is no reason to fail.
    let through = wit::progress(job.to_owned()).await.unwrap_or_default();
    if through <= *told {
        return Ok(true);
    }
    *told = through;
    let total = u32::try_from(pages).unwrap_or(u32::MAX);
    run.at(Stage::Ocr, through.min(total), total).await
}

fn may_pass(error: &wit::Error) -> bool {
    matches!(
        error,
        wit::Error::Timeout | wit::Error::Unavailable | wit::Error::QuotaExceeded
    )
}

fn lines(found: wit::Pages) -> Vec<(u32, Vec<Line>)> {
    let line = |line: wit::Line| Line {
        text: line.text,
        confidence: line.confidence,
    };
    let page = |page: wit::Page| (page.number, page.lines.into_iter().map(line).collect());
    found.pages.into_iter().map(page).collect()
}

/// Ends the job where it runs. What fails here is forgotten by the engine in time.
pub(super) async fn forget(id: &str, run: u32) {
    let _ = wit::forget(job(id, run)).await;
}
