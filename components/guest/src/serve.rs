//! An axum router as a `wasi:http` handler.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use tower::ServiceExt;
use wasip3::http::types as wasi;
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

use crate::Problem;
use crate::identity::{REQUEST_HEADER, TRACE_HEADER};
use crate::log::{self, Subject};

/// Exports `$router`, a `fn() -> Router`, as the component's HTTP handler.
#[macro_export]
macro_rules! serve {
    ($router:path) => {
        struct Service;

        impl $crate::wasip3::exports::http::handler::Guest for Service {
            async fn handle(
                request: $crate::wasip3::http::types::Request,
            ) -> Result<$crate::wasip3::http::types::Response, $crate::wasip3::http::types::ErrorCode> {
                std::thread_local! {
                    static ROUTER: axum::Router = $crate::serve::with_fallbacks($router());
                }
                $crate::serve::handle(ROUTER.with(Clone::clone), request).await
            }
        }

        $crate::wasip3::http::service::export!(Service);
    };
}

/// Unknown paths and methods answer as the contract says.
pub fn with_fallbacks(router: Router) -> Router {
    let not_found = || async { Problem::not_found("NOT_FOUND", "there is no such path") };
    let not_allowed = || async {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "the path has other methods",
        )
    };
    router
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
    let mark = format!("request_id={}", id.unwrap_or_default());
    let trace = request.headers().get(TRACE_HEADER);
    let trace = trace.and_then(|trace| trace.to_str().ok());
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
