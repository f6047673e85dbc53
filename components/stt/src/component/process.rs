//! Jobs on their way: `audio.transcription.requested` begins one, the clock asks how far it is. All that
//! is known of a job stands in its row, so that whoever finds it goes on with it.

use futures::{StreamExt, stream};
use guest::events::{Disposition, Event, payload};
use guest::identity::User;
use guest::{Problem, filename, log, params, postgres};
use serde::Deserialize;
use serde_json::json;

use super::engine::{self, Error, State};
use super::job::{self, COLUMNS, Job};
use super::outcome::{self, Failure};
use super::{scan, store};
use crate::limits;
use crate::request::{self, Wanted};
use crate::transcript::{Transcript, Warning};

/// How long an engine is waited for where the event is, in nanoseconds: a short recording is done by then.
const PAUSES: [u64; 6] = [
    100_000_000,
    200_000_000,
    400_000_000,
    800_000_000,
    1_600_000_000,
    3_200_000_000,
];
/// Jobs of one tick, and at once.
const BATCH: u32 = 40;
const AT_ONCE: usize = 8;
/// The longest time from one look to the next, in seconds.
const MAX_PAUSE: u32 = 60;
/// As the host has it, with room for what it puts before a job's name.
const MAX_ID: usize = 100;

/// The payload: `POST /transcribe` publishes it, and anybody may of audio that lies here already.
#[derive(Deserialize)]
struct Requested {
    job_id: Option<String>,
    #[serde(default)]
    tenant: String,
    user_id: String,
    filename: Option<String>,
    s3_key: String,
    language_code: Option<String>,
    speakers: Option<u32>,
    #[serde(default)]
    vocabulary: Vec<String>,
    /// Its row was made with it: the service's own.
    #[serde(default)]
    stored: bool,
}

/// What came of a look.
enum Look {
    Ended,
    Later,
}

pub(super) async fn handle(event: Event) -> Result<(), Disposition> {
    let requested: Requested = payload(&event)?;
    let id = requested.job_id.clone().unwrap_or_else(|| event.id.clone());
    if !store::exists(&id).await? {
        // What was deleted meanwhile stays deleted.
        if requested.stored {
            return Ok(());
        }
        adopt(&id, requested).await?;
    }
    // Gone, or done already by an earlier delivery.
    let Some(job) = claim(&id).await? else {
        return Ok(());
    };
    let Some(job) = examined(job).await? else {
        return Ok(());
    };
    let mut job = job;
    for pause in PAUSES {
        if let Look::Ended = look(&job, false).await? {
            return Ok(());
        }
        job.is_started = true;
        guest::wasip3::clocks::monotonic_clock::wait_for(pause).await;
    }
    // The clock goes on with it.
    Ok(later(&job, 0).await?)
}

/// A job that somebody else asks for: of audio that lies under that user's name, and is nobody else's.
async fn adopt(id: &str, requested: Requested) -> Result<(), Disposition> {
    let reject = |why: &str| Err(Disposition::Reject(why.to_owned()));
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(fine) {
        return reject("`job_id` has 1 to 100 characters of [A-Za-z0-9._-]");
    }
    let fits = |name: &str| name.len() <= 255 && !name.chars().any(char::is_control);
    if requested.user_id.is_empty() || !fits(&requested.user_id) || !fits(&requested.tenant) {
        return reject("`user_id` has 1 to 255 bytes without control characters");
    }
    let own = format!("audio/{}/", guest::blobs::segment(&requested.user_id));
    if !requested.s3_key.starts_with(&own) || requested.s3_key.len() > 500 {
        return reject("`s3_key` is not in that user's folder");
    }
    let wanted = match wanted(&requested) {
        Ok(wanted) => wanted,
        Err(why) => return reject(why),
    };
    let user = User {
        tenant: requested.tenant,
        id: requested.user_id,
    };
    let last = requested.s3_key.rsplit('/').next().unwrap_or_default();
    let name = filename::clean(requested.filename.as_deref().unwrap_or(last), "audio");
    let adopted = postgres::execute(
        "insert into transcription_jobs (job_id, tenant, user_id, filename, s3_key, language_code, speakers, vocabulary) \
         select $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::integer, $8::jsonb where not exists (select from transcription_jobs \
         where s3_key = $5::text and (tenant, user_id) <> ($2::text, $3::text)) \
         and not exists (select from expired_jobs where job_id = $1::text) \
         and not exists (select from deleted_jobs where job_id = $1::text) \
         and not exists (select from leftovers where job_id = $1::text) on conflict do nothing",
        params![
            id,
            &user.tenant,
            &user.id,
            name,
            &requested.s3_key,
            wanted.language_code,
            wanted.speakers,
            json!(wanted.vocabulary),
        ],
    );
    if adopted.await? == 0 {
        log::warn(&format!(
            "the request for the job {id} is of a deleted one, or of audio that is not its user's"
        ));
    }
    Ok(())
}

