"""Istio's metrics: CPU of a pair of sidecars per request with all of them counted, beside the same pair without.

The pair without is there twice: what its two rows differ by is noise. All else that a sidecar tells by default, it tells.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import guarded
from bench.figure import Figure
from bench.watched import Case, measure, ratios, start
from tulle.ir.telemetry import DEFAULT


def run(quick: bool) -> list[Figure]:
    rounds, seconds = (4, 1) if quick else (20, 1)
    cases = [
        _case("without", "without metrics"),
        _case("without_again", "without metrics, again"),
        _case("figures", "all but gRPC's", "figures"),
        _case("all", "all", *guarded.FIGURES, reach=1.15),
    ]
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        start(Path(folder), stack, cases)
        measure("metrics", cases, rounds, seconds)
    one, again, *others = cases
    return ratios(one, again, others, _what, f"{rounds} interleaved rounds of {seconds} s")


def _what(case: Case) -> str:
    return f"CPU per request of two sidecars with Istio's metrics over the same two without: {case.what}"


def _case(name: str, what: str, *counts: str, reach: float | None = None) -> Case:
    return Case(name, what, DEFAULT, counts, without=(), decides=True, reach=reach)
