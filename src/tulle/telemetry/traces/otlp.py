"""Spans as OpenTelemetry's protocol carries them. Nothing that a sender says may make them large or strange.

The message classes are those that Envoy itself brings, so no other package of them can clash with these.
Source: OpenTelemetry, opentelemetry/proto/collector/trace/v1/trace_service.proto, and semantic conventions of services.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

from msgspec import Struct

from tulle.envoy_api.messages import message
from tulle.telemetry.traces.span import Span, SpanEvent, Value

REQUEST = "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest"
_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_ERROR = 2  # Status.StatusCode
_MOST_ATTRIBUTES, _MOST_EVENTS = 64, 32
_LONGEST_NAME, _LONGEST_VALUE = 256, 2048
_MOST_TIME = 1 << 62  # nanoseconds; what SQLite can hold
# Of an outbound cluster: translate/names.py, `backend`.
_CLUSTER = re.compile(r"\boutbound\|(\d+)\|([^|]*)\|([^|\s]+)(?:\|tcp)?$")
# What Envoy says of every span and nobody asks for.
_NOISE = frozenset(("component", "node_id", "zone", "istio.mesh_id", "istio.cluster_id", "upstream_cluster.name"))


class Malformed(Exception):
    """This is no export."""


class Sender(Struct, frozen=True):
    """The proxy whose agent has sent spans: who that is, was proved. service: `web.default`."""

    proxy: str
    service: str
    namespace: str


def parsed(data: bytes) -> Any:
    """The ExportTraceServiceRequest. Raises Malformed."""
    try:
        return message(REQUEST).FromString(data)
    except Exception as error:  # DecodeError, of whichever implementation
        raise Malformed("this is no ExportTraceServiceRequest") from error


def stamp(request: Any, sender: Sender) -> None:
    """Has the spans of the sender's Envoy say who it is: proved, whatever it says. Others say who they are."""
    for resource_spans in request.resource_spans:
        attributes = resource_spans.resource.attributes
        said = {each.key: each.value.string_value for each in attributes}
        name = said.get("service.name", "")
        own = {"tulle.proxy": sender.proxy}
        if said.get("telemetry.sdk.name") == "envoy" or not name or name.startswith("unknown_service"):
            own |= {"service.name": sender.service, "service.namespace": sender.namespace}
            own["service.instance.id"] = sender.proxy
        kept = [each for each in attributes if each.key not in own]
        del attributes[:]
        attributes.extend(kept)
        for key, value in own.items():
            attributes.add(key=key).value.string_value = value


def spans_of(request: Any) -> Iterator[Span]:
    """All that have an id and belong to a trace."""
    for resource_spans in request.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        service = _service(resource)
        instance = str(resource.get("tulle.proxy") or resource.get("service.instance.id", ""))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if len(span.trace_id) == 16 and len(span.span_id) == 8:
                    yield _span(span, service, instance, scope_spans.scope.name[:_LONGEST_NAME])


def _span(span: Any, service: str, instance: str, scope: str) -> Span:
    start = min(span.start_time_unix_nano, _MOST_TIME)
    attributes = _attributes(span.attributes)
    if scope == "envoy":
        attributes = {key: value for key, value in attributes.items() if value != "-" and key not in _NOISE}
    return Span(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex() if len(span.parent_span_id) == 8 and any(span.parent_span_id) else "",
        service,
        instance,
        _name(span.name) or "-",
        _KINDS.get(span.kind, "internal"),
        start,
        min(max(span.end_time_unix_nano, start), _MOST_TIME),
        span.status.code == _ERROR or attributes.get("error") in ("true", True),
        attributes,
        tuple(_event(event) for event in span.events[:_MOST_EVENTS]),
        scope,
    )


def _name(name: str) -> str:
    """`GET outbound|80|v1|b.default.svc.cluster.local` is `GET b.default.svc.cluster.local:80`; `GET -` went nowhere."""
    name = name.removesuffix(" -")
    return _CLUSTER.sub(lambda found: f"{found[3]}:{found[1]}", name)[:_LONGEST_NAME]


def _service(resource: dict[str, Value]) -> str:
    name, namespace = str(resource.get("service.name") or "unknown"), str(resource.get("service.namespace", ""))
    whole = f"{name}.{namespace}" if namespace and not name.endswith(f".{namespace}") else name
    return whole.replace("\x1f", " ")[:_LONGEST_NAME]


def _event(event: Any) -> SpanEvent:
    time = min(event.time_unix_nano, _MOST_TIME)
    return SpanEvent(time, event.name[:_LONGEST_NAME], _attributes(event.attributes))


def _attributes(pairs: Any) -> dict[str, Value]:
    return {pair.key[:_LONGEST_NAME]: _value(pair.value) for pair in pairs[:_MOST_ATTRIBUTES]}


def _value(value: Any) -> Value:
    match value.WhichOneof("value"):
        case "string_value":
            return str(value.string_value[:_LONGEST_VALUE])
        case "bool_value":
            return bool(value.bool_value)
        case "int_value":
            return int(value.int_value)
        case "double_value":
            number = float(value.double_value)
            return number if isfinite(number) else str(number)  # which JSON has no word for
        case "array_value":
            return ", ".join(str(_value(each)) for each in value.array_value.values[:_MOST_ATTRIBUTES])[:_LONGEST_VALUE]
        case "bytes_value":
            return str(value.bytes_value[: _LONGEST_VALUE // 2].hex())
        case _:
            return ""
