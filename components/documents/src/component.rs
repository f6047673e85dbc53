//! The binding: HTTP and events in, capabilities out.

mod http;
mod process;
mod store;
mod text;
mod upload;

guest::serve!(http::router);
guest::consume!(process::handle);
guest::schedule!(guest::sweep::run);
