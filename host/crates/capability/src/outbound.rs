//! Requests to servers outside, over HTTP. Which hosts a component may ask is its grant's to say;
//! which addresses anyone may reach is said here.

pub mod address;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// A body that goes or comes in pieces.
pub type OutboundBody = UnsyncBoxBody<Bytes, Error>;

/// How long a server may take; already clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To resolve the name, take the connection and agree on TLS.
    pub connect: Duration,
    /// From the connection, or the last piece of the request's body, to the response's head.
    pub first_byte: Duration,
    /// From one piece of the response's body to the next, while somebody waits for it.
    pub between_bytes: Duration,
}

/// Why there is no response, or no more of one.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The host is an address that is not public, or its name leads to no other.
    #[error("the address is not public")]
    Denied,
    /// No such request can be sent.
    #[error("the request cannot be sent: {0}")]
    Invalid(String),
    /// No such name, or nobody who knows it.
    #[error("the name cannot be resolved: {0}")]
    Dns(String),
    /// No connection came about.
    #[error("the server cannot be reached: {0}")]
    Unavailable(String),
    /// The name or the connection took too long.
    #[error("the connection took too long")]
    ConnectTimeout,
    /// The head, or the body's next piece, took too long.
    #[error("the server took too long")]
    Timeout,
    /// No secure connection came about.
    #[error("no TLS with the server: {0}")]
    Tls(String),
    /// What came is not HTTP.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The response's head is larger than a host takes.
    #[error("the response's head is too large")]
    TooLarge,
    /// The server ended the connection before the response was whole.
    #[error("the server broke off")]
    CutOff,
    /// The request's body ended in an error of its own, or before its declared length.
    #[error("the request's body broke off")]
    RequestBody,
}

/// A way out.
///
/// An implementation MUST
/// - connect to public addresses only, by [`address::is_public`], and answer [`Error::Denied`] for
///   any other: for an address in the URL, however it is written, as for one that a name leads to;
/// - resolve a name once for a connection, and connect to the addresses that it checked;
/// - send to the host that the URI names, and refuse a URI that can be read as naming another, or
///   that holds a user or password; a `host` header is not the caller's to choose;
/// - follow no redirect: where it leads is not granted yet;
/// - add no credential, cookie or client certificate of the host's, and use none of its proxies;
/// - stream both bodies, and hold neither whole;
/// - remove the headers that concern one connection only, from the request and the response;
/// - send a request once, unless it is certain that no server has seen it.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Answers when the response's head has come. Dropping the call or the response's body MUST end
    /// the request. A status such as 500 is no error.
    async fn send(
        &self,
        request: http::Request<OutboundBody>,
        limits: Timeouts,
    ) -> Result<http::Response<OutboundBody>, Error>;
}
