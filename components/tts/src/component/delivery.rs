//! `audio.generation.requested`, from a batch of this service's own or from anybody: how it ended is said by
//! `audio.generation.completed`, once.

use guest::events::{self, Disposition, Event, payload};
use guest::identity::User;
use guest::postgres;
use guest::uuid::Uuid;
use guest::{Problem, params};
use serde::Deserialize;

use super::failure::Failure;
use super::library::New;
use super::synthesize::attached;
use super::waiting;
use crate::request::{Order, Synthesize};

/// As the tables hold.
const MAX_ID: usize = 255;
/// Attempts while something is away, over an hour or so: after that it failed.
const PATIENCE: u32 = 60;

#[derive(Deserialize)]
struct Requested {
    request_id: String,
    /// The row that waits for it, where one does: then the text is there.
    audio_id: Option<String>,
    user_id: String,
    #[serde(default)]
    tenant: String,
    text: Option<String>,
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
    /// Whether a row waits for it.
    is_waiting: bool,
}

pub(super) async fn handle(event: Event) -> Result<(), Disposition> {
    let (subject, said) = read(&event)?;
    if is_done(&event).await? {
        return Ok(());
    }
    let request = match subject.is_waiting {
        false => said,
        // What was deleted meanwhile is asked for no more.
        true => match waiting::request(&subject.audio_id, &subject.user).await? {
            Some(request) => Some(said.unwrap_or(request)),
            None => return Ok(()),
        },
    };
    let request = request.ok_or_else(|| Disposition::Reject("the event has no `text`".into()))?;
    let why = match (event.previous, request.check()) {
        (Some(_), _) => {
            let why = "speaking this text takes more than it may: a shorter one may do";
            Problem::unprocessable("SYNTHESIS_FAILED", why)
        }
        (None, Err(refusal)) => refusal.into(),
        (None, Ok(order)) => match spoken(&event, &subject, &order).await {
            Ok(()) => return Ok(()),
            Err(Failure::Away(problem)) if event.attempt < PATIENCE => return Err(problem.into()),
            Err(failure) => failure.problem(),
        },
    };
    Ok(failed(&event, &subject, &why).await?)
}

/// Of the text only what the event has itself.
fn read(event: &Event) -> Result<(Subject, Option<Synthesize>), Disposition> {
    let asked: Requested = payload(event)?;
    let is_sound = |id: &str| (1..=MAX_ID).contains(&id.len()) && !id.chars().any(char::is_control);
    let named = [&asked.request_id, &asked.user_id];
    if !named.iter().all(|id| is_sound(id)) || !(asked.tenant.is_empty() || is_sound(&asked.tenant))
    {
        let why = "`request_id`, `user_id` and `tenant` have up to 255 bytes";
        return Err(Disposition::Reject(why.into()));
    }
    if asked.text.as_ref().is_some_and(|text| text.contains('\0')) {
        return Err(Disposition::Reject("`text` contains U+0000".into()));
    }
    // The same in every attempt: one event is one audio.
    let own = || Uuid::new_v5(&Uuid::NAMESPACE_OID, event.id.as_bytes()).to_string();
    let subject = Subject {
        request_id: asked.request_id,
        is_waiting: asked.audio_id.is_some(),
        audio_id: asked.audio_id.unwrap_or_else(own),
        user: User {
            tenant: asked.tenant,
            id: asked.user_id,
        },
    };
    let request = asked.text.map(|text| Synthesize {
        text,
        text_type: asked.text_type,
        voice_id: asked.voice_id,
        language_code: asked.language_code,
        output_format: asked.output_format,
        engine: asked.engine,
        sample_rate: asked.sample_rate,
        ..Synthesize::default()
    });
    Ok((subject, request))
}

/// By an earlier delivery.
async fn is_done(event: &Event) -> Result<bool, Problem> {
    let row = postgres::fetch_optional(
        "select 1 from inbox where event_id = $1",
        params![&event.id],
    );
    Ok(row.await?.is_some())
}

async fn spoken(event: &Event, subject: &Subject, order: &Order) -> Result<(), Failure> {
    let new = New {
        audio_id: &subject.audio_id,
        user: &subject.user,
        order,
        request_id: Some(&subject.request_id),
        is_waiting: subject.is_waiting,
    };
    let Some((tx, _)) = attached(&new).await? else {
        return Ok(());
    };
    if events::first_time(&tx, event).await? {
        postgres::commit(tx).await?;
    }
    Ok(())
}

async fn failed(event: &Event, subject: &Subject, why: &Problem) -> Result<(), Problem> {
    let tx = postgres::begin().await?;
    if !events::first_time(&tx, event).await? {
        return Ok(());
    }
    let (id, user) = (&subject.audio_id, &subject.user);
    waiting::fail_in(&tx, id, user, Some(&subject.request_id), why).await?;
    postgres::commit(tx).await
}