fn wanted(requested: &Requested) -> Result<Wanted, &'static str> {
    let speakers = requested.speakers.map(|count| count.to_string());
    let wanted = Wanted {
        language_code: request::language(requested.language_code.as_deref().unwrap_or_default())?,
        speakers: request::speakers(speakers.as_deref().unwrap_or_default())?,
        vocabulary: request::vocabulary(&requested.vocabulary.join(","))?,
    };
    wanted.check()?;
    Ok(wanted)
}

/// The job, where it is being processed: for the next minutes it is the caller's.
async fn claim(id: &str) -> Result<Option<Job>, Problem> {
    let statement = format!(
        "update transcription_jobs set look_at = now() + interval '2 minutes' \
         where job_id = $1 and status = 'processing' returning {COLUMNS}"
    );
    let rows = postgres::fetch(&statement, params![id]).await?;
    Ok(rows.into_iter().next().map(job::read))
}

/// Called by the clock: asks the engine about those that are due.
pub(super) async fn poll() -> Result<(), Problem> {
    let statement = format!(
        "update transcription_jobs set look_at = now() + interval '2 minutes', looks = looks + 1 \
         where job_id in (select job_id from transcription_jobs where status = 'processing' and look_at <= now() \
         order by look_at limit $1 for update skip locked) returning {COLUMNS}"
    );
    let due = postgres::fetch(&statement, params![BATCH]).await?;
    let jobs = stream::iter(due.into_iter().map(job::read));
    let failed = jobs
        .map(attend)
        .buffer_unordered(AT_ONCE)
        .filter_map(async |done| done.err())
        .collect::<Vec<Problem>>()
        .await;
    // Those are due again in two minutes.
    failed.into_iter().next().map_or(Ok(()), Err)
}

async fn attend(job: Job) -> Result<(), Problem> {
    let looks = job.looks;
    let Some(job) = examined(job).await? else {
        return Ok(());
    };
    match look(&job, job.is_overdue).await? {
        Look::Ended => Ok(()),
        Look::Later => later(&job, looks).await,
    }
}

/// After 1, 2, 4 ... 60 seconds. A job that was deleted while it began is forgotten once more: its deletion
/// may have looked for it at the engine before there was anything to find.
async fn later(job: &Job, looks: u32) -> Result<(), Problem> {
    let pause = 1_u32
        .checked_shl(looks)
        .unwrap_or(MAX_PAUSE)
        .clamp(1, MAX_PAUSE);
    let waiting = postgres::execute(
        "update transcription_jobs set look_at = now() + $2 * interval '1 second' \
         where job_id = $1 and status = 'processing'",
        params![&job.id, pause],
    );
    if waiting.await? == 0 {
        outcome::forget(&job.id, &job.s3_key).await;
    }
    Ok(())
}

/// With what is known of its recording; `None` where the job has ended with that.
async fn examined(mut job: Job) -> Result<Option<Job>, Problem> {
    if job.container.is_none() {
        let recording = match scan::stored(&job.s3_key).await? {
            Ok(recording) => recording,
            Err(unfit) => {
                let (code, message) = unfit.told();
                outcome::fail(&job, &Failure::new(code, &message)).await?;
                return Ok(None);
            }
        };
        if recording.truncated {
            job.warnings.push(Warning::Truncated.code().to_owned());
        }
        job.container = Some(recording.container);
        job.is_silent = limits::is_silent(&recording);
        job.duration = recording.duration_ms.map(|ms| ms as f64 / 1_000.0);
        outcome::examined(&job, &recording).await?;
    }
    if job.is_silent {
        job.warnings.push(Warning::Silence.code().to_owned());
        outcome::complete(&job, Transcript::default()).await?;
        return Ok(None);
    }
    Ok(Some(job))
}

/// Asks the engine; begins where it knows nothing of the job.
async fn look(job: &Job, is_overdue: bool) -> Result<Look, Problem> {
    let asked = match job.is_started {
        true => engine::poll(&job.id).await,
        false => Err(Error::NotFound),
    };
    let asked = match asked {
        // A host's own engine forgets its jobs when the host ends.
        Err(Error::NotFound) => match outcome::starting(&job.id).await? {
            true => start(job).await,
            false => return Ok(Look::Ended),
        },
        asked => asked,
    };
    let failure = match asked {
        Ok(State::Running) if !is_overdue => return Ok(Look::Later),
        Ok(State::Done(transcript)) => {
            outcome::complete(job, transcript).await?;
            return Ok(Look::Ended);
        }
        Ok(State::Failed(cause, why)) => Failure::of_engine(job, cause, &why),
        Ok(State::Running) => Failure::overdue(),
        Err(error) => match Failure::of(&error) {
            Some(failure) => failure,
            None if is_overdue => Failure::overdue(),
            None => return Ok(Look::Later),
        },
    };
    outcome::fail(job, &failure).await?;
    Ok(Look::Ended)
}

async fn start(job: &Job) -> Result<State, Error> {
    let container = job.container.ok_or(Error::NoAudio)?;
    engine::start(job, container).await?;
    Ok(State::Running)
}
