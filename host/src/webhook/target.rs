//! Where a webhook may lead: to a public server, by https. Whoever makes one chooses what this host asks
//! in its own network's name.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::Request;
use backend::outbound::HttpClient;
use bytes::Bytes;
use capability::outbound::address::is_public;
use capability::outbound::{Error, Outbound, Timeouts};
use http_body_util::{BodyExt, Full};
use reqwest::Url;

/// Bytes of a URL.
const MAX_URL: usize = 2_048;
/// All of an attempt.
const PATIENCE: Duration = Duration::from_secs(10);
const LIMITS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: PATIENCE,
    between_bytes: PATIENCE,
};

/// Why a URL is none for a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("`url` is no URL of up to 2048 bytes")]
    Malformed,
    #[error("`url` begins with https://")]
    Scheme,
    #[error("`url` holds a user or password")]
    Credentials,
    #[error("`url` leads to an address that is not public")]
    Private,
}

/// The ways out.
pub(super) struct Targets {
    public: HttpClient,
    /// In development, for a URL that names this machine.
    loopback: Option<HttpClient>,
}

impl Targets {
    pub(super) fn new(loopback: bool) -> Self {
        Self {
            public: HttpClient::new(false),
            loopback: loopback.then(|| HttpClient::new(true)),
        }
    }

    /// What can be told of a URL without asking for its name: where that leads is seen at each attempt.
    pub(super) fn check(&self, url: &str) -> Result<(), Unfit> {
        if url.len() > MAX_URL {
            return Err(Unfit::Malformed);
        }
        let url = Url::parse(url).map_err(|_| Unfit::Malformed)?;
        let host = url.host_str().ok_or(Unfit::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Unfit::Credentials);
        }
        if self.loopback.is_some() && is_here(&url) {
            return Ok(());
        }
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) if !is_public(ip) => Err(Unfit::Private),
            _ if url.scheme() != "https" => Err(Unfit::Scheme),
            _ => Ok(()),
        }
    }

    /// One attempt; the status of the answer, of which nothing else is read. No redirect is followed.
    pub(super) async fn post(
        &self,
        url: &str,
        headers: [(&'static str, String); 5],
        body: &str,
    ) -> Result<u16, String> {
        self.check(url).map_err(|unfit| unfit.to_string())?;
        let parsed = Url::parse(url).map_err(|e| e.to_string())?;
        let client = match &self.loopback {
            Some(client) if is_here(&parsed) => client,
            _ => &self.public,
        };
        let mut request = Request::post(parsed.as_str());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(body.to_owned())).map_err(|never| match never {});
        let request = request.body(body.boxed_unsync());
        let sending = client.send(request.map_err(|e| e.to_string())?, LIMITS);
        let sent = tokio::time::timeout(PATIENCE, sending).await;
        let answer = sent.unwrap_or(Err(Error::Timeout));
        answer.map(|answer| answer.status().as_u16()).map_err(told)
    }
}

/// To the webhook's owner: which names there are in this network is not theirs to know.
fn told(error: Error) -> String {
    match error {
        Error::Denied | Error::Dns(_) => "the name leads to no public address".into(),
        error => error.to_string(),
    }
}

/// Not every name that leads here: one that says so.
fn is_here(url: &Url) -> bool {
    ["http", "https"].contains(&url.scheme())
        && ["localhost", "127.0.0.1", "[::1]"].contains(&url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(loopback: bool, url: &str, expected: Result<(), Unfit>) {
        assert_eq!(Targets::new(loopback).check(url), expected, "{url}");
    }

    #[test]
    fn only_a_public_server_is_told_by_https() {
        for good in [
            "https://hooks.example/lectern?x=1",
            "https://1.1.1.1/",
            "https://hooks.example:8443/",
        ] {
            check(false, good, Ok(()));
        }
        for (bad, why) in [
            ("http://hooks.example/", Unfit::Scheme),
            ("ftp://hooks.example/", Unfit::Scheme),
            ("https://user:secret@hooks.example/", Unfit::Credentials),
            ("https://user@hooks.example/", Unfit::Credentials),
            ("https://169.254.169.254/latest/meta-data", Unfit::Private),
            ("https://[::ffff:127.0.0.1]/", Unfit::Private),
            ("https://[::ffff:a9fe:a9fe]/", Unfit::Private),
            ("https://[::1]/", Unfit::Private),
            ("https://127.1/", Unfit::Private),
            ("https://0x7f.1/", Unfit::Private),
            ("https://2130706433/", Unfit::Private),
            ("https://0177.0.0.1/", Unfit::Private),
            ("https://10.0.0.1:8443/", Unfit::Private),
            ("hooks.example", Unfit::Malformed),
            ("file:///etc/passwd", Unfit::Malformed),
            ("", Unfit::Malformed),
        ] {
            check(false, bad, Err(why));
        }
        check(
            false,
            &format!("https://a.example/{}", "x".repeat(MAX_URL)),
            Err(Unfit::Malformed),
        );
    }

    #[test]
    fn in_development_this_machine_is_told_and_its_neighbours_are_not() {
        for here in [
            "http://127.0.0.1:9/",
            "http://localhost:9/",
            "https://[::1]/",
        ] {
            check(true, here, Ok(()));
            assert!(Targets::new(false).check(here).is_err(), "{here}");
        }
        check(true, "http://10.0.0.1/", Err(Unfit::Private));
        check(true, "http://169.254.169.254/", Err(Unfit::Private));
        check(true, "http://localhost.example/", Err(Unfit::Scheme));
    }
}
