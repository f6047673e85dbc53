//! The binding: HTTP and events in, capabilities out.

mod edit;
mod etag;
mod file;
mod form;
mod http;
mod leftover;
mod look;
mod openapi;
mod pages;
mod process;
mod remove;
mod run;
mod search;
mod secret;
mod store;
mod text;
mod turn;
mod upload;
mod watch;

guest::serve!(http::router);
guest::consume!(process::handle);
guest::schedule!(leftover::run);
