//! An order becomes an audio of somebody's: bytes that are there already, or are made now, and a row.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::channel::{mpsc, oneshot};
use futures::{StreamExt, stream};
use guest::idempotency::{self, Key};
use guest::identity::User;
use guest::postgres::{self, Transaction};
use guest::uuid::Uuid;
use guest::{Problem, log};
use serde_json::json;

use super::content::{self, Origin};
use super::engine::{self, Speaker};
use super::failure::Failure;
use super::library::{self, New};
use super::marking;
use super::rendition::{self, Claim, Rendition, Turn};
use super::speaking::Speaking;
use crate::format::Format;
use crate::marks::Mark;
use crate::request::Order;
use crate::voice;
use crate::wav;

/// How often bytes may go, with the last row that had them, between their being found and their new row.
const ATTEMPTS: u32 = 3;
const ROUTE: &str = "/synthesize";

/// Who speaks it, where somebody does.
pub(super) async fn speaker(order: &Order) -> Result<Speaker, Failure> {
    let voices = engine::voices().await?;
    let (voice, engine) = voice::choose(&voices, order.wish())?;
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
        Turn::Make(claim) => {
            let speaking = begin(&claim, order, speaker, false).await?;
            let rendition = claim.make(speaking, order.format).await?;
            Ok((rendition, false))
        }
    }
}

async fn begin(
    claim: &Claim,
    order: &Order,
    speaker: &Speaker,
    is_heard: bool,
) -> Result<Speaking, Failure> {
    let speaking = Speaking::begin(order.clone(), speaker.clone(), is_heard).await;
    if speaking.is_err() {
        claim.give_up().await;
    }
    speaking
}

/// An audio that is somebody's now.
pub(super) struct Done {
    rendition: Rendition,
    is_cached: bool,
    /// Where any are wanted: those, or the code of why there are none.
    marks: Option<Result<Vec<Mark>, &'static str>>,
    inserted: library::Inserted,
}

/// Finds or makes the bytes, and writes their row and its event; the caller adds what belongs to them, and
/// commits.
pub(super) async fn attached(new: &New<'_>) -> Result<(Transaction, Done), Failure> {
    let speaker = speaker(new.order).await?;
    let content_key = rendition::content_key(&new.user.tenant, new.order, &speaker);
    let mut remembered = rendition::remembered(&content_key).await;
    for _ in 0..ATTEMPTS {
        let (rendition, is_cached) = match remembered.take() {
            Some(rendition) => (rendition, true),
            None => rendition(new.order, &speaker, &content_key).await?,
        };
        if let Some(attached) = attach(new, rendition, is_cached).await? {
            return Ok(attached);
        }
    }
    Err(deleted())
}

fn deleted() -> Failure {
    let why = "the audio is deleted as fast as it is made";
    Problem::unavailable("SPEECH_UNAVAILABLE", why).into()
}

/// [`None`] where the bytes have gone.
async fn attach(
    new: &New<'_>,
    rendition: Rendition,
    is_cached: bool,
) -> Result<Option<(Transaction, Done)>, Problem> {
    // Before the transaction: whoever holds a connection waits for no other one.
    let marks = marks(new.order, &rendition).await;
    let tx = postgres::begin().await?;
    let Some(inserted) = library::insert_in(&tx, new, &rendition, is_cached).await? else {
        return Ok(None);
    };
    library::publish_completed(&tx, new, &rendition, is_cached).await?;
    let done = Done {
        rendition,
        is_cached,
        marks,
        inserted,
    };
    Ok(Some((tx, done)))
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
    origin: Origin,
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
        };
        let (tx, done) = attached(&new).await.map_err(Failure::problem)?;
        let body = body(&new, &done, &origin).await?;
        let location = format!("/audio/{audio_id}");
        let answer = claim.answer_in(&tx, StatusCode::OK, Some(&location), &body);
        let answer = answer.await?;
        postgres::commit(tx).await?;
        Ok(answer)
    })
    .await
}

async fn body(new: &New<'_>, done: &Done, origin: &Origin) -> Result<serde_json::Value, Problem> {
    let (order, rendition) = (new.order, &done.rendition);
    let mut body = json!({
        "audio_id": new.audio_id,
        "s3_url": content::address(new.audio_id, order.format, &rendition.blob_key, origin).await?,
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

/// `POST /synthesize` of somebody who listens: the audio itself, as it is spoken. Its row is written when it
/// has been.
pub(super) async fn heard(user: User, order: Order) -> Result<Response, Failure> {
    let speaker = speaker(&order).await?;
    let content_key = rendition::content_key(&user.tenant, &order, &speaker);
    let audio_id = Uuid::new_v4().to_string();
    for _ in 0..ATTEMPTS {
        let turn = rendition::turn(&content_key, &order, &speaker).await?;
        let rendition = match turn {
            Turn::Ready(rendition) => rendition,
            Turn::Make(claim) => {
                let speaking = begin(&claim, &order, &speaker, true).await?;
                return Ok(live(claim, speaking, audio_id, user, order));
            }
        };
        let new = New {
            audio_id: &audio_id,
            user: &user,
            order: &order,
            request_id: None,
        };
        if let Some((tx, done)) = attach(&new, rendition, true).await? {
            postgres::commit(tx).await?;
            let answer = content::whole(&audio_id, order.format, &done.rendition).await?;
            return Ok(located(answer, &audio_id));
        }
    }
    Err(deleted())
}

fn located(mut answer: Response, audio_id: &str) -> Response {
    if let Ok(location) = HeaderValue::from_str(&format!("/audio/{audio_id}")) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// The work is a task of its own, so that it is given up in order when the listener leaves.
fn live(
    claim: Claim,
    mut speaking: Speaking,
    audio_id: String,
    user: User,
    order: Order,
) -> Response {
    let format = order.format;
    let header = match format {
        Format::Wav => Bytes::copy_from_slice(&wav::header(speaking.rate(), None)),
        Format::Mp3 | Format::Ogg => Bytes::new(),
    };
    let sound = speaking.listen();
    let (tell, told) = oneshot::channel();
    let work = work(claim, speaking, audio_id.clone(), user, order);
    wit_bindgen::spawn_local(async move {
        // Nobody may listen any more.
        let _ = tell.send(work.await);
    });
    let answer = (
        [(header::CONTENT_TYPE, format.content_type())],
        Body::from_stream(listened(header, sound, told)),
    );
    located(answer.into_response(), &audio_id)
}

/// What is spoken, and an error at last where it broke off.
fn listened(
    header: Bytes,
    sound: mpsc::Receiver<Bytes>,
    told: oneshot::Receiver<Result<(), Failure>>,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    let end = stream::once(told).filter_map(|told| {
        let is_done = matches!(told, Ok(Ok(())));
        let broken = || Err(std::io::Error::other("the audio broke off"));
        std::future::ready((!is_done).then(broken))
    });
    let header = (!header.is_empty()).then_some(Ok(header));
    stream::iter(header).chain(sound.map(Ok)).chain(end)
}

async fn work(
    claim: Claim,
    speaking: Speaking,
    audio_id: String,
    user: User,
    order: Order,
) -> Result<(), Failure> {
    let made = claim.make(speaking, order.format).await;
    if let Err(Failure::Refused(problem) | Failure::Away(problem)) = &made {
        log::warn(&format!("an audio broke off: {}", problem.code()));
    }
    let new = New {
        audio_id: &audio_id,
        user: &user,
        order: &order,
        request_id: None,
    };
    match attach(&new, made?, false).await? {
        Some((tx, _)) => Ok(postgres::commit(tx).await?),
        None => Err(deleted()),
    }
}
