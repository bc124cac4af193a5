"""OTLP over gRPC, for programs that send spans themselves: on loopback, unless told otherwise, and only if asked for.

Whoever reaches it may send; nothing can be read here. Source: OpenTelemetry, trace_service.proto, and "OTLP Specification",
OTLP/gRPC Throttling.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tulle.model.join_token import written_address
from tulle.telemetry.traces.keeper import Full, Traces
from tulle.xds.grpc_library import aio, grpc

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_MOST_BODY = 4 * 1024 * 1024
_MOST_STREAMS = 100  # of a connection


class Limits(NamedTuple):
    """What one client may take, so that there is room for others. Times are in seconds.

    connections: of all clients. handshake: until it speaks HTTP/2. idle: without a call under way. age: then no new call is
    taken, and grace later those that have not ended are cut off, as of a client that never ends its message.
    """

    connections: int = 1_000
    handshake: float = 10.0
    idle: float = 300.0
    age: float = 1_800.0
    grace: float = 30.0


_LIMITS = Limits()


class Unavailable(OSError):
    """It can't listen there. The message is for the user."""


@asynccontextmanager
async def served(traces: Traces, address: str, port: int, limits: Limits = _LIMITS) -> AsyncIterator[int]:
    """Within the block; at which port. port: 0 for any that is free. Raises Unavailable."""

    async def export(request: bytes, context: Any) -> bytes:
        try:
            traces.take(request)
        except Full as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return b""  # an ExportTraceServiceResponse: all was taken

    server = aio.server(options=_options(limits))
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(export)}  # bytes in, bytes out
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    try:
        bound = server.add_insecure_port(written_address(address, port))
    except RuntimeError as error:
        raise Unavailable(f"can't listen on {address} port {port} for spans (--otlp): is it taken?") from error
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(1)


def _options(limits: Limits) -> list[tuple[str, int]]:
    """Source: gRPC core, channel arguments."""
    times = {
        "server_handshake_timeout": limits.handshake,
        "max_connection_idle": limits.idle,
        "max_connection_age": limits.age,
        "max_connection_age_grace": limits.grace,
    }
    return [
        ("grpc.max_receive_message_length", _MOST_BODY),
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        *((f"grpc.{name}_ms", round(1000 * seconds)) for name, seconds in times.items()),
    ]
