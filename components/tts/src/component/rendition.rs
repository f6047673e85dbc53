//! The bytes that an order becomes, made once however many ask for them at once: whoever claims the row
//! makes them, the others wait. A maker that dies loses its claim with its lease.

use std::pin::pin;

use axum::body::Bytes;
use futures::future::{Either, select};
use futures::{Stream, StreamExt, stream};
use guest::bindings::capabilities::lectern::platform::cache as wit_cache;
use guest::postgres::{self, Row, Transaction};
use guest::uuid::Uuid;
use guest::wasip3::clocks::monotonic_clock;
use guest::{Problem, blobs, cache, incoming, params, quota};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::engine::Speaker;
use super::failure::Failure;
use super::listening::Listener;
use super::speaking::{Made, Speaking};
use crate::format::Format;
use crate::joint::Length;
use crate::key;
use crate::request::Order;
use crate::wav;

/// The contract's: a day.
const CACHED: std::time::Duration = std::time::Duration::from_secs(86_400);
/// A maker renews its lease long before it ends, in nanoseconds; a database that is away for a moment ends
/// no work.
const LEASE_SECONDS: u32 = 60;
const RENEW: u64 = 15_000_000_000;
const MISSED: u32 = 2;
/// Between two looks at a row that somebody else makes: at first, and at most, in nanoseconds.
pub(super) const FIRST_LOOK: u64 = 20_000_000;
const LAST_LOOK: u64 = 500_000_000;
/// Of one audio: a hundred thousand characters at 48 kHz are a gigabyte of samples.
const MAX_BYTES: u64 = 2 << 30;
/// Of samples that are kept until their header can be written; longer ones are stored twice.
const MAX_KEPT: usize = 8 << 20;

/// Bytes that are there, and what is known of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rendition {
    pub(super) content_key: String,
    pub(super) blob_key: String,
    pub(super) voice_id: String,
    pub(super) engine: String,
    pub(super) language_code: String,
    pub(super) rate: u32,
    pub(super) samples: u64,
    pub(super) size: u64,
}

impl Rendition {
    pub(super) fn length(&self) -> Length {
        Length {
            rate: self.rate,
            samples: self.samples,
        }
    }
}

