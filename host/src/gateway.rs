//! The way in: identity, paths, the log line; then the router and a component.

pub(crate) mod auth;
mod compress;
mod cors;
mod docs;
mod front;
mod held;
mod jwks;
pub mod limits;
mod line;
mod listen;
mod openai;
mod openapi;
mod paced;
mod peers;
mod probes;
pub(crate) mod problem;
pub(crate) mod shares;
mod status;
mod tls;
pub(crate) mod trace;
mod usage;
mod version;
mod websocket;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use capability::usage::Subject;
use futures::future::BoxFuture;
use runtime::Revision;
use runtime::manifest::RouteClass;

pub use self::auth::IdentityError;
use self::auth::{Authenticator, Known};
use self::front::Front;
pub use self::limits::Peer;
use self::limits::Told;
pub(crate) use self::line::Line;
use self::listen::Connection;
pub use self::listen::{Answer, Door, serve, serve_at};
use self::probes::Probes;
use self::problem::Problem;
pub use self::tls::TlsError;
use self::trace::Arrived;
use self::websocket::Sockets;
use crate::assemble::Platform;
use crate::config::edge::Edge;
use crate::config::identity::Identity;
use crate::dispatch::{Kind, dispatch_in};
use crate::router::Service;
use crate::token::Claims;
use crate::webhook::Webhooks;

/// What the host is called in its own log.
const HOST: &str = "lectern";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bytes of a path with its query.
const MAX_PATH: usize = 8 << 10;

/// Everything a request meets before its component.
pub struct Gateway {
    platform: Arc<Platform>,
    authenticator: Authenticator,
    front: Front,
    sockets: Sockets,
    contract: openapi::Contract,
    probes: Probes,
    reading: openai::Reading,
}

/// A request of the gateway's own making, for one that was counted.
#[derive(Clone)]
struct Admitted;

impl Gateway {
    /// In front of that platform.
    pub fn new(platform: Arc<Platform>, identity: &Identity) -> Result<Self, IdentityError> {
        Ok(Self {
            platform,
            authenticator: Authenticator::new(identity)?,
            front: Front::new(&Edge::default(), identity.is_development()),
            sockets: Sockets::default(),
            contract: openapi::Contract::default(),
            probes: Probes::default(),
            reading: openai::Reading::default(),
        })
    }

    /// For the clients that `edge` names.
    pub fn with_edge(self, edge: &Edge, identity: &Identity) -> Self {
        Self {
            front: Front::new(edge, identity.is_development()),
            ..self
        }
    }

    /// One request, one response, one log line. `only`: of that component alone.
    async fn answer_as(self: &Arc<Self>, only: Option<&str>, mut request: Request) -> Response {
        let id = request_id(&request);
        if let Ok(value) = HeaderValue::from_str(&id) {
            request.headers_mut().insert(REQUEST_ID, value);
        }
        let arrived = Arrived::with(self.platform.tracer(), &mut request, &id);
        let cause = arrived.cause.clone();
        cause
            .scope(self.answer_part(only, request, arrived, id))
            .await
    }

    /// As a part of the request's trace; so its log lines name it.
    async fn answer_part(
        self: &Arc<Self>,
        only: Option<&str>,
        mut request: Request,
        arrived: Arrived,
        id: String,
    ) -> Response {
        let line = Line::begin(&request);
        let asked = self.front.note(&mut request);
        let (service, response) = match self.front.preflight(&request) {
            Some(answer) => {
                let answer = answer.unwrap_or_else(|problem| problem.render(&id));
                (HOST.to_owned(), answer)
            }
            None => self.entered(only, request, &id).await,
        };
        let mut response = self.front.dress(asked, response).await;
        version::tell(response.headers_mut());
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let counters = self.platform.counters();
        counters.answered(&service, line.method(), response.status().as_u16());
        line.write(&service, &response, &id);
        arrived.answered(&self.platform.live().table(), &service, response)
    }

    /// The same for a request of the gateway's own making.
    fn answer_boxed(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(async move { self.answer_as(None, request).await })
    }

