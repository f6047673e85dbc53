//! What clients that speak OpenAI's API ask for (<https://platform.openai.com/docs/api-reference>). Each of
//! their requests becomes requests of the contract's routes in the same caller's name, which go the way of
//! all others: who asks, how much, which revision. Of a component nothing is known here but its routes.

pub(super) mod chat;
pub(super) mod models;
pub(super) mod problem;
pub(super) mod speech;
mod stream;
pub(super) mod transcription;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use runtime::manifest::RouteClass;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use self::problem::Refusal;
use super::limits::{Aloft, Told};
use super::{Admitted, Gateway};

/// Of a request as JSON: a conversation. Recordings are not JSON.
const MAX_JSON: usize = 4 << 20;
/// Of all that are read at once, as they are held whole; one whose length is not told counts as the largest.
const MAX_READ: usize = 256 << 20;
/// It must be there by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of an answer that is read here and not passed on: a transcript of four hours with its words.
const MAX_ANSWER: usize = 32 << 20;

/// A route of OpenAI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Models,
    Model,
    Chat,
    Speech,
    Voices,
    AudioModels,
    Transcriptions,
}

impl Route {
    /// No path of the contract is one of these with its `/v1`.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/v1/models" => Self::Models,
            "/v1/chat/completions" => Self::Chat,
            "/v1/audio/speech" => Self::Speech,
            "/v1/audio/voices" => Self::Voices,
            "/v1/audio/models" => Self::AudioModels,
            "/v1/audio/transcriptions" => Self::Transcriptions,
            // The names of some models have slashes.
            _ if path
                .strip_prefix("/v1/models/")
                .is_some_and(|id| !id.is_empty()) =>
            {
                Self::Model
            }
            _ => return None,
        })
    }

    fn method(self) -> Method {
        match self {
            Self::Models | Self::Model | Self::Voices | Self::AudioModels => Method::GET,
            Self::Chat | Self::Speech | Self::Transcriptions => Method::POST,
        }
    }

    /// What it costs, as the contract's routes behind it have it.
    fn class(self) -> RouteClass {
        match self {
            Self::Models | Self::Model | Self::Voices | Self::AudioModels => RouteClass::Read,
            Self::Chat | Self::Speech => RouteClass::Model,
            Self::Transcriptions => RouteClass::Upload,
        }
    }
}

/// Answers a route of OpenAI's, errors in OpenAI's form.
pub(super) async fn answer(gateway: &Arc<Gateway>, route: Route, request: Request) -> Response {
    let address = gateway.platform.limits().address(&request);
    let said = (request.headers().clone(), request.extensions().clone());
    let (answered, told) = match admitted(gateway, route, said, address).await {
        Ok((caller, told, _aloft)) => (answered(&caller, route, request).await, told),
        Err(refusal) => (Err(refusal), None),
    };
    let mut response = answered.unwrap_or_else(|refusal| refusal.render());
    if let Some(told) = told {
        told.write(response.headers_mut());
    }
    response
}

/// Before anything of the request is believed, or its body read. What it asks of the contract's routes is one
/// request with it.
async fn admitted<'a>(
    gateway: &'a Arc<Gateway>,
    route: Route,
    (headers, mut extensions): (HeaderMap, Extensions),
    address: Option<IpAddr>,
) -> Result<(Caller<'a>, Option<Told>, Aloft<'a>), Refusal> {
    super::version::check(&headers)?;
    let limits = gateway.platform.limits();
    let caller = gateway.caller(&headers, address).await?;
    let aloft = limits.flight.begin().ok_or(super::Problem::Overloaded)?;
    let told = limits.admit(route.class(), caller.as_deref(), address);
    let told = told.await.map_err(super::Problem::Limited)?;
    extensions.insert(Admitted);
    let caller = Caller {
        gateway,
        headers,
        extensions,
        user: caller.map(|caller| caller.user),
    };
    Ok((caller, told, aloft))
}

