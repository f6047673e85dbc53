//! S3, as far as a store of small blobs needs it: whole objects by their path, without parts.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};

use crate::refusal::Refusal;
use crate::serve::Call;
use crate::{World, locked};

/// `/bucket/key` as it is addressed everywhere else.
fn uri(call: &Call) -> String {
    format!("s3:/{}", call.parts.uri.path().replace("%25", "%"))
}

fn missing() -> Refusal {
    Refusal::not_found("NoSuchKey", "The specified key does not exist.")
}

pub(crate) fn put(world: &World, call: &Call) -> Response {
    let mut objects = locked(&world.stored);
    objects.insert(uri(call), call.body.clone());
    StatusCode::OK.into_response()
}

pub(crate) fn copy(world: &World, call: &Call) -> Result<Response, Refusal> {
    let source = call.header("x-amz-copy-source").replace("%25", "%");
    let source = format!("s3://{}", source.trim_start_matches('/'));
    let mut objects = locked(&world.stored);
    let object = objects.get(&source).cloned().ok_or_else(missing)?;
    objects.insert(uri(call), object);
    let body = "<CopyObjectResult><ETag>\"1\"</ETag></CopyObjectResult>";
    Ok(([(header::CONTENT_TYPE, "application/xml")], body).into_response())
}

pub(crate) fn get(world: &World, call: &Call) -> Result<Response, Refusal> {
    let object = locked(&world.stored).get(&uri(call)).cloned();
    let object = object.ok_or_else(missing)?;
    let Some((first, last)) = range(call.header("range"), object.len()) else {
        return Ok(object.into_response());
    };
    let told = format!("bytes {first}-{last}/{}", object.len());
    let part = object.slice(first..=last);
    Ok((
        StatusCode::PARTIAL_CONTENT,
        [(header::CONTENT_RANGE, told)],
        part,
    )
        .into_response())
}

/// `bytes=3-` and `bytes=3-7`, within the object.
fn range(told: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = told.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = last
        .parse()
        .unwrap_or(usize::MAX)
        .min(length.checked_sub(1)?);
    (first <= last).then_some((first, last))
}

pub(crate) fn delete(world: &World, call: &Call) -> Response {
    locked(&world.stored).remove(&uri(call));
    StatusCode::NO_CONTENT.into_response()
}

/// Also of what a test says there is.
pub(crate) fn head(world: &World, call: &Call) -> Response {
    let uri = uri(call);
    let stored = locked(&world.stored).get(&uri).map(Bytes::len);
    let told = || world.objects_of_tests(&uri).map(|_| 1);
    match stored.or_else(told) {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(length) => {
            let length = [(header::CONTENT_LENGTH, length.to_string())];
            (length, Body::empty()).into_response()
        }
    }
}
