"""`python -m bench [NAME...] [--quick] [--json FILE]`: measures, and prints JSON and a table for the README.

Each name is a module here, whose first line says what it measures. They run one after the other: a figure has the
machine to itself. A figure that can't be measured is an error, one that is not reached is a figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.figure import Figure

NAMES = (
    *("fanout", "start", "ondemand", "dataplane", "routes", "capture"),
    *("restarts", "apply", "strangers", "identity", "authorization", "metrics", "traced"),
    *("tracing", "observability", "reporting", "spans", "dashboard"),
)


def main() -> None:
    arguments = _arguments()
    if arguments.list:
        for name in NAMES:
            print(f"{name:12} {(_module(name).__doc__ or '').partition(chr(10))[0]}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what it has started ends with it
    machine = _machine()
    figures: list[Figure] = []
    for name in arguments.names or NAMES:
        started = time.monotonic()
        figures += _module(name).run(arguments.quick)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    document = json.dumps({"machine": machine, "quick": arguments.quick, "figures": list(_as_json(figures))}, indent=2)
    if arguments.json:
        arguments.json.write_text(f"{document}\n")
    print(document)
    print()
    print("\n".join(table(figures)))


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """Markdown, line by line."""
    yield "| what | measured | reach | |"
    yield "| --- | --- | --- | --- |"
    for figure in figures:
        reach = "" if figure.reach is None else f"under {figure.reach:g} {figure.unit}".rstrip()
        missed = "**missed** " if figure.reached is False else ""
        yield f"| {figure.what} | {missed}{_rounded(figure.value)} {figure.unit} | {reach} | {figure.note} |"


def _as_json(figures: Iterable[Figure]) -> Iterator[dict[str, Any]]:
    for figure in figures:
        yield {**dataclasses.asdict(figure), "reached": figure.reached}


def _rounded(value: float) -> str:
    """Three digits that mean something, never an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _machine() -> dict[str, Any]:
    """What the figures were measured on; the load is that of before."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def _module(name: str) -> Any:
    return importlib.import_module(f"bench.{name}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the figures of the README.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it runs, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there too")
    parser.add_argument("--list", action="store_true", help="say what there is, and measure nothing")
    arguments = parser.parse_args()
    # argparse's own `choices` would not take that nothing is named.
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    return arguments


if __name__ == "__main__":
    main()
