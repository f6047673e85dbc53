//! A run of the processing, in PostgreSQL: how far it is, and what it ends with. A run only moves
//! forward, and what one of before still does changes nothing.

use axum::response::Response;
use guest::identity::Owner;
use guest::postgres::{self, Transaction};
use guest::{Problem, params};
use serde_json::json;

use super::secret::{self, Asked};
use super::store::{Uploaded, missing, publish_uploaded};
use crate::ocr::{OcrPage, Warning};
use crate::read::Unreadable;
use crate::sniff::Kind;

/// What a run is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Reading,
    Ocr,
    Notes,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Reading => "reading",
            Self::Ocr => "ocr",
            Self::Notes => "notes",
        }
    }

    fn parse(name: &str) -> Self {
        let all = [Self::Reading, Self::Ocr, Self::Notes];
        let found = all.into_iter().find(|stage| stage.name() == name);
        found.unwrap_or(Self::Queued)
    }
}

/// A document that waits to be processed, or is.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) number: u32,
    pub(super) tenant: String,
    pub(super) user_id: String,
    pub(super) filename: String,
    pub(super) s3_key: String,
    pub(super) kind: Kind,
    /// Of the file, in bytes.
    pub(super) size: u64,
    pub(super) generate_notes: bool,
    pub(super) sealed_password: Option<String>,
    pub(super) stage: Stage,
    /// How far it was in its stage.
    pub(super) stage_done: u32,
    /// Seconds since its pages were first given to an engine.
    pub(super) looked_for: i64,
}

impl Run {
    /// Nothing where the run is over, or the document is gone.
    pub(super) async fn find(id: &str, number: Option<u32>) -> Result<Option<Self>, Problem> {
        let row = postgres::fetch_optional(
            "select run, tenant, user_id, filename, s3_key, kind, generate_notes, sealed_password, stage, \
             coalesce(extract(epoch from now() - ocr_since), 0)::bigint, size_bytes, stage_done from documents \
             where document_id = $1 and status = 'processing' and ($2::integer is null or run = $2)",
            params![id, number],
        );
        Ok(row.await?.and_then(|mut row| {
            let stage = Stage::parse(&row.text(8));
            Some(Self {
                id: id.to_owned(),
                number: row.count(0),
                tenant: row.text(1),
                user_id: row.text(2),
                filename: row.text(3),
                s3_key: row.text(4),
                kind: Kind::parse(&row.text(5))?,
                size: u64::try_from(row.int(10)).unwrap_or_default(),
                generate_notes: row.boolean(6),
                sealed_password: row.opt_text(7),
                stage,
                stage_done: row.count(11),
                looked_for: row.int(9),
            })
        }))
    }

    /// Says how far it is; whether it is still on.
    pub(super) async fn at(&self, stage: Stage, done: u32, total: u32) -> Result<bool, Problem> {
        let updated = postgres::execute(
            "update documents set stage = $3, stage_done = $4, stage_total = $5, active_at = now(), \
             version = version + 1 where document_id = $1 and run = $2 and status = 'processing'",
            params![&self.id, self.number, stage.name(), done, total],
        );
        Ok(updated.await? == 1)
    }

    /// Says which pages wait for an engine, unless there is a text, which has its own; whether the run is
    /// still on.
    pub(super) async fn looks_at(&self, pages: &[OcrPage]) -> Result<bool, Problem> {
        postgres::execute(
            "update documents set ocr = case when extracted_text is null then $3 else ocr end, ocr_since = coalesce(ocr_since, now()) \
             where document_id = $1 and run = $2 and status = 'processing'",
            params![&self.id, self.number, json!(pages)],
        )
        .await?;
        let total = u32::try_from(pages.len()).unwrap_or(u32::MAX);
        self.at(Stage::Ocr, 0, total).await
    }