    /// As OpenAI's clients expect it, or as the contract has it.
    async fn entered(
        self: &Arc<Self>,
        only: Option<&str>,
        request: Request,
        id: &str,
    ) -> (String, Response) {
        let openai = openai::Route::of(request.uri().path()).filter(|_| only.is_none());
        if let Err(problem) = self.front.check(&request) {
            let answer = match openai {
                Some(_) => openai::problem::Refusal::from(problem).render(),
                None => problem.render(id),
            };
            return (HOST.to_owned(), answer);
        }
        if let Some(route) = openai {
            return ("openai".into(), openai::answer(self, route, request).await);
        }
        let (service, answer) = self.versioned(only, request).await;
        (service, answer.unwrap_or_else(|problem| problem.render(id)))
    }

    /// `/v1/chat` is `/chat`.
    async fn versioned(
        self: &Arc<Self>,
        only: Option<&str>,
        mut request: Request,
    ) -> (String, Result<Response, Problem>) {
        if let Err(problem) = version::check(request.headers()) {
            return (HOST.to_owned(), Err(problem));
        }
        version::strip(&mut request);
        self.told(only, request).await
    }

    /// A route of the contract, as another route of the host's own asks it.
    async fn asked(self: &Arc<Self>, request: Request) -> Result<Response, Problem> {
        self.told(None, request).await.1
    }

    /// Where a component gives no answer, the log says why.
    async fn told(
        self: &Arc<Self>,
        only: Option<&str>,
        request: Request,
    ) -> (String, Result<Response, Problem>) {
        let (service, answer) = self.route(only, request).await;
        if let Some(error) = answer.as_ref().err().and_then(Problem::broken_call) {
            tracing::warn!(service, "no answer: {error}");
        }
        (service, answer)
    }

