"""The API's HTTP server, on a Unix socket that only its owner can open.

uvicorn's protocol is used without its `Server`, whose signal handlers and clock tick a part of a larger process has no
use for. The store's lock keeps a second control plane out of the data folder, so a socket that is there already was
left by a dead one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tulle.aio.unix import short_path
from tulle.identity.attestation import peer_is_trusted, user_of

_log = logging.getLogger(__name__)
_MAX_HEAD = 64 * 1024
_BACKLOG = 1024
_FAREWELL_WITHIN = 2.0
FETCH_WITHIN, _LEAST_FETCHED = 20.0, 64 * 1024


async def serve(app: ASGIApp, path: Path, listening: asyncio.Event) -> None:
    """Serves until it is cancelled, and sets `listening` once callers can connect."""
    config = configured(app, LocalProtocol, _MAX_HEAD)
    state = ServerState()
    closing = asyncio.Event()
    make = partial(LocalProtocol, config=config, server_state=state, app_state={"closing": closing})
    with _bound(path) as sock:
        server = await asyncio.get_running_loop().create_unix_server(make, sock=sock, backlog=_BACKLOG)
        listening.set()
        try:
            await server.serve_forever()
        finally:
            closing.set()
            await close_all(state)


def configured(app: ASGIApp, protocol: type[H11Protocol], most_head: int) -> uvicorn.Config:
    """What uvicorn's protocol wants to know. most_head: bytes in the head of a request."""
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=most_head,
    )


async def close_all(state: ServerState) -> None:
    """Ends all connections, and waits a little for what is under way on them."""
    for connection in list(state.connections):
        connection.transport.close()
    if state.tasks:
        _, unfinished = await asyncio.wait(state.tasks, timeout=_FAREWELL_WITHIN)
        for task in unfinished:
            _log.warning("a request did not end: %s", task.get_name())
            task.cancel()


@contextmanager
def _bound(path: Path) -> Iterator[socket.socket]:
    """A socket bound to `path`, of mode 0600 from its first moment; removed at the end."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        os.fchmod(sock.fileno(), 0o600)  # bind(2) gives the file the mode of its socket, less the umask
        with short_path(path) as short:
            sock.bind(short)
        try:
            yield sock
        finally:
            path.unlink(missing_ok=True)


class JsonProtocol(H11Protocol):
    """HTTP/1.1 with refusals in JSON."""

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """In place of uvicorn's, which answers in plain text, and fails when an answer has already begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = b'{"error": "this is no HTTP/1.1 request"}'
            head = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
            events = (h11.Response(status_code=400, headers=head), h11.Data(data=body), h11.EndOfMessage())
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class ImpatientProtocol(JsonProtocol):
    """For doors where strangers knock: who does not fetch what it has asked for, or hardly, is let go."""

    _fetching: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_fetching()

    def resume_writing(self) -> None:
        self._end_of_fetching()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_of_fetching()
        super().connection_lost(exc)

    def _await_fetching(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._fetching = self.loop.call_later(FETCH_WITHIN, self._look_at_fetching, left)

    def _look_at_fetching(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < _LEAST_FETCHED:
            self.transport.abort()
        else:
            self._await_fetching()

    def _end_of_fetching(self) -> None:
        if self._fetching:
            self._fetching.cancel()


class LocalProtocol(JsonProtocol):
    """With callers of our own user only."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if not peer_is_trusted(transport.get_extra_info("socket")):
            _log.warning("refused a connection from another user")
            transport.abort()
            return
        self.app_state = {**self.app_state, "uid": user_of(transport.get_extra_info("socket"))}
        super().connection_made(transport)
