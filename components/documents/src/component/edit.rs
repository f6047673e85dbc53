//! `/document/{id}/notes`: a learner's notes are theirs to change, until they ask for new ones.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use guest::identity::Owner;
use guest::openapi::Error;
use guest::{Caller, Json, Path, Problem, Query, params, postgres};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::etag::{Changed, Known};
use super::http::ByUser;
use super::openapi::{Edited, Notes};
use super::{etag, store};

/// Of notes, in characters.
const MAX_NOTES: usize = 500_000;

#[derive(Deserialize, ToSchema)]
pub(super) struct Edit {
    /// Markdown.
    #[schema(max_length = 500000)]
    notes: String,
}

/// A document's notes.
#[utoipa::path(
    get,
    path = "/document/{id}/notes",
    params(ByUser, Known),
    responses(
        (status = 200, description = "The notes", body = Notes, headers(("ETag" = String, description = "The document's version"))),
        (status = 304, description = "The client has this version"),
        (status = 404, description = "`DOCUMENT_NOT_FOUND`", body = Error),
    ),
)]
pub(super) async fn notes(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let row = postgres::fetch_optional(
        "select version, notes, engine, notes_edited_at, notes_outline from documents \
         where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![&id, &owner.tenant, owner.user],
    );
    let mut row = row.await?.ok_or_else(store::missing)?;
    let version = row.int(0);
    if etag::is_known(&headers, version) {
        return Ok((StatusCode::NOT_MODIFIED, [etag::of(version)]).into_response());
    }
    let outline = row.opt_text(4);
    let outline: Value = outline
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default();
    let body = json!({
        "document_id": id,
        "notes": row.opt_text(1),
        "engine": row.opt_text(2),
        "edited_at": row.opt_timestamp(3),
        "outline": outline,
    });
    Ok(([etag::of(version)], axum::Json(body)).into_response())
}

/// Replaces a document's notes.
///
/// They stay, however often the document is read again, until `replace_notes` is asked for.
#[utoipa::path(
    put,
    path = "/document/{id}/notes",
    params(ByUser, Changed),
    responses(
        (status = 200, description = "The notes as they are kept", body = Edited, headers(("ETag" = String, description = "The document's version"))),
        (status = 404, description = "`DOCUMENT_NOT_FOUND`", body = Error),
        (status = 409, description = "`DOCUMENT_PROCESSING`", body = Error),
        (status = 412, description = "`PRECONDITION_FAILED`", body = Error),
        (status = 422, description = "`DOCUMENT_UNREADABLE`", body = Error),
    ),
)]
pub(super) async fn edit(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    headers: HeaderMap,
    Json(Edit { notes }): Json<Edit>,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    if notes.chars().count() > MAX_NOTES {
        return Err(Problem::validation(format!(
            "`notes` has {MAX_NOTES} characters at most"
        )));
    }
    let wanted = etag::wanted(&headers)?;
    let rows = postgres::fetch(
        "update documents set notes = $4, notes_edited_at = now(), version = version + 1 \
         where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3) \
         and status = 'completed' and ($5::bigint is null or version = $5) returning version, notes_edited_at",
        params![&id, &owner.tenant, owner.user.clone(), &notes, wanted],
    );
    match rows.await?.into_iter().next() {
        Some(row) => {
            let body = json!({ "document_id": id, "notes": notes, "edited_at": row.timestamp(1) });
            Ok(([etag::of(row.int(0))], axum::Json(body)).into_response())
        }
        None => Err(why_not(&id, &owner).await?),
    }
}

async fn why_not(id: &str, owner: &Owner) -> Result<Problem, Problem> {
    let standing = store::standing(id, owner).await?;
    Ok(match standing.status.as_str() {
        "completed" => Problem::precondition_failed("the document has changed since that version"),
        "processing" => {
            let why = "the document is being processed, and its notes are made anew";
            Problem::conflict("DOCUMENT_PROCESSING", why).retry_after(2)
        }
        _ => Problem::unprocessable("DOCUMENT_UNREADABLE", "the document could not be read"),
    })
}
