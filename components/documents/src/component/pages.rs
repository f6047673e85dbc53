//! `GET /document/{id}/pages`: the text page by page, and of each without one why.

use axum::response::Response;
use guest::openapi::Error;
use guest::page::Cursor;
use guest::postgres::{self, Row};
use guest::{Caller, Page, Path, Problem, Query, params};
use serde_json::{Value, json};

use super::http::ByUser;
use super::openapi::Pages;
use super::store;

/// More pages are not read.
const MAX_PAGES: u32 = 2_000;

/// The text page by page, and of each without one why.
#[utoipa::path(
    get,
    path = "/document/{id}/pages",
    params(ByUser, Page),
    responses(
        (status = 200, description = "The pages; none until the document is read", body = Pages),
        (status = 404, description = "`DOCUMENT_NOT_FOUND`", body = Error),
    ),
)]
pub(super) async fn pages(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    page: Page,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let row = postgres::fetch_optional(
        "select coalesce(page_count, 1), ocr, extracted_text is not null from documents \
         where document_id = $1 and tenant = $2 and ($3::text is null or user_id = $3)",
        params![&id, &owner.tenant, owner.user],
    );
    let mut row = row.await?.ok_or_else(store::missing)?;
    let (count, ocr, is_read) = (
        row.count(0).min(MAX_PAGES),
        store::list(row.text(1)),
        // While a document is read again, what is there is of the run before.
        row.boolean(2),
    );
    let after = page.after.as_ref().map_or(0, |after| after.at);
    let rows = postgres::fetch(
        "select number, coalesce((select string_agg(body, '' order by ordinal) from pieces \
         where document_id = $1 and page = number), '') \
         from generate_series($2::bigint + 1, $3::bigint) as number order by number limit $4",
        params![&id, after.clamp(0, MAX_PAGES.into()), count, page.rows()],
    );
    let rows = if is_read { rows.await? } else { vec![] };
    let items = rows.into_iter().map(|row| item(row, &ocr)).collect();
    Ok(page.answer_with(json!({ "document_id": id }), "pages", items))
}

fn item(mut row: Row, ocr: &Value) -> (Cursor, Value) {
    let number = row.int(0);
    let of_page = |entry: &&Value| entry["page"] == number;
    let needs_ocr = ocr.as_array().and_then(|pages| pages.iter().find(of_page));
    let cursor = Cursor {
        at: number,
        id: String::new(),
    };
    let mut body = json!({ "page": number, "text": row.text(1) });
    if let Some(entry) = needs_ocr {
        body["needs_ocr"] = json!({ "reason": entry["reason"], "status": entry["status"] });
    }
    (cursor, body)
}
