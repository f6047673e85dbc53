//! What the service's own tables need not keep: called by the clock.

use crate::schedule::Tick;
use crate::{params, postgres};

/// Longer than a broker keeps an event that might come a second time, in days.
const INBOX_DAYS: u32 = 30;

/// For `guest::schedule!`: forgets events that cannot come again, and keys that are a day old.
pub async fn run(_: Tick) -> Result<(), String> {
    postgres::execute(
        "delete from inbox where received_at < now() - $1 * interval '1 day'",
        params![INBOX_DAYS],
    )
    .await
    .map_err(|problem| problem.message().to_owned())?;
    postgres::execute(
        "delete from idempotency where claimed_at < now() - interval '1 day'",
        vec![],
    )
    .await
    .map_err(|problem| problem.message().to_owned())?;
    Ok(())
}