/// The right to make them.
pub(super) struct Claim {
    content_key: String,
    blob_key: String,
    speaker: (String, &'static str, String),
}

/// Bytes that are there, or the right to make them.
pub(super) enum Turn {
    Ready(Rendition),
    Make(Claim),
}

/// What the bytes are made from: the same tenant's same words by the same voice.
pub(super) fn content_key(tenant: &str, order: &Order, speaker: &Speaker) -> String {
    let rate = order.rate.map(|rate| rate.to_string()).unwrap_or_default();
    key::key(&[
        tenant,
        order.text_type(),
        &order.text,
        &speaker.voice.id,
        speaker.engine.as_str(),
        &speaker.voice.language_code,
        order.format.as_str(),
        &rate,
    ])
}

fn cache_key(content_key: &str) -> String {
    format!("rendition:{content_key}")
}

/// What a day remembers of them: it may be gone all the same, which [`super::library`] finds.
pub(super) async fn remembered(content_key: &str) -> Option<Rendition> {
    cache::get(&cache_key(content_key)).await.ok().flatten()
}

async fn remember(rendition: &Rendition) {
    cache::set(&cache_key(&rendition.content_key), rendition, CACHED).await;
}

async fn forget(content_key: &str) {
    // Nothing is lost where the cache is away: who finds an entry looks for its row.
    let _ = wit_cache::delete(cache_key(content_key)).await;
}

enum State {
    Ready(Rendition),
    Making { has_lapsed: bool },
}

async fn look(content_key: &str) -> Result<Option<State>, Problem> {
    let row = postgres::fetch_optional(
        "select status, lease_until < now(), blob_key, voice_id, engine, language_code, sample_rate, samples, \
         size_bytes from renditions where content_key = $1",
        params![content_key],
    );
    Ok(row.await?.map(|mut row| match row.text(0).as_str() {
        "ready" => State::Ready(ready(content_key, &mut row)),
        _ => State::Making {
            has_lapsed: row.boolean(1),
        },
    }))
}

fn ready(content_key: &str, row: &mut Row) -> Rendition {
    Rendition {
        content_key: content_key.to_owned(),
        blob_key: row.text(2),
        voice_id: row.text(3),
        engine: row.text(4),
        language_code: row.text(5),
        rate: row.count(6),
        samples: row.int(7).unsigned_abs(),
        size: row.int(8).unsigned_abs(),
    }
}

/// Waits for whoever makes them, where somebody does.
pub(super) async fn turn(
    content_key: &str,
    order: &Order,
    speaker: &Speaker,
) -> Result<Turn, Problem> {
    let mut pause = FIRST_LOOK;
    loop {
        match look(content_key).await? {
            Some(State::Ready(rendition)) => {
                remember(&rendition).await;
                return Ok(Turn::Ready(rendition));
            }
            Some(State::Making { has_lapsed: false }) => {
                wait(&mut pause).await;
            }
            Some(State::Making { has_lapsed: true }) => lapse(content_key).await?,
            None => {
                if let Some(claim) = claim(content_key, order, speaker).await? {
                    return Ok(Turn::Make(claim));
                }
            }
        }
    }
}

/// Before the next look at what somebody else makes, which is longer each time.
pub(super) async fn wait(pause: &mut u64) {
    monotonic_clock::wait_for(*pause).await;
    *pause = (*pause * 2).min(LAST_LOOK);
}

/// Ends a dead maker's claim.
async fn lapse(content_key: &str) -> Result<(), Problem> {
    postgres::execute(
        "with lapsed as (delete from renditions where content_key = $1 and status = 'making' \
         and lease_until < now() returning blob_key) \
         insert into doomed_blobs (blob_key) select blob_key from lapsed on conflict do nothing",
        params![content_key],
    )
    .await
    .map(|_| ())
}

async fn claim(
    content_key: &str,
    order: &Order,
    speaker: &Speaker,
) -> Result<Option<Claim>, Problem> {
    let blob_key = format!("audio/{}.{}", Uuid::new_v4(), order.format.as_str());
    let voice = &speaker.voice;
    let claimed = postgres::execute(
        "insert into renditions (content_key, blob_key, status, lease_until, voice_id, engine, language_code, \
         format) values ($1, $2, 'making', now() + $3 * interval '1 second', $4, $5, $6, $7) \
         on conflict do nothing",
        params![
            content_key,
            &blob_key,
            LEASE_SECONDS,
            &voice.id,
            speaker.engine.as_str(),
            &voice.language_code,
            order.format.as_str()
        ],
    );
    let is_ours = claimed.await? == 1;
    let speaker = (
        voice.id.clone(),
        speaker.engine.as_str(),
        voice.language_code.clone(),
    );
    Ok(is_ours.then(|| Claim {
        content_key: content_key.to_owned(),
        blob_key,
        speaker,
    }))
}

impl Claim {
    /// Speaks all of it into the storage. Where that fails, nothing is left of it.
    pub(super) async fn make(self, order: &Order, speaker: &Speaker) -> Result<Rendition, Failure> {
        let begun = self.begin(order, speaker, None).await?;
        self.finish(begun, order.format).await
    }

    /// Begins to speak, so that what the engine refuses is known.
    pub(super) async fn begin(
        &self,
        order: &Order,
        speaker: &Speaker,
        listener: Option<Listener>,
    ) -> Result<Speaking, Failure> {
        let begun = self.kept(async {
            // All of it, before the first sentence is spoken.
            let characters = order.text.chars().count() as u64;
            let room = quota::check(quota::Kind::SpeechCharacters, characters).await;
            room.map_err(Failure::Refused)?;
            Speaking::begin(order.clone(), speaker.clone(), listener).await
        });
        self.or_nothing(begun.await).await
    }

    /// The rest of it.
    pub(super) async fn finish(
        &self,
        mut speaking: Speaking,
        format: Format,
    ) -> Result<Rendition, Failure> {
        let stored = self.kept(async {
            let size = match format {
                Format::Wav => self.store_wav(&mut speaking).await?,
                Format::Mp3 | Format::Ogg => self.put(&self.blob_key, None, &mut speaking).await?,
            };
            Ok((size, speaking.made()?.clone()))
        });
        // Not beside the renewal, which takes a claim that has become bytes for one that is lost.
        let recorded = match stored.await {
            Ok((size, made)) => self.record(&made, size).await,
            Err(failure) => Err(failure),
        };
        let rendition = self.or_nothing(recorded).await?;
        remember(&rendition).await;
        Ok(rendition)
    }

