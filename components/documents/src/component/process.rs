//! `document.uploaded`: reads the file, has pages without text looked at, makes notes, and stores it all
//! with the events that say so, in one transaction. Dying anywhere before it leaves nothing; the event
//! comes again, and goes on where the run was.

use corpus::Document;
use guest::events::{Disposition, Event, Failure, payload};
use guest::postgres::{self, Transaction};
use guest::uuid::Uuid;
use guest::{Problem, blobs, events, llm, log, params, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::look::{self, Looked};
use super::run::{self, Ended, Run, Stage};
use super::store::{self, FIRST_RUN, Uploaded};
use super::{file, leftover, remove, turn};
use crate::notes;
use crate::ocr::{self, OcrPage, Warning};
use crate::piece::{Piece, language, pieces};
use crate::read::{Reading, Unreadable};

/// Of what is kept of a run, in bytes.
const MAX_WORK: u64 = 64 << 20;
/// Pieces of a text that are stored in one statement.
const PIECES: usize = 250;
/// After so many attempts at notes there are none: they are no reason to have no text.
const ATTEMPTS: u32 = 3;

/// Notes and who wrote them.
struct Notes {
    markdown: String,
    engine: String,
    extracted: corpus::Notes,
}

/// What a run has so far.
#[derive(Serialize, Deserialize)]
pub(super) struct Work {
    reading: Reading,
    ocr: Vec<OcrPage>,
}

/// How a step of a run ends.
pub(super) enum Step {
    Wait(u64),
    Read(Work),
    Failed(Unreadable),
    /// The document was deleted meanwhile, or another run is on.
    Over,
}

pub(super) async fn handle(event: Event) -> Result<(), Disposition> {
    if event.topic == "document.deleted" {
        return remove::deleted(&event).await;
    }
    let asked: Uploaded = payload(&event)?;
    let id = &asked.document_id;
    let Some(run) = Run::find(id, asked.run).await? else {
        // Done by an earlier delivery, which may have died before it cleared up.
        return Ok(clear_up(id, asked.run.unwrap_or(FIRST_RUN)).await?);
    };
    let ended = end(&event, &run).await;
    turn::end(&run).await?;
    ended?;
    Ok(clear_up(id, run.number).await?)
}

async fn end(event: &Event, run: &Run) -> Result<(), Disposition> {
    match step(event, run).await? {
        Step::Wait(milliseconds) => return Err(Disposition::Retry(Some(milliseconds))),
        Step::Read(work) => complete(event, run, work).await?,
        Step::Failed(why) => fail(event, run, &why).await?,
        Step::Over => {}
    }
    Ok(())
}

/// What a run that is over leaves behind; all that was made of a document that was deleted meanwhile.
async fn clear_up(id: &str, run: u32) -> Result<(), Problem> {
    look::forget(id, run).await;
    if store::exists(id).await? {
        remove::scratch(id, run).await
    } else {
        remove::derived(id, run).await
    }
}

async fn step(event: &Event, run: &Run) -> Result<Step, Problem> {
    // The file took the last instance down with it: it is not read again.
    if let Some(failure) = event.previous
        && run.stage != Stage::Notes
    {
        return Ok(Step::Failed(after(failure)));
    }
    let kept = match run.stage {
        Stage::Ocr | Stage::Notes => kept(run).await?,
        Stage::Queued | Stage::Reading => None,
    };
    let is_kept = kept.is_some();
    let mut work = match kept {
        Some(work) => work,
        None => match file::read(run).await? {
            Ok(reading) => Work {
                ocr: ocr::pending(&reading),
                reading,
            },
            Err(ended) => return Ok(ended),
        },
    };
    if work
        .ocr
        .iter()
        .any(|page| page.status == ocr::State::Pending)
        && let Some(ended) = look_at(run, &mut work, is_kept).await?
    {
        return Ok(ended);
    }
    Ok(Step::Read(work))
}

fn after(failure: Failure) -> Unreadable {
    match failure {
        Failure::Trap => Unreadable::Corrupt("reading it failed".into()),
        Failure::Cpu | Failure::Deadline | Failure::Memory => Unreadable::TooComplex,
    }
}

/// What an earlier attempt at the run has kept.
async fn kept(run: &Run) -> Result<Option<Work>, Problem> {
    match blobs::read(&remove::work_key(&run.id, run.number), MAX_WORK).await {
        Ok(work) => Ok(serde_json::from_slice(&work).ok()),
        Err(blobs::Error::NotFound | blobs::Error::Corrupt | blobs::Error::TooLarge(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How the step ends while the engine is at work; nothing once it is done.
async fn look_at(run: &Run, work: &mut Work, is_kept: bool) -> Result<Option<Step>, Problem> {
    let pages: Vec<u32> = work.ocr.iter().map(|page| page.page).collect();
    if run.stage != Stage::Ocr && !run.looks_at(&work.ocr).await? {
        return Ok(Some(Step::Over));
    }
    let languages = notes::languages(&work.reading.document);
    let found = match look::look(run, &pages, &languages).await? {
        Looked::Done(found) => found,
        Looked::Wait(wait) => {
            if !is_kept {
                keep(run, work).await?;
            }
            return Ok(Some(Step::Wait(wait)));
        }
        Looked::Over => return Ok(Some(Step::Over)),
    };
    work.ocr = ocr::merge(&mut work.reading, found);
    // The engine is not asked twice where the notes take this attempt down.
    keep(run, work).await?;
    Ok(None)
}

async fn keep(run: &Run, work: &Work) -> Result<(), Problem> {
    let json = serde_json::to_vec(work).map_err(|_| Problem::internal())?;
    blobs::put_bytes(&remove::work_key(&run.id, run.number), json).await
}

async fn complete(event: &Event, run: &Run, work: Work) -> Result<(), Problem> {
    let Work { reading, ocr } = work;
    let mut warnings = ocr::warnings(&reading);
    let has_text = warnings.iter().all(|warning| warning.code != "NO_TEXT");
    let made = if run.generate_notes && has_text && may_note(event) {
        if !run.at(Stage::Notes, 0, 1).await? {
            return Ok(());
        }
        Some(make_notes(&reading, event.previous.is_none()).await)
    } else {
        None
    };
    if run.generate_notes && has_text && made.is_none() {
        warnings.push(Warning {
            code: "NO_NOTES",
            message: "the notes could not be made".into(),
            pages: vec![],
        });
    }
    let text = serde_json::to_vec(&reading.document).map_err(|_| Problem::internal())?;
    let text_key = remove::text_key(&run.id, run.number);
    if !leftover::expect_text(run, &text_key).await? {
        return Ok(());
    }
    blobs::put_bytes(&text_key, text).await?;
    let tx = postgres::begin().await?;
    if !events::first_time(&tx, event).await?
        || !store_text(&tx, run, &reading, made.as_ref(), &warnings, &ocr).await?
    {
        return Ok(());
    }
    let mut processed = json!({
        "status": "completed",
        "page_count": reading.page_count,
        "text_key": text_key,
    });
    if !has_text {
        processed["code"] = json!("NO_TEXT");
    }
    publish_processed(&tx, run, processed).await?;
    if let Some(notes) = made {
        publish_notes(&tx, run, &notes).await?;
    }
    postgres::commit(tx).await
}

fn may_note(event: &Event) -> bool {
    event.previous.is_none() || event.attempt <= ATTEMPTS
}

/// Whether the run was still on.
async fn store_text(
    tx: &Transaction,
    run: &Run,
    reading: &Reading,
    notes: Option<&Notes>,
    warnings: &[Warning],
    ocr: &[OcrPage],
) -> Result<bool, Problem> {
    let language = language(&reading.document);
    let text_key = remove::text_key(&run.id, run.number);
    leftover::replace_text_in(tx, run, &text_key).await?;
    let updated = postgres::execute_in(
        tx,
        "update documents set status = 'completed', extracted_text = $3, \
         notes = case when generate_notes and (notes_edited_at is null or replace_notes) then $4 else notes end, \
         engine = case when generate_notes and (notes_edited_at is null or replace_notes) then $5 else engine end, \
         page_count = $6, truncated = $7, warnings = $8, ocr = $9, \
         notes_outline = case when generate_notes then $10 else notes_outline end, language = $11, \
         notes_edited_at = case when not (generate_notes and replace_notes) then notes_edited_at end, \
         replace_notes = false, \
         text_key = $12, text_run = $2, sealed_password = null, error_code = null, error_message = null, \
         processed_at = now(), version = version + 1 \
         where document_id = $1 and run = $2 and status = 'processing'",
        params![
            &run.id,
            run.number,
            reading.document.text(),
            notes.map(|notes| notes.markdown.clone()),
            notes.map(|notes| notes.engine.clone()),
            reading.page_count,
            reading.truncated,
            json!(warnings),
            json!(ocr),
            notes.map(|notes| json!(notes.extracted)),
            language,
            text_key,
        ],
    );
    if updated.await? == 0 {
        return Ok(false);
    }
    run::forget_pieces(tx, &run.id).await?;
    let mut all = pieces(&reading.document);
    loop {
        let some: Vec<Piece> = all.by_ref().take(PIECES).collect();
        if some.is_empty() {
            return Ok(true);
        }
        store_pieces(tx, &run.id, language, &some).await?;
    }
}

async fn store_pieces(
    tx: &Transaction,
    id: &str,
    language: &str,
    pieces: &[Piece],
) -> Result<(), Problem> {
    postgres::execute_in(
        tx,
        "insert into pieces (document_id, ordinal, page, starts_at, body, words) \
         select $1, p.ordinal, p.page, p.\"start\", p.\"text\", \
         to_tsvector($3::text::regconfig, p.\"text\") || to_tsvector('simple', p.pairs) \
         from jsonb_to_recordset($2::jsonb) \
         as p(ordinal integer, page integer, \"start\" integer, \"text\" text, pairs text)",
        params![id, json!(pieces), language],
    )
    .await?;
    Ok(())
}

async fn fail(event: &Event, run: &Run, why: &Unreadable) -> Result<(), Problem> {
    log::warn(&format!(
        "document {} cannot be read: {}",
        run.id,
        why.code()
    ));
    let tx = postgres::begin().await?;
    if !events::first_time(&tx, event).await? {
        return Ok(());
    }
    match run.fail(&tx, why).await? {
        Ended::Earlier => return Ok(()),
        // Others have the text that is still there: nothing has changed for them.
        Ended::AsBefore => {}
        Ended::WithoutText => {
            let failed = json!({ "status": "failed", "code": why.code() });
            publish_processed(&tx, run, failed).await?;
        }
    }
    postgres::commit(tx).await
}

async fn publish_processed(tx: &Transaction, run: &Run, mut outcome: Value) -> Result<(), Problem> {
    outcome["schema_version"] = json!(1);
    outcome["document_id"] = json!(run.id);
    outcome["tenant"] = json!(run.tenant);
    outcome["user_id"] = json!(run.user_id);
    outcome["filename"] = json!(run.filename);
    outcome["processed_at"] = json!(timestamp::now());
    events::publish_in(tx, "document.processed", &run.id, &outcome).await
}

async fn publish_notes(tx: &Transaction, run: &Run, notes: &Notes) -> Result<(), Problem> {
    let terms: Vec<_> = notes
        .extracted
        .terms
        .iter()
        .map(|term| &term.text)
        .collect();
    let payload = json!({
        "schema_version": 1,
        "document_id": run.id,
        "tenant": run.tenant,
        "user_id": run.user_id,
        "engine": notes.engine,
        "terms": terms,
        "generated_at": timestamp::now(),
    });
    events::publish_in(tx, "notes.generated", &run.id, &payload).await
}

/// By the language model where there is one and it answers, else from the document itself.
async fn make_notes(reading: &Reading, may_ask: bool) -> Notes {
    let mut extracted = notes::extract(&reading.document, &reading.headings);
    let asked = if may_ask {
        ask(&reading.document).await
    } else {
        None
    };
    if let Some(answer) = asked {
        let written = notes::sanitize(&answer.text);
        if let Some(grounded) = notes::grounded(&written, &reading.document) {
            extracted.sections = grounded.sections;
            return Notes {
                markdown: grounded.markdown,
                engine: answer.model,
                extracted,
            };
        }
        log::warn("the language model's notes are not the document's; they are extracted");
    }
    Notes {
        markdown: extracted.to_markdown(),
        engine: llm::LOCAL_ENGINE.into(),
        extracted,
    }
}

async fn ask(document: &Document) -> Option<llm::Answer> {
    let nonce = Uuid::new_v4().simple().to_string();
    let (system, user) = notes::prompt(document, &nonce);
    let message = |role, content| llm::Message { role, content };
    let request = llm::Request {
        messages: vec![
            message(llm::Role::System, system),
            message(llm::Role::User, user),
        ],
        max_tokens: None,
        temperature: Some(0.2),
        schema: None,
    };
    match llm::ask(request).await {
        Ok(answer) => Some(answer).filter(|answer| !answer.text.trim().is_empty()),
        Err(llm::Error::NotConfigured) => None,
        Err(error) => {
            log::warn(&format!(
                "the language model wrote no notes ({error}); they are extracted"
            ));
            None
        }
    }
}
