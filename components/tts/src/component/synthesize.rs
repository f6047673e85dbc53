//! An order becomes an audio of somebody's: bytes that are there already, or are made now, and a row.

use axum::http::StatusCode;
use axum::response::Response;
use guest::Problem;
use guest::idempotency::{self, Key};
use guest::identity::User;
use guest::postgres::{self, Transaction};
use guest::uuid::Uuid;
use serde_json::json;

use super::content;
use super::engine::{self, Speaker};
use super::failure::Failure;
use super::library::{self, New, Written};
use super::rendition::{self, Rendition, Turn};
use super::{marking, waiting};
use crate::marks::Mark;
use crate::request::Order;
use crate::voice;

/// How often bytes may go, with the last row that had them, between their being found and their new row.
pub(super) const ATTEMPTS: u32 = 3;
pub(super) const ROUTE: &str = "/synthesize";

/// Who speaks it, where somebody does.
pub(super) async fn speaker(order: &Order) -> Result<Speaker, Failure> {
    chosen(&engine::voices().await?, order)
}

/// The same of voices that are known.
pub(super) fn chosen(voices: &[voice::Voice], order: &Order) -> Result<Speaker, Failure> {
    let (voice, engine) = voice::choose(voices, order.wish())?;
    Ok(Speaker {
        voice: voice.clone(),
        engine,
    })
}

/// Bytes for the order, and whether they were there.
async fn rendition(
    order: &Order,
    speaker: &Speaker,
    content_key: &str,
) -> Result<(Rendition, bool), Failure> {
    match rendition::turn(content_key, order, speaker).await? {
        Turn::Ready(rendition) => Ok((rendition, true)),
        Turn::Make(claim) => Ok((claim.make(order, speaker).await?, false)),
    }
}

/// An audio that is somebody's now.
pub(super) struct Done {
    pub(super) rendition: Rendition,
    is_cached: bool,
    /// Where any are wanted: those, or the code of why there are none.
    marks: Option<Result<Vec<Mark>, &'static str>>,
    inserted: library::Inserted,
}

/// An audio, and the transaction that has its row; or that the row which waited for it has gone.
pub(super) type Attached = Option<(Transaction, Done)>;

/// Finds or makes the bytes, and writes their row and its event; the caller adds what belongs to them, and
/// commits.
pub(super) async fn attached(new: &New<'_>) -> Result<Attached, Failure> {
    let speaker = speaker(new.order).await?;
    let content_key = rendition::content_key(&new.user.tenant, new.order, &speaker);
    let mut remembered = rendition::remembered(&content_key).await;
    for _ in 0..ATTEMPTS {
        let (rendition, is_cached) = match remembered.take() {
            Some(rendition) => (rendition, true),
            None => rendition(new.order, &speaker, &content_key).await?,
        };
        match attach(new, rendition, is_cached).await? {
            Attempt::Done(attached) => return Ok(Some(*attached)),
            Attempt::NoRow => return Ok(None),
            Attempt::NoBytes => {}
        }
    }
    Err(deleted())
}

pub(super) fn deleted() -> Failure {
    let why = "the audio is deleted as fast as it is made";
    Problem::unavailable("SPEECH_UNAVAILABLE", why).into()
}

pub(super) enum Attempt {
    Done(Box<(Transaction, Done)>),
    /// The bytes have gone.
    NoBytes,
    /// The row that waited for them has, and they with it where nobody else has them.
    NoRow,
}

pub(super) async fn attach(
    new: &New<'_>,
    rendition: Rendition,
    is_cached: bool,
) -> Result<Attempt, Problem> {
    // Before the transaction: whoever holds a connection waits for no other one.
    let marks = marks(new.order, &rendition).await;
    let tx = postgres::begin().await?;
    let written = match new.is_waiting {
        true => waiting::complete_in(&tx, new.audio_id, new.user, &rendition, is_cached).await?,
        false => library::insert_in(&tx, new, &rendition, is_cached).await?,
    };
    let inserted = match written {
        Written::Row(inserted) => inserted,
        Written::NoBytes => return Ok(Attempt::NoBytes),
        Written::NoRow => {
            drop(tx);
            rendition::release(&rendition).await?;
            return Ok(Attempt::NoRow);
        }
    };
    library::publish_completed(&tx, new, &rendition, is_cached).await?;
    let done = Done {
        rendition,
        is_cached,
        marks,
        inserted,
    };
    Ok(Attempt::Done(Box::new((tx, done))))
}

/// The audio is there with them or without.
async fn marks(order: &Order, rendition: &Rendition) -> Option<Result<Vec<Mark>, &'static str>> {
    if order.marks.is_empty() {
        return None;
    }
    let marks = marking::marks(&order.text, order.is_ssml, rendition, &order.marks).await;
    Some(marks.map_err(|problem| problem.code()))
}

/// `POST /synthesize`: the contract's body.
pub(super) async fn told(
    key: Key,
    user: User,
    order: Order,
    fingerprint: &str,
) -> Result<Response, Problem> {
    let owner = user.clone();
    idempotency::once(key, &owner, ROUTE, fingerprint, async move |claim| {
        let audio_id = Uuid::new_v4().to_string();
        let new = New {
            audio_id: &audio_id,
            user: &user,
            order: &order,
            request_id: None,
            is_waiting: false,
        };
        let attached = attached(&new).await.and_then(|a| a.ok_or_else(deleted));
        let (tx, done) = attached.map_err(Failure::problem)?;
        let body = body(&new, &done).await?;
        let location = format!("/audio/{audio_id}");
        let answer = claim.answer_in(&tx, StatusCode::OK, Some(&location), &body);
        let answer = answer.await?;
        postgres::commit(tx).await?;
        Ok(answer)
    })
    .await
}

pub(super) async fn body(new: &New<'_>, done: &Done) -> Result<serde_json::Value, Problem> {
    let (order, rendition) = (new.order, &done.rendition);
    let mut body = json!({
        "audio_id": new.audio_id,
        "s3_url": content::address(new.audio_id, order.format, &rendition.blob_key).await?,
        "duration": rendition.length().seconds(),
        "cached": done.is_cached,
        "generated_at": done.inserted.generated_at,
        "expires_at": done.inserted.expires_at,
        "voice_id": rendition.voice_id,
        "requested_voice_id": order.voice,
        "language_code": rendition.language_code,
        "engine": rendition.engine,
        "format": order.format.as_str(),
        "sample_rate": rendition.rate,
    });
    match &done.marks {
        None => {}
        Some(Ok(marks)) => body["speech_marks"] = json!(marks),
        Some(Err(code)) => {
            body["speech_marks"] = serde_json::Value::Null;
            body["warnings"] = json!([code]);
        }
    }
    Ok(body)
}
