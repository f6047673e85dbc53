//! From a stored file to what it says: a large PDF without its pictures, and some pages at a time.

use std::time::Duration;

use guest::wasip3::clocks::monotonic_clock;
use guest::{Problem, blobs, log};

use super::process::Step;
use super::run::{Run, Stage};
use super::{secret, turn};
use crate::pdf::slim::Slimmer;
use crate::pdf::{self, Pdf};
use crate::read::{self, Reading, Unreadable};
use crate::sniff::Kind;

/// Of a file that is read into the sandbox, in bytes.
const MAX_FILE: u64 = 100 << 20;
/// From this size a PDF is read without its pictures, in bytes: the reader holds all that is left twice.
const SLIM: u64 = 4 << 20;

/// What the file says, or how the step ends without it.
pub(super) async fn read(run: &Run) -> Result<Result<Reading, Step>, Problem> {
    if !turn::take(run).await? {
        let is_on = run.is_alive().await?;
        return Ok(Err(if is_on {
            Step::Wait(turn::PAUSE)
        } else {
            Step::Over
        }));
    }
    if !run.at(Stage::Reading, 0, 0).await? {
        return Ok(Err(Step::Over));
    }
    let password = secret::recall(&run.id, run.number, run.sealed_password.as_deref()).await?;
    let outcome = match run.kind {
        Kind::Pdf => pdf(run, password.as_deref()).await,
        kind => whole(run)
            .await
            .and_then(|bytes| Ok(read::read(kind, &bytes, password.as_deref())?)),
    };
    match outcome {
        Ok(reading) => Ok(Ok(reading)),
        Err(Ended::Without(step)) => Ok(Err(step)),
        Err(Ended::Problem(problem)) => Err(problem),
    }
}

/// Why nothing was read.
enum Ended {
    Without(Step),
    Problem(Problem),
}

impl From<Unreadable> for Ended {
    fn from(why: Unreadable) -> Self {
        Self::Without(Step::Failed(why))
    }
}

impl From<Problem> for Ended {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<blobs::Error> for Ended {
    fn from(error: blobs::Error) -> Self {
        let corrupt = |why: &str| Unreadable::Corrupt(why.into()).into();
        match error {
            blobs::Error::Corrupt => corrupt("the stored file is not what was uploaded"),
            blobs::Error::NotFound => corrupt("the stored file is gone"),
            error => Self::Problem(error.into()),
        }
    }
}

async fn whole(run: &Run) -> Result<Vec<u8>, Ended> {
    Ok(blobs::read(&run.s3_key, MAX_FILE).await?)
}

/// A PDF's bytes, and whether some of them were left out.
async fn slim(run: &Run) -> Result<(Vec<u8>, bool), Ended> {
    if run.size < SLIM {
        return Ok((whole(run).await?, false));
    }
    let mut slimmer = Slimmer::default();
    blobs::each(&run.s3_key, MAX_FILE, |piece| slimmer.feed(piece)).await?;
    match slimmer.finish() {
        Some((bytes, left_out)) => Ok((bytes, left_out > 0)),
        None => Ok((whole(run).await?, false)),
    }
}

async fn pdf(run: &Run, password: Option<&str>) -> Result<Reading, Ended> {
    let (bytes, is_slim) = slim(run).await?;
    let (opened, mut took) = timed(|| Pdf::open(&bytes, password));
    // The reader has its own copy of it.
    drop(bytes);
    let (mut pdf, is_slim) = match opened {
        Ok(pdf) if !is_slim || pdf.is_whole() => (pdf, is_slim),
        Err(why) if !is_slim || why == Unreadable::Encrypted => return Err(why.into()),
        // Its objects are where only its own index finds them.
        _ => {
            let bytes = whole(run).await?;
            (Pdf::open(&bytes, password)?, false)
        }
    };
    loop {
        let (more, some) = timed(|| pdf.read_some());
        took += some;
        if !more? {
            break;
        }
        let (done, total) = pdf.progress();
        if !run.at(Stage::Reading, done, total).await? {
            return Err(Ended::Without(Step::Over));
        }
    }
    let (mut reading, turned) = pdf.into_reading();
    if !turned.is_empty() {
        let bytes = if is_slim {
            slim(run).await?.0
        } else {
            whole(run).await?
        };
        let ((), again) = timed(|| pdf::turn(&mut reading, &bytes, password, &turned));
        took += again;
    }
    let pages = reading.document.pages.len();
    log::info(&format!(
        "document {} is read: pages={pages} ms={}",
        run.id,
        took.as_millis()
    ));
    Ok(reading)
}

/// How long it took, without what the run waited for in between.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = monotonic_clock::now();
    let done = work();
    let took = monotonic_clock::now().saturating_sub(began);
    (done, Duration::from_nanos(took))
}