    /// What the host answers by itself.
    async fn own(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Result<Response, Problem>> {
        let is_read = [Method::GET, Method::HEAD].contains(method);
        let answer = match path {
            path if is_own(path) && !is_read => return Some(Err(Problem::MethodNotAllowed)),
            "/health" => status::health(&self.platform).await,
            "/health/ready" => status::ready(&self.platform).await,
            "/health/live" => status::live(),
            "/capabilities" => status::capabilities(&self.platform, self.authenticator.is_open()),
            "/docs" => docs::page(),
            "/openapi.json" => {
                let is_open = self.authenticator.is_open();
                self.contract.answer(&self.platform, is_open, headers).await
            }
            _ => return None,
        };
        Some(Ok(answer))
    }

    async fn route(
        self: &Arc<Self>,
        only: Option<&str>,
        request: Request,
    ) -> (String, Result<Response, Problem>) {
        let host = HOST.to_owned();
        let path = request.uri().path();
        if !path_is_fine(request.uri()) {
            return (host, Err(Problem::InvalidPath));
        }
        if only.is_none() {
            if let Some(answer) = self.own(request.method(), path, request.headers()).await {
                return (host, answer);
            }
            match path {
                "/usage" => return (host, self.usage(request).await),
                websocket::PATH => return (host, websocket::open(self, request).await),
                _ if Webhooks::is_route(path) => return (host, self.webhooks(request).await),
                _ => {}
            }
        }
        let table = self.platform.live().table();
        let found = match only {
            None => table.find(path),
            Some(only) => table.find_of(only, path),
        };
        let Some(route) = found else {
            return (host, Err(Problem::NotFound));
        };
        let name = route.service.name.to_string();
        if route.health {
            // Health is for probes, which have no token, and are answered whatever the load is.
            if route.service.draining {
                return (name, Err(Problem::Draining));
            }
            let who = who(None, request.uri(), request.headers());
            let revision = route.service.choose(request.headers(), who).clone();
            drop(table);
            let answer = self.probes.ask(&self.platform, &revision, request);
            return (name, answer.await);
        }
        let service = route.service.clone();
        drop(table);
        (name, self.served(&service, request).await)
    }

    /// A component's answer, to who is let in. Who they are comes first: keys may have to be asked for, and
    /// whoever makes us do so must not hold what the others' requests need meanwhile.
    async fn served(&self, service: &Service, request: Request) -> Result<Response, Problem> {
        let limits = self.platform.limits();
        let is_admitted = request.extensions().get::<Admitted>().is_some();
        let address = limits.address(&request);
        let caller = self.caller(request.headers(), address).await?;
        let _aloft = match is_admitted {
            true => None,
            false => Some(limits.flight.begin().ok_or(Problem::Overloaded)?),
        };
        if service.draining {
            return Err(Problem::Draining);
        }
        let revision = {
            let who = who(caller.as_deref(), request.uri(), request.headers());
            service.choose(request.headers(), who).clone()
        };
        let classes = &revision.manifest().http.classes;
        let class = classes.of(request.method(), request.uri().path());
        let told = match is_admitted {
            true => None,
            false => {
                let admitted = limits.admit(class, caller.as_deref(), address).await;
                admitted.map_err(Problem::Limited)?
            }
        };
        let answer = self.dispatched(&revision, caller.as_deref(), request).await;
        tell(answer, told)
    }

    /// In the caller's place and name.
    async fn dispatched(
        &self,
        revision: &Arc<Revision>,
        caller: Option<&Known>,
        mut request: Request,
    ) -> Result<Response, Problem> {
        let manifest = revision.manifest();
        let turns = manifest.limits.concurrency;
        let places = &self.platform.limits().places;
        let place = caller.map(|caller| {
            let place = places.take(caller.user, manifest.name.as_str(), turns);
            place.ok_or(Problem::TooManyAtOnce)
        });
        let place = place.transpose()?;
        let claims = caller.map(|caller| &caller.claims);
        let who = subject(claims, request.uri());
        request.extensions_mut().insert(who);
        auth::set_identity(request.headers_mut(), claims);
        complete(&mut request);
        let answer = dispatch_in(revision, request, Kind::Request, place).await;
        answer.map_err(Problem::Dispatch)
    }

    /// `GET /usage`: what the caller has used.
    async fn usage(&self, request: Request) -> Result<Response, Problem> {
        let address = self.platform.limits().address(&request);
        let (parts, _) = request.into_parts();
        let admitted = self.admitted(RouteClass::Read, &parts.headers, address);
        let (caller, told) = admitted.await?;
        let claims = caller.as_ref().map(|caller| &caller.claims);
        let who = subject(claims, &parts.uri);
        let used = usage::answer(self.platform.usage(), &who).await;
        let used = used.map_err(|error| {
            tracing::warn!(%error, "what a user has used cannot be read");
            Problem::NoUsage
        });
        tell(used, told)
    }

    /// Who calls a route of the host's own, and how they stand; who asks too often is told to wait.
    async fn admitted(
        &self,
        class: RouteClass,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Result<(Option<Arc<Known>>, Option<Told>), Problem> {
        let caller = self.caller(headers, address).await?;
        let limits = self.platform.limits();
        let told = limits.admit(class, caller.as_deref(), address).await;
        Ok((caller, told.map_err(Problem::Limited)?))
    }

    /// Who calls; an address whose tokens are refused again and again is told to wait.
    async fn caller(
        &self,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Result<Option<Arc<Known>>, Problem> {
        match self.authenticator.know(headers).await {
            Ok(caller) => Ok(caller),
            Err(denied @ auth::Denied::Unavailable) => Err(Problem::Denied(denied)),
            Err(denied) => match self.platform.limits().denied(address).await {
                Ok(()) => Err(Problem::Denied(denied)),
                Err(limited) => Err(Problem::Limited(limited)),
            },
        }
    }
}

impl Gateway {
    async fn webhooks(&self, request: Request) -> Result<Response, Problem> {
        let address = self.platform.limits().address(&request);
        let class = match safe(request.method()) {
            true => RouteClass::Read,
            false => RouteClass::Write,
        };
        let admitted = self.admitted(class, request.headers(), address);
        let (caller, told) = admitted.await?;
        let claims = caller.as_ref().map(|caller| &caller.claims);
        let answer = self.platform.webhooks().answer(claims, request);
        tell(answer.await.map_err(Problem::Webhook), told)
    }
}

/// Has an answer say how its caller stands, whatever it is.
fn tell(answer: Result<Response, Problem>, told: Option<Told>) -> Result<Response, Problem> {
    match answer {
        Ok(mut response) => {
            if let Some(told) = told {
                told.write(response.headers_mut());
            }
            Ok(response)
        }
        Err(problem) => Err(problem.counted(told)),
    }
}

/// Whether it asks for nothing to change: RFC 9110, section 9.2.1.
fn safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Whether the host answers it, whatever routes components have.
fn is_own(path: &str) -> bool {
    let own = [
        "/capabilities",
        "/docs",
        "/health",
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/usage",
    ];
    own.contains(&path)
}

/// Whom a canary's weight counts: the token's subject, else who the query says it is, else nobody but
/// this request.
fn who<'a>(caller: Option<&'a Known>, uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let request = || headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match caller {
        Some(caller) => &caller.claims.sub,
        None => claimed(uri).or_else(request).unwrap_or_default(),
    }
}

/// Whose budgets a request uses up. In development mode all are one who do not say in the query who they are.
fn subject(claims: Option<&Claims>, uri: &Uri) -> Subject {
    match claims {
        Some(claims) => Subject {
            tenant: claims.tenant.clone().unwrap_or_default(),
            user: claims.sub.clone(),
        },
        None => Subject {
            tenant: String::new(),
            user: claimed(uri).unwrap_or("anonymous").to_owned(),
        },
    }
}

/// Who the query says it is.
fn claimed(uri: &Uri) -> Option<&str> {
    let query = uri.query().unwrap_or_default();
    let user = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("user_id="));
    user.filter(|user| (1..=255).contains(&user.len()))
}

/// `wasi:http` wants a scheme and an authority, which an HTTP/1 request line has not.
pub(crate) fn complete(request: &mut Request) {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    let connection = request.extensions().get::<Connection>();
    let scheme = match connection.is_some_and(|connection| connection.is_secure) {
        true => axum::http::uri::Scheme::HTTPS,
        false => axum::http::uri::Scheme::HTTP,
    };
    parts.scheme.get_or_insert(scheme);
    let host = request
        .headers()
        .get(axum::http::header::HOST)
        .and_then(|host| host.to_str().ok());
    if parts.authority.is_none() {
        let named = host.and_then(|host| host.parse().ok());
        parts.authority =
            Some(named.unwrap_or_else(|| axum::http::uri::Authority::from_static("lectern")));
    }
    parts
        .path_and_query
        .get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// The client's own, where it is fit to be logged, else a new one.
pub(crate) fn request_id(request: &Request) -> String {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    given
        .filter(|id| capability::events::is_request_id(id))
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), ToOwned::to_owned)
}