    /// Says that it is at work; whether it is still on.
    pub(super) async fn is_alive(&self) -> Result<bool, Problem> {
        let updated = postgres::execute(
            "update documents set active_at = now() where document_id = $1 and run = $2 and status = 'processing'",
            params![&self.id, self.number],
        );
        Ok(updated.await? == 1)
    }

    /// What an earlier run has made stays, with a warning beside it.
    pub(super) async fn fail(&self, tx: &Transaction, why: &Unreadable) -> Result<Ended, Problem> {
        let kept = postgres::execute_in(
            tx,
            "update documents set status = 'completed', error_code = $3, error_message = $4, \
             warnings = (select coalesce(jsonb_agg(old), '[]') from jsonb_array_elements(warnings) as old \
             where old->>'code' <> 'REPROCESSING_FAILED') || $5::jsonb, replace_notes = false, \
             sealed_password = null, version = version + 1 \
             where document_id = $1 and run = $2 and status = 'processing' and extracted_text is not null",
            params![
                &self.id,
                self.number,
                why.code(),
                why.message(),
                json!([reprocessing_failed(why)])
            ],
        );
        if kept.await? == 1 {
            return Ok(Ended::AsBefore);
        }
        let failed = postgres::execute_in(
            tx,
            "update documents set status = 'failed', error_code = $3, error_message = $4, processed_at = now(), \
             warnings = '[]', ocr = '[]', sealed_password = null, version = version + 1 \
             where document_id = $1 and run = $2 and status = 'processing'",
            params![&self.id, self.number, why.code(), why.message()],
        );
        Ok(if failed.await? == 1 {
            Ended::WithoutText
        } else {
            Ended::Earlier
        })
    }
}

/// How a run that could not read its document ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With what the run before has made.
    AsBefore,
    /// There is no text.
    WithoutText,
    /// It was over already.
    Earlier,
}

fn reprocessing_failed(why: &Unreadable) -> Warning {
    Warning {
        code: "REPROCESSING_FAILED",
        message: format!("the text and the notes are of before: {}", why.message()),
        pages: vec![],
    }
}

pub(super) async fn forget_pieces(tx: &Transaction, id: &str) -> Result<(), Problem> {
    let gone = postgres::execute_in(tx, "delete from pieces where document_id = $1", params![id]);
    gone.await.map(|_| ())
}

/// Asks for another run; a document that is being processed is left to it. What was seen at work a while
/// ago only may have been given up.
pub(super) async fn again(
    id: &str,
    owner: &Owner,
    asked: &Asked,
    answer: impl AsyncFnOnce(&Transaction) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let tx = postgres::begin().await?;
    let rows = postgres::fetch_in(
        &tx,
        "select tenant, user_id, filename, s3_key, run, status = 'processing' and \
         greatest(requested_at, active_at) > now() - interval '10 minutes' from documents \
         where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3) for update",
        params![id, &owner.tenant, owner.user.clone()],
    );
    let mut row = rows.await?.into_iter().next().ok_or_else(missing)?;
    if !row.boolean(5) {
        let run = row.count(4) + 1;
        let sealed = secret::keep(id, run, asked.password.as_deref()).await?;
        let event = Uploaded {
            schema_version: 1,
            document_id: id.to_owned(),
            tenant: row.text(0),
            user_id: row.text(1),
            filename: row.text(2),
            s3_key: row.text(3),
            run: Some(run),
        };
        postgres::execute_in(
            &tx,
            "update documents set status = 'processing', requested_at = now(), active_at = now(), ocr_since = null, \
             error_code = null, error_message = null, run = $3, stage = 'queued', stage_done = 0, \
             stage_total = 0, sealed_password = $2, replace_notes = $4, \
             generate_notes = coalesce($5, generate_notes or extracted_text is not null), version = version + 1 \
             where document_id = $1",
            params![id, sealed, run, asked.replace_notes, asked.generate_notes],
        )
        .await?;
        publish_uploaded(&tx, &event).await?;
    }
    let answer = answer(&tx).await?;
    postgres::commit(tx).await?;
    Ok(answer)
}
