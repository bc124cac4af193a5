"""The API's door for other machines: HTTPS (TLS 1.3) on the address that `tulle up --listen` names.

Strangers may come here, so everything is bounded before it costs anything: connections of those who show no certificate per
address and over all, the time until a handshake and then a request is complete, the size of its head, silence. The TLS context
is chosen anew for each connection, so certificates may change meanwhile. What a caller may ask is callers.py's matter.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from tulle.api.server import ImpatientProtocol, close_all, configured

_log = logging.getLogger(__name__)
_MAX_HEAD = 32 * 1024  # a join token or a JWT is in it
_BACKLOG = 512
_HANDSHAKE_WITHIN = 5.0
_REQUEST_WITHIN = 5.0
_SILENCE = 30.0  # agents say something every second
_KEEPALIVE_SECONDS = 30
MOST_STRANGERS = 512
MOST_STRANGERS_OF_ONE = 64
MOST_CONNECTIONS = 20_000


def bound(host: str, port: int) -> socket.socket:
    """The listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not ip_address(host).is_unspecified))
        made.bind((host, port))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"can't listen on {host} port {port}: {error.strerror}") from error
    return made


def server_context(key: bytes, chain: bytes, roots: bytes) -> ssl.SSLContext:
    """For a server that proves itself by `chain`, and asks clients for a certificate of `roots`; they may have none. All PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a session taken up again would not show a certificate anew
    context.load_verify_locations(cadata=roots.decode())
    # OpenSSL reads keys from files only; this one is in memory, and nobody else's.
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, key + b"\n" + chain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


async def serve(
    app: ASGIApp, listening: socket.socket, context: Callable[[], ssl.SSLContext], closing: asyncio.Event
) -> None:
    """Serves until it is cancelled, and closes the socket. closing: set when the control plane itself ends."""
    await _Server(app, context, closing).run(listening)


class _Server:
    def __init__(self, app: ASGIApp, context: Callable[[], ssl.SSLContext], closing: asyncio.Event) -> None:
        self._config = configured(app, _RemoteProtocol, _MAX_HEAD)
        self._context = context
        self._closing = closing
        self._state = ServerState()
        self._strangers: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            try:
                while True:
                    try:
                        connection, address = await loop.sock_accept(listening)
                    except OSError as error:  # no descriptor is left, or the caller has gone already
                        _log.warning("can't take a connection from another machine: %s", error.strerror or error)
                        await asyncio.sleep(0.1)
                        continue
                    self._take(loop, connection, str(address[0]))
            finally:
                self._closing.set()
                for task in self._tasks:
                    task.cancel()
                await close_all(self._state)

    def _take(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, peer: str) -> None:
        if (
            self._strangers[peer] >= MOST_STRANGERS_OF_ONE
            or self._strangers.total() >= MOST_STRANGERS
            or len(self._state.connections) >= MOST_CONNECTIONS
        ):
            connection.close()
            return
        self._strangers[peer] += 1
        task = loop.create_task(self._shake_hands(loop, connection, peer), name=f"TLS handshake with {peer}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shake_hands(self, loop: asyncio.AbstractEventLoop, connection: socket.socket, peer: str) -> None:
        stranger = _Once(partial(self._forget, peer))
        make = partial(
            _RemoteProtocol,
            config=self._config,
            server_state=self._state,
            app_state={"closing": self._closing, "peer": peer},
            stranger=stranger,
        )
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Who watches says nothing more, and may be gone without a word.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
            await loop.connect_accepted_socket(
                make, connection, ssl=self._context(), ssl_handshake_timeout=_HANDSHAKE_WITHIN, ssl_shutdown_timeout=1.0
            )
        except (OSError, ssl.SSLError) as error:
            stranger()
            connection.close()
            _log.debug("no TLS with %s: %s", peer, error)
        except BaseException:
            stranger()
            connection.close()
            raise

    def _forget(self, peer: str) -> None:
        self._strangers[peer] -= 1
        if not self._strangers[peer]:
            del self._strangers[peer]


class _Once:
    """Does something the first time it is called."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do: Callable[[], None] | None = do

    def __call__(self) -> None:
        do, self._do = self._do, None
        if do:
            do()


class _RemoteProtocol(ImpatientProtocol):
    """stranger: to be called once it is known that this is none, or when it has gone."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        stranger: Callable[[], None],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._stranger = stranger
        self._heard = 0.0
        self._awaited = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.app_state = {**self.app_state, "certificate": shown or b""}
        if shown:
            self._stranger()
        self._heard = self._awaited = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stranger()
        if self._timer:
            self._timer.cancel()
        with suppress(AttributeError):  # uvicorn's, if the connection is lost before it was made
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._awaited = self.loop.time()
        super().on_response_complete()

    def _look(self) -> None:
        """Ends the connection of whoever says nothing, or does not come to the end of a request's head."""
        now = self.loop.time()
        is_asking = self.cycle is not None and not self.cycle.response_complete
        has_more_to_say = not is_asking or self.cycle.more_body
        if (now - self._heard > _SILENCE and has_more_to_say) or (
            not is_asking and now - self._awaited > _REQUEST_WITHIN
        ):
            self.transport.abort()
            return
        self._timer = self.loop.call_later(1.0, self._look)
