//! What is kept for AUDIO_RETENTION_DAYS and no longer: text and bytes go, the row stays for a while, to
//! say that there was something.

use std::collections::BTreeSet;

use guest::{Problem, log, params, postgres};

use super::rendition;

/// The contract's.
const DEFAULT_DAYS: u32 = 7;
const MAX_DAYS: u32 = 3_650;
/// How long it is remembered that there was an audio.
const TOMBSTONE_DAYS: u32 = 90;
/// Rows of one transaction.
const ROWS: u32 = 200;
/// Transactions of one call: a backlog is worked off in several.
const ROUNDS: u32 = 100;

/// From the manifest's `[config]`, which the host's variable of that name comes before.
pub(super) fn days() -> u32 {
    let Ok(configured) = std::env::var("AUDIO_RETENTION_DAYS") else {
        return DEFAULT_DAYS;
    };
    match configured.trim().parse() {
        Ok(days) if (1..=MAX_DAYS).contains(&days) => days,
        _ => {
            log::warn(&format!(
                "AUDIO_RETENTION_DAYS is no number from 1 to {MAX_DAYS}: {DEFAULT_DAYS} is taken"
            ));
            DEFAULT_DAYS
        }
    }
}

pub(super) async fn run() -> Result<(), String> {
    swept()
        .await
        .map_err(|problem| problem.message().to_owned())
}

async fn swept() -> Result<(), Problem> {
    for _ in 0..ROUNDS {
        if expire().await? < ROWS {
            break;
        }
    }
    forsaken().await?;
    doomed().await?;
    postgres::execute(
        "delete from audio where status = 'expired' and expires_at < now() - $1 * interval '1 day'",
        params![TOMBSTONE_DAYS],
    )
    .await?;
    Ok(())
}

/// Answers how many.
async fn expire() -> Result<u32, Problem> {
    let tx = postgres::begin().await?;
    let expired = postgres::fetch_in(
        &tx,
        "with due as (select audio_id, content_key from audio \
         where expires_at <= now() and status <> 'expired' \
         order by expires_at limit $1 for update skip locked) \
         update audio a set status = 'expired', text = null, content_key = null, error_message = null, \
         ask_again_at = null from due where a.audio_id = due.audio_id returning due.content_key",
        params![ROWS],
    );
    let expired = expired.await?;
    let count = u32::try_from(expired.len()).unwrap_or(ROWS);
    let content_keys: BTreeSet<_> = expired
        .into_iter()
        .filter_map(|mut row| row.opt_text(0))
        .collect();
    let content_keys: Vec<_> = content_keys.into_iter().collect();
    let blob_keys = rendition::release_in(&tx, &content_keys).await?;
    postgres::commit(tx).await?;
    rendition::purge(&blob_keys).await;
    Ok(count)
}

/// Bytes whose maker died, or whose row was never written.
async fn forsaken() -> Result<(), Problem> {
    let found = postgres::fetch(
        "select content_key from renditions r where not exists \
         (select 1 from audio a where a.content_key = r.content_key) \
         and greatest(lease_until, made_at) < now() - interval '1 hour' order by content_key limit $1",
        params![ROWS],
    );
    let found = found.await?.into_iter().map(|mut row| row.text(0));
    let content_keys: Vec<_> = found.collect();
    let tx = postgres::begin().await?;
    let blob_keys = rendition::release_in(&tx, &content_keys).await?;
    postgres::commit(tx).await?;
    rendition::purge(&blob_keys).await;
    Ok(())
}

/// Blobs that could not be deleted before.
async fn doomed() -> Result<(), Problem> {
    let found = postgres::fetch(
        "select blob_key from doomed_blobs order by since limit $1",
        params![ROWS],
    );
    let blob_keys: Vec<_> = found
        .await?
        .into_iter()
        .map(|mut row| row.text(0))
        .collect();
    rendition::purge(&blob_keys).await;
    Ok(())
}
