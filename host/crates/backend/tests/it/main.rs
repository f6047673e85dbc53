//! The contract suites against real servers, and what only a real server shows.

mod cluster;
mod events;
mod openai;
mod postgres;
mod server;
