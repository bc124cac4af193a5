"""Spans come in: from agents, and by OTLP/HTTP from whoever has a token of an admin's.

Answered before they are written. A 429 or 503 says that the same may be sent again.
"""

from __future__ import annotations

import asyncio
import zlib

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import body_of
from tulle.api.changes import changes_of
from tulle.api.doors import Mesh
from tulle.telemetry.traces.keeper import Full, Traces
from tulle.telemetry.traces.otlp import Sender

PROTOBUF = "application/x-protobuf"
MOST_BODY = 4 * 1024 * 1024
_LOST = "x-tulle-lost-spans"
_GZIP = 31  # zlib: with a header and a trailer as gzip writes them


class Spans:
    def __init__(self, mesh: Mesh, traces: Traces) -> None:
        self._mesh = mesh
        self._traces = traces

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/v1/agents/{proxy}/spans", self.of_agent, methods=["POST"]),
            Route("/v1/otlp/v1/traces", self.otlp, methods=["POST"]),
        ]

    async def of_agent(self, request: Request) -> Response:
        proxy = self._mesh.proxy(request.path_params["proxy"])
        if proxy is None:
            raise HTTPException(503, f"{request.path_params['proxy']} is not registered")
        body = await _body(request)
        lost = request.headers.get(_LOST, "0")
        if lost.isascii() and lost.isdigit() and len(lost) < 16:
            self._traces.lost_by(proxy.id, int(lost))
        self._take(body, Sender(proxy.id, f"{proxy.service}.{proxy.namespace}", proxy.namespace))
        return as_json({})

    async def otlp(self, request: Request) -> Response:
        body = await _body(request)
        changes_of(request).none()  # a thousand lines an hour would leave no room in the audit log
        self._take(body, None)
        return Response(b"", media_type=PROTOBUF)

    def _take(self, export: bytes, sender: Sender | None) -> None:
        try:
            self._traces.take(export, sender)
        except Full as error:
            raise HTTPException(429, str(error), {"retry-after": "2"}) from error


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip() != PROTOBUF:
        raise HTTPException(415, f"spans are taken as {PROTOBUF}", {"connection": "close"})
    body = await body_of(request, MOST_BODY)
    match request.headers.get("content-encoding", "identity"):
        case "identity":
            return body
        case "gzip":
            return await asyncio.to_thread(_unpacked, body)
        case other:
            raise HTTPException(415, f"{other!r} is no encoding that is taken: gzip is")


def _unpacked(body: bytes) -> bytes:
    """A few bytes may claim to be a great many; no more are made than may be. Takes tens of milliseconds for the most."""
    unpacking = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacking.decompress(body, MOST_BODY)
    except zlib.error as error:
        raise HTTPException(400, "the body is not what gzip writes") from error
    if not unpacking.eof:
        raise HTTPException(413, f"the request is longer than {MOST_BODY} bytes, or not whole")
    if unpacking.unused_data:
        raise HTTPException(400, "something follows what gzip wrote")
    return unpacked
