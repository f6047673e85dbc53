//! `GET /documents/search?q=`: PostgreSQL's full text search over one's own documents, each in its
//! language. Chinese, Japanese and Korean are searched by pairs of characters, as they have no spaces.

use axum::response::Response;
use corpus::terms::pairs;
use guest::identity::User;
use guest::page::Cursor;
use guest::postgres::{self, Row};
use guest::{Caller, Page, Problem, Query, params};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::openapi::Results;
use crate::piece::{BEGIN, END, Snippet};

/// Of a question, in characters.
const MAX_QUESTION: usize = 500;
/// Results that can be leafed through.
const MOST: i64 = 1_000;

#[derive(Deserialize, IntoParams)]
pub(super) struct Question {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    user_id: Option<String>,
    /// The question, of 1 to 500 characters.
    #[param(required, nullable = false, min_length = 1, max_length = 500)]
    q: Option<String>,
}

/// Searches a user's documents.
///
/// By words, each document in its language; the best 1,000 places can be leafed through.
#[utoipa::path(
    get,
    path = "/documents/search",
    params(Question, Page),
    responses((status = 200, description = "Places, best first", body = Results)),
)]
pub(super) async fn search(
    caller: Caller,
    Query(Question { user_id, q }): Query<Question>,
    page: Page,
) -> Result<Response, Problem> {
    let user = caller.acts_as(user_id.as_deref())?;
    let q = q.unwrap_or_default();
    if q.trim().is_empty() || q.chars().count() > MAX_QUESTION || q.contains('\0') {
        let why = format!("`q` is the question, of 1 to {MAX_QUESTION} characters");
        return Err(Problem::validation(why));
    }
    let items = found(&user, &q, &page).await?;
    Ok(page.answer("results", items))
}

/// Best first. The place in the list is the cursor: a rank has no order of its own.
async fn found(user: &User, q: &str, page: &Page) -> Result<Vec<(Cursor, Value)>, Problem> {
    let from = page
        .after
        .as_ref()
        .map_or(0, |after| after.at)
        .clamp(0, MOST);
    // What is left of a question without its pairs is searched by words.
    let pairs = pairs(q);
    let words: String = if pairs.is_empty() {
        q.to_owned()
    } else {
        q.chars()
            .map(|c| if c.is_ascii() { c } else { ' ' })
            .collect()
    };
    let headline = format!("StartSel={BEGIN}, StopSel={END}, MaxWords=35, MinWords=15");
    let rows = postgres::fetch(
        "select d.document_id, d.filename, hit.page, hit.starts_at, round(hit.rank * 1000000)::bigint, \
         ts_headline(hit.language::regconfig, hit.body, hit.asked, $5), \
         case when $4 = '' then null else hit.body end \
         from (select p.document_id, p.page, p.starts_at, p.body, p.ordinal, l.language, l.asked, \
         ts_rank_cd(p.words, l.asked, 1)::float8 as rank \
         from (select language, websearch_to_tsquery(language::regconfig, $3) \
         && phraseto_tsquery('simple', $4) as asked from (select distinct language from documents \
         where tenant = $1 and user_id = $2) as languages) as l \
         join pieces p on p.words @@ l.asked join documents o on o.document_id = p.document_id \
         and o.tenant = $1 and o.user_id = $2 and o.language = l.language and o.extracted_text is not null \
         order by rank desc, p.document_id, p.ordinal limit $6 offset $7) as hit \
         join documents d on d.document_id = hit.document_id \
         order by hit.rank desc, hit.document_id, hit.ordinal",
        params![
            &user.tenant,
            &user.id,
            words,
            pairs.join(" "),
            headline,
            page.rows(),
            from
        ],
    );
    let rows = rows.await?.into_iter().zip(from + 1..=MOST);
    Ok(rows.map(|(row, at)| item(row, at, q)).collect())
}

fn item(mut row: Row, at: i64, q: &str) -> (Cursor, Value) {
    let snippet = match row.opt_text(6) {
        Some(body) => Snippet::around(&body, q),
        None => Snippet::of_headline(&row.text(5)),
    };
    let body = json!({
        "document_id": row.text(0),
        "filename": row.text(1),
        "page": row.count(2),
        "start": row.count(3),
        "score": row.int(4) as f64 / 1e6,
        "snippet": snippet.snippet,
        "highlights": snippet.highlights,
    });
    let cursor = Cursor {
        at,
        id: String::new(),
    };
    (cursor, body)
}
