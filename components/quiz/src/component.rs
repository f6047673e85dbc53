//! The binding: HTTP and events in, capabilities out.

mod analytics;
mod cards;
mod generate;
mod http;
mod marking;
mod openapi;
mod requested;
mod review;
mod store;
mod submissions;

use guest::events::{Disposition, Event};
use guest::shelf;

async fn handle(event: Event) -> Result<(), Disposition> {
    match event.topic.as_str() {
        "document.uploaded" => shelf::uploaded(&event).await,
        "document.processed" => shelf::processed(&event).await.map(|_| ()),
        "document.deleted" => {
            shelf::deleted(&event, async |tx, gone| {
                store::forget(tx, &gone.document_id).await
            })
            .await
        }
        "notes.generated" => shelf::noted(&event).await,
        "quiz.requested" => requested::handle(&event).await,
        other => Err(Disposition::Reject(format!("nothing is known of {other}"))),
    }
}

guest::serve!(http::router);
guest::consume!(handle);
guest::schedule!(guest::sweep::run);
