//! The binding: HTTP, events and the clock in, capabilities out.

mod batch;
mod content;
mod delivery;
mod engine;
mod failure;
mod http;
mod library;
mod listening;
mod live;
mod marking;
mod openapi;
mod rendition;
mod retention;
mod speaking;
mod synthesize;
mod waiting;

use guest::schedule::Tick;

async fn run(tick: Tick) -> Result<(), String> {
    match tick.name.as_str() {
        "retention" => retention::run().await,
        "resume" => waiting::ask_again().await,
        _ => guest::sweep::run(tick).await,
    }
}

guest::serve!(http::router);
guest::consume!(delivery::handle);
guest::schedule!(run);
