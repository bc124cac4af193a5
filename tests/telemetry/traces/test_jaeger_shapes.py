"""Traces as Jaeger UI and Grafana read them."""

from __future__ import annotations

from tulle.telemetry.traces import jaeger, jaeger_v3
from tulle.telemetry.traces.span import Span, SpanEvent, Value


def test_a_number_that_javascript_would_round_is_a_text() -> None:
    numbers: dict[str, Value] = {
        "exact": 2**53 - 1,
        "too many": 2**53,
        "too few": -(2**63),
        "yes": True,
        "share": 1e300,
    }
    span = Span("a" * 32, "1" * 16, "", "web", "", "GET", "client", 1, 2, False, numbers)
    tags = {tag["key"]: (tag["type"], tag["value"]) for tag in jaeger.trace([span])["spans"][0]["tags"]}
    assert tags["exact"] == ("int64", 2**53 - 1)
    assert (tags["too many"], tags["too few"]) == (("int64", str(2**53)), ("int64", str(-(2**63))))
    assert (tags["yes"], tags["share"]) == (("bool", True), ("float64", 1e300))


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


def test_a_trace_as_otlps_json_has_numbers_of_64_bits_as_text() -> None:
    event = SpanEvent(5, "thrown", {"n": 1})
    known = Span(
        "a" * 32, "1" * 16, "0" * 15 + "9", "b.default", "b-1", "GET", "server", 1, 2, True, {}, (event,), "envoy"
    )
    other = Span("a" * 32, "2" * 16, "1" * 16, "b.default", "b-1", "x", "", 1, 2, False, {"t": True, "f": 0.5, "s": ""})
    told = jaeger_v3.in_few_words([known, other])
    assert (told["orphanSpanCount"], told["errorSpanCount"], told["rootOperationName"]) == (1, 1, "GET")
    (part,) = jaeger_v3.as_otlp([known, other])["resourceSpans"]
    assert part["resource"]["attributes"][1] == {"key": "service.instance.id", "value": {"stringValue": "b-1"}}
    plain, scoped = part["scopeSpans"]
    assert (plain["scope"], scoped["scope"]) == ({}, {"name": "envoy"})
    assert plain["spans"][0]["attributes"] == [
        {"key": "t", "value": {"boolValue": True}},
        {"key": "f", "value": {"doubleValue": 0.5}},
        {"key": "s", "value": {"stringValue": ""}},
    ]
    (span,) = scoped["spans"]
    assert span["events"] == [
        {"timeUnixNano": "5", "name": "thrown", "attributes": [{"key": "n", "value": {"intValue": "1"}}]}
    ]
    assert (span["status"], plain["spans"][0]["status"], plain["spans"][0]["kind"]) == ({"code": 2}, {}, 0)
