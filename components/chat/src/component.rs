//! The binding: HTTP and events in, capabilities out.

mod answer;
mod forget;
mod history;
mod http;
mod library;
mod listener;
mod openapi;
mod sessions;
mod store;
mod turn;

use guest::events::{Disposition, Event, payload};
use guest::shelf;
use serde::Deserialize;

async fn handle(event: Event) -> Result<(), Disposition> {
    match event.topic.as_str() {
        "document.uploaded" => shelf::uploaded(&event).await,
        "document.processed" => processed(&event).await,
        "document.deleted" => forget::deleted(&event).await,
        other => Err(Disposition::Reject(format!("nothing is known of {other}"))),
    }
}

/// Shelves the document and makes its index, where its text is still there. When it is told twice, the index is
/// made twice.
async fn processed(event: &Event) -> Result<(), Disposition> {
    #[derive(Deserialize)]
    struct Processed {
        document_id: String,
    }
    let Processed { document_id } = payload(event)?;
    if shelf::processed(event).await? {
        library::build(&document_id).await?;
    }
    Ok(())
}

guest::serve!(http::router);
guest::consume!(handle);
guest::schedule!(guest::sweep::run);
