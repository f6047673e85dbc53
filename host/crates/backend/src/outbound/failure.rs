//! What the client's errors mean.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use capability::outbound::Error;

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&error| error.source())
}

/// The innermost error's: without the URL, which may hold a credential.
pub(super) fn reason(error: &reqwest::Error) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

pub(super) fn by_meaning(error: &reqwest::Error) -> Error {
    // Its own errors come back from within the client: the resolver's, the connector's, the body's.
    if let Some(own) = chain(error).find_map(|error| error.downcast_ref::<Error>()) {
        return own.clone();
    }
    let io = chain(error).find_map(|error| error.downcast_ref::<io::Error>());
    let io = io.map(innermost_kind);
    let http = chain(error).find_map(|error| error.downcast_ref::<hyper::Error>());
    let why = reason(error);
    if error.is_builder() {
        return Error::Invalid(why);
    }
    match io {
        // As rustls gives its own errors, and a handshake that was cut off.
        Some(ErrorKind::InvalidData | ErrorKind::UnexpectedEof) if error.is_connect() => {
            Error::Tls(why)
        }
        Some(ErrorKind::TimedOut) if error.is_connect() => Error::ConnectTimeout,
        _ if error.is_connect() => Error::Unavailable(why),
        Some(
            ErrorKind::UnexpectedEof
            | ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset,
        ) => Error::CutOff,
        // Shorter than its declared length.
        _ if http.is_some_and(hyper::Error::is_body_write_aborted) => Error::RequestBody,
        _ if http.is_some_and(is_cut_off) => Error::CutOff,
        _ if http.is_some_and(hyper::Error::is_parse_too_large) => Error::TooLarge,
        _ => Error::Protocol(why),
    }
}

fn is_cut_off(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_canceled() || error.is_closed()
}

/// The connector wraps TLS's errors in another, whose kind says nothing.
fn innermost_kind(error: &io::Error) -> ErrorKind {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map_or(error.kind(), innermost_kind)
}
