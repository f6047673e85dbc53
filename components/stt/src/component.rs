//! The binding: HTTP, events and the clock in, capabilities out.

mod budget;
mod engine;
mod form;
mod http;
mod job;
mod openapi;
mod outcome;
mod process;
mod removal;
mod scan;
mod store;
mod submit;
mod upload;
mod watch;

use guest::schedule::Tick;

async fn tick(tick: Tick) -> Result<(), String> {
    match tick.name.as_str() {
        "poll" => process::poll().await,
        "retention" => removal::retain().await,
        _ => return guest::sweep::run(tick).await,
    }
    .map_err(|problem| problem.message().to_owned())
}

guest::serve!(http::router);
guest::consume!(process::handle);
guest::schedule!(tick);
