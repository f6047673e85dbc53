//! `GET /document/{id}/events`: how far a document is, as it goes on, until it ends.

use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures::stream;
use guest::identity::Owner;
use guest::openapi::Error;
use guest::wasip3::clocks::monotonic_clock::wait_for;
use guest::{Caller, Path, Problem, Query, sse};
use serde_json::json;
use utoipa::IntoParams;

use super::http::ByUser;
use super::store::{self, Standing};

/// Between two looks, in nanoseconds.
const BETWEEN: u64 = 250_000_000;
/// Looks that may fail one after the other: a client comes back by itself.
const FAILURES: u32 = 40;

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "described, and read from the headers")]
struct Last {
    /// Of the event that the client had last: it is not told again.
    #[param(rename = "Last-Event-ID", nullable = false)]
    last_event_id: Option<String>,
}

struct Watch {
    id: String,
    owner: Owner,
    /// The version that was told last.
    told: Option<i64>,
    next: Option<Standing>,
    is_over: bool,
}

/// How far a document is, as it goes on.
///
/// Events `progress`, then `completed`, `failed` or `deleted`, which is the last.
#[utoipa::path(
    get,
    path = "/document/{id}/events",
    params(ByUser, Last),
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        (status = 404, description = "`DOCUMENT_NOT_FOUND`", body = Error),
    ),
)]
pub(super) async fn watch(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    let told = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    // Before the stream begins: what is not there is a 404.
    let next = Some(store::standing(&id, &owner).await?);
    let watch = Watch {
        id,
        owner,
        told,
        next,
        is_over: false,
    };
    Ok(sse::respond(stream::unfold(watch, step)))
}

/// What comes next, once there is something new. The end is told in any case.
async fn step(mut watch: Watch) -> Option<(Event, Watch)> {
    let mut failures = 0;
    while !watch.is_over && failures < FAILURES {
        let standing = match watch.next.take() {
            Some(standing) => Ok(standing),
            None => {
                wait_for(BETWEEN).await;
                store::standing(&watch.id, &watch.owner).await
            }
        };
        match standing {
            Ok(standing) => {
                failures = 0;
                watch.is_over = standing.status != "processing";
                if watch.is_over || watch.told != Some(standing.version) {
                    watch.told = Some(standing.version);
                    return Some((event(&standing), watch));
                }
            }
            Err(problem) if problem.status() == 404 => {
                watch.is_over = true;
                let data = json!({ "document_id": watch.id, "status": "deleted" });
                return Some((
                    Event::default().event("deleted").data(data.to_string()),
                    watch,
                ));
            }
            Err(_) => failures += 1,
        }
    }
    None
}

fn event(standing: &Standing) -> Event {
    let name = match standing.status.as_str() {
        "processing" => "progress",
        ended => ended,
    };
    let event = Event::default()
        .id(standing.version.to_string())
        .event(name);
    event.data(standing.body.to_string())
}
