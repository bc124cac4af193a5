"""Spans, access logs, live requests, ids: CPU of two sidecars per request with each of them alone, beside the same without."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import guarded
from bench.figure import Figure
from bench.watched import Case, measure, ratios, start
from tulle.ir.telemetry import AccessLog, LogEncoding, Telemetry, Tracing


def run(quick: bool) -> list[Figure]:
    rounds, seconds = (3, 1) if quick else (20, 1)
    cases = _cases()
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        start(Path(folder), stack, cases)
        measure("tracing", cases, rounds, seconds)
    one, again, *others = cases
    return ratios(one, again, others, _what, f"{rounds} interleaved rounds of {seconds} s")


def _what(case: Case) -> str:
    return f"CPU per request of two sidecars over the same two that tell nothing: {case.what}"


def _cases() -> list[Case]:
    only_calls = (guarded.IDS,)
    return [
        Case("nothing", "nothing told"),
        Case("nothing_again", "nothing told, again"),
        Case("ids", "an id for each request", without=(guarded.CALLS,)),
        Case("tracing_1", "spans, 1 % of traces", Telemetry(tracing=Tracing(1.0))),
        Case("tracing_1_b3", "spans, 1 % of traces, B3 heeded", Telemetry(tracing=Tracing(1.0, b3=True))),
        Case("tracing_100", "spans, all traces", Telemetry(tracing=Tracing(100.0))),
        Case("log_text", "access log, text", Telemetry(logs=(AccessLog("text"),), tracing=None)),
        Case(
            "log_json",
            "access log, JSON",
            Telemetry(logs=(AccessLog("json", encoding=LogEncoding.JSON),), tracing=None),
        ),
        Case("tap_off", "failed and slow requests; nobody looks", without=only_calls),
        Case("tap_on", "all requests, while somebody looks", without=only_calls, tapped=True),
        Case("tap_headers", "all requests with their headers, the same", without=only_calls, tapped=True, headers=True),
        Case("metrics", "all of Istio's metrics", counts=guarded.FIGURES),
    ]
