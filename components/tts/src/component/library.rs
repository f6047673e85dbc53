//! The rows of audio in PostgreSQL.

use guest::identity::{Owner, User};
use guest::page::{Cursor, Page};
use guest::postgres::{self, Row, Transaction};
use guest::{Problem, events, params, timestamp};
use serde_json::{Value, json};

use super::rendition::{self, Rendition};
use super::retention;
use crate::format::Format;
use crate::joint::Length;
use crate::request::Order;

pub(super) const COMPLETED: &str = "audio.generation.completed";

/// A row that is to be.
pub(super) struct New<'a> {
    pub(super) audio_id: &'a str,
    pub(super) user: &'a User,
    pub(super) order: &'a Order,
    /// Of the event that asked for it, where one did.
    pub(super) request_id: Option<&'a str>,
    /// Whether the row is there, and waits for its bytes.
    pub(super) is_waiting: bool,
}

/// A row.
pub(super) struct Audio {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) text: Option<String>,
    pub(super) is_ssml: bool,
    pub(super) format: Format,
    pub(super) requested_voice: Option<String>,
    pub(super) is_cached: bool,
    pub(super) failure: Option<(String, String)>,
    pub(super) requested_at: i64,
    pub(super) generated_at: Option<String>,
    pub(super) expires_at: String,
    pub(super) rendition: Option<Rendition>,
}

pub(super) fn missing() -> Problem {
    Problem::not_found("AUDIO_NOT_FOUND", "there is no such audio")
}

fn gone() -> Problem {
    let why = "the audio is older than it is kept";
    Problem::new(axum::http::StatusCode::GONE, "AUDIO_GONE", why)
}

/// What became of a row.
pub(super) enum Written {
    /// It has its bytes.
    Row(Inserted),
    /// The bytes have gone meanwhile.
    NoBytes,
    /// The row has.
    NoRow,
}

/// A new row of bytes that are there.
pub(super) async fn insert_in(
    tx: &Transaction,
    new: &New<'_>,
    rendition: &Rendition,
    is_cached: bool,
) -> Result<Written, Problem> {
    let inserted = postgres::fetch_in(
        tx,
        "insert into audio (audio_id, tenant, user_id, status, content_key, text, text_type, format, \
         requested_voice_id, cached, generated_at, expires_at) \
         select $1, $2, $3, 'completed', r.content_key, $6, $7, r.format, $8, $9, now(), \
         now() + $10 * interval '1 day' \
         from renditions r where r.content_key = $4 and r.blob_key = $5 and r.status = 'ready' for key share \
         on conflict (audio_id) do nothing returning generated_at, expires_at",
        params![
            new.audio_id,
            &new.user.tenant,
            &new.user.id,
            &rendition.content_key,
            &rendition.blob_key,
            &new.order.text,
            new.order.text_type(),
            new.order.voice.clone(),
            is_cached,
            retention::days(),
        ],
    );
    Ok(match inserted.await?.into_iter().next() {
        Some(row) => Written::Row(Inserted::of(&row)),
        None => Written::NoBytes,
    })
}

/// What the database knows of a row that was written.
pub(super) struct Inserted {
    pub(super) generated_at: String,
    pub(super) expires_at: String,
}

impl Inserted {
    /// Of its first two columns.
    pub(super) fn of(row: &Row) -> Self {
        Self {
            generated_at: row.timestamp(0),
            expires_at: row.timestamp(1),
        }
    }
}

/// Says that the audio is there; not what is said in it.
pub(super) async fn publish_completed(
    tx: &Transaction,
    new: &New<'_>,
    rendition: &Rendition,
    is_cached: bool,
) -> Result<(), Problem> {
    let outcome = json!({
        "status": "completed",
        "duration": rendition.length().seconds(),
        "format": new.order.format.as_str(),
        "voice_id": rendition.voice_id,
        "engine": rendition.engine,
        "cached": is_cached,
    });
    publish(tx, new.audio_id, new.user, new.request_id, outcome).await
}

/// Says how it ended.
pub(super) async fn publish(
    tx: &Transaction,
    audio_id: &str,
    user: &User,
    request_id: Option<&str>,
    mut outcome: Value,
) -> Result<(), Problem> {
    outcome["schema_version"] = json!(1);
    outcome["audio_id"] = json!(audio_id);
    outcome["request_id"] = json!(request_id);
    outcome["user_id"] = json!(user.id);
    outcome["tenant"] = json!(user.tenant);
    outcome["generated_at"] = json!(timestamp::now());
    events::publish_in(tx, COMPLETED, audio_id, &outcome).await
}

/// Rows as [`audio`] reads them.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "select a.audio_id, a.status, a.text, a.text_type, a.format, a.requested_voice_id, a.cached, \
             a.error_code, a.error_message, a.requested_at, a.generated_at, a.expires_at, \
             a.expires_at <= now(), r.content_key, r.blob_key, r.voice_id, r.engine, r.language_code, \
             r.sample_rate, r.samples, r.size_bytes \
             from audio a left join renditions r on r.content_key = a.content_key ",
            $which
        )
    };
}

