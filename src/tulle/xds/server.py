"""Delta ADS over gRPC and mutual TLS: one reader and one writer per stream, and between them whoever owns the streams.

It knows nothing of meshes or of sessions: it hands requests to a subscriber and sends what the subscriber gives.
Nothing queues here: while a client reads slowly its subscriber is not asked again, and then gives the newest state.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from msgspec import Struct

from tulle.xds.decoding import MOST_NAMES, MalformedRequest, decode
from tulle.xds.grpc_library import aio, grpc
from tulle.xds.requests import Request

SERVICE, METHOD = "envoy.service.discovery.v3.AggregatedDiscoveryService", "DeltaAggregatedResources"

_FIRST_REQUEST_S = 10.0
_OPTIONS = [
    # Envoy pings an idle connection; gRPC would take the third ping as an attack and end the connection.
    ("grpc.http2.max_ping_strikes", 0),
    # A first request after a reconnect names all that the client holds, about 85 bytes each.
    ("grpc.max_receive_message_length", 16 << 20),
    # All clients come back at once after a restart; by default gRPC refuses some of them.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
    # Two servers on one port would each get half of the clients.
    ("grpc.so_reuseport", 0),
    # Else gRPC answers most acknowledgements with a ping, to measure a bandwidth that nobody needs: a third of all CPU.
    ("grpc.http2.bdp_probe", 0),
    # Whoever connects and says nothing, or vanishes, is let go; and however many do, some descriptors are left for others.
    ("grpc.max_allowed_incoming_connections", 20_000),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]

# gRPC always offers to take a TLS session up again, and then looks at no certificate: one that has ended would still count.
_REUSED = "a TLS session that is taken up again proves nothing here: connect without one"

_log = logging.getLogger(__name__)


class ServerIdentity(Struct, frozen=True):
    """What the server proves, and whom it trusts; all PEM. chain: its certificate first. roots: of clients."""

    key: bytes
    chain: bytes
    roots: bytes


class Refusal(Struct, frozen=True):
    """Why a client may not have a stream; the client is told."""

    reason: str


class Subscriber(Protocol):
    """One stream, as its owner sees it. Its methods don't wait; what they raise (StreamEnded, in good order) ends it."""

    def receive(self, request: Request) -> None:
        """Take the client's next request. `flush` is called afterwards."""

    def flush(self) -> list[bytes]:
        """The encoded responses to send now."""

    def disconnect(self) -> None:
        """The stream has ended. Called once."""


class Owner(Protocol):
    """Who decides what clients get."""

    def connect(self, certificate: bytes, node: str, wake: Callable[[], None]) -> Subscriber | Refusal:
        """A client has opened a stream.

        certificate: its own, PEM, verified. node: the id that it claims, and claims only.
        wake: to be called, on the event loop, when `flush` may have something to give.
        """


class StreamEnded(Exception):
    """A subscriber ends its stream; the client is told why, and may come back."""


class PortUnavailable(Exception):
    """The server can't listen where it should."""


@asynccontextmanager
async def serve(
    owner: Owner,
    identity: Callable[[], ServerIdentity],
    host: str = "127.0.0.1",
    port: int = 0,
    also: Sequence[str] = (),
) -> AsyncIterator[int]:
    """Serve within the block, which gets the port: `port`, or a free one if that is 0.

    also: more addresses of this machine to listen on, at the same port.

    identity: called for every new connection, by threads of gRPC's, so that certificates may change meanwhile.
    Raises PortUnavailable.
    """
    streams: set[asyncio.Task[None]] = set()
    server = aio.server(handlers=(_handlers(owner, streams),), options=_OPTIONS)
    bound = port
    for each in (host, *also):
        try:
            bound = server.add_secure_port(_written(each, bound), _credentials(identity))
        except RuntimeError as error:
            raise PortUnavailable(_why_unavailable(each, bound)) from error
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(grace=None)
        if streams:
            await asyncio.wait(streams)


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _credentials(identity: Callable[[], ServerIdentity]) -> Any:
    given = identity()

    def newer() -> Any:
        nonlocal given
        if (now := identity()) == given:
            return None
        given = now
        return _certificates(now)

    return grpc.dynamic_ssl_server_credentials(_certificates(given), newer, require_client_authentication=True)


