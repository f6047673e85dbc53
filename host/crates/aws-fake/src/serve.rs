//! From a connection to a service: what was called, whether it may be, and what goes wrong with it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::request::Parts;
use http::{Method, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};

use crate::knobs::Trouble;
use crate::refusal::{Protocol, Refusal};
use crate::{World, polly, s3, signature, textract, transcribe};

/// More than any service takes.
const MAX_BODY: usize = 64 << 20;
const CUT_AFTER: Duration = Duration::from_millis(50);

/// One call, read whole.
pub(crate) struct Call {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    pub(crate) operation: String,
    protocol: Protocol,
}

impl Call {
    fn new(parts: Parts, body: Bytes) -> Self {
        let path = parts.uri.path();
        let target = parts.headers.get("x-amz-target");
        let target = target.and_then(|target| target.to_str().ok());
        let (operation, protocol) = match (&parts.method, path, target) {
            (&Method::POST, "/", Some(target)) => (target, Protocol::AwsJson),
            (&Method::POST, "/v1/speech", _) => ("SynthesizeSpeech", Protocol::RestJson),
            (&Method::GET, "/v1/voices", _) => ("DescribeVoices", Protocol::RestJson),
            (&Method::HEAD, _, _) => ("HeadObject", Protocol::Head),
            (&Method::GET, path, _) if path.starts_with(transcribe::RESULTS) => {
                ("GetTranscript", Protocol::RestJson)
            }
            (&Method::PUT, ..) if parts.headers.contains_key("x-amz-copy-source") => {
                ("CopyObject", Protocol::RestXml)
            }
            (&Method::PUT, ..) => ("PutObject", Protocol::RestXml),
            (&Method::GET, ..) => ("GetObject", Protocol::RestXml),
            (&Method::DELETE, ..) => ("DeleteObject", Protocol::RestXml),
            _ => ("", Protocol::RestJson),
        };
        // `Transcribe.GetTranscriptionJob`, `Textract.GetDocumentTextDetection`.
        let operation = operation.rsplit('.').next().unwrap_or_default().to_owned();
        Self {
            parts,
            body,
            operation,
            protocol,
        }
    }

    /// Empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.parts.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// A transcript's address is its own permission.
    fn needs_signature(&self) -> bool {
        self.operation != "GetTranscript"
    }
}

/// Accepts until it is aborted.
pub(crate) async fn serve(listener: TcpListener, world: Arc<World>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, world.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, world: Arc<World>) {
    let service = service_fn(|request| answer(world.clone(), request));
    // A client that leaves is none of a fake's concern.
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An error closes the connection.
async fn answer(world: Arc<World>, request: http::Request<Incoming>) -> io::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let call = Call::new(parts, body);
    let trouble = world.knobs.called(&call.operation);
    world.knobs.begin(&call.operation);
    let latency = world.knobs.settings().latency_of(&call.operation);
    tokio::time::sleep(latency).await;
    world.knobs.end(&call.operation);
    let response = respond(&world, &call, trouble);
    if trouble == Some(Trouble::Lose) {
        return Err(io::Error::other("the answer is lost"));
    }
    let response = response.unwrap_or_else(|refusal| refusal.respond(call.protocol));
    if trouble == Some(Trouble::Cut) {
        return cut(response).await;
    }
    Ok(response)
}

/// Half of the body, and no more.
async fn cut(response: Response) -> io::Result<Response> {
    let (mut head, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    head.headers.remove(header::CONTENT_LENGTH);
    let half = body.slice(..body.len() / 2);
    let end = Err(io::Error::other("the rest is lost"));
    // The end waits, or the half would never leave.
    let end = stream::once(async {
        tokio::time::sleep(CUT_AFTER).await;
        end
    });
    let halved = stream::once(async { Ok(half) }).chain(end);
    Ok(Response::from_parts(head, Body::from_stream(halved)))
}

fn respond(world: &World, call: &Call, trouble: Option<Trouble>) -> Result<Response, Refusal> {
    if call.needs_signature() {
        signature::check(&call.parts, &call.body)?;
    }
    match trouble {
        Some(Trouble::Throttle) => Err(Refusal::caller("ThrottlingException", "Rate exceeded")),
        Some(Trouble::Fail) => Err(Refusal::fault("InternalFailure")),
        Some(Trouble::Lose | Trouble::Cut) | None => act(world, call),
    }
}

fn act(world: &World, call: &Call) -> Result<Response, Refusal> {
    match call.operation.as_str() {
        "SynthesizeSpeech" => polly::speak(world, &call.body),
        "DescribeVoices" => polly::voices(call.parts.uri.query().unwrap_or_default()),
        "StartTranscriptionJob" => transcribe::start(world, &call.body),
        "GetTranscriptionJob" => transcribe::get(world, &call.body),
        "DeleteTranscriptionJob" => transcribe::delete(world, &call.body),
        "CreateVocabulary" => transcribe::create_vocabulary(world, &call.body),
        "GetVocabulary" => transcribe::get_vocabulary(world, &call.body),
        "DeleteVocabulary" => transcribe::delete_vocabulary(world, &call.body),
        "GetTranscript" => transcribe::transcript(world, call.parts.uri.path()),
        "DetectDocumentText" => textract::detect(world, &call.body),
        "StartDocumentTextDetection" => textract::start(world, &call.body),
        "GetDocumentTextDetection" => textract::get(world, &call.body),
        "HeadObject" => Ok(s3::head(world, call)),
        "PutObject" => Ok(s3::put(world, call)),
        "CopyObject" => s3::copy(world, call),
        "GetObject" => s3::get(world, call),
        "DeleteObject" => Ok(s3::delete(world, call)),
        _ => Err(Refusal::not_found("UnknownOperationException", "")),
    }
}

/// A JSON answer.
pub(crate) fn json(value: &serde_json::Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (kind, value.to_string()).into_response()
}

/// A request's JSON.
pub(crate) fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|e| Refusal::caller("SerializationException", e.to_string()))
}
