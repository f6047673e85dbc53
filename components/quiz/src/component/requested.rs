//! `quiz.requested`: a quiz that is asked for by an event, and told of by one.

use guest::events::{self, Disposition, Event, payload};
use guest::identity::{Owner, User};
use guest::postgres;
use guest::uuid::Uuid;
use guest::{Problem, params, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{generate, store};
use crate::request::Generate;

/// Tries for a document that another event may be about to make known.
const TRIES_UNKNOWN: u32 = 5;
/// Tries for a document that is being processed.
const TRIES_PROCESSING: u32 = 150;
/// Between them, in milliseconds.
const BETWEEN: u64 = 2_000;
/// Of an id of the asker's own: question and card ids are made of it.
const MAX_ID: usize = 200;

#[derive(Deserialize)]
struct Requested {
    quiz_id: Option<String>,
    request_id: Option<String>,
    #[serde(default)]
    tenant: String,
    user_id: String,
}

impl Requested {
    /// The asker's own, or one that is the event's in every attempt.
    fn id(&self, event: &Event) -> Result<String, Problem> {
        let sound = |id: &String| {
            (1..=MAX_ID).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        match &self.quiz_id {
            Some(id) if sound(id) => Ok(id.clone()),
            Some(_) => Err(Problem::validation(
                "`quiz_id` has 1 to 200 ASCII letters, digits, `-`, `_` or `.`",
            )),
            None => Ok(Uuid::new_v5(&Uuid::NAMESPACE_OID, event.id.as_bytes()).to_string()),
        }
    }
}

/// Makes the quiz once. What cannot be made is told by `quiz.generated` too; only what names nobody to
/// tell is a dead letter.
pub(super) async fn handle(event: &Event) -> Result<(), Disposition> {
    let asked: Requested = payload(event)?;
    if asked.user_id.is_empty() || asked.user_id.len() > 255 || asked.tenant.len() > 255 {
        return Err(Disposition::Reject("`user_id` has 1 to 255 bytes".into()));
    }
    // A second delivery costs no model's time.
    if is_done(event).await? {
        return Ok(());
    }
    match make(&asked, event).await {
        Ok(()) => Ok(()),
        Err(problem) if problem.status().is_server_error() => Err(problem.into()),
        Err(problem) if is_early(&problem, event) => Err(Disposition::Retry(Some(BETWEEN))),
        Err(problem) => Ok(tell(&asked, event, &problem).await?),
    }
}

fn is_early(problem: &Problem, event: &Event) -> bool {
    match problem.code() {
        "DOCUMENT_NOT_FOUND" => event.attempt < TRIES_UNKNOWN,
        "DOCUMENT_PROCESSING" => event.attempt < TRIES_PROCESSING,
        _ => false,
    }
}

async fn is_done(event: &Event) -> Result<bool, Problem> {
    let row = postgres::fetch_optional(
        "select event_id from inbox where event_id = $1",
        params![&event.id],
    );
    Ok(row.await?.is_some())
}

async fn make(asked: &Requested, event: &Event) -> Result<(), Problem> {
    let id = asked.id(event)?;
    let wanted: Generate = serde_json::from_str(&event.payload)
        .map_err(|e| Problem::validation(format!("the payload is no request: {e}")))?;
    let user = User {
        tenant: asked.tenant.clone(),
        id: asked.user_id.clone(),
    };
    let quiz = generate::quiz(id, wanted.check()?, &Owner::from(&user)).await?;
    let tx = postgres::begin().await?;
    if !events::first_time(&tx, event).await? {
        return Ok(());
    }
    if !store::insert(&tx, &quiz, &user, asked.request_id.as_deref()).await? {
        let why = "there is a quiz with this `quiz_id`";
        return Err(Problem::conflict("QUIZ_EXISTS", why));
    }
    postgres::commit(tx).await
}

/// Why there is no quiz.
async fn tell(asked: &Requested, event: &Event, problem: &Problem) -> Result<(), Problem> {
    let wanted: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    let told = json!({
        "schema_version": 1,
        "status": "failed",
        "code": problem.code(),
        "error": problem.message(),
        "quiz_id": asked.quiz_id,
        "request_id": asked.request_id,
        "document_id": wanted["document_id"],
        "document_ids": wanted["document_ids"],
        "tenant": asked.tenant,
        "user_id": asked.user_id,
        "failed_at": timestamp::now(),
    });
    let tx = postgres::begin().await?;
    if events::first_time(&tx, event).await? {
        // The key of the request: there is no quiz to be the key.
        let key = asked.quiz_id.as_ref().filter(|id| !id.is_empty());
        let key = key.unwrap_or(&event.id);
        events::publish_in(&tx, "quiz.generated", key, &told).await?;
        postgres::commit(tx).await?;
    }
    Ok(())
}