    async fn or_nothing<T>(&self, done: Result<T, Failure>) -> Result<T, Failure> {
        if done.is_err() {
            self.give_up().await;
        }
        done
    }

    /// The work, while the claim is renewed however long a piece of it takes; given up where the claim is
    /// lost.
    async fn kept<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match select(pin!(work), pin!(self.renewed())).await {
            Either::Left((done, _)) => done,
            Either::Right((lost, _)) => Err(lost.into()),
        }
    }

    /// Ends where the claim went to somebody else, or nobody could say that it did not.
    async fn renewed(&self) -> Problem {
        let mut missed = 0;
        loop {
            monotonic_clock::wait_for(RENEW).await;
            match self.renew().await {
                Ok(1..) => missed = 0,
                Ok(0) => return lost(),
                Err(_) if missed < MISSED => missed += 1,
                Err(problem) => return problem,
            }
        }
    }

    async fn renew(&self) -> Result<u64, Problem> {
        postgres::execute(
            "update renditions set lease_until = now() + $3 * interval '1 second' \
             where content_key = $1 and blob_key = $2 and status = 'making'",
            params![&self.content_key, &self.blob_key, LEASE_SECONDS],
        )
        .await
    }

    /// The header comes first, and knows what comes last.
    async fn store_wav(&self, speaking: &mut Speaking) -> Result<u64, Failure> {
        let mut kept = Vec::new();
        while let Some(sound) = speaking.next().await? {
            kept.extend_from_slice(&sound);
            if kept.len() > MAX_KEPT {
                return self.store_long_wav(kept.into(), speaking).await;
            }
        }
        let rate = speaking.made()?.length.rate;
        let header = wav::header(rate, Some(kept.len() as u64));
        let whole = [&header[..], &kept].concat();
        let size = whole.len() as u64;
        blobs::put_bytes(&self.blob_key, whole).await?;
        Ok(size)
    }

    async fn store_long_wav(&self, kept: Bytes, speaking: &mut Speaking) -> Result<u64, Failure> {
        let staged = staged(&self.blob_key);
        let size = self.put(&staged, Some(kept), speaking).await?;
        let (_, samples) = incoming::blob(&staged, 0, None)
            .await
            .map_err(Problem::from)?;
        let header = wav::header(speaking.made()?.length.rate, Some(size));
        let header = stream::iter([Ok(Bytes::copy_from_slice(&header))]);
        let whole = header.chain(samples.map(|part| part.map_err(Problem::from)));
        let size = blobs::put(&self.blob_key, pin!(whole), MAX_BYTES).await?;
        blobs::delete(&staged).await?;
        Ok(size)
    }

    async fn put(
        &self,
        key: &str,
        first: Option<Bytes>,
        speaking: &mut Speaking,
    ) -> Result<u64, Failure> {
        let mut failure = None;
        let put = {
            let first = stream::iter(first.map(Ok));
            let all = first.chain(spoken(speaking, &mut failure));
            blobs::put(key, pin!(all), MAX_BYTES).await
        };
        match (failure, put) {
            (Some(failure), _) => Err(failure),
            (None, put) => Ok(put?),
        }
    }

    async fn record(&self, made: &Made, size: u64) -> Result<Rendition, Failure> {
        let Length { rate, samples } = made.length;
        let finished = postgres::execute(
            "update renditions set status = 'ready', sample_rate = $3, samples = $4, size_bytes = $5, \
             billed_characters = $6, chunk_starts = $7, chunk_spans = $8, made_at = now() \
             where content_key = $1 and blob_key = $2 and status = 'making'",
            params![
                &self.content_key,
                &self.blob_key,
                rate,
                signed(samples),
                signed(size),
                signed(made.billed),
                json!(made.starts),
                json!(made.spans)
            ],
        );
        if finished.await? == 0 {
            return Err(lost().into());
        }
        let (voice_id, engine, language_code) = self.speaker.clone();
        Ok(Rendition {
            content_key: self.content_key.clone(),
            blob_key: self.blob_key.clone(),
            voice_id,
            engine: engine.to_owned(),
            language_code,
            rate,
            samples,
            size,
        })
    }

