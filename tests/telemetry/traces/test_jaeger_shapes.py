"""Traces as Jaeger UI and Grafana read them."""

from __future__ import annotations

from tulle.telemetry.traces import jaeger
from tulle.telemetry.traces.span import Span, SpanEvent


def test_a_trace_has_the_shape_of_jaegers_in_microseconds() -> None:
    event = SpanEvent(1_500_000, "thrown", {"exception.type": "ValueError"})
    root = Span(
        "a" * 32, "1" * 16, "", "web.default", "web-1", "GET b", "client", 1_000_000, 9_000_999, False, {"n": 1}
    )
    child = Span(
        *("a" * 32, "2" * 16, root.id, "b.default", "", "GET b", "server", 2_000_000, 4_000_000, True),
        {"yes": True, "share": 0.5, "error": "true"},
        (event,),
        "envoy",
    )
    assert jaeger.trace([root, child]) == {
        "traceID": "a" * 32,
        "spans": [
            {
                "traceID": "a" * 32,
                "spanID": "1" * 16,
                "operationName": "GET b",
                "references": [],
                "startTime": 1000,
                "duration": 8000,
                "tags": [
                    {"key": "n", "type": "int64", "value": 1},
                    {"key": "span.kind", "type": "string", "value": "client"},
                ],
                "logs": [],
                "processID": "p1",
                "flags": 1,
                "warnings": None,
            },
            {
                "traceID": "a" * 32,
                "spanID": "2" * 16,
                "operationName": "GET b",
                "references": [{"refType": "CHILD_OF", "traceID": "a" * 32, "spanID": "1" * 16}],
                "startTime": 2000,
                "duration": 2000,
                "tags": [
                    {"key": "yes", "type": "bool", "value": True},
                    {"key": "share", "type": "float64", "value": 0.5},
                    {"key": "span.kind", "type": "string", "value": "server"},
                    {"key": "otel.scope.name", "type": "string", "value": "envoy"},
                    {"key": "error", "type": "bool", "value": True},
                    {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                ],
                "logs": [
                    {
                        "timestamp": 1500,
                        "fields": [
                            {"key": "event", "type": "string", "value": "thrown"},
                            {"key": "exception.type", "type": "string", "value": "ValueError"},
                        ],
                    }
                ],
                "processID": "p2",
                "flags": 1,
                "warnings": None,
            },
        ],
        "processes": {
            "p1": {
                "serviceName": "web.default",
                "tags": [{"key": "service.instance.id", "type": "string", "value": "web-1"}],
            },
            "p2": {"serviceName": "b.default", "tags": []},
        },
        "warnings": None,
    }
