//! `GET /document/{id}`: a document's text may be larger than what a request should hold in memory, so
//! it goes out as it comes from the database, a piece at a time.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use guest::{Problem, params, postgres};
use serde_json::Value;

use super::etag;

/// Characters of one piece: 1 MiB at most, whatever the script.
pub(super) const PIECE: i64 = 256 << 10;

/// A document: the contract's body, but for the text.
pub(super) struct Document {
    pub(super) id: String,
    pub(super) body: Value,
    /// `None` while there is no text.
    pub(super) characters: Option<i64>,
    /// A text of one piece, which comes with the rest: whoever asks again and again meets the moment at
    /// which a run ends, and gets all of one run.
    pub(super) short: Option<String>,
    /// Grows with every change.
    pub(super) version: i64,
    /// Which run made the text.
    pub(super) text_run: u32,
}

/// The contract's body; none where the client has this version already.
pub(super) fn response(document: Document, headers: &HeaderMap) -> Result<Response, Problem> {
    let tag = etag::of(document.version);
    if etag::is_known(headers, document.version) {
        return Ok((StatusCode::NOT_MODIFIED, [tag]).into_response());
    }
    Ok(([tag], body(document)?).into_response())
}

fn body(document: Document) -> Result<Response, Problem> {
    let mut head = serde_json::to_string(&document.body).map_err(|_| Problem::internal())?;
    // The members stand already: the text is one more.
    head.pop();
    let Some(characters) = document.characters else {
        head.push_str(",\"extracted_text\":null}");
        return Ok(json(Body::from(head)));
    };
    if let Some(text) = document.short {
        let text = serde_json::to_string(&text).map_err(|_| Problem::internal())?;
        head.push_str(&format!(",\"extracted_text\":{text}}}"));
        return Ok(json(Body::from(head)));
    }
    head.push_str(",\"extracted_text\":\"");
    let (id, run) = (document.id, document.text_run);
    let starts = (0..characters).step_by(usize::try_from(PIECE).unwrap_or(usize::MAX));
    let pieces = stream::iter(starts).then(move |start| {
        let id = id.clone();
        async move {
            piece(&id, run, start)
                .await
                .map_err(|_| std::io::Error::other("the text broke off"))
        }
    });
    let whole = stream::iter([Ok(Bytes::from(head))])
        .chain(pieces)
        .chain(stream::iter([Ok(Bytes::from_static(b"\"}"))]));
    Ok(json(Body::from_stream(whole)))
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A text that another run has replaced breaks off, rather than to go on as another.
async fn piece(id: &str, run: u32, start: i64) -> Result<Bytes, Problem> {
    let row = postgres::fetch_optional(
        "select substring(extracted_text from $2::integer for $3::integer) from documents \
         where document_id = $1 and text_run = $4",
        params![id, start + 1, PIECE, run],
    );
    let text = row.await?.and_then(|mut row| row.opt_text(0));
    let text = text.ok_or_else(Problem::internal)?;
    let quoted = serde_json::to_string(&text).map_err(|_| Problem::internal())?;
    // Without the quotes: it is a part of a string.
    let inside = quoted.len().saturating_sub(1);
    Ok(Bytes::from(quoted).slice(1..inside))
}
