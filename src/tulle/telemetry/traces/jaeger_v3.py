"""Traces in the shapes of the third version of Jaeger's query API: in few words for a list, and whole as OTLP's JSON.

Source: Jaeger, api_v3/query_service.proto; OpenTelemetry, OTLP/JSON. Jaeger UI, src/api/v3/schemas: it refuses the whole answer
for one field that is missing, or that has a number where a text of digits belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from tulle.telemetry.traces.span import Span, SpanEvent, Value, summary

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_ERROR = 2


def in_few_words(spans: Sequence[Span]) -> dict[str, Any]:
    """spans: of one trace, one at least. Older releases of Jaeger UI read `traceID`, newer ones `traceId`."""
    whole, ids = summary(spans), {span.id for span in spans}
    counts: dict[str, list[int]] = {}
    for span in spans:
        of = counts.setdefault(span.service, [0, 0])
        of[0] += 1
        of[1] += span.error
    return {
        "traceId": whole.id,
        "traceID": whole.id,
        "rootServiceName": whole.root[0],
        "rootOperationName": whole.root[1],
        "minStartTimeUnixNano": str(whole.start),
        "maxEndTimeUnixNano": str(whole.end),
        "spanCount": whole.spans,
        "errorSpanCount": whole.errors,
        "orphanSpanCount": sum(bool(span.parent) and span.parent not in ids for span in spans),
        "services": [
            {"name": name, "spanCount": all_of_it, "errorSpanCount": errors}
            for name, (all_of_it, errors) in sorted(counts.items())
        ],
    }


def as_otlp(spans: Sequence[Span]) -> dict[str, Any]:
    """TracesData, with what came from one instance together."""

    def origin(span: Span) -> tuple[str, str]:
        return span.service, span.instance

    def scope(span: Span) -> str:
        return span.scope

    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(_resource(*of))},
                "scopeSpans": [
                    {"scope": {"name": name} if name else {}, "spans": [_span(span) for span in made]}
                    for name, made in groupby(sorted(theirs, key=scope), scope)
                ],
            }
            for of, theirs in groupby(sorted(spans, key=origin), origin)
        ]
    }


def _resource(service: str, instance: str) -> dict[str, Value]:
    return {"service.name": service, **({"service.instance.id": instance} if instance else {})}


def _span(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.trace,
        "spanId": span.id,
        **({"parentSpanId": span.parent} if span.parent else {}),
        "name": span.name,
        "kind": _KINDS.get(span.kind, 0),
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": _attributes(span.attributes),
        "events": [_event(event) for event in span.events],
        "status": {"code": _ERROR} if span.error else {},
    }


def _event(event: SpanEvent) -> dict[str, Any]:
    return {"timeUnixNano": str(event.time), "name": event.name, "attributes": _attributes(event.attributes)}


def _attributes(values: dict[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}
