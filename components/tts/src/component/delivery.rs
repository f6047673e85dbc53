//! `audio.generation.requested`, from a batch of this service's own or from anybody: how it ended is said by
//! `audio.generation.completed`, once.

use guest::events::{self, Disposition, Event, payload};
use guest::identity::User;
use guest::postgres;
use guest::uuid::Uuid;
use guest::{Problem, log, params};
use serde::Deserialize;
use serde_json::json;

use super::failure::Failure;
use super::library::{self, New};
use super::synthesize::attached;
use crate::request::{Order, Synthesize};

pub(super) const REQUESTED: &str = "audio.generation.requested";
/// As the tables hold.
const MAX_ID: usize = 255;
/// Attempts while something is away, over an hour or so: after that it failed.
const PATIENCE: u32 = 60;

#[derive(Deserialize)]
struct Requested {
    request_id: String,
    /// The row that waits for it, where one does.
    audio_id: Option<String>,
    user_id: String,
    #[serde(default)]
    tenant: String,
    text: String,
    text_type: Option<String>,
    voice_id: Option<String>,
    language_code: Option<String>,
    output_format: Option<String>,
    engine: Option<String>,
    sample_rate: Option<serde_json::Value>,
}

/// Whom the event asks for, and where.
struct Subject {
    request_id: String,
    audio_id: String,
    user: User,
}

pub(super) async fn handle(event: Event) -> Result<(), Disposition> {
    let (subject, is_waited_for, request) = read(&event)?;
    if is_done(&event).await? || is_waited_for && !is_waiting(&subject).await? {
        return Ok(());
    }
    let why = match (event.previous, request.check()) {
        (Some(_), _) => Problem::unprocessable("SYNTHESIS_FAILED", "speaking the text failed"),
        (None, Err(refusal)) => refusal.into(),
        (None, Ok(order)) => match spoken(&event, &subject, &order).await {
            Ok(()) => return Ok(()),
            Err(Failure::Away(problem)) if event.attempt < PATIENCE => return Err(problem.into()),
            Err(failure) => failure.problem(),
        },
    };
    Ok(failed(&event, &subject, &why).await?)
}

fn read(event: &Event) -> Result<(Subject, bool, Synthesize), Disposition> {
    let asked: Requested = payload(event)?;
    let is_sound = |id: &str| (1..=MAX_ID).contains(&id.len()) && !id.chars().any(char::is_control);
    let named = [&asked.request_id, &asked.user_id];
    if !named.iter().all(|id| is_sound(id)) || !(asked.tenant.is_empty() || is_sound(&asked.tenant))
    {
        let why = "`request_id`, `user_id` and `tenant` have up to 255 bytes";
        return Err(Disposition::Reject(why.into()));
    }
    if asked.text.contains('\0') {
        return Err(Disposition::Reject("`text` contains U+0000".into()));
    }
    let is_waited_for = asked.audio_id.is_some();
    // The same in every attempt: one event is one audio.
    let own = || Uuid::new_v5(&Uuid::NAMESPACE_OID, event.id.as_bytes()).to_string();
    let subject = Subject {
        request_id: asked.request_id,
        audio_id: asked.audio_id.unwrap_or_else(own),
        user: User {
            tenant: asked.tenant,
            id: asked.user_id,
        },
    };
    let request = Synthesize {
        text: asked.text,
        text_type: asked.text_type,
        voice_id: asked.voice_id,
        language_code: asked.language_code,
        output_format: asked.output_format,
        engine: asked.engine,
        sample_rate: asked.sample_rate,
        speech_marks: vec![],
        user_id: None,
    };
    Ok((subject, is_waited_for, request))
}

/// By an earlier delivery.
async fn is_done(event: &Event) -> Result<bool, Problem> {
    let row = postgres::fetch_optional(
        "select 1 from inbox where event_id = $1",
        params![&event.id],
    );
    Ok(row.await?.is_some())
}

/// Deleted meanwhile, where it is not.
async fn is_waiting(subject: &Subject) -> Result<bool, Problem> {
    let row = postgres::fetch_optional(
        "select 1 from audio where audio_id = $1 and tenant = $2 and user_id = $3 and status = 'processing'",
        params![&subject.audio_id, &subject.user.tenant, &subject.user.id],
    );
    Ok(row.await?.is_some())
}

async fn spoken(event: &Event, subject: &Subject, order: &Order) -> Result<(), Failure> {
    let new = New {
        audio_id: &subject.audio_id,
        user: &subject.user,
        order,
        request_id: Some(&subject.request_id),
    };
    let (tx, _) = attached(&new).await?;
    if events::first_time(&tx, event).await? {
        postgres::commit(tx).await?;
    }
    Ok(())
}

async fn failed(event: &Event, subject: &Subject, why: &Problem) -> Result<(), Problem> {
    log::warn(&format!("an audio was not made: {}", why.code()));
    let tx = postgres::begin().await?;
    if !events::first_time(&tx, event).await? {
        return Ok(());
    }
    postgres::execute_in(
        &tx,
        "update audio set status = 'failed', error_code = $4, error_message = $5 \
         where audio_id = $1 and tenant = $2 and user_id = $3 and status = 'processing'",
        params![
            &subject.audio_id,
            &subject.user.tenant,
            &subject.user.id,
            why.code(),
            why.message()
        ],
    )
    .await?;
    // An engine's sentence may repeat what it was to say: it is for the row's owner alone.
    let outcome = json!({ "status": "failed", "code": why.code() });
    let request_id = Some(subject.request_id.as_str());
    library::publish(&tx, &subject.audio_id, &subject.user, request_id, outcome).await?;
    postgres::commit(tx).await
}
