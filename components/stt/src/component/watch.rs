//! `GET /transcription/{id}/events`: how the job stands, now and whenever that changes, until it has
//! ended.

use axum::response::Response;
use axum::response::sse::Event;
use futures::stream;
use guest::identity::Owner;
use guest::openapi::Error;
use guest::{Caller, Path, Problem, Query, sse};
use serde_json::json;

use super::http::ByUser;
use super::store;

/// Between looks, in nanoseconds.
const PAUSE: u64 = 1_000_000_000;

struct Watch {
    id: String,
    owner: Owner,
    /// What was told last.
    told: Option<String>,
    ended: bool,
}

/// How a transcription stands, now and whenever that changes.
///
/// Events `processing`, then `completed`, `failed` or `deleted`, which is the last.
#[utoipa::path(
    get,
    path = "/transcription/{id}/events",
    params(ByUser),
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        (status = 404, description = "`TRANSCRIPTION_NOT_FOUND`", body = Error),
        (status = 410, description = "`TRANSCRIPTION_GONE`", body = Error),
    ),
)]
pub(super) async fn events(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    // Who may not see it is told so before the stream begins.
    store::status(&id, &owner).await?;
    let watch = Watch {
        id,
        owner,
        told: None,
        ended: false,
    };
    Ok(sse::respond(stream::unfold(watch, next)))
}

async fn next(mut watch: Watch) -> Option<(Event, Watch)> {
    while !watch.ended {
        let event = match store::status(&watch.id, &watch.owner).await {
            Ok(status) if watch.told.as_ref() == Some(&status.word) => None,
            Ok(status) => {
                watch.ended = status.word != "processing";
                let data =
                    json!({ "job_id": watch.id, "status": status.word, "code": status.code });
                watch.told = Some(status.word.clone());
                Some(Event::default().event(status.word).data(data.to_string()))
            }
            // Away for a moment: the next look may find it.
            Err(problem) if problem.status().is_server_error() => None,
            Err(problem) => {
                watch.ended = true;
                let data = json!({ "job_id": watch.id, "code": problem.code() });
                Some(Event::default().event("deleted").data(data.to_string()))
            }
        };
        if let Some(event) = event {
            return Some((event, watch));
        }
        guest::wasip3::clocks::monotonic_clock::wait_for(PAUSE).await;
    }
    None
}
