"""The API's door for browsers and for Prometheus: plain HTTP/1.1 on loopback, where any user of the machine can knock.

So nobody is believed for coming here. Pages of other sites may do nothing by the browser of somebody who has signed in: the
Host header must be this door's own (else a name of an attacker's could lead here: DNS rebinding), and what another origin asks
for is refused, by the headers that browsers set and pages cannot (Fetch Metadata, Origin). Beside that a change takes the
session's key (callers.py). Dashboard files are for anybody, as there is nothing secret in them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import ServerState

from tulle.api.answers import as_json
from tulle.api.remote import bound
from tulle.api.server import ImpatientProtocol, close_all, configured
from tulle.api.ui_files import ROOT
from tulle.model.addresses import LOOPBACK

_MAX_HEAD = 32 * 1024
_REQUEST_WITHIN = 10.0
MOST_CONNECTIONS = 500
_NAMES = (LOOPBACK, "localhost", "[::1]")
_HARDENED = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Web(Struct, frozen=True):
    """What is known of this door at the others: its port."""

    port: int

    @property
    def cookie(self) -> str:
        """Its name, with the port, as browsers share cookies between the ports of a host."""
        return f"tulle_{self.port}"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}{ROOT}"


def listening(port: int) -> socket.socket:
    """Raises OSError."""
    try:
        return bound(LOOPBACK, port)
    except OSError as error:
        what = "is taken by another program" if error.errno == errno.EADDRINUSE else "can't be had"
        raise OSError(error.errno, f"port {port} on {LOOPBACK}, for the dashboard, {what}") from error


class WebDoor:
    """An ASGI application: the API, and `files` for what is not below /v1/."""

    def __init__(self, api: ASGIApp, files: ASGIApp, web: Web) -> None:
        self._api = api
        self._files = files
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        answer = partial(_send_hardened, send)
        path, host = scope["path"], headers.get(b"host", "").lower()
        application = self._api
        if not self._is_own(host):
            application = as_json({"error": f"{host[:100]!r} is not this door's name: it is {self._web.url}"}, 421)
        elif path in ("/", ROOT.rstrip("/")) or path.startswith(ROOT):
            application = self._files
        elif problem := _foreign(headers, host):
            application = as_json({"error": problem}, 403)
        scope["state"]["web"] = self._web
        await application(scope, receive, answer)

    def _is_own(self, host: str) -> bool:
        names = [f"{name}:{self._web.port}" for name in _NAMES]
        return host in names or (self._web.port == 80 and host in _NAMES)


def _foreign(headers: Mapping[bytes, str], host: str) -> str:
    """Why a request is a page's of another origin; "" if it is not. What is no browser sends neither header."""
    if headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin"):
        return "pages of other origins may ask nothing here"
    if headers.get(b"origin", f"http://{host}").lower() != f"http://{host}":
        return f"pages of {headers[b'origin'][:100]!r} may ask nothing here"
    return ""


async def _send_hardened(send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        for name, value in _HARDENED.items():
            headers.setdefault(name, value)
    await send(message)


async def serve(app: ASGIApp, taken: socket.socket) -> None:
    """Serves until it is cancelled, and closes the socket."""
    config, state = configured(app, _WebProtocol, _MAX_HEAD), ServerState()
    closing = asyncio.Event()
    made: dict[_WebProtocol, None] = {}
    make = partial(_WebProtocol, config=config, server_state=state, app_state={"closing": closing}, waited_for=made)
    server = await asyncio.get_running_loop().create_server(make, sock=taken)
    try:
        await server.serve_forever()
    finally:
        closing.set()
        await close_all(state)


class _WebProtocol(ImpatientProtocol):
    """Bounded, as any user of the machine may connect: in number, and in the time until a request's head is there.

    waited_for: all of them, the one whose last request is longest ago first. Where there are too many, the first has to go that
    says nothing or does not fetch what it has asked for.
    """

    def __init__(self, *args: Any, waited_for: dict[_WebProtocol, None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waited_for = waited_for
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > MOST_CONNECTIONS:
            first = next((one for one in self._waited_for if one.is_silent or one.flow.write_paused), self)
            first.transport.abort()
            # Its end is only on its way, and the next one is to take the place of another.
            self._waited_for.pop(first, None)
            self.connections.discard(first)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._waited_for.pop(self, None)
        super().connection_lost(exc)

    @property
    def is_silent(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_request()

    def _await_request(self) -> None:
        self._waited_for.pop(self, None)
        self._waited_for[self] = None
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(_REQUEST_WITHIN, self._look)

    def _look(self) -> None:
        if self.is_silent:
            self.transport.abort()
