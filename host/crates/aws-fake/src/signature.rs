//! Signature Version 4, checked.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use sha2::{Digest, Sha256};

use crate::refusal::Refusal;
use crate::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

const TERMINATOR: &str = "aws4_request";

/// Whether the one key that is known has signed this.
pub(crate) fn check(parts: &Parts, body: &[u8]) -> Result<(), Refusal> {
    let missing = || {
        let message = "Missing Authentication Token";
        Refusal::identity("MissingAuthenticationTokenException", message)
    };
    let signed = Signed::parse(header(parts, "authorization")).ok_or_else(missing)?;
    if signed.key != ACCESS_KEY_ID {
        let message = "The security token included in the request is invalid.";
        return Err(Refusal::identity("UnrecognizedClientException", message));
    }
    if signature(parts, body, &signed) != signed.signature {
        let message = "The request signature we calculated does not match the signature you \
                       provided. Check your AWS Secret Access Key and signing method.";
        return Err(Refusal::identity("InvalidSignatureException", message));
    }
    Ok(())
}

/// What an `Authorization` header says.
struct Signed<'a> {
    key: &'a str,
    /// Date, region, service.
    scope: [&'a str; 3],
    headers: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            let mut all = fields.split(',').map(str::trim);
            all.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let mut credential = field("Credential")?.split('/');
        let mut next = || credential.next();
        Some(Self {
            key: next()?,
            scope: [next()?, next()?, next()?],
            headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }
}

fn header<'a>(parts: &'a Parts, name: &str) -> &'a str {
    let value = parts.headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn signature(parts: &Parts, body: &[u8], signed: &Signed<'_>) -> String {
    let [date, region, service] = signed.scope;
    let to_sign = [
        "AWS4-HMAC-SHA256",
        header(parts, "x-amz-date"),
        &format!("{date}/{region}/{service}/{TERMINATOR}"),
        &hex(&Sha256::digest(canonical(parts, body, signed))),
    ]
    .join("\n");
    let secret = format!("AWS4{SECRET_ACCESS_KEY}").into_bytes();
    let key = [date, region, service, TERMINATOR]
        .iter()
        .fold(secret, |key, part| keyed(&key, part));
    hex(&keyed(&key, &to_sign))
}

fn canonical(parts: &Parts, body: &[u8], signed: &Signed<'_>) -> String {
    let mut query: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let headers: String = signed
        .headers
        .split(';')
        .map(|name| format!("{name}:{}\n", header(parts, name).trim()))
        .collect();
    let payload = match header(parts, "x-amz-content-sha256") {
        "" => hex(&Sha256::digest(body)),
        told => told.to_owned(),
    };
    [
        parts.method.as_str(),
        parts.uri.path(),
        &query.join("&"),
        &headers,
        signed.headers,
        &payload,
    ]
    .join("\n")
}

fn keyed(key: &[u8], message: &str) -> Vec<u8> {
    // A key of any length does.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return vec![];
    };
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
