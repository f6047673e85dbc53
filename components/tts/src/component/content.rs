//! The bytes of an audio, whole or in part, and where they are.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use guest::bindings::capabilities::lectern::platform::blobs as wit;
use guest::{Problem, blobs, incoming};
use utoipa::IntoParams;

use super::rendition::Rendition;
use crate::format::Format;
use crate::range::{self, Part};

/// How long a store's own address is good for: as long as an answer under an Idempotency-Key is
/// repeated.
const ADDRESS_SECONDS: u32 = 86_400;

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "described, and read from the headers")]
pub(super) struct Ranged {
    /// As in `bytes=0-1023`.
    #[param(rename = "Range", nullable = false)]
    range: Option<String>,
    /// The `ETag` that the range is of.
    #[param(rename = "If-Range", nullable = false)]
    if_range: Option<String>,
    /// `ETag`s that the client has.
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}

/// Where the bytes are: the store's own address, for a day, or this service's.
pub(super) async fn address(
    audio_id: &str,
    format: Format,
    blob_key: &str,
) -> Result<String, Problem> {
    let key = blob_key.to_owned();
    let presigned = wit::presign(key, ADDRESS_SECONDS, Some(file_name(audio_id, format))).await?;
    Ok(presigned.unwrap_or_else(|| {
        // Never of what a client says of the host: that would be stored, and sent to others.
        let public = std::env::var("LECTERN_PUBLIC_URL").unwrap_or_default();
        format!("{}/audio/{audio_id}/content", public.trim_end_matches('/'))
    }))
}

fn file_name(audio_id: &str, format: Format) -> String {
    format!("audio-{audio_id}.{}", format.as_str())
}

/// Of the blob, which is never changed.
fn tag(rendition: &Rendition) -> String {
    let name = rendition.blob_key.rsplit('/').next().unwrap_or_default();
    format!("\"{name}\"")
}

/// `GET /audio/{id}/content`, with `Range`, `If-Range` and `If-None-Match`.
pub(super) async fn respond(
    audio_id: &str,
    format: Format,
    rendition: &Rendition,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tag = tag(rendition);
    let asked = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_known = |tags: &str| tags == "*" || tags.split(',').any(|known| is_tag(known, &tag));
    if asked(header::IF_NONE_MATCH).is_some_and(is_known) {
        let known = StatusCode::NOT_MODIFIED.into_response();
        return Ok(described(known, audio_id, format, &tag));
    }
    let is_same = asked(header::IF_RANGE).is_none_or(|known| known.trim() == tag);
    let wanted = asked(header::RANGE).filter(|_| is_same);
    let answer = match range::part(wanted, rendition.size) {
        Part::Whole => return whole(audio_id, format, rendition).await,
        Part::Bytes { first, last } => part(rendition, first, last).await?,
        Part::None => not_satisfiable(rendition.size),
    };
    Ok(described(answer, audio_id, format, &tag))
}

fn is_tag(known: &str, tag: &str) -> bool {
    let known = known.trim();
    known.strip_prefix("W/").unwrap_or(known) == tag
}

/// All of it.
pub(super) async fn whole(
    audio_id: &str,
    format: Format,
    rendition: &Rendition,
) -> Result<Response, Problem> {
    let (size, bytes) = opened(rendition, 0, None).await?;
    let length = [(header::CONTENT_LENGTH, HeaderValue::from(size))];
    let answer = (length, Body::from_stream(bytes)).into_response();
    Ok(described(answer, audio_id, format, &tag(rendition)))
}

async fn part(rendition: &Rendition, first: u64, last: u64) -> Result<Response, Problem> {
    let length = last - first + 1;
    let (size, bytes) = opened(rendition, first, Some(length)).await?;
    let headers = [
        (header::CONTENT_LENGTH, length.to_string()),
        (
            header::CONTENT_RANGE,
            format!("bytes {first}-{last}/{size}"),
        ),
    ];
    let body = Body::from_stream(bytes);
    Ok((StatusCode::PARTIAL_CONTENT, headers, body).into_response())
}

fn not_satisfiable(size: u64) -> Response {
    let why = "the audio has no such bytes";
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let mut answer = Problem::new(status, "RANGE_NOT_SATISFIABLE", why).into_response();
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}")) {
        answer.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    answer
}

async fn opened(
    rendition: &Rendition,
    offset: u64,
    length: Option<u64>,
) -> Result<
    (
        u64,
        impl Stream<Item = Result<Bytes, std::io::Error>> + use<>,
    ),
    Problem,
> {
    let opened = incoming::blob(&rendition.blob_key, offset, length).await;
    let (size, bytes) = opened.map_err(|error| match error {
        // Deleted since its row was read.
        blobs::Error::NotFound => Problem::not_found("AUDIO_NOT_FOUND", "there is no such audio"),
        error => error.into(),
    })?;
    let broken = |_| std::io::Error::other("the audio broke off");
    Ok((size, bytes.map(move |part| part.map_err(broken))))
}

/// Whose bytes these are is nobody else's business, so that no cache on the way keeps them.
fn described(mut answer: Response, audio_id: &str, format: Format, tag: &str) -> Response {
    let disposition = format!("inline; filename=\"{}\"", file_name(audio_id, format));
    let of_file = answer.status() != StatusCode::RANGE_NOT_SATISFIABLE;
    let headers = answer.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::ACCEPT_RANGES, "bytes");
    set(header::CACHE_CONTROL, "private, no-cache");
    if of_file {
        set(header::ETAG, tag);
        set(header::CONTENT_TYPE, format.content_type());
        set(header::CONTENT_DISPOSITION, &disposition);
    }
    answer
}
