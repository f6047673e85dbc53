//! The binding: a request of `wasi:http` in, a response out.

use std::io::{self, Write};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

use crate::reply::{Reply, Request};

struct Component;

wasip2::http::proxy::export!(Component);

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        if let Err(error) = send(&read(&request).reply(), out) {
            eprintln!("ERROR the answer could not be sent: {error}");
        }
    }
}

fn read(request: &IncomingRequest) -> Request {
    let ids = request.headers().get("x-request-id");
    Request {
        reads: matches!(request.method(), Method::Get | Method::Head),
        target: request.path_with_query().unwrap_or_default(),
        id: ids.into_iter().find_map(|id| String::from_utf8(id).ok()),
    }
}

fn send(reply: &Reply, out: ResponseOutparam) -> io::Result<()> {
    let response = OutgoingResponse::new(headers(reply)?);
    let refused = |()| io::Error::other("the host takes no such response");
    response.set_status_code(reply.status).map_err(refused)?;
    let body = response.body().map_err(refused)?;
    ResponseOutparam::set(out, Ok(response));
    let mut stream = body.write().map_err(refused)?;
    stream.write_all(reply.body.to_string().as_bytes())?;
    stream.blocking_flush().map_err(io::Error::other)?;
    // A body cannot end while its stream is open.
    drop(stream);
    OutgoingBody::finish(body, None).map_err(io::Error::other)
}

fn headers(reply: &Reply) -> io::Result<Fields> {
    let headers = Fields::new();
    let add = |name, value: &str| headers.append(name, value.as_bytes());
    add("content-type", "application/json").map_err(io::Error::other)?;
    if reply.status == 405 {
        add("allow", "GET,HEAD").map_err(io::Error::other)?;
    }
    Ok(headers)
}
