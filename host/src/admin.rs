//! The operator's API: a listener of its own, on which everything needs a token of role `admin`, in
//! development mode too.

pub mod api;
mod deploys;
mod handlers;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::problem::Refusal;
use crate::assemble::Platform;
use crate::config::identity::Identity;
use crate::gateway::auth::Authenticator;
use crate::gateway::{Answer, Line, request_id};
use crate::metrics;
use crate::token::Role;

/// Of an upload: a component, its manifest, its migrations, and the form around them.
const MAX_UPLOAD: usize = 72 << 20;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Anybody may read how the API is called.
const DESCRIPTION: &str = "/admin/v1/openapi.json";
/// Prometheus needs no token: the listener is the operator's own, and what is told is counts.
const METRICS: &str = "/metrics";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lectern admin API",
        description = "Deploys, swaps, canaries and rollbacks of components. Every call needs a bearer token of role \
            `admin`. Errors are `{\"error\", \"code\", \"timestamp\", \"request_id\"}`."
    ),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Description;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Who did it: the token's subject.
#[derive(Clone)]
struct Operator(String);

/// The admin listener's requests.
pub struct Admin {
    router: Router,
    authenticator: Authenticator,
}

impl Admin {
    /// For that platform; `key` signs the operators' tokens, which are else as `identity` wants learners'.
    pub fn new(platform: Arc<Platform>, key: &[u8], identity: &Identity) -> Self {
        let measured = platform.clone();
        let metrics =
            move |asked: HeaderMap| async move { metrics::scrape(&measured, &asked).await };
        let (router, description) = router().with_state(platform).split_for_parts();
        let description = serde_json::to_value(description).unwrap_or_default();
        let described = move || async move { axum::Json(description) };
        Self {
            router: router
                .route(DESCRIPTION, axum::routing::get(described))
                .route(METRICS, axum::routing::get(metrics))
                .fallback(|| async { Refusal::NoSuchPath })
                .method_not_allowed_fallback(|| async { Refusal::NoSuchMethod })
                .layer(DefaultBodyLimit::max(MAX_UPLOAD)),
            authenticator: Authenticator::with_key(key, identity),
        }
    }

    async fn operator(&self, headers: &HeaderMap) -> Result<Operator, Refusal> {
        let claims = self.authenticator.authenticate(headers).await;
        match claims.map_err(Refusal::Denied)? {
            Some(claims) if claims.role == Role::Admin && claims.tenant.is_none() => {
                Ok(Operator(claims.sub))
            }
            _ => Err(Refusal::NotAdmin),
        }
    }

    async fn route(&self, mut request: Request) -> Response {
        if ![DESCRIPTION, METRICS].contains(&request.uri().path()) {
            match self.operator(request.headers()).await {
                Ok(operator) => request.extensions_mut().insert(operator),
                Err(refusal) => return refusal.into_response(),
            };
        }
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }
}

fn router() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(handlers::components))
        .routes(routes!(handlers::component))
        .routes(routes!(handlers::revisions, deploys::deploy))
        .routes(routes!(deploys::progress))
        .routes(routes!(handlers::revision, handlers::delete))
        .routes(routes!(handlers::traffic))
        .routes(routes!(handlers::rollback))
        .routes(routes!(handlers::drain))
        .routes(routes!(handlers::stats))
        .routes(routes!(handlers::hosts))
        .routes(routes!(handlers::audit))
}

/// The API's description, as `/admin/v1/openapi.json` serves it.
pub fn description() -> serde_json::Value {
    let (_, description) = router().split_for_parts();
    serde_json::to_value(description).unwrap_or_default()
}

impl Answer for Admin {
    async fn answer(self: &Arc<Self>, request: Request) -> Response {
        let id = request_id(&request);
        let line = Line::begin(&request);
        let response = self.route(request).await;
        let mut response = problem::with_id(response, &id);
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        line.write("admin", &response, &id);
        response
    }
}
