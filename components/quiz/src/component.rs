//! The binding: HTTP and events in, capabilities out.

mod generate;
mod http;
mod store;

use guest::events::{Disposition, Event};
use guest::shelf;

async fn handle(event: Event) -> Result<(), Disposition> {
    match event.topic.as_str() {
        "document.uploaded" => shelf::uploaded(&event).await,
        "document.processed" => shelf::processed(&event).await,
        "document.deleted" => shelf::deleted(&event, async |_, _| Ok(())).await,
        "notes.generated" => shelf::noted(&event).await,
        other => Err(Disposition::Reject(format!("nothing is known of {other}"))),
    }
}

guest::serve!(http::router);
guest::consume!(handle);
guest::schedule!(guest::sweep::run);