async fn answered(
    caller: &Caller<'_>,
    route: Route,
    request: Request,
) -> Result<Response, Refusal> {
    if request.method() != route.method() {
        return Err(Refusal::Method(route.method()));
    }
    let gateway = caller.gateway;
    match route {
        Route::Models => Ok(models::list(gateway)),
        Route::Model => models::show(gateway, request.uri().path()),
        Route::Chat => chat::complete(caller, request).await,
        Route::Speech => speech::speak(caller, request).await,
        Route::Voices => speech::voices(caller).await,
        Route::AudioModels => Ok(speech::models()),
        Route::Transcriptions => transcription::transcribe(caller, request).await,
    }
}

/// In whose name the contract's routes are asked.
pub(super) struct Caller<'a> {
    gateway: &'a Arc<Gateway>,
    headers: HeaderMap,
    extensions: Extensions,
    /// `None` in development mode: requests say who they are.
    user: Option<u128>,
}

/// What the original request says of its own body and answer, and not of the caller.
const OWN: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::IF_NONE_MATCH,
    header::RANGE,
    header::TRANSFER_ENCODING,
];

impl Caller<'_> {
    /// The user that development mode believes in; with tokens it is the token's subject.
    fn user<'a>(&self, user: Option<&'a str>) -> Option<&'a str> {
        user.filter(|user| self.user.is_none() && !user.is_empty())
    }

    /// Asks a route of the contract; what is no success is a refusal.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        accept: &str,
        body: Body,
    ) -> Result<Response, Refusal> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| super::Problem::InvalidPath)?;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        let headers = request.headers_mut();
        for name in OWN {
            headers.remove(name);
        }
        headers.remove("idempotency-key");
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|_| super::Problem::InvalidPath);
        headers.insert(header::ACCEPT, value(accept)?);
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, value(kind)?);
        }
        let response = self.gateway.asked(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Refusal::told(response).await)
    }

    /// The same, with JSON for JSON.
    async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let kind = body.map(|_| "application/json");
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let answer = self
            .ask(method, path, kind, "application/json", body)
            .await?;
        serde_json::from_slice(&whole(answer).await?).map_err(|_| Refusal::broken())
    }
}

async fn whole(answer: Response) -> Result<Bytes, Refusal> {
    let read = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    Ok(read.map_err(|_| Refusal::broken())?.to_bytes())
}

/// What is read at once of all requests with JSON, in KiB.
pub(super) struct Reading(Semaphore);

impl Default for Reading {
    fn default() -> Self {
        Self(Semaphore::new(MAX_READ >> 10))
    }
}

/// A request's JSON. Unknown members are ignored, as clients send what is newer than us.
async fn parsed<T: DeserializeOwned>(caller: &Caller<'_>, request: Request) -> Result<T, Refusal> {
    let size = request.body().size_hint().upper();
    let size = size.map_or(Ok(MAX_JSON), usize::try_from);
    let size = size.ok().filter(|size| *size <= MAX_JSON);
    let size = size.ok_or(Refusal::TooLarge(MAX_JSON))?;
    let room = u32::try_from(size >> 10).unwrap_or(u32::MAX);
    let room = caller.gateway.reading.0.try_acquire_many(room);
    let _room = room.map_err(|_| super::Problem::Overloaded)?;
    // One user has a part of that, as of a component's turns.
    let places = &caller.gateway.platform.limits().places;
    let place = caller.user.map(|user| {
        places
            .take(user, "openai", 0)
            .ok_or(super::Problem::TooManyAtOnce)
    });
    let _place = place.transpose()?;
    let read = Limited::new(request.into_body(), MAX_JSON).collect();
    let read = tokio::time::timeout(PATIENCE, read).await;
    let read = read.map_err(|_| Refusal::Stalled)?;
    let body = read.map_err(|_| Refusal::TooLarge(MAX_JSON))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| Refusal::invalid(None, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_openai_s_is_told_from_the_contract_s() {
        assert_eq!(Route::of("/v1/chat/completions"), Some(Route::Chat));
        assert_eq!(Route::of("/v1/models/amazon/nova:free"), Some(Route::Model));
        for path in [
            "/chat/completions",
            "/v1/chat",
            "/v1/audio/7",
            "/v1/audio",
            "/v1/models/",
        ] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }
}
