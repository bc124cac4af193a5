"""OTLP over gRPC, for programs that send spans themselves: on loopback, unless told otherwise, and only if asked for.

Whoever reaches it may send; nothing can be read here. Source: OpenTelemetry, trace_service.proto, and "OTLP Specification",
OTLP/gRPC Throttling.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tulle.model.join_token import written_address
from tulle.telemetry.traces.keeper import Full, Traces
from tulle.xds.grpc_library import aio, grpc

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_MOST_BODY = 4 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", _MOST_BODY),
    ("grpc.so_reuseport", 0),
    ("grpc.max_allowed_incoming_connections", 1_000),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.max_connection_idle_ms", 300_000),  # who says nothing, or never ends a message, leaves room for others
    ("grpc.max_connection_age_ms", 1_800_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
]


class Unavailable(OSError):
    """It can't listen there. The message is for the user."""


@asynccontextmanager
async def served(traces: Traces, address: str, port: int) -> AsyncIterator[int]:
    """Within the block; at which port. port: 0 for any that is free. Raises Unavailable."""

    async def export(request: bytes, context: Any) -> bytes:
        try:
            traces.take(request)
        except Full as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return b""  # an ExportTraceServiceResponse: all was taken

    server = aio.server(options=_OPTIONS)
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
