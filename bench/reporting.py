"""Figures told by 100, 500 and 1,000 sidecars, of 20, 100 and 200 services: what they cost the control plane.

It takes, keeps and shows them.

The reports are simulated, of services that call four others each; what takes them is the control plane's own, without the HTTP
around it. Time is simulated as well: an hour passes as fast as its reports are taken.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure

_PROGRAM = Path(__file__).parent / "programs" / "reporting.py"
_HOUR, _SHORT = 3600, 240
_REACH = 50.0


def run(quick: bool) -> list[Figure]:
    return [figure for sidecars in (100, 500, 1000) for figure in _figures(sidecars, _SHORT if quick else _HOUR)]


def _figures(sidecars: int, seconds: int) -> Iterator[Figure]:
    command = (sys.executable, str(_PROGRAM), str(sidecars), str(seconds))
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    who = f"{sidecars:,} sidecars of {found['services']} services"
    every = f"{found['series']} series in {found['bytes'] / 1000:.0f} kB every {found['again']:.0f} s"
    yield Figure(f"report_{sidecars}", f"figures, {who}: CPU of a report", found["report_us"], "µs", note=every)
    yield Figure(f"reports_core_{sidecars}", f"figures, {who}: share of a core", found["core"], "%")
    kept = f"{found['flows']:,} kinds of calls; {found['lost']:.0f} series not told apart"
    grown = found["after"] - found["before"]
    yield Figure(f"figures_memory_{sidecars}", f"figures, {who}: memory", grown, "MB", note=kept)
    yield Figure(
        f"figures_growth_{sidecars}",
        f"figures, {who}: memory at the end over that when the finest slots were full",
        found["after"] / found["full"],
        "×",
        note=f"after {seconds} s of simulated time; all of the process",
    )
    yield Figure(f"tidy_{sidecars}", f"figures, {who}: forgetting what is old, once a minute", found["tidy_ms"], "ms")
    for name, what in (("graph", "the graph"), ("stats", "rows of services"), ("proxies", "rows of proxies")):
        yield Figure(f"{name}_{sidecars}", f"figures, {who}: {what}, as JSON", found[f"{name}_ms"], "ms", reach=_REACH)
