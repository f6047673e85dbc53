//! `wasi:http` without a way out: a component that imports the client is refused before it is linked,
//! and this stands behind that.

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;

/// Denies every outbound request.
pub(crate) struct NoOutbound;

impl WasiHttpHooks for NoOutbound {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Io,
    ) -> Sent {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
