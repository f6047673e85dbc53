//! Rows whose audio is being made. Whoever makes it changes the row and never writes another: what was
//! deleted meanwhile stays deleted.

use guest::identity::User;
use guest::postgres::{self, Transaction};
use guest::{Problem, log, params};
use serde_json::json;

use super::library::{self, Inserted, Written};
use super::rendition::Rendition;
use super::retention;
use crate::request::{Order, Synthesize};

/// Longer than a request may take: 100,000 characters are made in a minute or two.
const ASK_AGAIN_SECONDS: u32 = 300;
/// Rows of one call of the clock.
const ROWS: u32 = 200;

/// Who is to make them.
#[derive(Clone, Copy)]
pub(super) enum Maker<'a> {
    /// Whoever takes the events of that batch.
    Events(&'a str),
    /// The request that somebody listens to; if it dies, an event asks again.
    Listened,
}

/// One row for each order, in one statement.
pub(super) async fn insert_in(
    tx: &Transaction,
    user: &User,
    maker: Maker<'_>,
    orders: &[(String, &Order)],
) -> Result<(), Problem> {
    let rows = orders.iter().map(|(audio_id, order)| {
        json!({
            "audio_id": audio_id,
            "text": order.text,
            "text_type": order.text_type(),
            "format": order.format.as_str(),
            "voice": order.voice,
            "language": order.language,
            "engine": order.engine.map(crate::voice::Engine::as_str),
            "rate": order.rate,
        })
    });
    let (batch_id, ask_again) = match maker {
        Maker::Events(batch_id) => (Some(batch_id.to_owned()), None),
        Maker::Listened => (None, Some(ASK_AGAIN_SECONDS)),
    };
    postgres::execute_in(
        tx,
        "insert into audio (audio_id, tenant, user_id, batch_id, status, text, text_type, format, \
         requested_voice_id, requested_language, requested_engine, requested_rate, expires_at, ask_again_at) \
         select audio_id, $2, $3, $4, 'processing', text, text_type, format, voice, language, engine, rate, \
         now() + $5 * interval '1 day', now() + $6::bigint * interval '1 second' \
         from jsonb_to_recordset($1::jsonb) as r (audio_id text, text text, text_type text, format text, \
         voice text, language text, engine text, rate integer)",
        params![
            json!(rows.collect::<Vec<_>>()),
            &user.tenant,
            &user.id,
            batch_id,
            retention::days(),
            ask_again
        ],
    )
    .await
    .map(|_| ())
}

/// An event for each row of the batch, in one statement. It has no text, which a deletion could not reach.
pub(super) async fn ask_for_batch_in(tx: &Transaction, batch_id: &str) -> Result<(), Problem> {
    let asked = postgres::fetch_in(
        tx,
        "select lectern.publish('audio.generation.requested', audio_id, \
         jsonb_build_object('schema_version', 1, 'request_id', audio_id, 'audio_id', audio_id, \
         'user_id', user_id, 'tenant', tenant), $2)::text from audio where batch_id = $1",
        params![batch_id, log::trace()],
    );
    asked.await.map(|_| ())
}

/// Called by the clock: what a maker left that died is asked for by events, which are tried until they
/// succeed.
pub(super) async fn ask_again() -> Result<(), String> {
    let asked = postgres::fetch(
        "with left_alone as (select audio_id from audio where ask_again_at < now() order by ask_again_at \
         limit $1 for update skip locked), \
         asked as (update audio a set ask_again_at = null from left_alone l where a.audio_id = l.audio_id \
         returning a.audio_id, a.user_id, a.tenant, a.status) \
         select lectern.publish('audio.generation.requested', audio_id, \
         jsonb_build_object('schema_version', 1, 'request_id', audio_id, 'audio_id', audio_id, \
         'user_id', user_id, 'tenant', tenant))::text from asked where status = 'processing'",
        params![ROWS],
    );
    let asked = asked
        .await
        .map_err(|problem| problem.message().to_owned())?;
    if !asked.is_empty() {
        let count = asked.len();
        log::warn(&format!(
            "{count} audios are asked for again, as their makers died"
        ));
    }
    Ok(())
}

/// What the row asks for; [`None`] where nothing waits.
pub(super) async fn request(audio_id: &str, user: &User) -> Result<Option<Synthesize>, Problem> {
    let row = postgres::fetch_optional(
        "select text, text_type, format, requested_voice_id, requested_language, requested_engine, \
         requested_rate from audio \
         where audio_id = $1 and tenant = $2 and user_id = $3 and status = 'processing'",
        params![audio_id, &user.tenant, &user.id],
    );
    Ok(row.await?.map(|mut row| Synthesize {
        text: row.text(0),
        text_type: row.opt_text(1),
        output_format: row.opt_text(2),
        voice_id: row.opt_text(3),
        language_code: row.opt_text(4),
        engine: row.opt_text(5),
        sample_rate: row.opt_int(6).map(|rate| json!(rate)),
        ..Synthesize::default()
    }))
}

/// The row has its bytes, where both are there still. The row is locked before the bytes, as by everybody.
pub(super) async fn complete_in(
    tx: &Transaction,
    audio_id: &str,
    user: &User,
    rendition: &Rendition,
    is_cached: bool,
) -> Result<Written, Problem> {
    let waiting = postgres::fetch_in(
        tx,
        "select 1 from audio where audio_id = $1 and tenant = $2 and user_id = $3 and status = 'processing' \
         for update",
        params![audio_id, &user.tenant, &user.id],
    );
    if waiting.await?.is_empty() {
        return Ok(Written::NoRow);
    }
    let completed = postgres::fetch_in(
        tx,
        "update audio a set status = 'completed', content_key = r.content_key, cached = $4, \
         generated_at = now(), expires_at = now() + $5 * interval '1 day', ask_again_at = null \
         from (select content_key from renditions where content_key = $2 and blob_key = $3 \
         and status = 'ready' for key share) r \
         where a.audio_id = $1 returning a.generated_at, a.expires_at",
        params![
            audio_id,
            &rendition.content_key,
            &rendition.blob_key,
            is_cached,
            retention::days()
        ],
    );
    Ok(match completed.await?.into_iter().next() {
        Some(row) => Written::Row(Inserted::of(&row)),
        None => Written::NoBytes,
    })
}

/// The row says why there is no audio, and so does an event. A key under which it was asked for is free
/// again.
pub(super) async fn fail_in(
    tx: &Transaction,
    audio_id: &str,
    user: &User,
    request_id: Option<&str>,
    why: &Problem,
) -> Result<(), Problem> {
    log::warn(&format!("an audio was not made: {}", why.code()));
    postgres::execute_in(
        tx,
        "update audio set status = 'failed', error_code = $4, error_message = $5, ask_again_at = null \
         where audio_id = $1 and tenant = $2 and user_id = $3 and status = 'processing'",
        params![audio_id, &user.tenant, &user.id, why.code(), why.message()],
    )
    .await?;
    postgres::execute_in(
        tx,
        "delete from idempotency where tenant = $2 and user_id = $3 and location = '/audio/' || $1",
        params![audio_id, &user.tenant, &user.id],
    )
    .await?;
    // An engine's sentence may repeat what it was to say: it is for the row's owner alone.
    let outcome = json!({ "status": "failed", "code": why.code() });
    library::publish(tx, audio_id, user, request_id, outcome).await
}