/// A path that two readers could read differently is nobody's.
fn path_is_fine(uri: &Uri) -> bool {
    let path = uri.path();
    let lower = path.to_ascii_lowercase();
    uri.path_and_query()
        .is_none_or(|all| all.as_str().len() <= MAX_PATH)
        && !lower.contains("//")
        && !["%2f", "%5c", "%00", "\\"]
            .iter()
            .any(|bad| lower.contains(bad))
        && lower
            .replace("%2e", ".")
            .split('/')
            .all(|segment| segment != "." && segment != "..")
}

impl Answer for Gateway {
    async fn answer(self: &Arc<Self>, request: Request) -> Response {
        self.answer_as(None, request).await
    }

    async fn leave(&self) {
        self.sockets.leave().await;
    }
}

/// The gateway as one service alone sees it, on a port of its own: as a client of the Python services
/// knows it, with the service's health at `/health`.
pub struct Port {
    /// What stands behind.
    pub gateway: Arc<Gateway>,
    /// The component's name.
    pub service: String,
}

impl Answer for Port {
    async fn answer(self: &Arc<Self>, request: Request) -> Response {
        self.gateway.answer_as(Some(&self.service), request).await
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_path_that_climbs_is_refused_however_it_is_written() {
        for bad in [
            "/a/../b",
            "/..",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "//a",
            "/a//b",
            "/a%2fb",
            "/a%00",
            "/./a",
            "/a%5cb",
        ] {
            assert!(!path_is_fine(&bad.parse().unwrap()), "{bad}");
        }
        assert!(!path_is_fine(
            &format!("/{}", "a".repeat(MAX_PATH)).parse().unwrap()
        ));
        for good in [
            "/",
            "/chat",
            "/document/..a",
            "/a.b/c%20d",
            "/chat?next=//x",
        ] {
            assert!(path_is_fine(&good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn a_request_id_that_could_forge_a_line_is_replaced() {
        let with = |id: &str| {
            Request::builder()
                .header("x-request-id", id)
                .body(Body::empty())
                .unwrap()
        };
        assert_eq!(request_id(&with("abc-1")), "abc-1");
        for bad in ["", "a b", "a\tb", &"x".repeat(65)] {
            assert_eq!(request_id(&with(bad)).len(), 36, "{bad}");
        }
    }
}