fn audio(mut row: Row) -> Audio {
    let code = row.opt_text(7);
    // What is due to go is gone, whenever the clock comes by.
    let is_gone = row.boolean(12);
    let rendition = row
        .opt_text(13)
        .filter(|_| !is_gone)
        .map(|content_key| Rendition {
            content_key,
            blob_key: row.text(14),
            voice_id: row.text(15),
            engine: row.text(16),
            language_code: row.text(17),
            rate: row.count(18),
            samples: row.int(19).unsigned_abs(),
            size: row.int(20).unsigned_abs(),
        });
    Audio {
        id: row.text(0),
        status: if is_gone {
            "expired".into()
        } else {
            row.text(1)
        },
        text: row.opt_text(2).filter(|_| !is_gone),
        is_ssml: row.text(3) == "ssml",
        format: Format::parse(&row.text(4)).unwrap_or(Format::Mp3),
        requested_voice: row.opt_text(5),
        is_cached: row.boolean(6),
        failure: code.map(|code| (code, row.text(8))),
        requested_at: row.microseconds(9),
        generated_at: row.opt_timestamp(10),
        expires_at: row.timestamp(11),
        rendition,
    }
}

/// A row of that owner's, unless it is gone.
pub(super) async fn find(id: &str, owner: &Owner) -> Result<Audio, Problem> {
    let row = postgres::fetch_optional(
        select!("where a.audio_id = $1 and a.tenant = $2 and ($3::text is null or a.user_id = $3)"),
        params![id, &owner.tenant, owner.user.clone()],
    );
    let found = row.await?.map(audio).ok_or_else(missing)?;
    match found.status.as_str() {
        "expired" => Err(gone()),
        _ => Ok(found),
    }
}

/// The same, where its bytes are there.
pub(super) async fn completed(id: &str, owner: &Owner) -> Result<(Audio, Rendition), Problem> {
    let mut audio = find(id, owner).await?;
    match (audio.rendition.take(), &audio.failure) {
        (Some(rendition), _) => Ok((audio, rendition)),
        (None, Some((code, error))) => {
            let why = format!("this audio could not be made: {error}");
            let details = json!({ "code": code, "error": error });
            Err(Problem::conflict("AUDIO_FAILED", why).details(details))
        }
        (None, None) => {
            let why = "the audio is being made";
            Err(Problem::conflict("AUDIO_NOT_READY", why).retry_after(1))
        }
    }
}

/// That user's, newest first.
pub(super) async fn list(user: &User, page: &Page) -> Result<Vec<(Cursor, Audio)>, Problem> {
    let after = page.after.as_ref();
    let rows = postgres::fetch(
        select!(
            "where a.tenant = $1 and a.user_id = $2 and a.expires_at > now() \
             and ($3::bigint is null or (a.requested_at, a.audio_id) < \
             (timestamptz 'epoch' + $3 * interval '1 microsecond', $4)) \
             order by a.requested_at desc, a.audio_id desc limit $5"
        ),
        params![
            &user.tenant,
            &user.id,
            after.map(|after| after.at),
            after.map(|after| after.id.clone()),
            page.rows()
        ],
    );
    let item = |row| {
        let audio = audio(row);
        let cursor = Cursor {
            at: audio.requested_at,
            id: audio.id.clone(),
        };
        (cursor, audio)
    };
    Ok(rows.await?.into_iter().map(item).collect())
}

/// A batch of that owner's, in its order.
pub(super) async fn batch(id: &str, owner: &Owner) -> Result<Vec<Audio>, Problem> {
    let rows = postgres::fetch(
        select!(
            "where a.batch_id = $1 and a.tenant = $2 and ($3::text is null or a.user_id = $3) \
             order by a.audio_id"
        ),
        params![id, &owner.tenant, owner.user.clone()],
    );
    let found: Vec<_> = rows.await?.into_iter().map(audio).collect();
    match found.is_empty() {
        true => Err(Problem::not_found(
            "BATCH_NOT_FOUND",
            "there is no such batch",
        )),
        false => Ok(found),
    }
}

/// The row goes, and the bytes with the last row that has them.
pub(super) async fn delete(id: &str, owner: &Owner) -> Result<(), Problem> {
    let audio = find(id, owner).await?;
    let tx = postgres::begin().await?;
    let deleted = postgres::fetch_in(
        &tx,
        "delete from audio where audio_id = $1 and tenant = $2 and ($3::text is null or user_id = $3) \
         returning content_key",
        params![&audio.id, &owner.tenant, owner.user.clone()],
    );
    let mut deleted = deleted.await?.into_iter().next().ok_or_else(missing)?;
    let content_key = deleted.opt_text(0);
    let blob_keys = rendition::release_in(&tx, content_key.as_slice()).await?;
    postgres::commit(tx).await?;
    rendition::purge(&blob_keys).await;
    Ok(())
}

impl Audio {
    /// The contract's body, but for where the bytes are.
    pub(super) fn body(&self) -> Value {
        let length = self.rendition.as_ref().map(Rendition::length);
        let rendition = self.rendition.as_ref();
        let mut body = json!({
            "audio_id": self.id,
            "status": self.status,
            "text": self.text,
            "text_type": if self.is_ssml { "ssml" } else { "text" },
            "voice_id": rendition.map(|r| &r.voice_id).or(self.requested_voice.as_ref()),
            "requested_voice_id": self.requested_voice,
            "language_code": rendition.map(|r| &r.language_code),
            "engine": rendition.map(|r| &r.engine),
            "format": self.format.as_str(),
            "sample_rate": rendition.map(|r| r.rate),
            "size": rendition.map(|r| r.size),
            "duration": length.map(Length::seconds),
            "cached": self.is_cached,
            "generated_at": self.generated_at,
            "expires_at": self.expires_at,
        });
        if let Some((code, error)) = &self.failure {
            body["failure"] = json!({ "code": code, "error": error });
        }
        body
    }
}
