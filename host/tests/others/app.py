"""A component in Python: says its version and the path that was asked for."""

import os

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        headers = Fields.from_list([("content-type", b"application/json")])
        response = OutgoingResponse(headers)
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        version, path = os.environ.get("VERSION"), request.path_with_query()
        with body.write() as out:
            out.blocking_write_and_flush(
                ('{"version": "%s", "path": "%s"}' % (version, path)).encode()
            )
        OutgoingBody.finish(body, None)
