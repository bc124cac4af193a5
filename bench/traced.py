"""What it costs a Python program that --trace has it pass a trace's context on: a request, and a call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.figure import Figure
from tulle import agent

_PROGRAM = Path(__file__).parent / "programs" / "traced.py"
_SHIM = Path(next(iter(agent.__path__))) / "shim"
_REACH = 25.0


def run(quick: bool) -> list[Figure]:
    without, traced = (_measured(shim, 2_000 if quick else 20_000) for shim in ("", "trace"))
    alone = without["call"]
    return [
        Figure(
            "traced-request",
            "`--trace`: a request that a program serves costs more",
            traced["served"] / 1000,
            "µs",
            _REACH,
            "its headers read, its context entered and left",
        ),
        Figure(
            "traced-call",
            "`--trace`: a call that is made for it costs more",
            max(0.0, traced["call for a request"] - alone) / 1000,
            "µs",
            _REACH,
            f"with http.client, whose own part is {alone / 1000:.0f} µs",
        ),
        Figure(
            "traced-other-call",
            "`--trace`: any other call costs more",
            max(0.0, traced["call"] - alone) / 1000,
            "µs",
        ),
    ]


def _measured(shim: str, times: int) -> dict[str, float]:
    environment = {**os.environ, "TULLE_SHIM": shim, "PYTHONPATH": str(_SHIM)}
    done = subprocess.run(
        [sys.executable, str(_PROGRAM), str(times)], env=environment, check=True, capture_output=True, text=True
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