    /// Where this fails too, the lease ends the claim, and the sweep finds the blob.
    pub(super) async fn give_up(&self) {
        let freed = postgres::execute(
            "with freed as (delete from renditions where content_key = $1 and blob_key = $2 \
             and status = 'making' returning 1) \
             insert into doomed_blobs (blob_key) values ($2) on conflict do nothing",
            params![&self.content_key, &self.blob_key],
        );
        if freed.await.is_ok() {
            purge(std::slice::from_ref(&self.blob_key)).await;
        }
    }
}

/// The claim went to somebody else while this one did not say that it lives.
fn lost() -> Problem {
    Problem::unavailable("SPEECH_UNAVAILABLE", "making the audio took too long")
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// All that is spoken; after a failure, which is kept, an error that ends it.
fn spoken<'a>(
    speaking: &'a mut Speaking,
    failure: &'a mut Option<Failure>,
) -> impl Stream<Item = Result<Bytes, Problem>> + 'a {
    stream::unfold((speaking, failure), async |(speaking, failure)| {
        let next = match speaking.next().await {
            Ok(sound) => Ok(sound?),
            Err(why) => {
                *failure = Some(why);
                Err(Problem::internal())
            }
        };
        Some((next, (speaking, failure)))
    })
}

/// Where samples wait for their header.
fn staged(blob_key: &str) -> String {
    format!("staged/{}", blob_key.trim_start_matches("audio/"))
}

/// Takes bytes from the database where no row speaks of them any more; answers the blobs' keys, to be
/// purged once that is committed.
pub(super) async fn release_in(
    tx: &Transaction,
    content_keys: &[String],
) -> Result<Vec<String>, Problem> {
    if content_keys.is_empty() {
        return Ok(vec![]);
    }
    let keys = || params![json!(content_keys)];
    // In this order: a row that is added meanwhile is seen by the next statement. And by key, as everybody
    // who takes several.
    postgres::fetch_in(
        tx,
        "select 1 from renditions where content_key in (select jsonb_array_elements_text($1::jsonb)) \
         order by content_key for update",
        keys(),
    )
    .await?;
    let released = postgres::fetch_in(
        tx,
        "with gone as (delete from renditions r \
         where content_key in (select jsonb_array_elements_text($1::jsonb)) \
         and not exists (select 1 from audio a where a.content_key = r.content_key) \
         returning content_key, blob_key), \
         doomed as (insert into doomed_blobs (blob_key) select blob_key from gone on conflict do nothing) \
         select content_key, blob_key from gone",
        keys(),
    );
    let mut blob_keys = Vec::new();
    for mut row in released.await? {
        forget(&row.text(0)).await;
        blob_keys.push(row.text(1));
    }
    Ok(blob_keys)
}

/// The same for bytes that were made for a row that has gone.
pub(super) async fn release(rendition: &Rendition) -> Result<(), Problem> {
    let tx = postgres::begin().await?;
    let blob_keys = release_in(&tx, std::slice::from_ref(&rendition.content_key)).await?;
    postgres::commit(tx).await?;
    purge(&blob_keys).await;
    Ok(())
}

/// Deletes blobs that nothing speaks of; what cannot be deleted now is tried again by the clock.
pub(super) async fn purge(blob_keys: &[String]) {
    let mut gone = Vec::new();
    for blob_key in blob_keys {
        let deleted = async {
            blobs::delete(blob_key).await?;
            match blob_key.ends_with(".wav") {
                true => blobs::delete(&staged(blob_key)).await,
                false => Ok(()),
            }
        };
        // Where not, its row stays.
        if deleted.await.is_ok() {
            gone.push(blob_key);
        }
    }
    if gone.is_empty() {
        return;
    }
    // Neither does harm: to delete what is gone is nothing.
    let _ = postgres::execute(
        "delete from doomed_blobs where blob_key in (select jsonb_array_elements_text($1::jsonb))",
        params![json!(gone)],
    )
    .await;
}