def _certificates(identity: ServerIdentity) -> Any:
    return grpc.ssl_server_certificate_configuration([(identity.key, identity.chain)], identity.roots)


def _why_unavailable(host: str, port: int) -> str:
    """gRPC doesn't say why it could not listen, so the kernel is asked again."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"port {port} on {host} is taken by another program"
        return f"can't listen on {host}:{port}: {error.strerror or error}"
    return f"can't listen on {host}:{port}"


def _handlers(owner: Owner, streams: set[asyncio.Task[None]]) -> Any:
    """The one method; no serialisers: bytes in, bytes out. `streams`: the tasks that run it, which are gRPC's."""

    async def stream(_: Any, context: Any) -> None:
        if task := asyncio.current_task():
            streams.add(task)
            task.add_done_callback(streams.discard)
        problem, code = "", grpc.StatusCode.INVALID_ARGUMENT
        try:
            await _run(owner, context)
        except* MalformedRequest as errors:
            problem = str(errors.exceptions[0])
        except* StreamEnded as errors:
            problem, code = str(errors.exceptions[0]), grpc.StatusCode.ABORTED
        if problem:
            await context.abort(code, problem)

    return grpc.method_handlers_generic_handler(SERVICE, {METHOD: grpc.stream_stream_rpc_method_handler(stream)})


async def _run(owner: Owner, context: Any) -> None:
    request = await _first(context)
    proved = context.auth_context()
    if proved.get("ssl_session_reused") != [b"false"]:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, _REUSED)
    certificate = proved["x509_pem_cert"][0]
    changed, ended = asyncio.Event(), asyncio.Event()
    subscriber = owner.connect(certificate, request.node, changed.set)
    if isinstance(subscriber, Refusal):
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, subscriber.reason)
        return
    _log.debug("xds stream of %s begins (%s)", request.node, context.peer())
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_write(context, subscriber, changed, ended), name=f"xds writer {request.node}")
            await _read(context, subscriber, request, changed)
            # The writer is not cancelled: gRPC can't end a call properly while a write is under way.
            ended.set()
            changed.set()
    finally:
        subscriber.disconnect()
        _log.debug("xds stream of %s has ended", request.node)


async def _first(context: Any) -> Request:
    """The first request of a stream, the only one that must say who asks."""
    try:
        async with asyncio.timeout(_FIRST_REQUEST_S):
            data = await context.read()
    except TimeoutError as error:
        raise MalformedRequest(f"no request within {_FIRST_REQUEST_S:.0f} s") from error
    if data is aio.EOF:
        raise MalformedRequest("no request at all")
    request = decode(data)
    if not request.node:
        raise MalformedRequest("the first request says no node id")
    return request


async def _read(context: Any, subscriber: Subscriber, request: Request, changed: asyncio.Event) -> None:
    names: set[tuple[str, str]] = set()
    while True:
        names.difference_update((request.type_url, name) for name in request.unsubscribe)
        names.update((request.type_url, name) for name in request.subscribe)
        if len(names) > MOST_NAMES:
            raise MalformedRequest(f"more than {MOST_NAMES} names on one stream")
        subscriber.receive(request)
        changed.set()
        data = await context.read()
        if data is aio.EOF:
            return
        request = decode(data)


async def _write(context: Any, subscriber: Subscriber, changed: asyncio.Event, ended: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        if ended.is_set():
            return
        for response in subscriber.flush():
            try:
                await context.write(response)
            except aio.InternalError:  # the client is gone, and the call is about to be cancelled
                return
            if ended.is_set():
                return
