//! Removal, by request or by age: the row, the audio and the engine's job. What lies outside of the
//! database is written down in the transaction that takes the row, so that nothing is left behind
//! whatever dies in between.

use guest::identity::Owner;
use guest::postgres::{self, Row};
use guest::{Problem, blobs, log, params, quota};

use super::{engine, store};

const DEFAULT_DAYS: u32 = 30;
/// A hundred years: more is a mistake.
const MAX_DAYS: u32 = 36_500;
/// Jobs that one transaction takes, and how often in one call.
const BATCH: u32 = 100;
const ROUNDS: usize = 50;
/// How long an id answers that it has been there, and a deleted one is not taken again.
const TOLD_DAYS: u32 = 365;

struct Leftover {
    id: String,
    s3_key: String,
    is_at_engine: bool,
}

fn leftover(mut row: Row) -> Leftover {
    Leftover {
        id: row.text(0),
        s3_key: row.text(1),
        is_at_engine: row.opt_text(2).is_some(),
    }
}

pub(super) async fn delete(id: &str, owner: &Owner) -> Result<(), Problem> {
    let rows = postgres::fetch(
        "with taken as (delete from transcription_jobs where job_id = $1 and tenant = $2 \
         and ($3::text is null or user_id = $3) returning job_id, s3_key, aws_job_name, status), \
         told as (insert into deleted_jobs (job_id) select job_id from taken on conflict do nothing), \
         noted as (insert into leftovers (job_id, s3_key, aws_job_name) \
         select job_id, s3_key, aws_job_name from taken on conflict (job_id) do nothing) \
         select job_id, s3_key, aws_job_name, status = 'processing' and aws_job_name is null from taken",
        params![id, &owner.tenant, owner.user.clone()],
    );
    match rows.await?.into_iter().next() {
        Some(row) => {
            // No engine has begun with it: what was not heard costs nothing.
            if row.boolean(3) {
                quota::give_back(id).await;
            }
            clear(&leftover(row)).await;
            Ok(())
        }
        // Says why there is none.
        None => store::status(id, owner).await.map(|_| ()),
    }
}

/// Called by the clock: takes what is too old, and tries again what could not be taken.
pub(super) async fn retain() -> Result<(), Problem> {
    for _ in 0..ROUNDS {
        if expire().await? < BATCH as usize {
            break;
        }
    }
    super::upload::sweep().await?;
    // After 1, 2, 4 ... 60 minutes: an engine may be at work on a job for hours.
    let left = postgres::fetch(
        "update leftovers set tries = tries + 1, \
         due_at = now() + least(60, power(2, least(tries, 6))) * interval '1 minute' \
         where job_id in (select job_id from leftovers where due_at <= now() order by due_at limit $1) \
         returning job_id, s3_key, aws_job_name",
        params![BATCH],
    );
    for left in left.await?.into_iter().map(leftover) {
        clear(&left).await;
    }
    let ended = postgres::fetch(
        "select job_id, s3_key from transcription_jobs \
         where status <> 'processing' and aws_job_name is not null limit $1",
        params![BATCH],
    );
    for mut row in ended.await? {
        super::outcome::forget(&row.text(0), &row.text(1)).await;
    }
    postgres::execute(
        "delete from deleted_jobs where deleted_at < now() - $1 * interval '1 day'",
        params![TOLD_DAYS],
    )
    .await?;
    postgres::execute(
        "delete from expired_jobs where expired_at < now() - $1 * interval '1 day'",
        params![TOLD_DAYS],
    )
    .await?;
    Ok(())
}

/// A batch; answers how many there were.
async fn expire() -> Result<usize, Problem> {
    let rows = postgres::fetch(
        "with taken as (delete from transcription_jobs where job_id in (select job_id from transcription_jobs \
         where submitted_at < now() - $1 * interval '1 day' order by submitted_at limit $2 for update skip locked) \
         returning job_id, tenant, user_id, s3_key, aws_job_name), \
         told as (insert into expired_jobs (job_id, tenant, user_id) select job_id, tenant, user_id from taken \
         on conflict do nothing) \
         insert into leftovers (job_id, s3_key, aws_job_name) select job_id, s3_key, aws_job_name from taken \
         on conflict (job_id) do nothing returning job_id, s3_key, aws_job_name",
        params![days(), BATCH],
    );
    let taken: Vec<_> = rows.await?.into_iter().map(leftover).collect();
    for taken in &taken {
        clear(taken).await;
    }
    Ok(taken.len())
}

fn days() -> u32 {
    let set = std::env::var("AUDIO_RETENTION_DAYS").ok();
    let days = set.as_deref().and_then(|days| days.trim().parse().ok());
    match days {
        Some(days @ 1..=MAX_DAYS) => days,
        _ => {
            if set.is_some() {
                log::warn("AUDIO_RETENTION_DAYS is no number from 1 to 36500: 30 is taken");
            }
            DEFAULT_DAYS
        }
    }
}

/// Writes down that the engine keeps something of a job whose row has gone. Where the row is there, it says so
/// itself.
pub(super) async fn note(id: &str, s3_key: &str) {
    let noted = postgres::execute(
        "insert into leftovers (job_id, s3_key, aws_job_name) select $1::text, $2::text, $1::text \
         where not exists (select from transcription_jobs where job_id = $1::text) \
         on conflict (job_id) do update set aws_job_name = excluded.aws_job_name",
        params![id, s3_key],
    );
    if let Err(problem) = noted.await {
        let why = problem.message();
        log::error(&format!(
            "the engine keeps something of the job {id}, which nobody notes: {why}"
        ));
    }
}

/// What lies outside of the database, and then the note of it. Where this fails the clock tries again.
async fn clear(left: &Leftover) {
    if let Err(why) = cleared(left).await {
        log::warn(&format!("something is left of the job {}: {why}", left.id));
    }
}

async fn cleared(left: &Leftover) -> Result<(), String> {
    let told = |problem: Problem| problem.message().to_owned();
    // Another job may be of the same audio.
    let used = postgres::fetch_optional(
        "select 1 from transcription_jobs where s3_key = $1 limit 1",
        params![&left.s3_key],
    );
    if used.await.map_err(told)?.is_none() {
        blobs::delete(&left.s3_key).await.map_err(told)?;
    }
    // Last: what an engine is at work on it may not let go of for hours.
    if left.is_at_engine {
        engine::forget(&left.id).await.map_err(|e| e.to_string())?;
    }
    postgres::execute("delete from leftovers where job_id = $1", params![&left.id])
        .await
        .map_err(told)?;
    Ok(())
}
