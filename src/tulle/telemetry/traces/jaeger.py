"""Traces in the shapes of Jaeger's query API, as Jaeger UI and Grafana's Jaeger data source read them. Times in microseconds.

Source: Jaeger, model/json (Trace, Span, Process, KeyValue, Log, Reference) and cmd/query/app/http_handler; Grafana,
public/app/plugins/datasource/jaeger/types.ts; Jaeger UI, src/types/trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.telemetry.traces.search import Dependency
from tulle.telemetry.traces.span import Span, Value

_SAMPLED = 1
"""What is kept has been sampled. Grafana's type of a span has `flags` always."""

_MOST_EXACT = 2**53 - 1


def answer(data: Any) -> dict[str, Any]:
    total = len(data) if isinstance(data, list) else 0
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": None}


def failure(status: int, text: str) -> dict[str, Any]:
    return {**answer(None), "errors": [{"code": status, "msg": text}]}


def trace(spans: Sequence[Span]) -> dict[str, Any]:
    """spans: of one trace, one at least."""
    processes = {key: f"p{number}" for number, key in enumerate(dict.fromkeys(map(_process, spans)), 1)}
    return {
        "traceID": spans[0].trace,
        "spans": [_span(span, processes[_process(span)]) for span in spans],
        "processes": {
            name: {"serviceName": service, "tags": _tags({"service.instance.id": instance} if instance else {})}
            for (service, instance), name in processes.items()
        },
        "warnings": None,
    }


def dependencies(found: Sequence[Dependency]) -> list[dict[str, Any]]:
    return [{"parent": one.parent, "child": one.child, "callCount": one.calls} for one in found]


def _process(span: Span) -> tuple[str, str]:
    return span.service, span.instance


def _span(span: Span, process: str) -> dict[str, Any]:
    parent = [{"refType": "CHILD_OF", "traceID": span.trace, "spanID": span.parent}] if span.parent else []
    told = {name: value for name, value in span.attributes.items() if name != "error"}
    tags = {**told, "span.kind": span.kind, **({"otel.scope.name": span.scope} if span.scope else {})}
    if span.error:
        tags |= {"error": True, "otel.status_code": "ERROR"}
    return {
        "traceID": span.trace,
        "spanID": span.id,
        "operationName": span.name,
        "references": parent,
        "startTime": span.start // 1000,
        "duration": (span.end - span.start) // 1000,
        "tags": _tags(tags),
        "logs": [
            {"timestamp": event.time // 1000, "fields": _tags({"event": event.name, **event.attributes})}
            for event in span.events
        ],
        "processID": process,
        "flags": _SAMPLED,
        "warnings": None,
    }


def _tags(values: dict[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "type": _type(value), "value": _exact(value)} for key, value in values.items()]


def _exact(value: Value) -> Value:
    """What JavaScript has no number for is a text, as Jaeger itself writes it."""
    return str(value) if isinstance(value, int) and abs(value) > _MOST_EXACT else value


def _type(value: Value) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int64"
        case float():
            return "float64"
        case _:
            return "string"
