"""The page on the control plane's metrics and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tulle.control_plane import own_figures
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.timeline import Timeline
from tulle.telemetry.calls.kept import Calls
from tulle.telemetry.figures.memory import Figures
from tulle.telemetry.own import Own
from tulle.telemetry.traces.keeper import Traces

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "control-plane-metrics.md").read_text()


def test_every_metric_is_told_with_its_kind(tmp_path: Path) -> None:
    own, trusts = Own("1"), SimpleNamespace(ca=lambda: SimpleNamespace(roots=[], issuers=[]))
    nothing: Any = trusts
    own_figures.read(own, LiveMesh(Timeline(lambda: 0.0)), nothing, lambda: 0.0)
    own_figures.read_telemetry(own, Figures(lambda: 0.0), Calls(), Traces(tmp_path), None)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", own.text.decode(), re.M))
    told: dict[str, str] = {}
    for cell, kind in re.findall(r"^\| (`.*?) \| (\w+) \|", PAGE, re.M):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", cell), kind)
    # Counters under Istio's names have none in the text.
    assert {name: "counter" if kind == "untyped" else kind for name, kind in kinds.items()} == told
