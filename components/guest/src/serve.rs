//! An axum router as a `wasi:http` handler.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use http::header::CONTENT_LENGTH;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;
use wasip3::http::types as wasi;
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

use crate::Problem;
use crate::identity::{REQUEST_HEADER, TRACE_HEADER, recorded};
use crate::log::{self, Subject};
use crate::openapi;

/// What answers requests: axum's router, or one that describes itself ([`crate::Router`]).
pub trait Routes: Sized {
    /// The router; one that describes itself has its document at [`openapi::PATH`].
    fn router(make: impl Fn() -> Self + Clone + Send + Sync + 'static) -> Router;
}

impl Routes for Router {
    fn router(make: impl Fn() -> Self + Clone + Send + Sync + 'static) -> Router {
        make()
    }
}

impl Routes for OpenApiRouter {
    fn router(make: impl Fn() -> Self + Clone + Send + Sync + 'static) -> Router {
        let (router, _) = make().split_for_parts();
        // Made when it is asked for, once a revision: no instance keeps it.
        let document = move || async move { Json(make().into_openapi()) };
        router.route(openapi::PATH, get(document))
    }
}

/// Exports `$router`, a `fn` that makes [`Routes`], as the component's HTTP handler.
#[macro_export]
macro_rules! serve {
    ($router:path) => {
        struct Service;

        impl $crate::wasip3::exports::http::handler::Guest for Service {
            async fn handle(
                request: $crate::wasip3::http::types::Request,
            ) -> Result<$crate::wasip3::http::types::Response, $crate::wasip3::http::types::ErrorCode> {
                std::thread_local! {
                    static ROUTER: axum::Router = $crate::serve::router($router);
                }
                $crate::serve::handle(ROUTER.with(Clone::clone), request).await
            }
        }

        $crate::wasip3::http::service::export!(Service);
    };
}

/// Unknown paths and methods answer as the contract says.
pub fn router<R: Routes>(make: impl Fn() -> R + Clone + Send + Sync + 'static) -> Router {
    let not_found = || async { Problem::not_found("NOT_FOUND", "there is no such path") };
    let not_allowed = || async { Problem::method_not_allowed() };
    R::router(make)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
}

/// One request.
pub async fn handle(
    router: Router,
    request: wasi::Request,
) -> Result<wasi::Response, wasi::ErrorCode> {
    let mut request: Request = http_from_wasi_request(request)?.map(Body::new);
    // The gateway counts bodies, to each component's own limit. Not as a layer, which would wrap every
    // route.
    DefaultBodyLimit::disable().apply(&mut request);
    let id = request.headers().get(REQUEST_HEADER).cloned();
    let id = id.as_ref().and_then(|id| id.to_str().ok());
    let trace = request.headers().get(TRACE_HEADER);
    let trace = trace.and_then(|trace| trace.to_str().ok());
    let mut mark = format!("request_id={}", id.unwrap_or_default());
    if let Some(trace_id) = trace.and_then(recorded) {
        mark.push_str(&format!(" trace_id={trace_id}"));
    }
    let subject = Subject::new(&mark, trace.map(ToOwned::to_owned));
    let Ok(response) = log::about(subject, router.oneshot(request)).await;
    http_into_wasi_response(rendered(response, id))
}

fn rendered(response: Response, id: Option<&str>) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else {
        return response;
    };
    let mut rendered = problem.render(id);
    // What else the problem says of itself, such as a `Content-Range`; the length was that of no body.
    for (name, value) in response.headers() {
        if name != CONTENT_LENGTH {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    rendered
}
