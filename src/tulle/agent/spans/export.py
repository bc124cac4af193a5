"""What is sent to an OTLP door, looked at only as far as the agent must: is it whole, and how many spans are in it?

Source: OpenTelemetry, opentelemetry/proto/collector/trace/v1/trace_service.proto. An ExportTraceServiceRequest is nothing but
a list (field 1), so that several one after the other are one as well; therefore none that is broken may be among them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tulle.envoy_api.wire import BYTES, VARINT, decode_varint

_RESOURCE_SPANS, _SCOPE_SPANS, _SPAN = 1, 2, 2
_FIXED = {1: 8, 5: 4}  # bytes, by wire type


def spans_in(request: bytes) -> int:
    """How many spans an ExportTraceServiceRequest has. Raises ValueError if it is none."""
    count = 0
    for resource in _messages(request, 0, len(request), _RESOURCE_SPANS):
        for scope in _messages(request, *resource, _SCOPE_SPANS):
            count += sum(1 for _ in _messages(request, *scope, _SPAN))
    return count


def _messages(data: bytes, at: int, end: int, number: int) -> Iterator[tuple[int, int]]:
    """From where to where the fields with that number go."""
    while at < end:
        tag, at = decode_varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            _, at = decode_varint(data, at)
        elif kind == BYTES:
            length, at = decode_varint(data, at)
            if tag >> 3 == number:
                yield at, at + length
            at += length
        else:
            at += _FIXED.get(kind, end + 1)
    if at != end:
        raise ValueError("a field is longer than what it is in")
