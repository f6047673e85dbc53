//! The binding: HTTP, events and the clock in, capabilities out.

mod batch;
mod content;
mod delivery;
mod engine;
mod failure;
mod http;
mod library;
mod marking;
mod openapi;
mod rendition;
mod retention;
mod speaking;
mod synthesize;

use guest::schedule::Tick;

async fn run(tick: Tick) -> Result<(), String> {
    match tick.name.as_str() {
        "retention" => retention::run().await,
        _ => guest::sweep::run(tick).await,
    }
}

guest::serve!(http::router);
guest::consume!(delivery::handle);
guest::schedule!(run);
