//! `GET /usage`: what one has used of one's budgets, and when they begin anew.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use capability::usage::{Error, Kind, Subject, Usage};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime, Time};

use super::problem::rfc3339;

/// `{"usage": {"llm_tokens": {"used", "limit", "resets_at"}, …}}`; a `limit` of null is none, and so is a
/// `resets_at`.
pub(super) async fn answer(usage: &Arc<dyn Usage>, who: &Subject) -> Result<Response, Error> {
    let (used, budgets) = (usage.used(who).await?, usage.budgets());
    let midnight = midnight(OffsetDateTime::now_utc());
    let of = |(kind, used): (Kind, u64)| {
        let resets_at = kind.is_daily().then(|| rfc3339(midnight));
        let value = json!({ "used": used, "limit": budgets.of(kind), "resets_at": resets_at });
        (kind.name().to_owned(), value)
    };
    let all: Map<String, Value> = used.into_iter().map(of).collect();
    Ok(axum::Json(json!({ "usage": all })).into_response())
}

/// The next, UTC.
fn midnight(now: OffsetDateTime) -> OffsetDateTime {
    now.replace_time(Time::MIDNIGHT) + Duration::DAY
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_day_ends_at_midnight() {
        let next = midnight(datetime!(2025-12-31 23:59:59 UTC));
        assert_eq!(next, datetime!(2026-01-01 0:00 UTC));
        assert_eq!(
            midnight(datetime!(2026-01-01 0:00 UTC)),
            datetime!(2026-01-02 0:00 UTC)
        );
    }
}
