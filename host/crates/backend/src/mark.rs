//! What a server is told of who asks: the trace, and the request's id.

use capability::trace::Cause;
use reqwest::RequestBuilder;

/// With `traceparent` and `x-request-id` of what is polled now, where there are any.
pub(crate) fn marked(request: RequestBuilder) -> RequestBuilder {
    let headers = Cause::now().headers();
    headers.fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}
